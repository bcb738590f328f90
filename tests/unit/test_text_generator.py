"""Text measured and written by a language model: against single steps, formulas by hand, and enumeration."""

import math
from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import (
    EmbeddingsConfig,
    GenerationOptions,
    LanguageModelDecoderConfig,
    SearchOptions,
    TokenizerConfig,
)
from seq2seq.data.tokenizer import BOS_ID, EOS_ID, UNK_ID, Tokenizer
from seq2seq.errors import ConfigError, EvaluationError, TokenizerError
from seq2seq.inference.text_generator import TextGenerator
from seq2seq.models.language_model import LanguageModel
from tests.conftest import randomize
from tests.reference import log_softmax
from tests.toy import pairs

pytestmark = pytest.mark.usefixtures("shared_searches")

LINES = [
    "der Hund sieht heute Kater",
    "",
    "  der  König ",
    "Baum",
    "   ",
    "\u3000 \u2028",
    "der Vogel liebt dort Mann und Baum und Hund",
]


def generator_of(texts, **tokenizer):
    tokenizer = Tokenizer.train(texts, TokenizerConfig(**tokenizer))
    keras.utils.set_random_seed(4)
    decoder = LanguageModelDecoderConfig(cell="lstm", units=7, layers=2)
    model = LanguageModel(tokenizer.vocabulary_size, EmbeddingsConfig(size=5), decoder)
    randomize(model, seed=6, scale=0.8)
    return TextGenerator(model, tokenizer)


@pytest.fixture(scope="module")
def words():
    return generator_of([target for _, target in pairs(200, 1)], vocabulary_size=36)


@pytest.fixture(scope="module")
def tiny():
    """Characters a and b, and the sign for a space."""
    return generator_of(["ab", "ba a", "b"], model_type="char", vocabulary_size=8)


def test_a_generator_is_a_line_in_a_shell(words):
    assert repr(words) == f"TextGenerator({words.model.count_params():,} parameters, vocabulary 36)"


def distributions(generator, ids):
    """Log-probabilities (T, V) of what could stand in each of T places, given the token ids before it."""
    memory, state = generator.model.encode(tf.constant([[EOS_ID]]))
    found = []
    for token in [BOS_ID, *ids[:-1]]:
        logits, state, _ = generator.model.decode_step(tf.constant([[token]]), state, memory)
        found.append(log_softmax(logits.numpy()[0, 0]))
    return np.array(found)


def follow(generator, ids):
    """Log-probabilities of token ids."""
    return distributions(generator, ids)[np.arange(len(ids)), ids]


def test_token_log_probs_equal_single_steps_whatever_the_batch(words, monkeypatch):
    together = words.token_log_probs(LINES)
    for line, log_probs in zip(LINES, together, strict=True):
        ids = words.tokenizer.encode(line)
        np.testing.assert_allclose(log_probs, follow(words, [*ids, EOS_ID]) if line.strip() else [], atol=1e-5)
    monkeypatch.setattr("seq2seq.inference.teacher_forcing.BATCH_TOKENS", 1)
    done = []
    for alone, log_probs in zip(words.token_log_probs(LINES, done.append), together, strict=True):
        np.testing.assert_allclose(alone, log_probs, atol=1e-5)
    assert done == [1, 2, 3, 4]


def test_logits_are_computed_in_blocks_whatever_the_line(words, monkeypatch):
    together, score, sizes = words.token_log_probs(LINES), words.teacher_forcing._nll, []
    monkeypatch.setattr("seq2seq.inference.teacher_forcing.MAX_LOGITS", 5 * words.tokenizer.vocabulary_size + 1)
    monkeypatch.setattr(
        words.teacher_forcing,
        "_nll",
        lambda readout, labels, *others: sizes.append(len(labels)) or score(readout, labels, *others),
    )
    for blocks, log_probs in zip(words.token_log_probs(LINES), together, strict=True):
        np.testing.assert_allclose(blocks, log_probs, atol=1e-5)
    assert max(sizes) == 5
    assert sum(sizes) == sum(map(len, together))


def test_perplexity_by_hand(words):
    report = words.perplexity([*LINES, "der Zug"])
    nll = -sum(values.sum() for values in words.token_log_probs([*LINES, "der Zug"]))
    texts = ["der Hund sieht heute Kater", "der König", "Baum", LINES[-1], "der Zug"]
    assert report.sentences == 5
    assert report.tokens == sum(len(words.tokenizer.encode(text)) + 1 for text in texts)
    assert report.words == 6 + 3 + 2 + 10 + 3
    assert report.characters == sum(len(text) + 1 for text in texts)
    assert report.unknown_tokens == 1, "there is no Z"
    assert report.nll == pytest.approx(nll, rel=1e-5)
    assert report.per_token == pytest.approx(math.exp(nll / report.tokens), rel=1e-5)
    assert report.per_word == pytest.approx(math.exp(nll / 24), rel=1e-5)
    assert 2 ** (report.bits_per_character * report.characters / report.tokens) == pytest.approx(report.per_token)
    assert report.as_dict()["bits_per_character"] == report.bits_per_character


def test_text_in_pieces_of_unicode_counts_as_nfc(words):
    assert words.perplexity(["der Ko\u0308nig"]) == words.perplexity(["der König"])


def test_nothing_to_measure(words):
    with pytest.raises(EvaluationError, match=r"there is nothing to measure: none of 2 lines has text\."):
        words.perplexity(["", " "])
    with pytest.raises(TypeError, match=r"expected a list of strings, found one string"):
        words.perplexity("der Hund")


