"""Drawing of a search tree, from top to bottom."""

from typing import Any

from seq2seq.analysis.plots.style import COLOURS
from seq2seq.analysis.search_tree import path_from_root
from seq2seq.arguments import NonNegative, check_arguments
from seq2seq.extras import require_extra

with require_extra("analysis", needed_by=__name__):
    import pandas as pd
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    from seq2seq.analysis.plots.figure import Figure, literal

NODES = {  # of a tree, by status: name in the legend, colour, line style
    "alive": ("kept", COLOURS[0], "-"),
    "finished": ("finished", COLOURS[2], "--"),
    "pruned": ("pruned", "0.6", ":"),
}
BEST: dict[str, Any] = {"color": COLOURS[1], "linewidth": 3.0}  # path to the best result
MIN_INCHES = 6.0  # width of the legend


@check_arguments()
def plot_search_tree(
    tree: pd.DataFrame, max_pruned: NonNegative | None = None, totals: bool = False, until: NonNegative | None = None
) -> Figure:
    """Draw the hypotheses of a search: one row per step, the best on the left, with edges from those that they extend.

    Args:
        tree: Result of `seq2seq.analysis.search_tree.search_tree`.
        max_pruned: Maximum number of pruned candidates to show per step; by default all.
        totals: Write the total log-probability below each token.
        until: Last step to draw, in a figure that has room for all; by default all are drawn.
    """
    shown = tree
    if max_pruned is not None:
        pruned = tree["status"] == "pruned"
        order = tree[pruned].groupby("step").cumcount()
        shown = tree.drop(order.index[order >= max_pruned])
    rank = shown.groupby("step").cumcount()
    steps, width = int(shown["step"].max()), int(rank.max()) + 1
    row_inches = 0.75 if totals else 0.6
    size = max(MIN_INCHES, 0.9 + 1.2 * width), 1.6 + row_inches * steps
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    shown = shown if until is None else shown[shown["step"] <= until]
    finished = shown[shown["status"] == "finished"]
    best = path_from_root(shown, finished["score"].idxmax()) if len(finished) else []
    children = shown.iloc[1:]
    edges = [[(rank[row["parent"]], row["step"] - 1), (rank[node], row["step"])] for node, row in children.iterrows()]
    looks = [NODES[status] for status in children["status"]]
    colours, styles = [colour for _, colour, _ in looks], [style for _, _, style in looks]
    axes.add_collection(LineCollection(edges, colors=colours, linestyles=styles, linewidths=1.0, zorder=0))
    axes.plot(rank[best], shown.loc[best, "step"], zorder=1, **BEST)
    for node, row in shown.iterrows():
        _, colour, style = NODES[row["status"]]
        axes.annotate(
            literal(row["token"]) + (f"\n{row['total']:.1f}" if totals else ""),
            (rank[node], row["step"]),
            ha="center",
            va="center",
            fontsize=10,
            fontweight="bold" if node in best else "normal",
            bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": colour, "linestyle": style},
        )
    axes.set(
        xlim=(-0.6, width - 0.4),
        ylim=(steps + 0.5, -0.5),
        xticks=range(width),
        yticks=range(steps + 1),
        xlabel="rank among the candidates of the step",
        ylabel="step (tokens written)",
    )
    lines = [Line2D([], [], label=name, color=colour, linestyle=style) for name, colour, style in NODES.values()]
    lines.append(Line2D([], [], label="path to the best result", **BEST))
    figure.legend(handles=lines, loc="outside lower center", ncols=len(lines), frameon=False)
    return figure
