"""Plots of translations: attention, errors and scores, and the vectors behind them."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from seq2seq.analysis.attention import AttentionMap, coverage, entropy, translation_map
from seq2seq.analysis.plots.style import COLOURS, HATCHES, MARKERS, line_style
from seq2seq.arguments import NotEmpty, check_arguments
from seq2seq.extras import require_extra
from seq2seq.inference.results import Translation

with require_extra("analysis", needed_by=__name__):
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D
    from matplotlib.transforms import Bbox

    from seq2seq.analysis.plots.figure import Figure, literal, without_glyph_warnings

BAR_INCHES = 0.18  # width of the colour bar
MIN_MAP_INCHES = 1.4  # width and height of a map
LAYER_WIDTH = 0.3  # between the layers of a position, in positions
MARK_WIDTH = 0.08  # between the marks of a layer, in positions
# Where a name may be written: offset from its point in points, horizontal and vertical alignment.
BESIDE = ((4, 0, "left", "center"), (-4, 0, "right", "center"), (0, 6, "center", "bottom"), (0, -6, "center", "top"))


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
        title = literal(attention.text) if title is None else title
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
        axes.errorbar(x, rows["score"], yerr=errors, capsize=3, label=system, **line_style(number))
    names = [f"{name}\n({count:,})" for name, count in zip(places, buckets["sentences"], strict=True)]
    axes.set_xticks(range(len(places)), names)
    highest = float(chosen[["score", "high"]].max(axis=None))
    axes.set(xlabel="source length in words (number of sentences)", ylabel=f"{metric} (%), 95% interval")
    axes.set_ylim(0, 1 + 1.03 * highest)  # Matplotlib's margin of scores that are all high is too small for an interval
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
        errors = np.maximum([share - low, high - share], 0)
        look: dict[str, Any] = {"facecolor": COLOURS[number % len(COLOURS)], "hatch": HATCHES[number % len(HATCHES)]}
        axes.bar(x, share, width, yerr=errors, capsize=3, label=name, edgecolor="white", **look)
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
    for number, (chosen, label) in enumerate(((~looped, "no loop"), (looped, "repeats something immediately"))):
        part = errors[chosen]
        if len(part):
            look = _mark(number) | {"alpha": (0.4, 0.9)[number], "s": (12, 24)[number]}
            lengths.scatter(part["reference_words"], part["hypothesis_words"], label=label, **look)
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
    for number, (chosen, name) in enumerate(((better, second), (comparison["gain"] < 0, first))):
        part, label = comparison[chosen], f"{name} is closer ({chosen.sum()})"
        axes.scatter(part["chrf_first"], part["chrf_second"], s=18, alpha=0.6, label=label, **_mark(number))
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
    """Draw points in the plane, with a colour and a marker for each kind.

    Args:
        points: N rows, of which the first two columns are drawn.
        kinds: Kind of each point; there is a legend if there are several.
        title: Title of the figure.
        axes_names: Labels of x and y, with units if they have any.
        names: N names, written beside the points where there is room, the first ones first; none by default.
    """
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    axes = figure.subplots()
    axes.margins(x=0.13)  # room for names
    x, y = points.to_numpy()[:, :2].T
    chosen = np.asarray(kinds)
    several = list(dict.fromkeys(kinds))
    for number, kind in enumerate(several):
        here = chosen == kind
        axes.scatter(x[here], y[here], s=16, alpha=0.8, label=f"{kind} ({here.sum()})", **_mark(number))
    axes.set(title=title, xlabel=axes_names[0], ylabel=axes_names[1])
    if len(several) > 1:
        figure.legend(loc="outside right upper")
    if names is not None:
        _write_names(figure, axes, names, np.column_stack([x, y]))
    return figure


def _write_names(figure: Figure, axes: Axes, names: Sequence[str], points: np.ndarray) -> None:
    """Write each name beside its point, where it covers no name written before and, if possible, no mark."""
    options: dict[str, Any] = {"xytext": (0, 0), "textcoords": "offset points", "fontsize": 8, "visible": False}
    texts = [axes.annotate(literal(name), point, **options) for name, point in zip(names, points, strict=True)]
    figure.draw_without_rendering()  # places the axes, in which hidden names need no room, and finds the names' fonts
    marks = [Bbox.from_extents(x - 3, y - 3, x + 3, y + 3) for x, y in axes.transData.transform(points)]
    taken: list[Bbox] = []
    for text in texts:
        text.set_visible(True)
        for avoided, (x, y, horizontal, vertical) in product((taken + marks, taken), BESIDE):
            text.set(position=(x, y), ha=horizontal, va=vertical)
            with without_glyph_warnings():
                box = text.get_window_extent()
            if not any(box.overlaps(other) for other in avoided):
                taken.append(box)
                break
        else:
            text.remove()


@check_arguments()
def plot_probe_accuracy(probes: pd.DataFrame, title: str) -> Figure:
    """Draw accuracies from `probe_positions` by position and layer, with intervals, majority baseline and control."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    positions = list(dict.fromkeys(probes["position"]))
    layers = list(dict.fromkeys(probes["layer"]))
    marks: dict[str, tuple[str, dict[str, Any]]] = {  # column of `probes`: name and look
        "accuracy": ("new lemmas, 95% interval", {"marker": "o"}),
        "seen_group_accuracy": ("lemmas of training", {"marker": "s", "markerfacecolor": "white"}),
        "control_accuracy": ("control task", {"marker": "x"}),
    }
    for number, layer in enumerate(layers):
        part = probes[probes["layer"] == layer]
        places = np.array([positions.index(name) for name in part["position"]])
        middle = places + LAYER_WIDTH * (number - (len(layers) - 1) / 2)
        for place, (column, (_, look)) in enumerate(marks.items()):
            share, errors = 100 * part[column].astype(float), None
            if column == "accuracy":
                errors = np.maximum([share - 100 * part["low"], 100 * part["high"] - share], 0)
            x, colour = middle + MARK_WIDTH * (place - 1), COLOURS[number % len(COLOURS)]
            axes.errorbar(x, share, yerr=errors, linestyle="", capsize=3, color=colour, **look)
    axes.axhline(100 * probes["majority_baseline"].iloc[0], color="grey", linestyle=":")
    axes.set(title=title, xlabel="position whose vector the probe reads", ylabel="accuracy (%)", ylim=(0, 104))
    axes.set_xticks(range(len(positions)), positions)
    axes.set_xlim(-0.5, len(positions) - 0.5)
    lines = [Line2D([], [], color=COLOURS[n % len(COLOURS)], linewidth=5, label=name) for n, name in enumerate(layers)]
    lines += [Line2D([], [], color="black", linestyle="", label=name, **look) for name, look in marks.values()]
    lines.append(Line2D([], [], color="grey", linestyle=":", label="majority baseline"))
    figure.legend(handles=lines, loc="outside right upper")
    return figure


def _mark(number: int) -> dict[str, Any]:
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def _heat(axes: Axes, weights: np.ndarray, found: AttentionMap) -> AxesImage:
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(found.source_tokens)), [literal(token) for token in found.source_tokens])
    axes.tick_params(axis="x", rotation=60)
    for label in axes.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(found.target_tokens)), [literal(token) for token in found.target_tokens])
    axes.set(xlabel="source tokens", ylabel="target tokens")
    return image
