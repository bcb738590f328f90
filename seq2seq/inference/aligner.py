"""Alignment of given sentence pairs by the attention of a model that reads the target."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from seq2seq.arguments import Pair, check_arguments
from seq2seq.data.padding import batches_by_length, pad
from seq2seq.data.progress import ProgressCallback, no_progress
from seq2seq.data.tokenizer import EOS_ID
from seq2seq.devices.device import set_tf32
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
from seq2seq.layers.custom_gradient import forward_only
from seq2seq.text.cleaning import plain_form

if TYPE_CHECKING:
    from seq2seq.inference.translator import Translator

BATCH_TOKENS = 4000  # padded tokens of both sides that are read at once


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
        self.attentions = [_Attention(one) for one in (translator, reverse) if one is not None]

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
        """
        return [symmetrize(*both, method) for both in self.directions(pairs, tokenized, on_progress)]

    def directions(
        self, pairs: Sequence[Pair], tokenized: bool = False, on_progress: ProgressCallback = no_progress
    ) -> list[Directions]:
        """Forward and backward links of each pair; arguments as in `align`."""
        texts = [(plain_form(pair[0]), plain_form(pair[1])) for pair in pairs]
        both = [links_from_attention(weights) for weights in self.attentions[0].run(texts, tokenized, on_progress)]
        if len(self.attentions) == 1:
            return both
        reverse = self.attentions[1].run([text[::-1] for text in texts], tokenized, on_progress)
        back = [{(t, s) for s, t in links_from_attention(weights)[0]} for weights in reverse]
        return [(there, links) for (there, _), links in zip(both, back, strict=True)]


class _Attention:
    """Teacher-forced attention of one model between words."""

    def __init__(self, translator: "Translator") -> None:
        model, *others = translator.models
        if others:
            raise ArgumentError("an ensemble cannot align: pass a translator with one of its models.")
        if not model.uses_attention:
            raise ConfigError(
                "the model was made with 'decoder.attention: none' and cannot align. Use a model with attention, or "
                "IBM model 1 (--ibm1)."
            )
        tokens = tf.TensorSpec([None, None], tf.int32)
        self._attend = tf.function(
            forward_only()(model.attention_weights), input_signature=[tokens] * 2, autograph=False
        )
        self.model, self.tokenizers = model, translator.tokenizers

    def run(self, pairs: Sequence[tuple[str, str]], tokenized: bool, on_progress: ProgressCallback) -> list[np.ndarray]:
        """Attention (Wt, Ws) of the target words of each pair of clean texts to its source words."""
        set_tf32(self.model.precision)
        ids = [tokenizer.encode_batch([pair[side] for pair in pairs]) for side, tokenizer in enumerate(self.tokenizers)]
        lengths = [len(source) + len(target) if source and target else 0 for source, target in zip(*ids, strict=True)]
        found, done = [np.zeros((0, 0))] * len(pairs), 0
        for rows in batches_by_length(lengths, lambda length: BATCH_TOKENS // (length + 2)):
            weights = self._attend(*(pad([[*side[row], EOS_ID] for row in rows]) for side in ids)).numpy()
            for row, own in zip(rows, weights, strict=True):
                source, target = (
                    tokenizer.pieces(side[row]) for tokenizer, side in zip(self.tokenizers, ids, strict=True)
                )
                words = source, pairs[row][0], target, pairs[row][1]
                found[row] = attention_between_words(own[: len(target), : len(source)], *words, tokenized)
            done += len(rows)
            on_progress(done)
        return found
