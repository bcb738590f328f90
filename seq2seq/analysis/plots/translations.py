"""Plots of translations: attention, search trees, errors and scores, and the vectors behind them."""

from collections.abc import Mapping, Sequence

import numpy as np

from seq2seq.analysis.attention import AttentionMap, coverage, entropy, translation_map
from seq2seq.analysis.search_tree import path_from_root
from seq2seq.arguments import NotEmpty, check_arguments
from seq2seq.extras import require_extra
from seq2seq.inference.results import Translation

with require_extra("analysis", needed_by=__name__):
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D

    from seq2seq.analysis.plots.figure import Figure

COLOURS = {"alive": "tab:blue", "finished": "tab:green", "pruned": "0.6"}  # of a tree's nodes
STYLES = {"alive": "-", "finished": "--", "pruned": ":"}  # of the edges to them
BAR_INCHES = 0.18  # width of the colour bar
MIN_MAP_INCHES = 1.4  # width and height of a map
MIN_TREE_INCHES = 6.0  # width of a tree's legend
LAYER_WIDTH = 0.28  # between the layers of a position, in positions


@check_arguments()
def plot_attention(attention: Translation | AttentionMap, title: str | None = None, margins: bool = True) -> Figure:
    """Draw attention: one row per target token, one column per source token, darker for larger weights.

    Args:
        attention: A translation, whose best hypothesis is drawn, or an attention map, such as that of `merge_subwords`.
        title: Title above the map; by default the text of the translation.
        margins: Also draw the coverage of each source token above the map (attention summed over the target tokens;
            far below 1: hardly translated), and the effective number of source tokens of each target token to the right
            (the exponential of its entropy; 1: all attention is on one token).

    Raises:
        ValueError: The translation has no attention, see `translation_map`, or it is empty.
    """
    if isinstance(attention, Translation):
        title = attention.text if title is None else title
        attention_map = translation_map(attention)
    else:
        attention_map = attention
    rows, columns = attention_map.weights.shape
    if not rows:
        raise ValueError("a blank sentence has no attention to draw.")
    width, height = max(0.42 * columns, MIN_MAP_INCHES), max(0.33 * rows, MIN_MAP_INCHES)  # room for the axis labels
    figure = Figure(figsize=(2.4 + width + 1.6 * margins, 1.5 + height + 1.0 * margins), layout="constrained")
    if margins:
        (above, corner), (axes, right) = figure.subplots(
            2, 2, width_ratios=(width, 1.6), height_ratios=(1.0, height), sharex="col", sharey="row"
        )
        corner.remove()
        above.bar(range(columns), coverage(attention_map.weights), color="tab:orange")
        above.axhline(1.0, color="grey", linewidth=0.8)
        above.set_ylabel("coverage\n(target\ntokens)", rotation=0, ha="right", va="center")
        above.tick_params(labelbottom=False)
        right.barh(range(rows), np.exp(entropy(attention_map.weights)), color="tab:green")
        right.axvline(1.0, color="grey", linewidth=0.8)
        right.set(xlabel="effective\nsource tokens", xlim=(0, None))
        right.tick_params(labelleft=False)
    else:
        above = axes = right = figure.subplots()
    image, aspect = _heat(axes, attention_map.weights, attention_map), height / BAR_INCHES  # as high as the map
    figure.colorbar(image, ax=right, label="attention weight", aspect=aspect)
    above.set_title(title or "", wrap=True)
    return figure


@check_arguments(attention_map="translation_map(translation) makes one.")
def plot_attention_heads(attention_map: AttentionMap) -> Figure:
    """Draw each head's weights side by side, and their mean.

    Raises:
        ValueError: Only the heads' mean is known.
    """
    if attention_map.head_weights is None:
        raise ValueError("only the heads' mean is in this map. Make one with teacher_forced_map.")
    names = [*(f"head {number}" for number in range(1, len(attention_map.head_weights) + 1)), "mean"]
    rows, columns = attention_map.weights.shape
    figure = Figure(figsize=(2 + len(names) * (0.4 + 0.3 * columns), 1.6 + 0.3 * rows), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True)
    for axes, name, weights in zip(panels, names, [*attention_map.head_weights, attention_map.weights], strict=True):
        image = _heat(axes, weights, attention_map)
        axes.set_title(name)
        axes.label_outer()
    figure.colorbar(image, ax=panels, label="attention weight")
    return figure


