"""Figures of vectors: projections with names, and what probes can read at which position."""

from collections.abc import Sequence

import numpy as np

from seq2seq.extras import requires_extra

with requires_extra("analysis", needed_by=__name__):
    import pandas as pd
    from matplotlib.figure import Figure

LAYER_WIDTH = 0.28  # between the layers of a position, in positions


def plot_projection(
    points: pd.DataFrame,
    kinds: Sequence[str],
    title: str,
    axes_names: tuple[str, str] = ("first coordinate", "second coordinate"),
    names: Sequence[str] | None = None,
) -> Figure:
    """Scatter points in the plane.

    Args:
        points: N rows; the first two columns are drawn.
        kinds: N; each kind has a colour.
        title: Of the figure.
        axes_names: Of x and y, with units if they have any.
        names: N, written beside the points; none by default.
    """
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    x, y = points.to_numpy()[:, :2].T
    chosen = np.asarray(kinds)
    for kind in dict.fromkeys(kinds):
        here = chosen == kind
        axes.scatter(x[here], y[here], s=14, alpha=0.8, label=f"{kind} ({here.sum()})")
    for name, across, up in zip(names or (), x, y, strict=False):
        axes.annotate(name, (across, up), xytext=(3, 2), textcoords="offset points", fontsize=7)
    axes.set(title=title, xlabel=axes_names[0], ylabel=axes_names[1])
    axes.legend()
    return figure


def plot_probe_accuracy(probes: pd.DataFrame, title: str) -> Figure:
    """Draw accuracy by position and layer, with its interval, its majority baseline and the control task.

    Args:
        probes: From `probe_positions`.
        title: Of the figure.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    positions = list(dict.fromkeys(probes["position"]))
    layers = list(dict.fromkeys(probes["layer"]))
    for number, layer in enumerate(layers):
        part = probes[probes["layer"] == layer]
        shift = LAYER_WIDTH * (number - (len(layers) - 1) / 2)
        x = np.array([positions.index(name) for name in part["position"]]) + shift
        share, low, high = (100 * part[column].to_numpy() for column in ("accuracy", "low", "high"))
        errors = np.maximum([share - low, high - share], 0)
        drawn = axes.errorbar(x, share, yerr=errors, fmt="o", capsize=3, label=f"{layer}: new lemmas")
        colour = drawn.lines[0].get_color()
        seen = 100 * part["seen_group_accuracy"]
        axes.plot(x, seen, "_", markersize=14, color=colour, label=f"{layer}: lemmas of training")
        axes.plot(x, 100 * part["control_accuracy"], "x", color=colour, label=f"{layer}: control task")
    axes.axhline(100 * probes["majority_baseline"].iloc[0], color="grey", linestyle=":", label="majority")
    axes.set(title=title, xlabel="position whose vector the probe reads", ylabel="right (%)", ylim=(0, 103))
    axes.set_xticks(range(len(positions)), positions)
    axes.set_xlim(-0.5, len(positions) - 0.5)
    figure.legend(loc="outside right upper")
    return figure
