"""Plots of cells: means over seeds, memory spans, gradients through time, and gates."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np

from seq2seq.arguments import Dims, NonNegative, NotEmpty, check_arguments
from seq2seq.extras import require_extra

with require_extra("analysis", needed_by=__name__):
    import pandas as pd
    from scipy.stats import gmean  # type: ignore[import-untyped]

    from seq2seq.analysis.plots.figure import Figure

NORM_LABELS = {
    "spectral": "spectral norm of\nd state T / d state T - d",
    "frobenius": "Frobenius norm of\nd state T / d state T - d",
    "loss": "norm of\nd loss / d state T - d",
}
ThreeDimensions = Annotated[np.ndarray, Dims(3, 3)]
MIN_NORM = 1e-12  # a line that falls below it ends there


@check_arguments()
def plot_means(
    summary: pd.DataFrame, values: NotEmpty[Mapping[str, str]], groups: Mapping[str, Sequence[str]] | None = None
) -> Figure:
    """Draw means and 95% intervals of each cell, one panel per value, cells in the order of the first value.

    Args:
        summary: Result of `seq2seq.analysis.comparison.summarize`.
        values: Axis label, with the unit, by column.
        groups: Cells that share a colour, by the name of the group; by default all do.
    """
    ordered = summary.sort_values(next(iter(values)))
    size = (1.6 + 3.0 * len(values), 0.9 + 0.26 * len(ordered))
    figure, panels = _panels(len(values), size, grid="x", sharey=True)
    places = pd.Series(range(len(ordered)), index=ordered.index)
    for axes, (value, label) in zip(panels, values.items(), strict=True):
        for name, cells in (groups or {"": ordered.index}).items():
            chosen = ordered[ordered.index.isin(cells)]
            arms = np.stack([chosen[value] - chosen[f"{value}_low"], chosen[f"{value}_high"] - chosen[value]])
            axes.errorbar(
                chosen[value], places[chosen.index], xerr=np.nan_to_num(arms), fmt="o", capsize=3, label=name or None
            )
        axes.set_xlabel(label)
    panels[0].set_yticks(places, ordered.index)
    if groups:
        panels[0].legend(loc="best", fontsize="small")
    return figure


@check_arguments()
def plot_speed_against_quality(summary: pd.DataFrame, speed: Mapping[str, float], value: str, label: str) -> Figure:
    """Draw the quality of each cell against the training speed of its layer.

    Args:
        summary: Result of `seq2seq.analysis.comparison.summarize`.
        speed: Training speed of each cell, relative to the GRU's.
        value: Column of `summary`.
        label: Axis label of the value, with the unit.
    """
    figure, (axes,) = _panels(1, (6, 4))
    for cell, mean in summary[value].items():
        if cell in speed:
            axes.plot(speed[cell], mean, "o", color="tab:blue")
            axes.annotate(str(cell), (speed[cell], mean), xytext=(4, 3), textcoords="offset points", fontsize="small")
    axes.set(xlabel="training speed of a layer (tokens/s, relative to the GRU)", ylabel=label)
    return figure


@check_arguments()
def plot_memory_span(table: pd.DataFrame, unit: str = "steps") -> Figure:
    """Draw the memory span of each cell, mean over seeds and 95% interval, one panel per task.

    An open marker means that a seed solved the longest distance that was tried, so the mean might be larger.

    Args:
        table: Result of `seq2seq.analysis.memory_tasks.experiments.memory_span`.
        unit: Unit of the distances, such as steps of a task or words of a sentence.
    """
    tasks, cells = table["task"].unique(), list(table["cell"].unique())
    figure, panels = _panels(len(tasks), (3.4 * len(tasks) + 1, 1.4 + 0.34 * len(cells)), sharey=True)
    for axes, task in zip(panels, tasks, strict=True):
        for row in table[table["task"] == task].itertuples():
            error = [[row.mean - row.low], [row.high - row.mean]] if np.isfinite(row.low) else None
            fill = "white" if row.at_least else "C0"
            axes.errorbar(
                row.mean, cells.index(row.cell), xerr=error, fmt="o", color="C0", markerfacecolor=fill, capsize=3
            )
        axes.set(title=task, xlabel=f"memory span ({unit}), 95% interval")
        axes.set_xlim(left=-2)
    panels[0].set_yticks(range(len(cells)), cells)
    panels[0].invert_yaxis()
    return figure


@check_arguments()
def plot_scores_by_distance(
    scores: pd.DataFrame, chance_levels: dict[str, float] | None = None, unit: str = "steps"
) -> Figure:
    """Draw the mean score of each cell against the distance, with all seeds as dots, one panel per task.

    Args:
        scores: Result of `seq2seq.analysis.memory_tasks.experiments.run_experiments`; distances that were not tried are
            left out.
        chance_levels: Score of guessing (0 to 1) by task, drawn as a dotted line.
        unit: Unit of the distances, such as steps of a task or words of a sentence.
    """
    tried = scores.dropna(subset="score")
    tasks, cells = tried["task"].unique(), tried["cell"].unique()
    figure, panels = _panels(len(tasks), (4 * len(tasks) + 1, 3.6), sharey=True)
    for axes, task in zip(panels, tasks, strict=True):
        rows = tried[tried["task"] == task]
        for number, cell in enumerate(cells):
            own = rows[rows["cell"] == cell]
            mean = own.groupby("distance")["score"].mean()
            axes.plot(mean.index, 100 * mean, color=f"C{number}", label=cell)
            axes.plot(own["distance"], 100 * own["score"], ".", color=f"C{number}", alpha=0.6)
        if chance_levels and task in chance_levels:
            axes.axhline(100 * chance_levels[task], color="grey", linestyle=":", label="guessing")
        axes.set_xscale("log", base=2)
        distances = sorted(rows["distance"].unique())
        axes.set_xticks(distances, [str(distance) for distance in distances])
        axes.set(title=task, xlabel=f"distance ({unit})", ylim=(0, 103))
    panels[0].set_ylabel("correct answers (%)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
    return figure


@check_arguments()
def plot_sensitivity(tables: NotEmpty[Mapping[str, pd.DataFrame]], norm: str = "spectral") -> Figure:
    """Draw the norm of the Jacobian of the last state with respect to the state d steps before, one line per name.

    Args:
        tables: Results of `seq2seq.analysis.gradients.sensitivity` by name; the geometric mean over sequences is drawn.
        norm: `spectral` or `frobenius`.
    """
    figure, (axes,) = _panels(1, (7, 4))
    for name, table in tables.items():
        means = table.groupby("distance")[norm].apply(gmean)
        axes.semilogy(means.index, _visible(means), label=name)
    axes.axhline(1.0, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="distance d (steps)", ylabel=NORM_LABELS[norm])
    axes.legend()
    return figure


@check_arguments()
def plot_state_gradients(gradients: NotEmpty[Mapping[str, ThreeDimensions]]) -> Figure:
    """Draw the norm of the loss's gradient with respect to the state after each step, one line per name.

    Args:
        gradients: Arrays (B, T + 1, U) from `state_gradients` by name; the geometric mean over sequences is drawn.
    """
    figure, (axes,) = _panels(1, (7, 4))
    for name, gradient in gradients.items():
        axes.semilogy(_visible(gmean(np.linalg.norm(gradient.astype(float), axis=-1))), label=name)
    axes.set(xlabel="step k", ylabel="norm of d loss / d state k")
    axes.legend()
    return figure


@check_arguments()
def plot_singular_values(values: NotEmpty[Mapping[str, ThreeDimensions]], sequence: NonNegative = 0) -> Figure:
    """Draw all singular values of each step's Jacobian in one sequence, one panel per name.

    Args:
        values: Arrays (B, T, S) by name, largest first, as NumPy's `svd` returns for `step_jacobians`.
        sequence: Index of the sequence.
    """
    figure, panels = _panels(len(values), (3.2 * len(values) + 0.8, 3.5), sharey=True)
    for axes, (name, array) in zip(panels, values.items(), strict=True):
        steps = np.arange(1, array.shape[1] + 1)
        axes.semilogy(steps, _visible(array[sequence], 1e-6), color="C0", alpha=0.35, linewidth=0.8)
        axes.semilogy(steps, array[sequence, :, 0], color="C1", label="largest")
        axes.axhline(1.0, color="grey", linewidth=0.8, linestyle=":")
        axes.set(title=name, xlabel="step")
    panels[0].set_ylabel("singular values of the step's Jacobian")
    panels[0].legend()
    return figure


@check_arguments()
def plot_truncation(tables: NotEmpty[Mapping[str, pd.DataFrame]], weight: str = "all") -> Figure:
    """Draw direction and norm of truncated gradients, relative to the full one, against the number of steps traced
    back.

    Args:
        tables: Results of `seq2seq.analysis.gradients.truncation_effect` by name.
        weight: One of the tables' weights, or `all`.
    """
    figure, panels = _panels(2, (9, 3.5))
    labels = {
        "cosine": "cosine of the angle to the full gradient",
        "norm_ratio": "norm / norm of the full gradient",
    }
    for axes, (column, label) in zip(panels, labels.items(), strict=True):
        for name, table in tables.items():
            rows = table[table["weight"] == weight]
            axes.plot(rows["chunk"], rows[column], marker="o", label=name)
        axes.set_xscale("log", base=2)
        axes.set(xlabel="steps traced back", ylabel=label)
    panels[0].legend()
    return figure


@check_arguments()
def plot_gradient_flow(table: pd.DataFrame, families: Mapping[str, Sequence[str]], norm: str = "spectral") -> Figure:
    """Draw gradient norms against distance, before training on the left and after it on the right.

    Args:
        table: Record of `benchmarks/gradients.py`: one row per cell, `when` (before or after), state and distance, with
            its norms.
        families: Cells of each row of panels, by its title; a second state of a cell is dashed.
        norm: `spectral`, `frobenius` or `loss`.
    """
    figure, panels = _panels(2, (10, 3.4 * len(families)), len(families), sharex=True, sharey=True)
    for (title, cells), row in zip(families.items(), panels.reshape(-1, 2), strict=True):
        for when, axes in zip(("before", "after"), row, strict=True):
            for place, cell in enumerate(cells):
                lines = table[(table["cell"] == cell) & (table["when"] == when)].groupby("state", sort=False)
                for style, (state, line) in zip(("-", "--"), lines, strict=False):
                    name = f"{cell}, {state}" if len(lines) > 1 else cell
                    axes.semilogy(line["distance"], _visible(line[norm]), style, color=f"C{place}", label=name)
            axes.set_title(f"{title}, {when} training")
        row[0].set_ylabel(NORM_LABELS[norm])
        row[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    for axes in panels[-2:]:
        axes.set_xlabel("distance d (steps)")
    return figure


@check_arguments()
def plot_gradient_norms(norms: NotEmpty[Mapping[str, np.ndarray]], limit: float | None = None) -> Figure:
    """Draw the gradient norm of each update of training runs, one line per name, and the clipping threshold `limit`."""
    figure, (axes,) = _panels(1, (7, 4))
    for name, values in norms.items():
        axes.semilogy(np.arange(1, len(values) + 1), values, linewidth=0.9, label=name)
    if limit is not None:
        axes.axhline(limit, color="black", linewidth=0.8, linestyle="--", label="clipped above")
    axes.set(xlabel="update", ylabel="norm of the gradient before clipping")
    axes.legend()
    return figure


@check_arguments()
def plot_gate_histograms(tables: NotEmpty[Mapping[str, pd.DataFrame]]) -> Figure:
    """Draw histograms of the values of each gate, one panel per gate, one outline per name.

    Args:
        tables: Results of `seq2seq.analysis.gates.histograms` by name, such as `before` and `after`, with the same
            gates.

    Raises:
        ArgumentError: There is no table.
    """
    gates = next(iter(tables.values()))["gate"].unique()
    figure, panels = _panels(len(gates), (2.9 * len(gates), 3.2))
    for axes, gate in zip(panels, gates, strict=True):
        for name, table in tables.items():
            rows = table[table["gate"] == gate]
            edges = [*rows["left"], rows["right"].iloc[-1]]
            axes.stairs(100 * rows["share"], edges, label=name, fill=len(tables) == 1, linewidth=1.6)
        axes.set(title=gate, xlabel=f"value of the {rows['function'].iloc[0]}")
    panels[0].set_ylabel("share of values (%)")
    panels[0].legend()
    return figure


def _panels(
    columns: int, size: tuple[float, float], rows: int = 1, *, grid: Literal["both", "x"] = "both", **sharing: Any
) -> tuple[Figure, np.ndarray]:
    """Make a figure of a width and height (inches); returns it and its axes, row by row, each with a grid."""
    figure = Figure(figsize=size, layout="constrained")
    panels: np.ndarray = figure.subplots(rows, columns, squeeze=False, **sharing).ravel()
    for axes in panels:
        axes.grid(axis=grid, alpha=0.3)
    return figure, panels


def _visible(values: Any, smallest: float = MIN_NORM) -> np.ndarray:
    """Values that a logarithmic axis can show, with NaN, which is not drawn, in place of those that are too small."""
    return np.where(np.asarray(values) < smallest, np.nan, values)
