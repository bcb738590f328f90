"""Plots of cells: means over seeds, memory spans, gradients through time, and gates."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np

from seq2seq.analysis.plots.style import COLOURS, MARKERS, STYLES, line_style
from seq2seq.arguments import Dims, NonNegative, NotEmpty, check_arguments
from seq2seq.extras import require_extra

with require_extra("analysis", needed_by=__name__):
    import pandas as pd
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke
    from scipy.stats import gmean  # type: ignore[import-untyped]

    from seq2seq.analysis.plots.figure import Figure

NORM_LABELS = {
    "spectral": "spectral norm of\nd state T / d state T - d",
    "frobenius": "Frobenius norm of\nd state T / d state T - d",
    "loss": "norm of\nd loss / d state T - d",
}
ThreeDimensions = Annotated[np.ndarray, Dims(3, 3)]
MEAN_BAR: dict[str, Any] = {
    "color": "black",
    "markersize": 14,
    "markeredgewidth": 1.2,
    "zorder": 1,
}  # behind the dots of the runs
MIN_NORM = 1e-12  # a line that falls below it ends there


@check_arguments()
def plot_means(
    runs: pd.DataFrame, values: NotEmpty[Mapping[str, str]], groups: Mapping[str, Sequence[str]] | None = None
) -> Figure:
    """Draw each run as a dot and the mean of each cell as a bar, one panel per value, the best cell on top.

    Args:
        runs: One row per run, with the column `cell`; runs that lack a value, such as pilots, are left out.
        values: Axis label, with the unit, by column; cells are in the order of the means of the first one.
        groups: Cells that share a colour and a marker, by the name of the group; by default all do.
    """
    drawn = runs.dropna(subset=list(values))
    means = drawn.groupby("cell")[list(values)].mean().sort_values(next(iter(values)))
    places = pd.Series(range(len(means)), index=means.index)
    figure, panels = _panels(len(values), (1.6 + 3.0 * len(values), 1.2 + 0.26 * len(means)), grid="x", sharey=True)
    for axes, (value, label) in zip(panels, values.items(), strict=True):
        for number, (name, cells) in enumerate((groups or {"all cells": means.index}).items()):
            own = drawn[drawn["cell"].isin(cells)]
            style = {"color": COLOURS[number], "linestyle": "", "markersize": 5, "clip_on": False}
            axes.plot(own[value], places[own["cell"]], MARKERS[number], label=f"{name}: a run", alpha=0.7, **style)
        axes.plot(means[value], places, "|", label="mean of a cell", **MEAN_BAR)
        axes.set(xlabel=label, xlim=(0, None))
    panels[0].set_yticks(places, means.index)
    panels[0].set_ylim(-0.6, len(means) - 0.4)  # the frame crosses no bar, however few the cells
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize="small")
    return figure


@check_arguments()
def plot_speed_against_quality(summary: pd.DataFrame, speed: Mapping[str, float], value: str, label: str) -> Figure:
    """Draw the quality of each cell, with its 95% interval, against the training speed of its layer.

    Args:
        summary: Result of `seq2seq.analysis.comparison.summarize`.
        speed: Training speed of each cell, relative to the GRU's.
        value: Column of `summary`.
        label: Axis label of the value, with the unit.
    """
    figure, (axes,) = _panels(1, (7, 5))
    shown = summary[summary.index.isin(list(speed))].sort_values(value)
    for place, (cell, row) in enumerate(shown.iterrows()):
        arms = np.nan_to_num([[row[value] - row[f"{value}_low"]], [row[f"{value}_high"] - row[value]]])
        x = speed[str(cell)]
        axes.errorbar(x, row[value], yerr=arms, fmt="o", color=COLOURS[0], ecolor="#88BBDD", capsize=3)
        side = 1 if place % 2 else -1  # neighbours in quality have their names on different sides
        shift, align = (6 * side, 3), "left" if side > 0 else "right"
        name = axes.annotate(str(cell), (x, row[value]), xytext=shift, textcoords="offset points", ha=align)
        name.set_path_effects([withStroke(linewidth=2.5, foreground="white")])  # where an interval runs through it
    axes.margins(x=0.2)
    axes.set(xlabel="training speed of a layer (tokens/s, relative to the GRU)", ylabel=f"{label}, 95% interval")
    return figure


@check_arguments()
def plot_memory_span(table: pd.DataFrame, unit: str = "steps") -> Figure:
    """Draw the memory span of each cell, a marker per seed and a bar for their mean, one panel per task.

    An open marker means that the seed solved the longest distance that was tried, so its span might be larger.

    Args:
        table: Result of `seq2seq.analysis.memory_tasks.experiments.memory_span`.
        unit: Unit of the distances, such as steps of a task or words of a sentence.
    """
    tasks, cells = table["task"].unique(), list(table["cell"].unique())
    size = (3.4 * len(tasks) + 1, 1.6 + 0.34 * len(cells))
    figure, panels = _panels(len(tasks), size, sharex=True, sharey=True)
    seed: dict[str, Any] = {"linestyle": "", "color": COLOURS[0], "alpha": 0.8}
    for axes, task in zip(panels, tasks, strict=True):
        of_task = table[table["task"] == task]
        longest = max(map(max, of_task.loc[of_task["at_least"], "spans"]), default=np.inf)
        for row in of_task.itertuples():
            heights = cells.index(row.cell) + np.linspace(-0.22, 0.22, len(row.spans))
            for span, height in zip(row.spans, heights, strict=True):
                axes.plot(span, height, "o", markersize=5, fillstyle="none" if span == longest else "full", **seed)
            axes.plot(row.mean, cells.index(row.cell), "|", **MEAN_BAR)
        axes.set(title=task, xlabel=f"memory span ({unit})")
    panels[0].set_yticks(range(len(cells)), cells)
    panels[0].set_ylim(len(cells) - 0.4, -0.6)
    entries = [Line2D([], [], marker="o", fillstyle=fill, **seed) for fill in ("full", "none")]
    entries.append(Line2D([], [], linestyle="", marker="|", **MEAN_BAR))
    names = "a seed", "a seed that solved the longest distance", "mean"
    figure.legend(entries, names, loc="outside upper center", ncols=3)
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
    tasks = tried["task"].unique()
    figure, panels = _panels(len(tasks), (3.6 * len(tasks) + 1, 3.8), sharey=True)
    for axes, task in zip(panels, tasks, strict=True):
        rows = tried[tried["task"] == task]
        for number, cell in enumerate(rows["cell"].unique()):
            own = rows[rows["cell"] == cell]
            mean = own.groupby("distance")["score"].mean()
            style = line_style(number, len(mean)) | {"markevery": 1}
            axes.plot(mean.index, 100 * mean, label=cell, **style)
            axes.plot(own["distance"], 100 * own["score"], ".", color=style["color"], alpha=0.5, markersize=5)
        if chance_levels and task in chance_levels:
            axes.axhline(100 * chance_levels[task], color="grey", linestyle=":", label="guessing")
        axes.plot([], [], ".", color="black", alpha=0.5, markersize=5, label="one seed")
        axes.set_xticks(sorted(rows["distance"].unique()))
        axes.set(title=task, xlabel=f"distance ({unit})", ylim=(0, 103))
        axes.legend(fontsize="small")
    panels[0].set_ylabel("correct answers (%)")
    return figure


@check_arguments()
def plot_sensitivity(tables: NotEmpty[Mapping[str, pd.DataFrame]], norm: str = "spectral") -> Figure:
    """Draw the norm of the Jacobian of the last state with respect to the state d steps before, one line per name.

    Args:
        tables: Results of `seq2seq.analysis.gradients.sensitivity` by name; the geometric mean over sequences is drawn.
        norm: `spectral` or `frobenius`.
    """
    figure, (axes,) = _panels(1, (7, 4))
    for place, (name, table) in enumerate(tables.items()):
        means = table.groupby("distance")[norm].apply(gmean)
        axes.semilogy(means.index, _visible(means), label=name, **line_style(place, len(means)))
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
    for place, (name, gradient) in enumerate(gradients.items()):
        norms = gmean(np.linalg.norm(gradient.astype(float), axis=-1))
        axes.semilogy(_visible(norms), label=name, **line_style(place, len(norms)))
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
        axes.semilogy(steps, _visible(array[sequence], 1e-6), color=COLOURS[0], alpha=0.35, linewidth=0.8)
        axes.semilogy(steps, array[sequence, :, 0], color=COLOURS[1], label="largest")
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
    figure, panels = _panels(2, (10, 3.8))
    labels = {
        "cosine": "cosine of the angle to the full gradient",
        "norm_ratio": "norm / norm of the full gradient",
    }
    for axes, (column, label) in zip(panels, labels.items(), strict=True):
        for place, (name, table) in enumerate(tables.items()):
            rows = table[table["weight"] == weight]
            axes.plot(rows["chunk"], rows[column], label=name, **line_style(place, len(rows)) | {"markevery": 1})
        axes.set_xscale("log", base=2)
        axes.set_xticks(rows["chunk"], rows["chunk"].astype(str))
        axes.set(xlabel="steps traced back", ylabel=label, ylim=(min(0.0, axes.get_ylim()[0]), None))
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
    figure, panels = _panels(2, (10, 2.9 * len(families)), len(families), sharex=True, sharey=True)
    for (title, cells), row in zip(families.items(), panels.reshape(-1, 2), strict=True):
        for when, axes in zip(("before", "after"), row, strict=True):
            for place, cell in enumerate(cells):
                lines = table[(table["cell"] == cell) & (table["when"] == when)].groupby("state", sort=False)
                for dashes, (state, line) in zip(("-", "--"), lines, strict=False):
                    name = f"{cell}, {state}" if len(lines) > 1 else cell
                    style = line_style(place, len(line)) | {"linestyle": dashes}
                    axes.semilogy(line["distance"], _visible(line[norm]), label=name, **style)
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
    for place, (name, values) in enumerate(norms.items()):
        style = line_style(place, len(values)) | {"linestyle": "-", "linewidth": 0.9}  # dashes would hide peaks
        axes.semilogy(np.arange(1, len(values) + 1), values, label=name, **style)
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
        for place, (name, table) in enumerate(tables.items()):
            rows = table[table["gate"] == gate]
            edges = [*rows["left"], rows["right"].iloc[-1]]
            style = {"color": COLOURS[place], "linestyle": STYLES[place], "fill": len(tables) == 1, "linewidth": 1.8}
            axes.stairs(100 * rows["share"], edges, label=name, **style)
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
