"""The tree of a beam search."""

from seq2seq.analysis.search_tree import path_from_root
from seq2seq.extras import requires_extra

with requires_extra("analysis", needed_by=__name__):
    import pandas as pd
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


COLOURS = {"alive": "tab:blue", "finished": "tab:green", "pruned": "0.72"}


def plot_search_tree(tree: pd.DataFrame, max_pruned: int | None = None, totals: bool = False) -> Figure:
    """Draw the hypotheses of a search: a column a step, the best above, edges from what they extend.

    Args:
        tree: Of `seq2seq.analysis.search_tree.search_tree`.
        max_pruned: Show no more pruned candidates than this at each step; by default all.
        totals: Write the total log-probability beside each token.
    """
    shown = tree
    if max_pruned is not None:
        pruned = tree["status"] == "pruned"
        order = tree[pruned].groupby("step").cumcount()
        shown = tree.drop(order.index[order >= max_pruned])
    rank = shown.groupby("step").cumcount()
    steps, height = int(shown["step"].max()), int(rank.max()) + 1
    figure = Figure(figsize=(1.5 + (1.35 if totals else 1.05) * steps, 1.4 + 0.36 * height), layout="constrained")
    axes = figure.subplots()
    finished = shown[shown["status"] == "finished"]
    best = path_from_root(shown, finished["score"].idxmax()) if len(finished) else []
    edges, colours, widths = [], [], []
    for node, row in shown.iloc[1:].iterrows():
        edges.append([(row["step"] - 1, rank[row["parent"]]), (row["step"], rank[node])])
        colours.append(COLOURS[row["status"]])
        widths.append(2.5 if node in best else 0.9)
    axes.add_collection(LineCollection(edges, colors=colours, linewidths=widths, zorder=1))
    for node, row in shown.iterrows():
        text = f"{row['token']} {row['total']:.1f}" if totals else row["token"]
        axes.annotate(
            text,
            (row["step"], rank[node]),
            ha="center",
            va="center",
            fontsize=8,
            fontweight="bold" if node in best else "normal",
            bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": COLOURS[row["status"]]},
        )
    axes.set(
        xlim=(-0.5, steps + 0.5),
        ylim=(height - 0.3, -0.7),
        xticks=range(steps + 1),
        yticks=range(height),
        xlabel="step (tokens written)",
        ylabel="rank among the candidates of the step",
    )
    lines = [Line2D([], [], color=colour, label=status) for status, colour in COLOURS.items()]
    lines.append(Line2D([], [], color=COLOURS["finished"], linewidth=2.5, label="way to the best result"))
    axes.legend(handles=lines, loc="upper left", bbox_to_anchor=(0, -0.12), ncols=len(lines), frameon=False)
    return figure
