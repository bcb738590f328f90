"""Pairs for `fit`: every pair once an epoch, in other batches each time, by the tokenizers of the training pairs."""

from itertools import pairwise

import numpy as np
import pytest

from seq2seq import DecoderConfig, EmbeddingsConfig, EncoderConfig, Seq2Seq, TokenizerConfig, make_dataset
from seq2seq.config import FilterConfig, TranslationConfig
from seq2seq.errors import CorpusError
from seq2seq.models.equal_size import count_parameters, units_of_size
from tests.toy import pairs

PAIRS = [*dict.fromkeys(pairs(150, 1))]
OPTIONS = TokenizerConfig(vocabulary_size=55, joint=True)


@pytest.fixture(scope="module")
def made():
    return make_dataset(PAIRS, OPTIONS, max_tokens=150)


def texts(batches, tokenizers):
    """The pairs of an epoch, batch by batch."""
    epoch = []
    for source, target in batches:
        assert max((source != 0).numpy().sum(), (target != 0).numpy().sum()) <= 150
        sides = zip(tokenizers, (source, target), strict=True)
        epoch.append(
            list(zip(*[[tokenizer.decode(row) for row in ids.numpy()] for tokenizer, ids in sides], strict=True))
        )
    return epoch


def test_an_epoch_has_every_pair_once_and_the_next_one_deals_anew(made):
    batches, tokenizers = made
    assert tokenizers.vocabulary_sizes == (55, 55)
    epochs = [texts(batches, tokenizers) for _ in range(3)]
    for epoch in epochs:
        assert len(epoch) == batches.cardinality()
        assert sorted(pair for batch in epoch for pair in batch) == sorted(PAIRS)
    for one, other in pairwise(epochs):
        assert {frozenset(batch) for batch in one} != {frozenset(batch) for batch in other}
    again = make_dataset(PAIRS, tokenizers, max_tokens=150).batches
    assert [texts(again, tokenizers) for _ in range(2)] == epochs[:2]
    other_seed = make_dataset(PAIRS, tokenizers, max_tokens=150, seed=2).batches
    assert texts(other_seed, tokenizers) != epochs[0]


def test_keras_fits_it_without_a_warning(made):
    batches, tokenizers = made
    sections = EmbeddingsConfig(size=8), EncoderConfig(units=8), DecoderConfig(units=8)
    model = Seq2Seq(*tokenizers.vocabulary_sizes, *sections)
    model.compile("adam")
    valid = make_dataset(pairs(9, 3), tokenizers, filters=FilterConfig(drop_duplicates=False)).batches
    history = model.fit(batches, validation_data=valid, epochs=3, shuffle=False, verbose=0).history
    assert np.shape(history["val_nll"]) == (3,)
    assert history["nll"][2] < history["nll"][0]


def test_tokenizers_fit_the_amount_of_text_by_themselves():
    tokenizers = make_dataset(PAIRS).tokenizers
    assert tokenizers.source is tokenizers.target  # of languages that share their letters
    assert 40 < tokenizers.source.vocabulary_size < 500


def test_what_is_dropped_is_said():
    with pytest.warns(UserWarning, match=rf"used: {len(PAIRS)} of {len(PAIRS) + 2} pairs; dropped: 1 .*, 1 ") as told:
        make_dataset([*PAIRS, PAIRS[0], (" ", "x")], OPTIONS)
    assert told[0].filename == __file__
    with pytest.raises(CorpusError, match=r"no pairs are left \(given: 2; dropped: 2 over 2 tokens"):
        make_dataset(PAIRS[:2], make_dataset(PAIRS, OPTIONS).tokenizers, filters=FilterConfig(max_tokens=2))


def test_the_width_of_equal_size_is_the_closest_one():
    def recipe(units):
        return TranslationConfig(
            embeddings=EmbeddingsConfig(size=10),
            encoder=EncoderConfig(cell="lstm", units=units),
            decoder=DecoderConfig(cell="lstm", units=units, attention="additive"),
        )

    sizes = 50, 70
    for wanted in (9_000, 123_456):
        units = units_of_size(recipe, wanted, sizes)
        errors = {near: abs(count_parameters(recipe(near), sizes) - wanted) for near in (units - 2, units, units + 2)}
        assert min(errors, key=errors.get) == units
    assert units_of_size(recipe, 123_456, sizes, step=12) % 12 == 0