@pytest.mark.parametrize("prompt", ["", "ab"])
def test_an_unpruned_beam_equals_enumeration(tiny, prompt):
    given = tiny.tokenizer.encode(prompt)
    inner = range(4, tiny.tokenizer.vocabulary_size)
    options = GenerationOptions(sample=False, beam_size=60, n_best=60, max_length=3, length_penalty=0.0)
    expected = []
    for length in range(3):
        for tokens in product(inner, repeat=length):
            ids = [*given, *tokens, EOS_ID]
            expected.append((follow(tiny, ids)[len(given) :].sum(), tiny.tokenizer.pieces(ids)))
    expected.sort(key=lambda pair: -pair[0])
    found = tiny.generate(prompt, options)
    assert len(found) == len(expected)
    for hypothesis, (score, tokens) in zip(found, expected, strict=True):
        assert hypothesis.tokens == tokens
        assert hypothesis.score == pytest.approx(score, abs=1e-4)
        assert hypothesis.text == tiny.tokenizer.decode(tiny.tokenizer.ids(tokens))
        assert not hypothesis.token_log_probs[: len(given)].any(), "a prompt is certain"


def test_greedy_after_a_prompt_takes_the_likeliest(words):
    (found,) = words.generate("der Hund", GenerationOptions(sample=False, beam_size=1, max_length=9, min_length=4))
    given = ids = words.tokenizer.encode("der Hund")
    while ids[-1] != EOS_ID:
        new = len(ids) - len(given)
        allowed = [EOS_ID] if new == 8 else [*([EOS_ID] if new >= 3 else []), *range(4, 36)]
        likely = distributions(words, [*ids, EOS_ID])[-1]
        ids = [*ids, max(allowed, key=likely.__getitem__)]
    assert found.tokens == words.tokenizer.pieces(ids)
    np.testing.assert_allclose(found.token_log_probs[len(given) :], follow(words, ids)[len(given) :], atol=1e-4)
    assert found.text.startswith("der Hund")


def test_min_length_is_kept_where_there_is_no_max_length(tiny):
    (found,) = tiny.generate("b", GenerationOptions(sample=False, beam_size=1, min_length=103, max_length=None))
    assert len(found.tokens) - len(tiny.tokenizer.encode("b")) == 103


def test_options_of_a_translator_are_refused(words):
    with pytest.raises(TypeError, match=r"options: expected GenerationOptions, found SearchOptions\.$"):
        words.generate("der", SearchOptions(beam_size=2))
    with pytest.raises(ConfigError, match="coverage_penalty"):
        GenerationOptions(coverage_penalty=0.2)


def test_draws_depend_on_seed_and_prompt_alone(words):
    options = GenerationOptions(n_best=4, max_length=9, temperature=1.5)
    drawn = words.generate("der", options)
    assert [one.tokens for one in drawn] == [one.tokens for one in words.generate("der", options)]
    assert [one.score for one in drawn] == sorted((one.score for one in drawn), reverse=True)
    other = words.generate("der", options.model_copy(update={"seed": 2}))
    assert [one.tokens for one in drawn] != [one.tokens for one in other]
    for one in [*drawn, *other]:
        ids = words.tokenizer.ids(one.tokens)
        assert one.text.startswith("der")
        assert UNK_ID not in ids
        given = len(words.tokenizer.encode("der"))
        assert len(ids) - given <= 9
        np.testing.assert_allclose(one.token_log_probs[given:], follow(words, ids)[given:], atol=1e-4)


def test_draws_have_the_models_frequencies(tiny):
    options = GenerationOptions(n_best=2000, max_length=2)
    lone = sum(len(one.tokens) == 1 for one in tiny.generate("", options))
    likely = np.exp(distributions(tiny, [EOS_ID])[0])
    expected = likely[EOS_ID] / likely[EOS_ID:].sum()
    assert lone / 2000 == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("prompt", "unknown"),
    [("der Zug", "Z"), ("der\tKönig ь", "ь"), ("Baum \u00a0\ufffd", "\ufffd"), ("\u3000犬", "犬")],
)
def test_a_prompt_that_the_tokenizer_does_not_know(words, prompt, unknown):
    with pytest.raises(TokenizerError) as error:
        words.generate(prompt)
    assert str(error.value) == (
        f"the prompt {prompt!r} has text that the model's tokenizer does not know: {unknown!r}. Leave it out."
    )


@pytest.mark.parametrize(
    "values", [{"sample": False, "beam_size": 1}, {"sample": False, "beam_size": 4}, {"n_best": 4}]
)
@pytest.mark.parametrize("size", [1, 2])
def test_no_ngram_of_prompt_and_text_comes_again(words, values, size):
    options = GenerationOptions(**values, no_repeat_ngram_size=size, min_length=9, max_length=14)
    given = words.tokenizer.encode("der Hund sieht der Hund")
    assert len(set(given)) < len(given), "a prompt may repeat itself"
    for one in words.generate("der Hund sieht der Hund", options):
        ids = words.tokenizer.ids(one.tokens)
        assert ids[: len(given)] == given
        ngrams = [tuple(ids[start : start + size]) for start in range(len(ids) - size + 1)]
        for place in range(len(given) - size + 1, len(ngrams)):
            assert ngrams[place] not in ngrams[:place]
