"""Pairs for Keras's `fit` in one call: tokenizers, and a dataset that is reshuffled in each epoch."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from seq2seq.arguments import check_arguments
from seq2seq.config import CorpusConfig, FilterConfig, TokenizerConfig
from seq2seq.config.corpus import ValidConfig
from seq2seq.config.data import DataConfig
from seq2seq.corpora import SentencePair
from seq2seq.corpora.filters import FilterReport, filter_pairs
from seq2seq.corpora.in_memory import read_pairs
from seq2seq.corpora.survey import survey_corpus
from seq2seq.data.batching import BatchPlan, plan_batches
from seq2seq.data.encoded import EncodedCorpus, encode_corpus
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.errors import ConfigError, CorpusError
from seq2seq.models.inputs import BATCH_SPEC
from seq2seq.plurals import pluralize
from seq2seq.training.planning import plan_recipe
from seq2seq.training.preparation import explain_filtering


class FitDataset(NamedTuple):
    """Batches, and the tokenizers that encoded them."""

    batches: tf.data.Dataset
    tokenizers: Tokenizers


@check_arguments()
def make_dataset(
    pairs: Any,
    tokenizers: Tokenizers | TokenizerConfig | None = None,
    *,
    max_tokens: int = 1000,
    filters: FilterConfig | None = None,
    columns: Sequence[str | int] | None = None,
    seed: int = 1,
) -> FitDataset:
    """Make batches for `model.fit(batches, epochs=...)` from sentence pairs.

    An epoch contains every pair once, in batches of sentences of similar length. Composition and order of the batches
    depend on the epoch and the seed; their number is the same in all epochs.

        batches, tokenizers = make_dataset(pairs)
        model = Seq2Seq(*tokenizers.vocabulary_sizes)
        model.compile("adam")
        model.fit(batches, validation_data=make_dataset(held_out, tokenizers).batches, epochs=5)
        translator = Translator(model, *tokenizers)

    Args:
        pairs: See `train_pairs`.
        tokenizers: The tokenizers of another dataset, as needed for validation; or options to train new ones, by
            default chosen by the amount of text.
        max_tokens: Maximum number of tokens of a batch on either side, including EOS, without padding.
        filters: Filters of the pairs; by default those of a recipe.
        columns: See `train_pairs`.
        seed: Seed of the order.

    Returns:
        `(batches, tokenizers)`. An element of `batches` is a batch, `(source, target)`: int32 of shapes (B, S) and
        (B, T), right-padded with 0, EOS included.

    Warns:
        UserWarning: The filters dropped pairs; the message has their number and the reasons.

    Raises:
        CorpusError: See `train_pairs`; or the filters drop all pairs.
        TokenizerError: There is too little text for the tokenizers.
        ConfigError: The options ask for subword sampling.
    """
    if isinstance(tokenizers, TokenizerConfig) and tokenizers.sampling.methods():
        raise ConfigError(
            "tokenizer.sampling changes the number of batches from epoch to epoch, and Keras's `fit` needs the same "
            "number in all epochs. Train with `seq2seq.train`, or leave 'sampling' out."
        )
    filters = filters or FilterConfig()
    found = read_pairs(pairs, columns)
    if not isinstance(tokenizers, Tokenizers):
        tokenizers = _train_tokenizers(found, tokenizers, filters)
    corpus = _TemporaryCorpus.encode(found, tokenizers, filters)
    if not len(corpus):
        raise CorpusError(f"no pairs are left (given: {len(found):,}; dropped: {corpus.report}).")
    if corpus.report.dropped:
        warnings.warn(
            f"used: {len(corpus):,} of {pluralize(len(found), 'pair')}; dropped: {corpus.report}", stacklevel=3
        )
    lengths, epochs = (corpus.source.lengths, corpus.target.lengths), count(1)

    def plan(epoch: int) -> BatchPlan:
        # One buffer for all sentences: sorted by length, they make the same number of batches in any order.
        return plan_batches(*lengths, max_tokens=max_tokens, shuffle_buffer=len(corpus), seed=seed, epoch=epoch)

    def epoch() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        dealt = plan(next(epochs))
        for index in range(len(dealt)):
            yield corpus.batch(dealt.batch(index))

    batches = tf.data.Dataset.from_generator(epoch, output_signature=(BATCH_SPEC, BATCH_SPEC))
    return FitDataset(batches.apply(tf.data.experimental.assert_cardinality(len(plan(0)))).prefetch(4), tokenizers)


class _TemporaryCorpus(EncodedCorpus):
    """Encoded corpus whose files are deleted with it: when the process ends, as TensorFlow keeps generators alive."""

    _folder: TemporaryDirectory[str]

    @classmethod
    def encode(cls, pairs: Sequence[SentencePair], tokenizers: Tokenizers, filters: FilterConfig) -> "_TemporaryCorpus":
        temporary = TemporaryDirectory(prefix="seq2seq-")
        folder = Path(temporary.name) / "encoded"
        encode_corpus(pairs, *tokenizers, folder, filtering=filters)
        corpus = cls(folder)
        corpus._folder = temporary
        return corpus


def _train_tokenizers(
    pairs: Sequence[SentencePair], options: TokenizerConfig | None, filters: FilterConfig
) -> Tokenizers:
    on_warning: Callable[[str], None] = warnings.warn
    if options is None:  # as in a planned recipe; no warnings about a vocabulary size that the caller has not chosen
        on_warning = _ignore
        data = DataConfig(train=CorpusConfig(tsv="pairs"), valid=ValidConfig(fraction=0.5))
        options = plan_recipe(data, survey_corpus(pairs, filters)).tokenizer
    report = FilterReport()
    kept = list(filter_pairs(pairs, filters, report))
    options = options.with_symbols(options.source_tag)
    sides = [[getattr(pair, side) for pair in kept for side in part.sides] for part in options.parts()]
    with explain_filtering({"pairs": report}, "pair"):
        made = [Tokenizer.train(sentences, options, on_warning) for sentences in sides]
    return Tokenizers(made[0].with_tag(options.source_tag), made[-1])


def _ignore(message: str) -> None:
    pass
