"""Shortlists: IBM model 1 against a plain loop, and search among their tokens."""

from collections import defaultdict

import numpy as np
import pytest

from seq2seq import SearchOptions, Tokenizer, TokenizerConfig, Translator
from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig, FilterConfig
from seq2seq.corpora import SentencePair
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.errors import ConfigError, ModelDirectoryError
from seq2seq.inference.ibm1 import ITERATIONS
from seq2seq.inference.shortlist import (
    MAX_CANDIDATES,
    SHORTLIST_FILE,
    Shortlist,
    learn_shortlist,
    load_shortlist,
    save_shortlist,
    shortlist_from_pairs,
)
from seq2seq.model_directory.directory import create_model_directory
from seq2seq.models.translation import Seq2Seq
from tests.conftest import randomize
from tests.toy import pairs, save_trained, toy_config, toy_tokenizer

SENTENCES = [source for source, _ in pairs(12, 9)]


def plain_model_1(corpus):
    """t(target | source) by the textbook's loops."""
    table = defaultdict(lambda: 1.0)
    for _ in range(ITERATIONS):
        counts, totals = defaultdict(float), defaultdict(float)
        for source, target in corpus:
            for t in target:
                links = [0, *source]
                total = sum(table[s, t] for s in links)
                for s in links:
                    counts[s, t] += table[s, t] / total
                    totals[s] += table[s, t] / total
        table = defaultdict(float, {(s, t): count / totals[s] for (s, t), count in counts.items()})
    return table


def test_candidates_are_those_of_a_plain_model_1(rng):
    corpus = [(rng.integers(4, 9, n).tolist(), rng.integers(4, 12, n + 1).tolist()) for n in (2, 3, 5, 4, 1, 6)]
    found, table = shortlist_from_pairs(corpus, 9, 12), plain_model_1(corpus)
    for source in range(4, 9):
        expected = sorted(((-p, t) for (s, t), p in table.items() if s == source))
        mine = [token for token in found.candidates[source].tolist() if token]
        assert len(mine) == len(expected)
        np.testing.assert_allclose([table[source, t] for t in mine], [-p for p, _ in expected], rtol=1e-9)


def test_a_word_and_its_translation_find_each_other():
    corpus = [([4, 5], [14, 15]), ([4, 6], [14, 16]), ([5, 6], [16, 15])] * 3
    assert shortlist_from_pairs(corpus, 7, 17).candidates[4:7, 0].tolist() == [14, 15, 16]


def test_a_sentence_may_have_its_own_candidates_alone():
    candidates = np.zeros((8, MAX_CANDIDATES), np.int32)
    candidates[5, :3], candidates[6, :2] = (20, 21, 22), (21, 30)
    tokens = Shortlist(candidates, np.array([0, 1, 2, 3, 10], np.int32)).select([[5], [6, 6]], 2)
    assert tokens.tolist() == [[0, 1, 2, 3, 10, 20, 21], [0, 1, 2, 3, 10, 21, 30]]


def test_fewer_candidates_are_padded():
    candidates = np.zeros((8, MAX_CANDIDATES), np.int32)
    candidates[5, :2] = (20, 21)
    tokens = Shortlist(candidates, np.arange(4, dtype=np.int32)).select([[5], [6]], 2)
    assert tokens.tolist() == [[0, 1, 2, 3, 20, 21], [0, 1, 2, 3, 0, 0]]


@pytest.fixture(scope="module")
def translator():
    corpus = pairs(300, 4)
    tokenizers = [
        Tokenizer.train([pair[side] for pair in corpus], TokenizerConfig(vocabulary_size=30)) for side in (0, 1)
    ]
    sizes = [tokenizer.vocabulary_size for tokenizer in tokenizers]
    model = Seq2Seq(*sizes, EmbeddingsConfig(size=6, tied="target"), EncoderConfig(units=8), DecoderConfig(units=8))
    randomize(model)
    ids = [tuple(tokenizer.encode(text) for tokenizer, text in zip(tokenizers, pair, strict=True)) for pair in corpus]
    return Translator(model, *tokenizers, shortlist=shortlist_from_pairs(ids, *sizes))


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_shortlist_of_everything_changes_nothing(translator, beam_size):
    everything = translator.step_sources.shortlist._replace(frequent=np.arange(30, dtype=np.int32))
    free = Translator(translator.model, *translator.tokenizers, shortlist=everything)
    options = SearchOptions(beam_size=beam_size, max_length=12)
    expected = free.translate(SENTENCES, options)
    found = free.translate(SENTENCES, options.model_copy(update={"shortlist": 3}))
    assert [t.tokens for t in found] == [t.tokens for t in expected]
    np.testing.assert_allclose([t.score for t in found], [t.score for t in expected], rtol=1e-5)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_translations_are_of_the_shortlist_and_do_not_depend_on_the_batch(translator, beam_size):
    few = translator.step_sources.shortlist._replace(frequent=np.arange(4, dtype=np.int32))
    narrow = Translator(translator.model, *translator.tokenizers, shortlist=few)
    options = SearchOptions(beam_size=beam_size, max_length=12, shortlist=2, unk_handling="suppress")
    together = narrow.translate(SENTENCES, options)
    alone = [narrow.translate([sentence], options)[0] for sentence in SENTENCES]
    assert [t.tokens for t in together] == [t.tokens for t in alone]
    for sentence, translation in zip(SENTENCES, together, strict=True):
        (tokens,) = few.select([narrow.tokenizers.source.encode(sentence)], 2)
        assert set(translation.tokens) <= set(narrow.tokenizers.target.pieces(tokens.tolist()))


