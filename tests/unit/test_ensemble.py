"""Ensembles: averaged steps against NumPy and enumeration, and translators of several models."""

import copy
import json

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig, SearchOptions, TokenizerConfig
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.errors import ArgumentError, ConfigError, ModelDirectoryError
from seq2seq.inference.aligner import AttentionAligner
from seq2seq.inference.output import translate_to_rows
from seq2seq.inference.shortlist import shortlist_from_pairs
from seq2seq.inference.translator import Translator
from seq2seq.models.translation import Seq2Seq
from seq2seq.search import average_models, beam_search, greedy_search, sample, sampling_uniforms
from tests.conftest import randomize
from tests.fake import BOS, EOS, INNER, Fake, check
from tests.toy import pairs, save

pytestmark = pytest.mark.usefixtures("shared_searches")

AVERAGES = "log_probability", "probability"
WEIGHTS = np.array([0.5, 0.2, 0.3])


class Several(Fake):
    """Three fakes, of which the last has no attention; log-probabilities and attention are their mean, by NumPy."""

    def __init__(self, seed, sentences, average):
        super().__init__(seed, sentences)
        self.average = average
        self.fakes = [Fake(seed + 100 * number, sentences) for number in range(3)]
        for fake in self.fakes:
            fake.mask = self.mask

    def follow(self, sentence, tokens):
        found = [fake.follow(sentence, tokens) for fake in self.fakes]
        log_probs = np.stack([one for one, _ in found])
        if self.average == "probability":
            mean = np.log((WEIGHTS[:, None] * np.exp(log_probs)).sum(axis=0))
        else:
            mean = WEIGHTS @ log_probs
        return mean, (0.5 * found[0][1] + 0.2 * found[1][1]) / 0.7

    def together(self):
        """Step, state and memory of the ensemble."""
        state, memory = zip(*(fake.start() for fake in self.fakes), strict=True)
        last = self.fakes[2]

        def blind(tokens, state, memory):
            output = last(tokens, state, memory)
            return output._replace(attention=output.attention[:, :, :0])

        steps = [*self.fakes[:2], blind]
        weights = tf.constant(WEIGHTS, tf.float32)
        return average_models(steps, weights, self.average, [0, 1]), state, memory


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("penalty", [0.0, "average"])
def test_an_unpruned_beam_equals_exhaustive_search(average, penalty):
    limits = [4, 2, 3]
    fakes = Several(2, len(limits), average)
    rules = fakes.rules(limits, length_penalty=penalty, coverage_penalty=0.3)
    result = beam_search(*fakes.together(), rules, beam_size=40)
    for row, limit in enumerate(limits):
        check(fakes, row, result, fakes.exhaustive(row, limit, penalty=penalty, beta=0.3))


@pytest.mark.parametrize("average", AVERAGES)
def test_greedy_takes_the_best_of_all_and_samples_have_their_scores(average):
    limits = [3, 9, 7]
    fakes = Several(1, 3, average)
    rules = fakes.rules(limits)
    greedy = greedy_search(*fakes.together(), rules)
    for row, limit in enumerate(limits):
        tokens = []
        while tokens[-1:] != [EOS]:
            choices = [EOS] if len(tokens) == limit - 1 else [*INNER, EOS]
            tokens.append(max(choices, key=lambda token: fakes.follow(row, [*tokens, token])[0][-1]))
        check(fakes, row, greedy, [(fakes.score(row, tokens), tokens)])
    uniforms = sampling_uniforms(1, [[4], [5], [6]], 4, limits)
    drawn = sample(*fakes.together(), rules, tf.constant(uniforms))
    for row in range(3):
        for n in range(4):
            tokens = drawn.tokens[row, n, : drawn.lengths[row, n]].numpy().tolist()
            np.testing.assert_allclose(drawn.log_probs[row, n, : len(tokens)], fakes.follow(row, tokens)[0], atol=1e-5)


def test_an_arithmetic_mean_is_a_distribution_and_a_geometric_one_is_below():
    for average in AVERAGES:
        fakes = Several(0, 2, average)
        step, state, memory = fakes.together()
        total = tf.reduce_logsumexp(step(tf.fill([2, 1], BOS), state, memory).scores, axis=-1).numpy()
        assert (np.abs(total) < 1e-5).all() if average == "probability" else (total < -0.05).all()


