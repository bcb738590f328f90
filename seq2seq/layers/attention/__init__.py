"""Types of attention over encoder states, and a function that makes one by its name."""

from typing import Any

from seq2seq.layers.attention.base import Attention
from seq2seq.layers.attention.scoring import AdditiveAttention, DotAttention, GeneralAttention, ScaledDotAttention

ATTENTIONS: dict[str, type[Attention]] = {
    "additive": AdditiveAttention,
    "general": GeneralAttention,
    "dot": DotAttention,
    "scaled_dot": ScaledDotAttention,
}


def make_attention(kind: str, units: int, *, heads: int = 1, coverage: bool = False, **kwargs: Any) -> Attention | None:
    """Make an attention by its name in a recipe; returns None for `none`.

    Args:
        kind: One of `ATTENTIONS`, or `none`.
        units: See `Attention`.
        heads: See `Attention`.
        coverage: See `Attention`.
        kwargs: Further arguments of `Attention` and `keras.layers.Layer`.

    Raises:
        ValueError: `kind` is unknown, or the attention does not support these options.
    """
    if kind == "none":
        return None
    if kind not in ATTENTIONS:
        raise ValueError(f"attention is {kind!r}, expected none, {', '.join(ATTENTIONS)}")
    return ATTENTIONS[kind](units=units, heads=heads, coverage=coverage, **kwargs)