def test_what_is_missing_or_does_not_fit_is_said(translator, tmp_path):
    bare = Translator(translator.model, *translator.tokenizers)
    with pytest.raises(ConfigError, match="'shortlist' is set: it needs a model directory"):
        bare.translate(SENTENCES, SearchOptions(shortlist=5))
    with pytest.raises(
        ModelDirectoryError, match=f"{SHORTLIST_FILE}: no such file. Make it with: seq2seq shortlist {tmp_path}"
    ):
        load_shortlist(tmp_path, translator.tokenizers)
    shortlist, again = translator.step_sources.shortlist, f"Make it with: seq2seq shortlist {tmp_path}"
    create_model_directory(tmp_path, toy_config(tmp_path), translator.tokenizers)
    save_trained(tmp_path, translator.model, {})
    save_shortlist(tmp_path, shortlist, translator.tokenizers)
    save_trained(tmp_path, translator.model, {})  # as a run does that is resumed
    found = load_shortlist(tmp_path, translator.tokenizers)
    np.testing.assert_array_equal(found.candidates, shortlist.candidates)
    np.testing.assert_array_equal(found.frequent, shortlist.frequent)
    other = Tokenizer.train(SENTENCES, TokenizerConfig(vocabulary_size=28))
    with pytest.raises(ModelDirectoryError, match=rf"made from other files: SHA-256 of source.spm differs.*{again}"):
        load_shortlist(tmp_path, translator.tokenizers._replace(source=other))
    (tmp_path / SHORTLIST_FILE).write_bytes((tmp_path / SHORTLIST_FILE).read_bytes()[:-200])
    with pytest.raises(
        ModelDirectoryError, match=rf"damaged, .* SHA-256 of {SHORTLIST_FILE} differs from metadata\.json.*{again}"
    ):
        load_shortlist(tmp_path, translator.tokenizers)
    # A stranger's, its checksums right.
    for forged, reason in (
        (shortlist._replace(candidates=shortlist.candidates[1:]), "has tokens that the tokenizers do not have"),
        (shortlist._replace(candidates=shortlist.candidates + 28), "has tokens that the tokenizers do not have"),
        (shortlist._replace(frequent=np.array([-1], np.int32)), "has tokens that the tokenizers do not have"),
        (shortlist._replace(frequent=np.zeros(3, np.float32)), "not a shortlist: it holds candidates, frequent"),
    ):
        save_shortlist(tmp_path, forged, translator.tokenizers)
        with pytest.raises(ModelDirectoryError, match=f"{SHORTLIST_FILE}: {reason}.*{again}"):
            load_shortlist(tmp_path, translator.tokenizers)


def test_it_is_learnt_from_the_pairs_that_training_reads():
    tokenizer = toy_tokenizer()
    good = list(dict.fromkeys(SentencePair(*pair, "file:1") for pair in pairs(30, 4)))
    long = SentencePair(good[0].source * 9, good[0].target * 9, "file:2")
    dropped = [good[0], SentencePair("the dog", "", "file:3"), SentencePair("the dog " * 9, "x", "file:4"), long]
    limit = max(len(tokenizer.encode(side)) for pair in good for side in pair[:2]) + 1
    size = tokenizer.vocabulary_size
    expected = shortlist_from_pairs(
        ((tokenizer.encode(pair[0]), tokenizer.encode(pair[1])) for pair in good), size, size
    )
    found = learn_shortlist([[*good, *dropped]], Tokenizers(tokenizer, tokenizer), FilterConfig(max_tokens=limit))
    for ours, plain in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, plain)