# Unequal networks, the last one without attention.
MEMBERS = (
    ({}, {}, {"attention": "additive"}),
    ({"size": 7}, {"cell": "lstm", "units": 4}, {"units": 9}),
    ({}, {"layers": 2}, {"attention": "none", "units": 6}),
)
SENTENCES = ["the dog sees bird here", "", "the king loves cat and dog and tree there", "bird"]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train([side for pair in pairs(200, 1) for side in pair], TokenizerConfig(vocabulary_size=45))


@pytest.fixture(scope="module")
def models(tokenizer):
    made = []
    for seed, (embeddings, encoder, decoder) in enumerate(MEMBERS):
        sections = (
            EmbeddingsConfig(**{"size": 6} | embeddings),
            EncoderConfig(**{"units": 6} | encoder),
            DecoderConfig(**{"units": 8} | decoder),
        )
        made.append(Seq2Seq(45, 45, *sections))
        randomize(made[-1], seed=seed, scale=0.7)
    return made


def options(**values):
    return SearchOptions(**{"beam_size": 3, "max_length_factor": 1.0, "max_length_extra": 4} | values)


def assert_same(ours, others, atol=1e-4):
    for one, other in zip(ours, others, strict=True):
        assert [hypothesis.tokens for hypothesis in one.hypotheses] == [hypo.tokens for hypo in other.hypotheses]
        for hypothesis, same in zip(one.hypotheses, other.hypotheses, strict=True):
            assert hypothesis.score == pytest.approx(same.score, abs=atol)
            np.testing.assert_allclose(hypothesis.token_log_probs, same.token_log_probs, atol=1e-5)
            np.testing.assert_allclose(hypothesis.attention, same.attention, atol=1e-5)


@pytest.mark.parametrize("values", [{"n_best": 3}, {"n_best": 3, "ensemble_average": "probability"}])
def test_a_model_with_itself_is_that_model(models, tokenizer, values):
    alone = Translator(models[1], tokenizer, tokenizer).translate(SENTENCES, options(**values))
    twice = Translator([models[1]] * 2, tokenizer, tokenizer)
    assert_same(twice.translate(SENTENCES, options(**values, ensemble_weights=(1.0, 3.0))), alone)


@pytest.fixture(scope="module")
def ensemble(models, tokenizer):
    ids = [tuple(tokenizer.encode(text) for text in pair) for pair in pairs(200, 4)]
    shortlist = shortlist_from_pairs(ids, 45, 45)._replace(frequent=np.arange(9, dtype=np.int32))
    return Translator(models, tokenizer, tokenizer, shortlist=shortlist)


@pytest.mark.parametrize(
    "values",
    [
        {"n_best": 3, "coverage_penalty": 0.3, "ensemble_weights": (1.0, 2.0, 0.5)},
        {"sample": True, "ensemble_average": "probability", "repetition_penalty": 1.4},
    ],
)
def test_scores_are_those_of_the_models_and_do_not_depend_on_the_batch(ensemble, models, tokenizer, values):
    asked = options(**values)
    found = ensemble.translate(SENTENCES, asked)
    (alone,) = ensemble.translate(SENTENCES[:1], asked)
    assert [one.tokens for one in alone.hypotheses] == [one.tokens for one in found[0].hypotheses]
    hypotheses = [(text, one) for text, result in zip(SENTENCES, found, strict=True) for one in result.hypotheses]
    sources = [tokenizer.encode(text) for text, _ in hypotheses]
    targets = [tokenizer.ids(one.tokens) for _, one in hypotheses]
    own = [Translator(model, tokenizer, tokenizer).scorer.score_ids(sources, targets) for model in models]
    weights = np.array(asked.ensemble_weights or (1.0, 1.0, 1.0)) / sum(asked.ensemble_weights or (1.0, 1.0, 1.0))
    again = ensemble.scorer.score_ids(sources, targets, asked)
    for ids, (_, hypothesis), score, *theirs in zip(targets, hypotheses, again, *own, strict=True):
        log_probs = np.stack([one.token_log_probs for one in theirs])
        expected = weights @ log_probs
        if asked.ensemble_average == "probability":
            expected = np.log(weights @ np.exp(log_probs))
        repeated = [token in ids[:place] for place, token in enumerate(ids)]
        expected = np.where(repeated, asked.repetition_penalty, 1.0) * expected
        np.testing.assert_allclose(hypothesis.token_log_probs, expected, atol=3e-5)
        np.testing.assert_allclose(score.token_log_probs, expected, atol=1e-6)
        np.testing.assert_allclose(hypothesis.attention.sum(axis=-1), 1.0, atol=1e-5)
        assert score.score == pytest.approx(hypothesis.score, abs=1e-5 * max(len(ids), 1))


