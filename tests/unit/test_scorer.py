"""Scores of given translations: equal to those of the search that finds them, for each network and each penalty."""

import copy
from itertools import chain

import numpy as np
import pytest

from seq2seq.config import (
    DecoderConfig,
    EmbeddingsConfig,
    EncoderConfig,
    LanguageModelDecoderConfig,
    SearchOptions,
    TokenizerConfig,
)
from seq2seq.data.tokenizer import EOS_ID, Tokenizer, Tokenizers
from seq2seq.errors import ArgumentError, ConfigError
from seq2seq.inference.scorer import Scorer
from seq2seq.inference.step_factory import StepSourceFactory
from seq2seq.inference.text_generator import TextGenerator
from seq2seq.inference.translator import Translator
from seq2seq.models.language_model import LanguageModel
from seq2seq.models.translation import Seq2Seq
from tests.conftest import randomize
from tests.shortage import with_room_for
from tests.toy import pairs

pytestmark = pytest.mark.usefixtures("shared_searches")

FAMILIES = {
    "luong": ({"cell": "lstm", "layers": 2}, {"layers": 2, "attention": "additive"}),
    "conditional": ({}, {"type": "cgru", "heads": 2, "attention": "additive", "units": 8}),
    "input feeding": ({"layers": 2}, {"type": "input_feeding", "cell": "lstm", "attention": "scaled_dot", "units": 6}),
    "without attention": ({}, {"attention": "none", "context": "every_step"}),
}
SENTENCES = ["the dog sees bird here", "", "the king loves cat and dog and tree there", "bird"]
SIZE = 45


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(list(chain(*pairs(200, 1))), TokenizerConfig(vocabulary_size=SIZE))


def make(tokenizer, encoder, decoder, seed=5):
    sections = EncoderConfig(**{"units": 6} | encoder), DecoderConfig(**{"units": 7} | decoder)
    model = Seq2Seq(SIZE, SIZE, EmbeddingsConfig(size=6), *sections)
    randomize(model, seed=seed, scale=0.6)
    translator = Translator(model, tokenizer, tokenizer)
    helper = LanguageModel(SIZE, EmbeddingsConfig(size=5), LanguageModelDecoderConfig(units=6))
    randomize(helper, seed=8, scale=0.6)
    translator.step_sources._language_models["lm"] = helper
    return translator


@pytest.fixture(scope="module")
def luong(tokenizer):
    return make(tokenizer, *FAMILIES["luong"])


def options(**values):
    return SearchOptions(**{"beam_size": 3, "n_best": 3, "max_length_factor": 1.0, "max_length_extra": 3} | values)


FUSED = {"language_model": "lm", "language_model_weight": 0.4}


@pytest.mark.parametrize(
    ("family", "values"),
    [
        ("luong", {"length_penalty": 0.0}),
        ("luong", {"length_penalty": "average", "repetition_penalty": 1.3, **FUSED}),
        ("conditional", {"length_penalty": 1.3, "coverage_penalty": 0.4}),
        ("input feeding", {"beam_size": 1, "n_best": 1, "coverage_penalty": 0.4}),
        ("without attention", {"sample": True, "length_penalty": "average"}),
    ],
)
def test_the_score_of_a_search_is_the_score_of_its_tokens(luong, tokenizer, family, values):
    translator = luong if family == "luong" else make(tokenizer, *FAMILIES[family])
    asked = options(**values)
    results = translator.translate(SENTENCES, asked)
    found = [(text, one) for text, result in zip(SENTENCES, results, strict=True) for one in result.hypotheses]
    sources = [tokenizer.encode(text) for text, _ in found]
    targets = [tokenizer.ids(hypothesis.tokens) for _, hypothesis in found]
    for (_, hypothesis), score in zip(found, translator.scorer.score_ids(sources, targets, asked), strict=True):
        assert score.tokens == hypothesis.tokens
        np.testing.assert_allclose(score.token_log_probs, hypothesis.token_log_probs, atol=1e-5)
        # Sums of L rounded numbers; per token, the difference is below 1e-5.
        assert score.score == pytest.approx(hypothesis.score, abs=1e-5 * max(len(hypothesis.tokens), 1))
    mean = next(score for score in translator.scorer.score_ids(sources, targets, asked) if score.tokens)
    assert mean.mean_log_prob == pytest.approx(float(mean.token_log_probs.mean()), rel=1e-5)
    assert mean.perplexity == pytest.approx(np.exp(-mean.token_log_probs.mean()), rel=1e-5)


PAIRS = [
    ("the dog sees bird here", "der Hund sieht hier Vogel"),
    ("", ""),
    ("the cat", ""),
    ("", "der Kater"),
    ("the king loves cat and dog and tree there", "der König liebt dort Kater und Hund und Baum"),
    ("  ", "\u3000"),
    ("bird", "Vogel"),
]


