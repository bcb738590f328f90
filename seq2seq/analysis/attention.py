"""Analysis of attention: maps with their tokens, their entropy, and the coverage of the source."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import tensorflow as tf

from seq2seq.arguments import Dims, NonNegative, check_arguments
from seq2seq.data.tokenizer import EOS_ID
from seq2seq.devices.device import set_tf32
from seq2seq.errors import ArgumentError
from seq2seq.extras import require_extra
from seq2seq.inference.results import Translation
from seq2seq.inference.translator import Translator
from seq2seq.layers.attention.base import record_head_weights
from seq2seq.plurals import pluralize
from seq2seq.text.words import EOS, group_pieces

with require_extra("analysis", needed_by=__name__):
    import pandas as pd

Weights = Annotated[np.ndarray, Dims(2)]
TARGET_COLUMNS = ["sentence", "position", "token", "log_prob", "entropy", "effective_tokens"]
TARGET_COLUMNS += ["attended", "attended_token", "weight", "jump"]


@dataclass(frozen=True, repr=False)
class AttentionMap:
    """Attention of T target tokens to S source tokens, both including `</s>`.

    Attributes:
        source_tokens: S pieces.
        target_tokens: T pieces.
        weights: (T, S) float32, each row sums to 1; the mean of several heads.
        log_probs: (T,) float32, the model's log-probabilities of the target tokens, in nats.
        head_weights: (H, T, S) float32, the weights of each head; None if only their mean is known.
    """

    source_tokens: list[str]
    target_tokens: list[str]
    weights: np.ndarray
    log_probs: np.ndarray
    head_weights: np.ndarray | None = None

    def __repr__(self) -> str:
        sides = ((self.target_tokens, "target token"), (self.source_tokens, "source token"))
        return f"AttentionMap({' by '.join(pluralize(len(tokens), name) for tokens, name in sides)})"


@check_arguments()
def translation_map(translation: Translation, rank: NonNegative = 0) -> AttentionMap:
    """Attention map of the hypothesis at `rank` (0: the best), recorded by the search; empty for a blank sentence.

    Raises:
        ArgumentError: The translation has no attention, or no such hypothesis.
    """
    if rank >= len(translation.hypotheses):
        raise ArgumentError(f"translation_map: rank: expected 0 to {len(translation.hypotheses) - 1}, found {rank}.")
    hypothesis = translation.hypotheses[rank]
    if hypothesis.attention.shape[1] != len(translation.source_tokens):
        raise ArgumentError(
            f"translation_map: translation: expected attention over "
            f"{pluralize(len(translation.source_tokens), 'source token')}, found "
            f"{pluralize(hypothesis.attention.shape[1], 'column')}. Translations of evaluate and translate_stream have "
            "none: use translator.translate(sentences) with a model that has attention."
        )
    return AttentionMap(translation.source_tokens, hypothesis.tokens, hypothesis.attention, hypothesis.token_log_probs)


@check_arguments()
def teacher_forced_map(translator: Translator, source: str, target: str) -> AttentionMap:
    """Attention map of a given pair: the decoder reads `target` instead of its own predictions.

    Raises:
        ValueError: The model has no attention, or one of the texts has no tokens.
    """
    model = translator.model
    if not model.uses_attention:
        raise ValueError("the model was made with 'decoder.attention: none' and has no attention to show.")
    ids = []
    for name, text, tokenizer in zip(("source", "target"), (source, target), translator.tokenizers, strict=True):
        ids.append([*tokenizer.encode(text), EOS_ID])
        if len(ids[-1]) == 1:
            raise ValueError(f"the {name} {text!r} has no tokens.")
    rows = [tf.constant([row]) for row in ids]
    set_tf32(model.precision)
    with record_head_weights() as heads:
        weights = model.attention_weights(*rows)[0].numpy()
    log_probs = tf.gather(tf.nn.log_softmax(model(rows)), rows[1], batch_dims=2)[0].numpy()
    read, written = (tokenizer.pieces(row) for tokenizer, row in zip(translator.tokenizers, ids, strict=True))
    return AttentionMap(read, written, weights, log_probs, np.concatenate(heads, axis=2)[0])


@check_arguments(tokens="translation_map(translation) makes one.")
def merge_subwords(tokens: AttentionMap) -> AttentionMap:
    """Attention map between words: source words get the sum of their pieces' weights, target words the mean.

    A piece that starts with a space begins a word, as does a piece of punctuation only; `</s>` is a word of its own.
    Log-probabilities are summed. In Chinese, Japanese and other scripts without spaces, each piece is a word, usually
    of one or two characters: attention within a piece is unknown, and no word boundary is guessed. Bytes that spell one
    character are merged into it.
    """
    (columns, source_words), (rows, target_words) = map(group_pieces, (tokens.source_tokens, tokens.target_tokens))
    if not len(rows):
        return tokens
    counts = np.diff([*rows, len(tokens.target_tokens)])

    def merge(weights: np.ndarray) -> np.ndarray:
        summed = np.add.reduceat(np.add.reduceat(weights, columns, axis=-1), rows, axis=-2)
        return (summed / counts[:, None]).astype(np.float32)

    return AttentionMap(
        source_words,
        target_words,
        merge(tokens.weights),
        np.add.reduceat(tokens.log_probs, rows),
        None if tokens.head_weights is None else merge(tokens.head_weights),
    )


@check_arguments()
def entropy(weights: np.ndarray) -> np.ndarray:
    """Entropy of each row in nats, (..., T, S) -> (..., T): 0 if one source token has all attention, at most ln S.

    Its exponential is the effective number of source tokens to which a target token attends.
    """
    positive = np.where(weights > 0, weights, 1.0)
    return np.sum(positive * -np.log(positive), axis=-1, where=weights > 0)


@check_arguments()
def coverage(weights: Weights) -> np.ndarray:
    """Coverage: attention to each source token, summed over the target, (..., T, S) -> (..., S); its sum is T."""
    return np.asarray(weights).sum(axis=-2)


@check_arguments()
def coverage_deviation(weights: Weights) -> np.ndarray:
    """Deviation of the coverage of source tokens from 1, (..., T, S) -> (...); 0 if all are covered once.

    It is the mean over source tokens of log(1 + (1 - coverage)^2).

    Source:
        Rikters and Fishel (2017), "Confidence through attention": the coverage deviation penalty with the opposite
        sign.
    """
    return np.log1p((1.0 - coverage(weights)) ** 2).mean(axis=-1)


@check_arguments()
def hard_alignment(weights: np.ndarray) -> np.ndarray:
    """The most attended source position of each target token, (..., T, S) -> (..., T) int."""
    if not weights.shape[-1]:
        raise ArgumentError("hard_alignment: weights: expected at least one source token, found none.")
    return weights.argmax(axis=-1)


@check_arguments(maps="translation_map(translation) makes one.")
def target_token_statistics(maps: Sequence[AttentionMap]) -> pd.DataFrame:
    """Statistics of the attention of each target token.

    Returns:
        One row per target token. Columns are:

        sentence, position         indices from 0
        token, log_prob            the piece, and its log-probability in nats
        entropy, effective_tokens  see `entropy`
        attended, attended_token   the source position with the largest weight, and its piece
        weight                     that largest weight
        jump                       `attended` minus that of the previous target token: 1 follows the source,
                                   negative numbers go back; NaN for the first token
    """
    rows = []
    for sentence, one in enumerate(maps):
        before = np.nan
        numbers = zip(one.target_tokens, one.log_probs.tolist(), one.weights, strict=True)
        for position, (token, log_prob, weights) in enumerate(numbers):
            nats, attended = float(entropy(weights)), int(hard_alignment(weights))
            looked = (attended, one.source_tokens[attended], float(weights[attended]), attended - before)
            rows.append((sentence, position, token, log_prob, nats, math.exp(nats), *looked))
            before = attended
    return pd.DataFrame(rows, columns=TARGET_COLUMNS)


@check_arguments(maps="translation_map(translation) makes one.")
def source_token_statistics(maps: Sequence[AttentionMap], low: float = 0.2, high: float = 2.0) -> pd.DataFrame:
    """Statistics of the attention to each source token.

    A source word that got less than `low` may be missing from the translation; one that got more than `high` may be
    translated twice. These are only hints: an article or the end of a word often gets little attention, and the decoder
    may have read a word from its neighbours' states. `</s>` gets no hint. Hints are more reliable between words
    (`merge_subwords`).

    Returns:
        One row per source token. Columns are:

        sentence, position  indices from 0
        token               the piece
        coverage            see `coverage`
        hint                `under`, `over` or an empty string

    Raises:
        ValueError: `low` is above `high`.
    """
    if low > high:
        raise ValueError(f"low is {low}, expected at most high, which is {high}")
    rows = []
    for sentence, one in enumerate(maps):
        for position, (token, got) in enumerate(zip(one.source_tokens, coverage(one.weights).tolist(), strict=True)):
            hint = "under" if got < low else "over" if got > high else ""
            rows.append((sentence, position, token, got, "" if token == EOS else hint))
    return pd.DataFrame(rows, columns=["sentence", "position", "token", "coverage", "hint"])
