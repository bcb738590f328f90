"""Text of unknown tokens: in the source, and in a translation in which source text replaces them."""

from collections.abc import Sequence

import numpy as np

from seq2seq.data.tokenizer import UNK_ID, Tokenizer, Tokenizers
from seq2seq.inference.segments import Part


def unknown_surfaces(tokenizer: Tokenizer, part: Part) -> list[str]:
    """The text of each unknown token of a unit, given the source tokenizer."""
    number = part.ids.count(UNK_ID)
    if part.surfaces is None:
        return tokenizer.unknown_surfaces(part.text)[:number] if number else []
    return [surface.strip() for token, surface in zip(part.ids, part.surfaces, strict=True) if token == UNK_ID]


def target_text(tokenizers: Tokenizers, part: Part, ids: list[int], weights: np.ndarray, *, replaces: bool) -> str:
    """Text of a translation of a unit.

    Args:
        tokenizers: Tokenizers of source and target.
        part: The unit.
        ids: L target token ids.
        weights: (L, S) float32, their attention to the source tokens.
        replaces: Replace each unknown token by the source text that it attends to most.
    """
    if not (replaces and UNK_ID in ids):
        return tokenizers.target.decode(ids)
    tag = len(tokenizers.source.prefix)  # which has no text
    surfaces = (part.surfaces or tokenizers.source.surfaces(part.text)[: len(part.ids)])[tag:]
    unknown = [most_attended(surfaces, weights[t, tag:]) for t, token in enumerate(ids) if token == UNK_ID]
    return tokenizers.target.decode_with_unknowns(ids, unknown)


def most_attended(surfaces: Sequence[str], weights: np.ndarray) -> str:
    """Text of the source token with the largest weight among those that have text; EOS, the last, has none."""
    texts = list(surfaces)
    for s in reversed(range(len(texts) - 1)):
        texts[s] = texts[s] or texts[s + 1]  # of the bytes of a character, the last one has its text
    candidates = [s for s, text in enumerate(texts) if text.strip()]
    return texts[max(candidates, key=lambda s: weights[s])] if candidates else " ⁇ "
