"""Shallow fusion: two models at one step, against enumeration; and in a translator, against rescoring."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import SearchOptions, TokenizerConfig
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.errors import ConfigError, ModelDirectoryError
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import create_model_directory
from seq2seq.models.build import build_model
from seq2seq.models.language_model import LanguageModel
from seq2seq.search import SearchConstraints, beam_search, greedy_search, shallow_fusion
from tests.conftest import randomize
from tests.fake import BOS, EOS, INNER, Fake, check
from tests.toy import language_model_config, pairs, save_random_model, save_trained

pytestmark = pytest.mark.usefixtures("shared_searches")

WEIGHT = 0.7


class Both(Fake):
    """A translator's fake; log-probabilities are those of its own and of a language model's fake together."""

    def __init__(self, seed, sentences):
        super().__init__(seed, sentences)
        self.helper = Fake(seed + 100, sentences)

    def follow(self, sentence, tokens):
        mine, weights = super().follow(sentence, tokens)
        return mine + WEIGHT * self.helper.follow(sentence, tokens)[0], weights

    def together(self):
        """Step, state and memory of the fusion."""
        state, memory = zip(self.start(), self.helper.start(), strict=True)
        return shallow_fusion(self, self.helper, WEIGHT), state, memory


@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_an_unpruned_beam_equals_exhaustive_search(seed, penalty):
    limits = [4, 2, 3]
    both = Both(seed, len(limits))
    rules = both.rules(limits, length_penalty=penalty, coverage_penalty=0.3)
    result = beam_search(*both.together(), rules, beam_size=40)
    for row, limit in enumerate(limits):
        expected = both.exhaustive(row, limit, penalty=penalty, beta=0.3)
        check(both, row, result, expected)
    alone = [hypothesis for _, hypothesis in Fake(seed, 3).exhaustive(0, 4, penalty=penalty, beta=0.3)]
    assert [hypothesis for _, hypothesis in both.exhaustive(0, 4, penalty=penalty, beta=0.3)] != alone


@pytest.mark.parametrize("seed", range(3))
def test_greedy_takes_the_best_of_both_and_beam_1_is_greedy(seed):
    limits = [3, 12, 7]
    both = Both(seed, 3)
    rules = both.rules(limits)
    greedy = greedy_search(*both.together(), rules)
    beam = beam_search(*both.together(), rules, beam_size=1)
    for ours, other in zip(greedy, beam, strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-5)
    for row, limit in enumerate(limits):
        tokens = []
        while tokens[-1:] != [EOS]:
            choices = [EOS] if len(tokens) == limit - 1 else [*INNER, EOS]
            tokens.append(max(choices, key=lambda token: both.follow(row, [*tokens, token])[0][-1]))
        check(both, row, greedy, [(both.score(row, tokens), tokens)])


def test_scores_of_a_step_are_not_made_to_sum_to_one():
    both = Both(0, 2)
    step, state, memory = both.together()
    scores = step(tf.fill([2, 1], BOS), state, memory).scores
    assert (tf.reduce_logsumexp(scores, axis=-1).numpy() < -0.1).all(), "or this tells nothing"
    result = greedy_search(
        step, state, memory, SearchConstraints(max_lengths=tf.constant([3, 3]), bos_id=BOS, eos_id=EOS)
    )
    best = tf.reduce_max(tf.gather(scores, [*INNER, EOS], axis=2), axis=-1)
    np.testing.assert_array_equal(result.log_probs[:, :, 0], best)


SENTENCES = ["the dog sees bird here", "", "the king loves cat and dog and tree there", "bird", "the man hears man"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """`translator`, and `lm` with its target tokenizer; both with random weights."""
    folder = tmp_path_factory.mktemp("fusion")
    sides = [side for pair in pairs(200, 1) for side in pair]
    tokenizer = Tokenizer.train(sides, TokenizerConfig(vocabulary_size=50))
    save_random_model(folder / "translator", tokenizer)
    save_language_model(folder / "lm", tokenizer)
    save_language_model(folder / "other", Tokenizer.train(sides, TokenizerConfig(vocabulary_size=51)))
    return folder


def save_language_model(folder, tokenizer):
    config, tokenizers = language_model_config(folder.parent), Tokenizers(tokenizer, tokenizer)
    model = build_model(config, tokenizers)
    assert isinstance(model, LanguageModel)
    randomize(model, seed=8, scale=0.7)
    create_model_directory(folder, config, tokenizers)
    save_trained(folder, model, {})


@pytest.fixture(scope="module")
def translator(folder):
    return Translator.load(folder / "translator")


def options(folder=None, weight=None, **values):
    if folder is not None:
        values |= {"language_model": str(folder / "lm")}
    if weight is not None:
        values |= {"language_model_weight": weight}
    return SearchOptions(**{"beam_size": 3, "max_length_factor": 1.0, "max_length_extra": 5} | values)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_search_score_is_that_of_both_models(folder, translator, beam_size):
    chosen = options(folder, WEIGHT, beam_size=beam_size, n_best=beam_size)
    helper = translator.step_sources.language_model(str(folder / "lm"))
    for sentence, translation in zip(SENTENCES, translator.translate(SENTENCES, chosen), strict=True):
        for hypothesis in translation.hypotheses if sentence else ():
            source = np.array([[*translator.tokenizers.source.encode(sentence), EOS]], np.int32)
            target = np.array([translator.tokenizers.target.ids(hypothesis.tokens)], np.int32)
            log_probs = -(
                translator.model.token_losses(source, target)[1]
                + WEIGHT * helper.token_losses(source[:, :1], target)[1]
            )
            np.testing.assert_allclose(hypothesis.token_log_probs, log_probs, atol=1e-4)
            total = float(tf.reduce_sum(log_probs)) / ((5 + target.size) / 6)
            assert hypothesis.score == pytest.approx(total, abs=1e-3)
            np.testing.assert_allclose(hypothesis.attention.sum(axis=-1), 1.0, atol=1e-5)


def as_dicts(translations):
    return [translation.as_dict() for translation in translations]


@pytest.mark.parametrize("beam_size", [1, 3])
def test_weight_0_is_no_language_model_and_another_weight_is_not(folder, translator, beam_size):
    alone = translator.translate(SENTENCES, options(beam_size=beam_size))
    nothing = translator.translate(SENTENCES, options(folder, 0.0, beam_size=beam_size))
    assert as_dicts(nothing) == as_dicts(alone)
    helped = translator.translate(SENTENCES, options(folder, WEIGHT, beam_size=beam_size, n_best=beam_size))
    assert [one.text for one in helped] != [one.text for one in alone]


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_sentence_alone_equals_the_same_in_a_batch(folder, translator, beam_size):
    chosen = options(folder, WEIGHT, beam_size=beam_size, n_best=beam_size)
    for sentence, together in zip(SENTENCES, translator.translate(SENTENCES, chosen), strict=True):
        (alone,) = translator.translate([sentence], chosen)
        assert alone.tokens == together.tokens
        assert alone.score == pytest.approx(together.score, abs=1e-5)


def test_another_tokenizer_is_refused(folder, translator):
    with pytest.raises(ConfigError) as error:
        translator.translate(SENTENCES, options(language_model=str(folder / "other")))
    theirs = Tokenizer.load(folder / "other" / "joint.spm").fingerprint()
    assert str(error.value) == (
        f"{folder / 'other'}: the language model's tokenizer (SHA-256 {theirs[:8]}) is not the translator's target "
        f"tokenizer ({translator.tokenizers.target.fingerprint()[:8]}), so their tokens are not the same. Train the "
        f"language model with 'tokenizer.from_model: {folder / 'translator'}'."
    )


def test_a_translator_is_no_language_model(folder, translator):
    with pytest.raises(
        ModelDirectoryError,
        match=r"translator: expected a model of `task: language_model`, found one of `task: translation`",
    ):
        translator.check(options(language_model=str(folder / "translator")))
    with pytest.raises(
        ModelDirectoryError, match=r"lm: expected a model of `task: translation`, found one of `task: language_model`"
    ):
        Translator.load(folder / "lm")
