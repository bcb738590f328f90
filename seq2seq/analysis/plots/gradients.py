"""Gradients through time: how much is left over how many steps, what a cut takes away, and how open gates are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seq2seq.extras import requires_extra

with requires_extra("analysis", needed_by=__name__):
    import pandas as pd
    from matplotlib.figure import Figure
    from scipy.stats import gmean  # type: ignore[import-untyped]

DERIVATIVES = {
    "spectral": "spectral norm of the derivative\nof state T by state T - d",
    "frobenius": "Frobenius norm of the derivative\nof state T by state T - d",
    "loss": "norm of the loss's derivative\nby state T - d",
}
MIN_NORM = 1e-12  # a line that falls below it ends there


def plot_sensitivity(tables: Mapping[str, pd.DataFrame], norm: str = "spectral") -> Figure:
    """Draw the norm of the last state's derivative by the one d steps before it, one line a name.

    Args:
        tables: By name, of `seq2seq.analysis.gradients.sensitivity`; over sequences the geometric mean is taken.
        norm: `spectral` or `frobenius`.
    """
    figure, axes = _single()
    for name, table in tables.items():
        means = table.groupby("distance")[norm].apply(gmean)
        axes.semilogy(means.index, _visible(means), label=name)
    axes.axhline(1.0, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="distance d (steps)", ylabel=DERIVATIVES[norm])
    axes.legend()
    return figure


def plot_loss_gradients(gradients: Mapping[str, np.ndarray]) -> Figure:
    """Draw how long the loss's gradient by the state after each step is, one line a name.

    Args:
        gradients: By name an array (B, T + 1, U) of `seq2seq.analysis.gradients.loss_gradients`; over sequences the
            geometric mean is taken.
    """
    figure, axes = _single()
    for name, gradient in gradients.items():
        axes.semilogy(_visible(gmean(np.linalg.norm(gradient.astype(float), axis=-1))), label=name)
    axes.set(xlabel="step k", ylabel="norm of the loss's derivative by state k")
    axes.legend()
    return figure


def plot_singular_values(values: Mapping[str, np.ndarray], sequence: int = 0) -> Figure:
    """Draw all singular values of each step's Jacobian in one sequence, one panel a name.

    Args:
        values: By name an array (B, T, S), the largest first, as NumPy's `svd` gives them of `step_jacobians`.
        sequence: Which of the B.
    """
    figure = Figure(figsize=(3.2 * len(values) + 0.8, 3.5), layout="constrained")
    panels = figure.subplots(1, len(values), sharey=True, squeeze=False)[0]
    for axes, (name, array) in zip(panels, values.items(), strict=True):
        steps = np.arange(1, array.shape[1] + 1)
        axes.semilogy(steps, _visible(array[sequence], 1e-6), color="C0", alpha=0.35, linewidth=0.8)
        axes.semilogy(steps, array[sequence, :, 0], color="C1", label="largest")
        axes.axhline(1.0, color="grey", linewidth=0.8, linestyle=":")
        axes.set(title=name, xlabel="step")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("singular values of the step's Jacobian")
    panels[0].legend()
    return figure


def plot_truncation(tables: Mapping[str, pd.DataFrame], weight: str = "all") -> Figure:
    """Draw direction and length of a cut gradient against the full one over the steps that it is traced back.

    Args:
        tables: By name, of `seq2seq.analysis.gradients.truncation_effect`.
        weight: One of the tables' weights, or `all`.
    """
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    panels = figure.subplots(1, 2)
    for name, table in tables.items():
        rows = table[table["weight"] == weight]
        for axes, column in zip(panels, ("cosine", "norm_ratio"), strict=True):
            axes.plot(rows["chunk"], rows[column], marker="o", label=name)
    labels = ("cosine of the angle to the full gradient", "length / length of the full gradient")
    for axes, label in zip(panels, labels, strict=True):
        axes.set_xscale("log", base=2)
        axes.set(xlabel="steps traced back", ylabel=label)
        axes.grid(alpha=0.3)
    panels[0].legend()
    return figure


def plot_gradient_flow(table: pd.DataFrame, families: Mapping[str, Sequence[str]], norm: str = "spectral") -> Figure:
    """Draw what is left of a gradient over the distance, on the left before training, on the right after it.

    Args:
        table: Of the record of `benchmarks/gradients.py` one row for each cell, `when` (before or after), state and
            distance, with its norms.
        families: By title the cells of a row of panels; a second state of a cell is dashed.
        norm: `spectral`, `frobenius` or `loss`.
    """
    figure = Figure(figsize=(10, 3.4 * len(families)), layout="constrained")
    panels = figure.subplots(len(families), 2, sharex=True, sharey=True, squeeze=False)
    for (title, cells), row in zip(families.items(), panels, strict=True):
        for when, axes in zip(("before", "after"), row, strict=True):
            for place, cell in enumerate(cells):
                lines = table[(table["cell"] == cell) & (table["when"] == when)].groupby("state", sort=False)
                for style, (state, line) in zip(("-", "--"), lines, strict=False):
                    name = f"{cell}, {state}" if len(lines) > 1 else cell
                    axes.semilogy(line["distance"], _visible(line[norm]), style, color=f"C{place}", label=name)
            axes.set_title(f"{title}, {when} training")
            axes.grid(alpha=0.3)
        row[0].set_ylabel(DERIVATIVES[norm])
        row[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    for axes in panels[-1]:
        axes.set_xlabel("distance d (steps)")
    return figure


def plot_gradient_norms(norms: Mapping[str, Sequence[float] | np.ndarray], limit: float | None = None) -> Figure:
    """Draw the length of the gradient of each update of a training, one line a name, and where it is clipped."""
    figure, axes = _single()
    for name, values in norms.items():
        axes.semilogy(np.arange(1, len(values) + 1), values, linewidth=0.9, label=name)
    if limit is not None:
        axes.axhline(limit, color="black", linewidth=0.8, linestyle="--", label="clipped above")
    axes.set(xlabel="update", ylabel="norm of the gradient before clipping")
    axes.legend()
    return figure


def plot_gate_histograms(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw how the values of each gate are spread, one panel a gate, one outline a name.

    Args:
        tables: By name, as `before` and `after`, of `seq2seq.analysis.gates.histograms`; with the same gates.

    Raises:
        ValueError: There is no table.
    """
    if not tables:
        raise ValueError("found no table of histograms, expected at least one")
    gates = list(next(iter(tables.values()))["gate"].unique())
    figure = Figure(figsize=(2.9 * len(gates), 3.2), layout="constrained")
    panels = figure.subplots(1, len(gates), squeeze=False)[0]
    for axes, gate in zip(panels, gates, strict=True):
        for name, table in tables.items():
            rows = table[table["gate"] == gate]
            edges = [*rows["left"], rows["right"].iloc[-1]]
            axes.stairs(100 * rows["share"], edges, label=name, fill=len(tables) == 1, linewidth=1.6)
        function = table.loc[table["gate"] == gate, "function"].iloc[0]
        axes.set(title=gate, xlabel=f"value of the {function}")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("share of values (%)")
    panels[0].legend()
    return figure


def _visible(values: Any, smallest: float = MIN_NORM) -> np.ndarray:
    """What a logarithmic axis can show: NaN, which is not drawn, in place of what is too small."""
    return np.where(np.asarray(values) < smallest, np.nan, values)


def _single() -> tuple[Figure, Any]:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    return figure, axes