@check_arguments()
def plot_search_tree(
    tree: pd.DataFrame, max_pruned: int | None = None, totals: bool = False, until: int | None = None
) -> Figure:
    """Draw the hypotheses of a search: one column per step, the best on top, with edges from those that they extend.

    Args:
        tree: Result of `seq2seq.analysis.search_tree.search_tree`.
        max_pruned: Maximum number of pruned candidates to show per step; by default all.
        totals: Write the total log-probability beside each token.
        until: Last step to draw, in a figure that has room for all; by default all are drawn.
    """
    shown = tree
    if max_pruned is not None:
        pruned = tree["status"] == "pruned"
        order = tree[pruned].groupby("step").cumcount()
        shown = tree.drop(order.index[order >= max_pruned])
    rank = shown.groupby("step").cumcount()
    steps, height = int(shown["step"].max()), int(rank.max()) + 1
    width = max(MIN_TREE_INCHES, 1.5 + (1.35 if totals else 1.05) * steps)
    figure = Figure(figsize=(width, 1.4 + 0.36 * height), layout="constrained")
    axes = figure.subplots()
    shown = shown if until is None else shown[shown["step"] <= until]
    finished = shown[shown["status"] == "finished"]
    best = path_from_root(shown, finished["score"].idxmax()) if len(finished) else []
    children = shown.iloc[1:]
    edges = [[(row["step"] - 1, rank[row["parent"]]), (row["step"], rank[node])] for node, row in children.iterrows()]
    is_best = children.index.isin(best)
    colours = children["status"].map(COLOURS).mask(is_best, "black")
    styles, widths = children["status"].map(STYLES).mask(is_best, "-"), np.where(is_best, 2.5, 0.9)
    axes.add_collection(LineCollection(edges, colors=colours, linestyles=styles, linewidths=widths, zorder=1))
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
        ylabel="rank in its step",
    )
    lines = [Line2D([], [], color=COLOURS[status], linestyle=STYLES[status], label=status) for status in COLOURS]
    lines.append(Line2D([], [], color="black", linewidth=2.5, label="path to the best result"))
    figure.legend(handles=lines, loc="outside lower left", ncols=len(lines), frameon=False)
    return figure


@check_arguments()
def plot_quality_by_length(table: pd.DataFrame, metric: str = "BLEU") -> Figure:
    """Draw a score of `quality_by_length` with its 95% intervals over buckets of source length, one line per system.

    Raises:
        ValueError: The table does not have this metric.
    """
    chosen = table[table["metric"] == metric]
    if chosen.empty:
        raise ValueError(f"the table has no {metric!r}; it has {', '.join(table['metric'].unique())}")
    buckets = chosen.drop_duplicates("length")
    places = dict(zip(buckets["length"], range(len(buckets)), strict=True))
    systems = list(chosen["system"].unique())
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for number, system in enumerate(systems):
        rows = chosen[chosen["system"] == system]
        shift = 0.06 * (number - (len(systems) - 1) / 2)  # so that intervals are side by side
        errors = [(rows["score"] - rows["low"]).clip(lower=0), (rows["high"] - rows["score"]).clip(lower=0)]
        x = [places[length] + shift for length in rows["length"]]
        axes.errorbar(x, rows["score"], yerr=errors, marker="o", capsize=3, label=system)
    names = [f"{name}\n({count:,})" for name, count in zip(places, buckets["sentences"], strict=True)]
    axes.set_xticks(range(len(places)), names)
    axes.set(
        xlabel="source length in words (number of sentences)", ylabel=f"{metric} (%), 95% interval", ylim=(0, None)
    )
    axes.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside right upper")
    return figure