def test_a_score_does_not_depend_on_its_batch(luong, monkeypatch):
    asked = options(coverage_penalty=0.4)
    done = []
    together = luong.scorer.score(PAIRS * 2, asked, on_progress=done.append)
    assert done == sorted(done)
    assert done[-1] == len(PAIRS) * 2
    monkeypatch.setattr("seq2seq.inference.teacher_forcing.BATCH_TOKENS", 1)
    monkeypatch.setattr("seq2seq.inference.teacher_forcing.MAX_LOGITS", 3 * SIZE)
    streamed = luong.scorer.score_stream(iter(PAIRS), asked, chunk=2)
    for one, other, again in zip(streamed, together[: len(PAIRS)], together[len(PAIRS) :], strict=True):
        assert one.tokens == other.tokens == again.tokens
        np.testing.assert_allclose(one.token_log_probs, other.token_log_probs, atol=1e-5)
        assert one.score == pytest.approx(other.score, abs=1e-5)
        assert again.score == pytest.approx(other.score, abs=1e-5)


def test_pairs_before_an_error_are_scored(luong):
    def broken():
        yield from PAIRS[:3]
        raise ZeroDivisionError

    found = []
    with pytest.raises(ZeroDivisionError):
        found.extend(luong.scorer.score_stream(broken(), chunk=2))
    assert len(found) == 3


def test_blank_sides_have_a_score(luong, tokenizer):
    scores = luong.scorer.score(PAIRS, options(length_penalty=0.0))
    model = luong.model
    for (source, target), score in zip(PAIRS, scores, strict=True):
        if not source.strip() and not target.strip():
            assert (score.score, score.tokens, score.mean_log_prob) == (0.0, [], 0.0)
            continue
        ids = [np.array([[*tokenizer.encode(side), EOS_ID]], np.int32) for side in (source, target)]
        nll = model.token_losses(*ids)[1].numpy()
        np.testing.assert_allclose(score.token_log_probs, -nll, atol=1e-5)
        assert score.log_prob == pytest.approx(-nll.sum(), abs=1e-4)
        assert score.tokens[-1] == "</s>"
    assert luong.scorer.score([]) == []


def test_a_prefix_is_certain(luong, tokenizer):
    target = PAIRS[4][1]
    whole, given, none = luong.scorer.score([PAIRS[4]] * 3, prefixes=["", "der König liebt", "der Kö"])
    count = len(tokenizer.encode("der König liebt"))
    assert whole.prefix_length == 0
    assert given.prefix_length == count
    assert 1 <= none.prefix_length < count, "the token that reaches beyond the prefix counts"
    assert not given.token_log_probs[:count].any()
    np.testing.assert_allclose(given.token_log_probs[count:], whole.token_log_probs[count:], atol=1e-6)
    assert given.mean_log_prob == pytest.approx(float(whole.token_log_probs[count:].mean()), rel=1e-5)
    length = len(whole.tokens)
    assert given.score == pytest.approx(given.log_prob / ((5 + length) / 6), rel=1e-5)
    with pytest.raises(ArgumentError, match=rf"pair 1: the target '{target}' does not begin with its prefix 'das'"):
        luong.scorer.score([PAIRS[4]], prefixes=["das"])
    with pytest.raises(ArgumentError, match=r"prefixes: expected one for each of 1 pair, found 2"):
        luong.scorer.score([PAIRS[4]], prefixes=["a", "b"])


def test_a_language_model_reads_targets_only(luong, tokenizer):
    model = luong.step_sources.language_model("lm")
    scorer = Scorer(StepSourceFactory([model], Tokenizers(tokenizer, tokenizer), None, []))
    expected = TextGenerator(model, tokenizer).token_log_probs([target for _, target in PAIRS])
    of_end = -model.token_losses(np.array([[EOS_ID]], np.int32), np.array([[EOS_ID]], np.int32))[1].numpy()
    for (source, target), score, log_probs in zip(PAIRS, scorer.score(PAIRS), expected, strict=True):
        is_omitted = source.strip() and not target
        np.testing.assert_allclose(score.token_log_probs, of_end if is_omitted else log_probs, atol=1e-5)
    assert scorer.score([("the cat", "")])[0].score < 0, "or an empty translation would be the best of all"
    with pytest.raises(ConfigError, match=r"'coverage_penalty: 0\.4' needs attention weights"):
        scorer.score(PAIRS, options(coverage_penalty=0.4))


def test_little_memory_gives_the_same_scores_and_one_notice(luong, tokenizer):
    said = []
    scorer = Scorer(luong.step_sources, on_warning=said.append)
    expected = scorer.score(PAIRS)
    (forcing,) = scorer.members
    forcing._read_out = with_room_for(2, "allocator", [])(forcing._read_out)
    for ours, theirs in zip(scorer.score(PAIRS), expected, strict=True):
        assert ours.score == pytest.approx(theirs.score, abs=1e-5)
    (notice,) = said
    assert notice.startswith("out of memory at 5 lines of up to ")


def test_wrong_ids_are_named(luong):
    with pytest.raises(ArgumentError, match=r"pair 2: the target has the token id 45, expected ids from 1 to 44"):
        luong.scorer.score_ids([[4], [5]], [[6, 3], [45, 3]])
    with pytest.raises(ArgumentError, match=r"targets: expected 2, one for each source, found 1"):
        luong.scorer.score_ids([[4], [5]], [[6, 3]])
    assert copy.deepcopy(luong).scorer.score(PAIRS[:1])[0].tokens
