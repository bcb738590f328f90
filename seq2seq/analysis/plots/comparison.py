"""Figures of a comparison of cells."""

from collections.abc import Mapping, Sequence

import numpy as np

from seq2seq.extras import requires_extra

with requires_extra("analysis", needed_by=__name__):
    import pandas as pd
    from matplotlib.figure import Figure


def plot_means(
    summary: pd.DataFrame, values: Mapping[str, str], groups: Mapping[str, Sequence[str]] | None = None
) -> Figure:
    """Means and 95% intervals of each cell, one panel a value, cells in the order of the first value.

    Args:
        summary: See `analysis.comparison.summarize`.
        values: Column -> label of its axis, with the unit.
        groups: Name -> cells that share a colour; by default all do.
    """
    first = next(iter(values))
    ordered = summary.sort_values(first)
    height = 0.9 + 0.26 * len(ordered)
    figure = Figure(figsize=(1.6 + 3.0 * len(values), height), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(values), sharey=True))
    places = pd.Series(range(len(ordered)), index=ordered.index)
    for axes, (value, label) in zip(panels, values.items(), strict=True):
        for name, cells in (groups or {"": list(ordered.index)}).items():
            chosen = ordered.loc[[cell for cell in ordered.index if cell in set(cells)]]
            arms = np.stack([chosen[value] - chosen[f"{value}_low"], chosen[f"{value}_high"] - chosen[value]])
            axes.errorbar(
                chosen[value], places[chosen.index], xerr=np.nan_to_num(arms), fmt="o", capsize=3, label=name or None
            )
        axes.set(xlabel=label)
        axes.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(ordered)), ordered.index)
    if groups:
        panels[0].legend(loc="best", fontsize="small")
    return figure


def plot_speed_against_quality(summary: pd.DataFrame, speed: Mapping[str, float], value: str, label: str) -> Figure:
    """One point a cell: training speed of its layer to the right, quality upwards.

    Args:
        summary: See `analysis.comparison.summarize`.
        speed: Of each cell, against the GRU's.
        value: Column of `summary`.
        label: Of its axis, with the unit.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for cell, mean in summary[value].items():
        if cell in speed:
            axes.plot(speed[cell], mean, "o", color="tab:blue")
            axes.annotate(str(cell), (speed[cell], mean), xytext=(4, 3), textcoords="offset points", fontsize="small")
    axes.set(xlabel="training speed of a layer (tokens a second, against the GRU)", ylabel=label)
    axes.grid(alpha=0.3)
    return figure
