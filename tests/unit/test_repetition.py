"""Searches that must not repeat themselves: against enumeration of all sequences, and plain loops."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq.config import GenerationOptions, SearchOptions
from seq2seq.errors import ConfigError
from seq2seq.inference import searcher
from seq2seq.inference.searcher import Searcher
from seq2seq.inference.step_sources import Batch, ModelSteps, PrefixSteps, ShortlistSteps
from seq2seq.search import beam_search, greedy_search, sample, with_prefix, without_repetition
from tests.fake import BOS, EOS, INNER, PAD, RuledFake, check, hypotheses, repeats_ngram
from tests.unit import test_steps
from tests.unit.test_steps import COMBINATIONS, LONGEST, SENTENCES, SIZE, WEIGHT, Composed, check_composed

translator = test_steps.translator  # a fixture
LIMITS, SHORTEST = [5, 2, 3], [1, 1, 3]


class Restrained(RuledFake):
    """A model that repeats nothing."""

    def searched(self, limits, rows=None, **values):
        """Step, state, memory and constraints."""
        rules = self.rules(limits, rows, ends_if_stuck=self.size > 0, **values)
        start = self, *self.start(*(rows or ()))
        return *without_repetition(*start, rules, **self.repetition), rules

    def follow(self, sentence, tokens):
        log_probs, weights = super().follow(sentence, tokens)
        return self.penalised(tokens, log_probs), weights

    def choices(self, sentence, tokens, limit, shortest=1, forbidden=()):
        """Tokens that may come after others."""
        inner = [token for token in self.inner(sentence, forbidden) if not repeats_ngram(tokens, token, self.size)]
        if len(tokens) == limit - 1:
            return [EOS]
        return [*inner, EOS] if len(tokens) >= shortest - 1 or not inner else inner


@settings(max_examples=12, derandomize=True, deadline=None, database=None)
@given(
    seed=st.integers(0, 99),
    size=st.integers(0, 4),
    penalty=st.sampled_from([None, 1.0, 1.2, 3.0]),
    listed=st.booleans(),
    forbidden=st.sampled_from([(), (INNER[0],)]),
    shortest=st.sampled_from([[1, 1, 1], SHORTEST, [5, 5, 5]]),
    length_penalty=st.sampled_from([0.0, 1.0, "average"]),
    beta=st.sampled_from([0.0, 0.5]),
)
def test_an_unpruned_beam_equals_enumeration(seed, size, penalty, listed, forbidden, shortest, length_penalty, beta):
    fake = Restrained(seed, 3, size, penalty, listed)
    values = {"min_lengths": tf.constant(shortest), "forbidden": forbidden, "length_penalty": length_penalty}
    result = beam_search(*fake.searched(LIMITS, coverage_penalty=beta, **values), beam_size=125)
    for row, limit in enumerate(LIMITS):
        expected = fake.all_hypotheses(row, limit, shortest[row], forbidden, penalty=length_penalty, beta=beta)
        check(fake, row, result, expected)


def test_enumeration_leaves_something_out():
    """Or these tests would show nothing."""
    counts = {size: len(Restrained(1, size=size).all_hypotheses(0, 5)) for size in (0, 1, 2, 3)}
    assert counts == {0: 121, 1: 16, 2: 97, 3: 118}
    plain, penalised = (Restrained(1, penalty=penalty).all_hypotheses(0, 5) for penalty in (None, 2.0))
    assert [tokens for _, tokens in plain] != [tokens for _, tokens in penalised]


OPTIONS = [(1, None), (2, None), (3, 1.5), (0, 2.0)]


def greedy_by_hand(fake, row, limit, shortest):
    tokens = []
    while tokens[-1:] != [EOS]:
        choices = fake.choices(row, tokens, limit, shortest)
        tokens.append(max(choices, key=lambda token: fake.follow(row, [*tokens, token])[0][-1]))
    return tokens


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(("size", "penalty"), OPTIONS)
def test_greedy_takes_the_likeliest_and_a_beam_of_1_and_narrow_samples_are_greedy(size, penalty, listed):
    limits, shortest = [8, 3, 12], [1, 2, 10]
    fake = Restrained(size, 3, size, penalty, listed)
    fake.logits[:, :, EOS] -= 2.0
    search = fake.searched(limits, min_lengths=tf.constant(shortest), coverage_penalty=0.3)
    greedy = greedy_search(*search)
    uniforms = tf.constant(np.random.default_rng(1).random((3, 1, 12)).astype("f"))
    for other in (beam_search(*search, beam_size=1), sample(*search, uniforms, top_k=1)):
        for ours, theirs in zip(greedy, other, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
    for row, (limit, least) in enumerate(zip(limits, shortest, strict=True)):
        tokens = greedy_by_hand(fake, row, limit, least)
        check(fake, row, greedy, [(fake.score(row, tokens, beta=0.3), tokens)])


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(("size", "penalty"), OPTIONS)
def test_samples_and_narrow_beams_keep_to_the_rules_whatever_their_batch(size, penalty, listed):
    limits, shortest = [9, 3, 14], [1, 1, 4]
    fake = Restrained(5, 3, size, penalty, listed)
    uniforms = np.random.default_rng(1).random((3, 6, 14)).astype("f")

    def run(kind, rows):
        search = fake.searched(
            [limits[row] for row in rows],
            rows,
            min_lengths=tf.constant([shortest[row] for row in rows]),
            coverage_penalty=0.2,
        )
        if kind == "beam":
            return beam_search(*search, beam_size=3)
        return sample(*search, tf.constant(uniforms[rows]), temperature=2.0)

    for kind in ("beam", "sample"):
        together = run(kind, [0, 1, 2])
        for row, n, tokens in hypotheses(together):
            for place, token in enumerate(tokens):
                assert token in fake.choices(row, tokens[:place], limits[row], shortest[row])
            log_probs, _ = fake.follow(row, tokens)
            np.testing.assert_allclose(together.log_probs[row, n, : len(tokens)], log_probs, atol=1e-5)
            assert float(together.scores[row, n]) == pytest.approx(fake.score(row, tokens, beta=0.2), abs=1e-4)
        for row in range(3):
            alone = run(kind, [row])
            width = alone.tokens.shape[2]
            np.testing.assert_array_equal(together.tokens[row, :, :width], alone.tokens[0])
            np.testing.assert_allclose(together.scores[row], alone.scores[0], atol=1e-5)


@pytest.mark.parametrize("size", [3, 5, 100])
def test_n_grams_longer_than_a_hypothesis_may_be_block_nothing(size):
    limits = [1, 2]
    results = [greedy_search(*Restrained(3, 2, size=n).searched(limits)) for n in (0, size)]
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_hypothesis_that_cannot_go_on_ends():
    """With n = 1, each of the three tokens comes once, whatever the minimum length."""
    fake = Restrained(3, 3, size=1)
    search = fake.searched([12, 12, 3], min_lengths=tf.fill([3], 9))
    uniforms = tf.fill([3, 2, 12], 0.4)
    for result in (greedy_search(*search), beam_search(*search, beam_size=4), sample(*search, uniforms)):
        for row, _, tokens in hypotheses(result):
            assert tokens[-1] == EOS
            assert sorted(tokens[:-1]) == list(INNER) if row < 2 else len(tokens) == 3


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_what_is_given_may_repeat_itself_and_what_follows_repeats_nothing_of_it(size, listed):
    given = [[4, 4, 4, 4, 4], [], [5, 4, 5, 4, 5]]  # in the last list there is no 4
    prefix = tf.constant([tokens or [0] * 5 for tokens in given], tf.int32)
    fake = Restrained(2, 3, size, 2.0, listed)
    fake.logits[:, :, EOS] -= 2.0
    rules = fake.rules([10, 6, 10], min_lengths=tf.fill([3], 8), ends_if_stuck=True)
    start = with_prefix(fake, *fake.start(), prefix)
    search = without_repetition(*start, rules, no_repeat_ngram_size=size, repetition_penalty=2.0)
    result = beam_search(*search, rules, beam_size=3)
    for row, n, tokens in hypotheses(result):
        before = len(given[row])
        assert tokens[:before] == given[row]
        assert not result.log_probs[row, n, :before].numpy().any(), "what is given is certain"
        for place in range(before, len(tokens)):
            assert tokens[place] in fake.choices(row, tokens[:place], [10, 6, 10][row], 8)
        log_probs, _ = fake.follow(row, tokens)
        np.testing.assert_allclose(result.log_probs[row, n, before : len(tokens)], log_probs[before:], atol=1e-5)


class Unlike(Composed):
    """Scores of the parts of a translator, n-grams blocked and repeated tokens penalised."""

    size, penalty = 2, 1.5

    def scores(self, tokens):
        scores = super().scores(tokens)
        for token in range(len(scores)):
            scores[token] *= self.penalty if token in tokens else 1.0
            if repeats_ngram(tokens, token, self.size):
                scores[token] = -np.inf
        return scores


@pytest.mark.parametrize("beam_size", [1, 3])
@pytest.mark.parametrize(("shortlist", "int8", "fused"), COMBINATIONS)
def test_a_translation_is_that_of_the_composed_scores(translator, shortlist, int8, fused, beam_size):
    values = {"length_penalty": 0.0, "max_length": LONGEST, "int8": int8, "n_best": beam_size, "beam_size": beam_size}
    values |= {"shortlist": SIZE} if shortlist else {}
    values |= {"language_model": "lm", "language_model_weight": WEIGHT} if fused else {}
    options = SearchOptions(**values, no_repeat_ngram_size=Unlike.size, repetition_penalty=Unlike.penalty)
    check_composed(translator, options, lambda sentence: Unlike(translator, sentence, shortlist, int8, fused))


@pytest.mark.parametrize("shortlist", [False, True])
@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_prefix_that_repeats_itself_comes_first(translator, beam_size, shortlist):
    source = translator.tokenizers.source.encode_batch(SENTENCES[:3])
    prefixes, longest = [[30, 31, 30, 31], [], [33, 33, 33]], 9
    steps = ModelSteps(translator.model)
    steps = ShortlistSteps(steps, translator.step_sources.shortlist, SIZE) if shortlist else steps
    options = SearchOptions(beam_size=beam_size, no_repeat_ngram_size=1, repetition_penalty=3.0)
    limits = np.full(3, 1, np.int32), np.full(3, longest, np.int32)
    result = Searcher().search(PrefixSteps(steps), Batch(source, prefixes), limits, options)
    for row, prefix in enumerate(prefixes):
        tokens = result.tokens[row, 0, : result.lengths[row, 0]].tolist()
        assert tokens[: len(prefix)] == prefix
        assert not result.log_probs[row, 0, : len(prefix)].any()
        rest = tokens[len(prefix) :]
        assert len(set(rest)) == len(rest)
        assert not set(rest) & set(prefix)


def test_nothing_of_it_is_in_a_graph_that_does_without(translator, monkeypatch):
    def traced(**more):
        translator.searcher = Searcher()
        found = translator.translate(SENTENCES, SearchOptions(beam_size=2, n_best=2, max_length=LONGEST, **more))
        return [[(one.tokens, one.score) for one in translation.hypotheses] for translation in found]

    plain, restrained = traced(), traced(no_repeat_ngram_size=1)
    assert plain != restrained
    assert restrained != traced(repetition_penalty=4.0)
    monkeypatch.setattr(searcher, "without_repetition", pytest.fail)
    assert traced(no_repeat_ngram_size=0, repetition_penalty=1.0) == plain


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"no_repeat_ngram_size": -1}, r"no_repeat_ngram_size.*-1"),
        ({"no_repeat_ngram_size": None}, "no_repeat_ngram_size"),
        ({"repetition_penalty": 0.9}, r"repetition_penalty.*0\.9"),
        ({"repetition_penalty": 11}, r"repetition_penalty.*11"),
    ],
)
@pytest.mark.parametrize("section", [SearchOptions, GenerationOptions])
def test_what_is_out_of_range_is_refused(section, values, message):
    with pytest.raises(ConfigError, match=message):
        section(**values)


def test_padding_and_bos_stay_excluded():
    fake = Restrained(3, 3, size=1, penalty=2.0)
    fake.logits[:, :, [PAD, BOS]] = 30.0
    for _, _, tokens in hypotheses(beam_search(*fake.searched([6, 5, 4]), beam_size=3)):
        assert not {PAD, BOS} & set(tokens)
