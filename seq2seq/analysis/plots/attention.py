"""Attention maps drawn with their tokens."""

import numpy as np

from seq2seq.analysis.attention import AttentionMap, coverage, entropy
from seq2seq.extras import requires_extra

with requires_extra("analysis", needed_by=__name__):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


def plot_attention(attention_map: AttentionMap, title: str = "", margins: bool = True) -> Figure:
    """Draw one map: a row a target token, a column a source token, dark where the weight is great.

    Args:
        attention_map: The map.
        title: By default none.
        margins: Also draw each target token's effective number of source tokens (to the right) and each source
            token's coverage (above).
    """
    rows, columns = attention_map.weights.shape
    size = (2.4 + 0.42 * columns + 1.6 * margins, 1.5 + 0.33 * rows + 1.0 * margins)
    figure = Figure(figsize=size, layout="constrained")
    if not margins:
        axes = figure.subplots()
        image = _heat(axes, attention_map.weights, attention_map)
        figure.colorbar(image, ax=axes, label="attention weight")
        axes.set_title(title)
        return figure
    (above, corner), (axes, right) = figure.subplots(
        2, 2, width_ratios=(0.42 * columns, 1.6), height_ratios=(1.0, 0.33 * rows), sharex="col", sharey="row"
    )
    corner.remove()
    image = _heat(axes, attention_map.weights, attention_map)
    above.bar(range(columns), coverage(attention_map.weights), color="tab:orange")
    above.axhline(1.0, color="grey", linewidth=0.8)
    above.set(ylabel="coverage\n(target tokens)", title=title)
    above.tick_params(labelbottom=False)
    right.barh(range(rows), np.exp(entropy(attention_map.weights)), color="tab:green")
    right.set(xlabel="effective\nsource tokens", xlim=(0, None))
    right.axvline(1.0, color="grey", linewidth=0.8)
    right.tick_params(labelleft=False)
    figure.colorbar(image, ax=right, label="attention weight")
    return figure


def plot_attention_heads(attention_map: AttentionMap) -> Figure:
    """Draw each head's weights side by side, and their mean.

    Raises:
        ValueError: Only the heads' mean is known.
    """
    if attention_map.head_weights is None:
        raise ValueError("only the heads' mean is known of this map. Make it with teacher_forced_map.")
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


def _heat(axes: Axes, weights: np.ndarray, found: AttentionMap) -> AxesImage:
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(found.source_tokens)), found.source_tokens)
    axes.tick_params(axis="x", rotation=60)
    for label in axes.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(found.target_tokens)), found.target_tokens)
    axes.set(xlabel="source tokens", ylabel="target tokens, first to last")
    return image