def test_an_ensemble_has_a_shortlist_and_replaces_unknown_words(ensemble, tokenizer):
    asked = options(beam_size=2, shortlist=2, unk_handling="replace")
    (found,) = ensemble.translate(SENTENCES[:1], asked)
    source = tokenizer.encode(SENTENCES[0])
    allowed = set(ensemble.step_sources.shortlist.select([source], 2)[0].tolist())
    assert len(allowed) < 45, "or this tells nothing"
    assert set(tokenizer.ids(found.tokens)) <= allowed


def test_copies_and_facts(ensemble):
    again, asked = copy.deepcopy(ensemble), options(n_best=3, coverage_penalty=0.3)
    assert_same(again.translate(SENTENCES, asked), ensemble.translate(SENTENCES, asked))
    assert repr(ensemble).count("parameters") == 3
    with pytest.raises(ArgumentError, match=r"this is an ensemble of 3\."):
        ensemble.save("anywhere")


def test_rows_have_the_attention_of_any_model(models, tokenizer):
    blind_first = Translator([models[2], models[0]], tokenizer, tokenizer, options(beam_size=2))
    given = {"name": "x", "on_warning": pytest.fail}
    (row,) = next(translate_to_rows(blind_first, SENTENCES[:1], blind_first.options, "jsonl", **given))
    (hypothesis,) = json.loads(row)["translations"]
    assert hypothesis["attention"]
    assert hypothesis["alignment"]


def test_what_is_refused(ensemble, models, tokenizer, tmp_path):
    with pytest.raises(ConfigError, match=r"'ensemble_weights' has 2 numbers, but there are 3 models\."):
        ensemble.check(options(ensemble_weights=(1.0, 2.0)))
    with pytest.raises(ConfigError, match=r"ensemble_weights"):
        options(ensemble_weights=(1.0, 0.0))
    with pytest.raises(ArgumentError, match="at least one model, found none"):
        Translator([], tokenizer, tokenizer)
    with pytest.raises(ArgumentError, match="at least one model directory, found none"):
        Translator.load([])
    with pytest.raises(ConfigError, match="'confidence' is calibrated for a single model, but this is an ensemble"):
        ensemble.calibrate(pairs(3, 1))
    with pytest.raises(ArgumentError, match="an ensemble cannot align: pass a translator with one of its models"):
        AttentionAligner(ensemble)
    with pytest.raises(ArgumentError, match="folder: expected one for each of 3 models, found 1"):
        Translator(models, tokenizer, tokenizer, folder=tmp_path)
    sections = {
        "embeddings": {"size": 6, "tied": "target"},
        "encoder": {"units": 6},
        "decoder": {"units": 8, "attention": "additive"},
    }
    other = Tokenizer.train([side for pair in pairs(90, 2) for side in pair], TokenizerConfig(vocabulary_size=45))
    for name, spm in (("a", tokenizer), ("b", tokenizer), ("c", other)):
        save(tmp_path / name, models[0], spm, **sections)
    with pytest.raises(ConfigError, match=r"c: its source tokenizer \(SHA-256 \w+\) is not that of .*a \("):
        Translator.load([tmp_path / "a", tmp_path / "c"])
    both = Translator.load([tmp_path / "a", tmp_path / "b"])
    assert len(both.models) == 2
    with pytest.raises(
        ModelDirectoryError, match=r"a/decoder\.int8\.onnx: no such file\. Make it with: seq2seq quantize"
    ):
        both.check(options(int8=True))
