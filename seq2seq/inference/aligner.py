"""Alignment of given sentence pairs by the attention of a model that reads the target."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seq2seq.arguments import Pair, check_arguments
from seq2seq.data.progress import ProgressCallback, no_progress
from seq2seq.data.tokenizer import EOS_ID
from seq2seq.errors import ArgumentError, ConfigError
from seq2seq.inference.alignment import (
    DEFAULT_SYMMETRIZATION,
    Directions,
    Link,
    Symmetrization,
    attention_between_words,
    links_from_attention,
    symmetrize,
)
from seq2seq.text.cleaning import plain_form

if TYPE_CHECKING:
    from seq2seq.inference.translator import Translator


class AttentionAligner:
    """Align the words of sentence pairs using attention: the decoder reads each target instead of its own predictions.

    Links of the forward direction join each target word with the source word to which it attends most. Those of the
    backward direction join each source word with the target word that attends to it most; with a model of the reverse
    direction, with the target word to which that model attends most.

    Args:
        translator: A translator whose model has attention.
        reverse: Likewise, from the target's language to the source's.

    Raises:
        ArgumentError: A translator is an ensemble.
        ConfigError: A model has no attention.
    """

    @check_arguments()
    def __init__(self, translator: "Translator", reverse: "Translator | None" = None) -> None:
        self.translator, self.reverse = translator, reverse
        for one in (translator, reverse):
            if one is not None:
                _check(one)

    @check_arguments(pairs="Pass list(zip(sources, targets)).")
    def align(
        self,
        pairs: Sequence[Pair],
        method: Symmetrization = DEFAULT_SYMMETRIZATION,
        *,
        tokenized: bool = False,
        on_progress: ProgressCallback = no_progress,
    ) -> list[set[Link]]:
        """The links (source word, target word) of each pair; none if a side is blank.

        Args:
            pairs: Raw source and target; further elements are ignored.
            method: See `symmetrize`.
            tokenized: Whether white space alone delimits words; see `text.words`.
            on_progress: Called with the number of pairs done so far, blank ones left out.

        Raises:
            OutOfMemoryError: A pair does not fit into memory, even alone.
        """
        return [symmetrize(*both, method) for both in self.directions(pairs, tokenized, on_progress)]

    def directions(
        self, pairs: Sequence[Pair], tokenized: bool = False, on_progress: ProgressCallback = no_progress
    ) -> list[Directions]:
        """Forward and backward links of each pair; arguments as in `align`."""
        texts = [(plain_form(pair[0]), plain_form(pair[1])) for pair in pairs]
        both = [links_from_attention(weights) for weights in _attention(self.translator, texts, tokenized, on_progress)]
        if self.reverse is None:
            return both
        reverse = _attention(self.reverse, [text[::-1] for text in texts], tokenized, on_progress)
        back = [{(t, s) for s, t in links_from_attention(weights)[0]} for weights in reverse]
        return [(there, links) for (there, _), links in zip(both, back, strict=True)]


def _check(translator: "Translator") -> None:
    if len(translator.models) > 1:
        raise ArgumentError("an ensemble cannot align: pass a translator with one of its models.")
    if not translator.model.uses_attention:
        raise ConfigError(
            "the model was made with 'decoder.attention: none' and cannot align. Use a model with attention, or "
            "IBM model 1 (--ibm1)."
        )


def _attention(
    translator: "Translator", pairs: Sequence[tuple[str, str]], tokenized: bool, on_progress: ProgressCallback
) -> list[np.ndarray]:
    """Attention (Wt, Ws) of the target words of each pair of clean texts to its source words; (0, 0) for blank ones."""
    ids = [tokens.encode_batch([pair[side] for pair in pairs]) for side, tokens in enumerate(translator.tokenizers)]
    targets = [[*target, EOS_ID] if source and target else [] for source, target in zip(*ids, strict=True)]
    found = [np.zeros((0, 0))] * len(pairs)
    for row, weights in translator.scorer.members[0].attention(ids[0], targets, on_progress):
        source, target = (tokens.pieces(side[row]) for tokens, side in zip(translator.tokenizers, ids, strict=True))
        words = source, pairs[row][0], target, pairs[row][1]
        found[row] = attention_between_words(weights[:-1, :-1], *words, tokenized)
    return found