@check_arguments()
def plot_accuracy_by_frequency(systems: NotEmpty[Mapping[str, pd.DataFrame]], measure: str = "recall") -> Figure:
    """Draw a measure of words by their frequency in the training text, with 95% intervals.

    Args:
        systems: Results of `accuracy_by_frequency` by name, all with the same edges.
        measure: `recall`, `precision` or `f1`.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(systems)
    for number, (name, table) in enumerate(systems.items()):
        x = np.arange(len(table)) + width * (number - (len(systems) - 1) / 2)
        share, low, high = (100 * table[column].to_numpy() for column in (measure, f"{measure}_low", f"{measure}_high"))
        axes.bar(x, share, width, yerr=np.maximum([share - low, high - share], 0), capsize=3, label=name)
    first = next(iter(systems.values()))
    sizes, whose = ("hypothesis", "translated") if measure == "precision" else ("reference", "reference")
    labels = [f"{words}\n({size:,})" for words, size in zip(first["words"], first[sizes], strict=True)]
    axes.set_xticks(range(len(labels)), labels)
    axes.set(
        xlabel=f"frequency in the training text (number of {whose} words)",
        ylabel={"f1": "F1"}.get(measure, measure) + " (%)",
        ylim=(0, 103),
    )
    if len(systems) > 1:
        axes.legend()
    return figure


@check_arguments()
def plot_scores_and_lengths(errors: pd.DataFrame) -> Figure:
    """Draw the distribution of chrF2 and the lengths of translations and references, from `sentence_errors`."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    scores, lengths = figure.subplots(1, 2)
    scores.hist(errors["chrf"], bins=np.arange(0, 101, 5))
    scores.set(xlabel="chrF2 of a sentence (0 to 100)", ylabel="sentences", xlim=(0, 100))
    looped = errors["looped"] > 0
    for chosen, label in ((~looped, "no loop"), (looped, "repeats something immediately")):
        part = errors[chosen]
        if len(part):
            lengths.scatter(part["reference_words"], part["hypothesis_words"], s=12, alpha=0.4, label=label)
    longest = max(errors["reference_words"].max(), errors["hypothesis_words"].max())
    lengths.plot([0, longest], [0, longest], color="grey", linestyle=":", label="as long as the reference")
    lengths.set(xlabel="words of the reference", ylabel="words of the translation")
    lengths.legend()
    return figure


@check_arguments()
def plot_score_comparison(comparison: pd.DataFrame, first: str, second: str) -> Figure:
    """Draw both scores of each sentence from `compare_sentences`; `first` and `second` are the systems' names."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    better = comparison["gain"] > 0
    for chosen, name in ((better, second), (comparison["gain"] < 0, first)):
        part = comparison[chosen]
        axes.scatter(part["chrf_first"], part["chrf_second"], s=14, alpha=0.6, label=f"{name} is closer ({len(part)})")
    axes.plot([0, 100], [0, 100], color="grey", linestyle=":")
    axes.set(xlabel=f"chrF2 with {first}", ylabel=f"chrF2 with {second}", xlim=(0, 102), ylim=(0, 102), aspect="equal")
    axes.legend()
    return figure


@check_arguments()
def plot_projection(
    points: pd.DataFrame,
    kinds: Sequence[str],
    title: str,
    axes_names: tuple[str, str] = ("first coordinate", "second coordinate"),
    names: Sequence[str] | None = None,
) -> Figure:
    """Draw points in the plane, coloured by kind.

    Args:
        points: N rows, of which the first two columns are drawn.
        kinds: Kind of each point; each kind has a colour.
        title: Title of the figure.
        axes_names: Labels of x and y, with units if they have any.
        names: Names written beside the points; none by default.
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


@check_arguments()
def plot_probe_accuracy(probes: pd.DataFrame, title: str) -> Figure:
    """Draw accuracies from `probe_positions` by position and layer, with intervals, majority baseline and control."""
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
        axes.plot(
            x, 100 * part["seen_group_accuracy"], "_", markersize=14, color=colour, label=f"{layer}: training lemmas"
        )
        axes.plot(x, 100 * part["control_accuracy"], "x", color=colour, label=f"{layer}: control task")
    axes.axhline(100 * probes["majority_baseline"].iloc[0], color="grey", linestyle=":", label="majority")
    axes.set(title=title, xlabel="position whose vector the probe reads", ylabel="accuracy (%)", ylim=(0, 103))
    axes.set_xticks(range(len(positions)), positions)
    axes.set_xlim(-0.5, len(positions) - 0.5)
    figure.legend(loc="outside right upper")
    return figure


def _heat(axes: Axes, weights: np.ndarray, found: AttentionMap) -> AxesImage:
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(found.source_tokens)), found.source_tokens)
    axes.tick_params(axis="x", rotation=60)
    for label in axes.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(found.target_tokens)), found.target_tokens)
    axes.set(xlabel="source tokens", ylabel="target tokens")
    return image
