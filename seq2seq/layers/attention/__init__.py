"""Attentions over encoder states, and the choice of one by its name."""

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
    """An attention by its name in a recipe; `none` is None.

    Args:
        kind: One of `ATTENTIONS`, or `none`.
        units, heads, coverage: See `Attention`.
        kwargs: Of `Attention` and `keras.layers.Layer`.

    Raises:
        ValueError: `kind` is unknown, or the attention cannot be had with these options.
    """
    if kind == "none":
        return None
    if kind not in ATTENTIONS:
        raise ValueError(f"attention is {kind!r}, expected none, {', '.join(ATTENTIONS)}")
    return ATTENTIONS[kind](units=units, heads=heads, coverage=coverage, **kwargs)
