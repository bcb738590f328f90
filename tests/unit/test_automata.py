"""Searches that must or must not say something: against enumeration by the definitions, with everything else on too."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seq2seq.search import (
    NEG_INF,
    SearchConstraints,
    StepOutput,
    average_models,
    beam_search,
    greedy_search,
    sample,
    shallow_fusion,
    with_automata,
    with_prefix,
    without_repetition,
)
from seq2seq.search.step import BLOCKED, Requirements
from tests.automata import Builder
from tests.fake import BOS, EOS, INNER, UNK, Fake, RuledFake, V, check, hypotheses, repeats_ngram

WEIGHT = 0.7  # of the language model
SHARES = np.array([0.75, 0.25])  # weights of an ensemble's models


def occurs(phrase, tokens):
    return any(tuple(tokens[place : place + len(phrase)]) == tuple(phrase) for place in range(len(tokens)))


class Asked:
    """What a sentence asks for."""

    def __init__(self, required=(), excluded=(), begin=()):
        self.required, self.excluded, self.begin = required, excluded, tuple(begin)

    def states(self, builder):
        required = [builder.require(*alternatives) for alternatives in self.required]
        return [*required, *([builder.exclude(*self.excluded)] if self.excluded else []), builder.begin(self.begin)]

    def missing(self, tokens):
        """Number of tokens that each requirement still needs."""
        counts = [max(len(self.begin) - len(tokens), 0)]
        for alternatives in self.required:
            done = any(occurs(phrase, tokens) for phrase in alternatives)
            ends = [
                len(phrase) - length
                for phrase in alternatives
                for length in range(len(phrase))
                if length == 0 or tuple(tokens[-length:]) == tuple(phrase[:length])
            ]
            counts.append(0 if done else min(ends))
        return counts

    def allows(self, tokens):
        """Whether the last token may come after the others."""
        if tokens[-1] == EOS:
            return not any(self.missing(tokens[:-1]))
        if tokens[: len(self.begin)] != list(self.begin[: len(tokens)]):
            return False
        return not any(tuple(tokens[-len(phrase) :]) == tuple(phrase) for phrase in self.excluded)

    def needed(self, tokens):
        """For each requirement that is not met, the first of the tokens that bring it nearer."""
        now = self.missing(tokens)
        after = [self.missing([*tokens, token]) for token in range(V)]
        nearer = [[token for token in range(V) if after[token][n] < count] for n, count in enumerate(now) if count]
        if len(tokens) < len(self.begin):
            nearer[0] = [self.begin[len(tokens)]]
        return {tokens[0] for tokens in nearer}


NOTHING = Asked()


class Constrained(RuledFake):
    """Models that are averaged, a language model, phrases, prefixes, limits on repetition: all from the definitions."""

    def __init__(self, seed, asked, prefixes=None, size=0, penalty=None, listed=False, fused=True, average=None):
        super().__init__(seed, len(asked), size, penalty, listed)
        self.helper = Fake(seed + 100, len(asked), sharpness=1.0) if fused else None
        self.average = average
        self.other = RuledFake(seed + 200, len(asked), listed=listed) if average else None
        # A prefix that is forced and another that is asked for would contradict each other.
        self.asked = [Asked(one.required, one.excluded, () if prefixes else one.begin) for one in asked]
        self.prefixes = prefixes or [()] * len(asked)

    def searched(self, limits, rows=None, **values):
        """Step, state, memory and constraints."""
        chosen = range(self.sentences) if rows is None else rows
        rules = self.rules(limits, rows, ends_if_stuck=self.size > 0, **values)
        step, *start = self, *self.start(*chosen)
        if self.other is not None:
            start = zip(start, self.other.start(*chosen), strict=True)
            step = average_models([self, self.other], tf.constant(SHARES, tf.float32), self.average, [0, 1])
        if self.helper is not None:
            start = zip(start, self.helper.start(*chosen), strict=True)
            step = shallow_fusion(step, self.helper, WEIGHT)
        start = step, *start
        builder = Builder(V)
        initial = [asked.states(builder) for asked in self.asked]
        start = with_automata(*start, builder.build([initial[row] for row in chosen]), bos_id=BOS, eos_id=EOS)
        if any(self.prefixes):
            longest = max(map(len, self.prefixes))
            prefixes = [[*prefix, *[0] * (longest - len(prefix))] for prefix in self.prefixes]
            start = with_prefix(*start, tf.constant([prefixes[row] for row in chosen]))
        if self.size or self.penalty:
            start = without_repetition(*start, rules, **self.repetition)
        return *start, rules

    def follow(self, sentence, tokens):
        log_probs, weights = super().follow(sentence, tokens)
        if self.other is not None:
            found = zip((log_probs, weights), self.other.follow(sentence, tokens), strict=True)
            log_probs, weights = map(np.stack, found)
            weights = np.tensordot(SHARES, weights, 1)
            log_probs = SHARES @ log_probs if self.average == "log_probability" else np.log(SHARES @ np.exp(log_probs))
        if self.helper is not None:
            log_probs = log_probs + WEIGHT * self.helper.follow(sentence, tokens)[0]
        log_probs = self.penalised(tokens, log_probs)
        return np.where(np.arange(len(tokens)) < len(self.prefixes[sentence]), 0.0, log_probs), weights

    def choices(self, sentence, tokens, limit, shortest=1, forbidden=()):
        """Tokens that may come after others."""
        prefix, asked = self.prefixes[sentence], self.asked[sentence]
        if len(tokens) < len(prefix):
            return [prefix[len(tokens)]]
        needed = asked.needed(tokens)
        inner = self.inner(sentence, forbidden)
        inner = [token for token in inner if token in needed or not repeats_ngram(tokens, token, self.size)]
        possible = [*inner, EOS] if len(tokens) >= shortest - 1 or (self.size and not inner) else inner
        possible = [EOS] if len(tokens) == limit - 1 else possible
        possible = [token for token in possible if asked.allows([*tokens, token])]
        if not possible:
            return [EOS]
        missing = {token: asked.missing([*tokens, token]) if token != EOS else [0] for token in possible}
        room = limit - len(tokens) - 2
        if fitting := [token for token in possible if sum(missing[token]) <= max(room, 0)]:
            return fitting
        costs = {token: sum(count + (1 - 2.0**-count) / 64 for count in missing[token]) for token in possible}
        return [token for token in possible if costs[token] < min(costs.values()) + 1e-4]


phrases = st.lists(st.sampled_from(INNER), min_size=1, max_size=3).map(tuple)
requests = st.builds(
    Asked,
    required=st.lists(st.lists(phrases, min_size=1, max_size=2), max_size=2),
    excluded=st.lists(phrases.filter(lambda phrase: len(phrase) > 1), max_size=2),
    begin=st.lists(st.sampled_from(INNER), max_size=2),
)
models = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 99),
        "asked": st.tuples(requests, requests, st.just(NOTHING)),
        "prefixes": st.sampled_from([None, [(), (4, 5), ()], [(1,), (), (5, 5)]]),
        "size": st.integers(0, 3),
        "penalty": st.sampled_from([None, 1.5]),
        "listed": st.booleans(),
        "fused": st.booleans(),
        "average": st.sampled_from([None, "log_probability", "probability"]),
    }
)
LIMITS = [5, 4, 3]


@settings(max_examples=12, derandomize=True, deadline=None, database=None)
@given(
    model=models,
    forbidden=st.sampled_from([(), (UNK,)]),
    shortest=st.sampled_from([[1, 1, 1], [2, 5, 3]]),
    length_penalty=st.sampled_from([0.0, 1.0, "average"]),
    beta=st.sampled_from([0.0, 0.5]),
)
def test_an_unpruned_beam_equals_enumeration(model, forbidden, shortest, length_penalty, beta):
    fake = Constrained(**model)
    assume(not any(token in forbidden for prefix in fake.prefixes for token in prefix))  # `with_prefix` rules it out
    values = {"min_lengths": tf.constant(shortest), "forbidden": forbidden, "length_penalty": length_penalty}
    result = beam_search(*fake.searched(LIMITS, coverage_penalty=beta, **values), beam_size=125)
    for row, limit in enumerate(LIMITS):
        expected = fake.all_hypotheses(row, limit, shortest[row], forbidden, penalty=length_penalty, beta=beta)
        check(fake, row, result, expected)


def run(kind, fake, limits, rows=None, **values):
    search = fake.searched(limits if rows is None else [limits[row] for row in rows], rows, **values)
    if kind == "sample":
        uniforms = np.random.default_rng(1).random((fake.sentences, 3, 20)).astype("f")
        return sample(*search, tf.constant(uniforms if rows is None else uniforms[rows]), temperature=2.0)
    if kind == "greedy":
        return greedy_search(*search)
    return beam_search(
        *search, beam_size=4, **({"num_groups": 2, "diversity_penalty": 0.8} if kind == "groups" else {})
    )


@pytest.mark.parametrize("kind", ["greedy", "sample", "beam", "groups"])
@settings(max_examples=2, derandomize=True, deadline=None, database=None)
@given(model=models)
def test_every_search_keeps_to_what_is_asked_whatever_its_batch(kind, model):
    fake, limits = Constrained(**model), [9, 4, 14]
    together = run(kind, fake, limits, coverage_penalty=0.2)
    for row, n, tokens in hypotheses(together):
        for place, token in enumerate(tokens):
            assert token in fake.choices(row, tokens[:place], limits[row])
        log_probs, _ = fake.follow(row, tokens)
        np.testing.assert_allclose(together.log_probs[row, n, : len(tokens)], log_probs, atol=1e-5)
        assert float(together.scores[row, n]) == pytest.approx(fake.score(row, tokens, beta=0.2), abs=1e-4)
    for row in range(3):
        alone = run(kind, fake, limits, [row], coverage_penalty=0.2)
        width = alone.tokens.shape[2]
        np.testing.assert_array_equal(together.tokens[row, :, :width], alone.tokens[0])
        np.testing.assert_allclose(together.scores[row], alone.scores[0], atol=1e-5)


@pytest.mark.parametrize("kind", ["greedy", "sample", "beam", "groups"])
def test_what_is_required_comes_in_the_last_tokens_that_are_left(kind):
    """EOS is the likeliest by far, and what is required the least likely; there is room for one more token, or none."""
    asked = [Asked([[(5, 5)], [(1, 4)]]), Asked([[(5, 1, 5, 1)]]), Asked([[(5,)], [(1,)]]), NOTHING]
    fake = Constrained(3, asked, fused=False)
    fake.logits[:, :, [1, 5]] -= 30.0
    fake.logits[:, :, 4] += 5.0
    limits = [5, 5, 4, 4]
    for row, n, tokens in hypotheses(run(kind, fake, limits)):
        assert len(tokens) <= limits[row]
        assert tokens[-1] == EOS
        for alternatives in asked[row].required:
            assert occurs(alternatives[0], tokens), (row, n, tokens)


def test_what_is_required_is_not_forced_before_the_last_tokens_that_are_left():
    fake = Constrained(3, [Asked([[(5,)]]), Asked([[(5, 1)]]), Asked([[(5,)], [(1,)]])], fused=False)
    fake.logits[:, :, [1, 5]] -= 30.0
    fake.logits[:, :, 4] += 5.0
    limits = [5, 6, 6]
    for row, _, tokens in hypotheses(run("greedy", fake, limits)):
        assert len(tokens) == limits[row]
        assert tokens[:3] == [4, 4, 4]
        assert 4 not in tokens[3:]


def test_rounding_does_not_decide_which_tokens_complete_most():
    missing = tf.constant([[[9.0, 20.004, 9.0, BLOCKED, 20.0, np.nextafter(np.float32(20), np.float32(21))]]])
    scores = tf.zeros([1, 1, V])
    output = StepOutput(scores, (), scores[:, :, :0], requirements=Requirements(missing, tf.zeros([1, 1, 1], tf.int64)))
    rules = SearchConstraints(max_lengths=tf.constant([3]), bos_id=BOS, eos_id=EOS)
    masked = rules.mask_scores(output, tf.constant(0)).numpy()[0, 0]
    assert [token for token in range(V) if masked[token] > NEG_INF / 2] == [4, 5]


@pytest.mark.parametrize("kind", ["greedy", "sample", "beam", "groups"])
def test_of_what_has_no_room_the_most_is_completed_and_what_contradicts_itself_ends(kind):
    asked = [
        Asked([[(4, 4, 4)], [(5,)]]),  # room for two tokens
        Asked([[(4, 5)]], excluded=[(5,)]),
        Asked(excluded=[(1,), (4,), (5,)]),
        Asked([[(4, 4)]], excluded=[(4,), (1,), (5,)]),
    ]
    fake = Constrained(3, asked, fused=False)
    result = run(kind, fake, [3, 6, 5, 5], min_lengths=tf.constant([1, 1, 3, 3]))
    found = [(row, tokens) for row, _, tokens in hypotheses(result)]
    assert all(5 in tokens for row, tokens in found if row == 0)
    assert all(5 not in tokens and len(tokens) <= 6 for row, tokens in found if row == 1)
    assert all(tokens == [EOS] for row, tokens in found if row > 1)
    for row, n, tokens in hypotheses(result):
        np.testing.assert_allclose(result.log_probs[row, n, : len(tokens)], fake.follow(row, tokens)[0], atol=1e-5)


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_sentences_that_ask_for_nothing_find_bit_for_bit_what_they_find_without_automata(groups, traced):
    rows, limits = [0, 1, 2, 3, 4, 5], [9, 14, 3, 8, 12, 6]
    asked = [NOTHING if row % 2 else Asked([[(4, 5, 5)], [(5, 1)]], [(1, 1)]) for row in rows]
    fake = Constrained(4, asked)
    fake.logits[:, :, EOS] -= 2.0

    def search(automata):
        *start, rules = fake.searched(limits, coverage_penalty=0.2, length_penalty=1.0)
        if not automata:
            state, memory = zip(fake.start(), fake.helper.start(), strict=True)
            start = [shallow_fusion(fake, fake.helper, WEIGHT), state, memory]
        return beam_search(*start, rules, beam_size=4, num_groups=groups, diversity_penalty=0.5)

    function = tf.function(search, autograph=False) if traced else search
    plain, asking = function(False), function(True)
    for ours, theirs in zip(asking, plain, strict=True):
        for row in rows[1::2]:
            both = [part[row] for part in (ours.numpy(), theirs.numpy())]
            width = [min(size) for size in zip(*(part.shape for part in both), strict=True)]
            one, other = (part[tuple(map(slice, width))] for part in both)
            np.testing.assert_array_equal(one, other)


def test_groups_differ_and_without_a_penalty_each_finds_the_same():
    fake, limits = Fake(3, 4, sharpness=0.7), [8, 12, 5, 9]
    rules = fake.rules(limits)
    one = beam_search(fake, *fake.start(), rules, beam_size=3)
    same = beam_search(fake, *fake.start(), rules, beam_size=6, num_groups=2)
    for ours, theirs in zip(same, one, strict=True):
        for shift in (0, 1):
            np.testing.assert_allclose(ours[:, shift::2], theirs, atol=1e-5)
    diverse = beam_search(fake, *fake.start(), rules, beam_size=6, num_groups=2, diversity_penalty=2.0)
    count = [sum(len({*map(tuple, row)}) for row in result.tokens.numpy().tolist()) for result in (same, diverse)]
    assert count[0] == 12 < count[1]
    with pytest.raises(ValueError, match="beam_size 6 is not a multiple of num_groups 4"):
        beam_search(fake, *fake.start(), rules, beam_size=6, num_groups=4)


def diverse_by_hand(fake, row, limit, groups, size, penalty):
    """Diverse beam search by lists, from its definition; finished hypotheses by group."""
    beams, finished = [[(0.0, ())] for _ in range(groups)], [[] for _ in range(groups)]
    for t in range(limit):
        chosen = []
        for group, beam in enumerate(beams):
            extended = []
            for total, tokens in beam:
                for token in [EOS] if t == limit - 1 else [*INNER, EOS]:
                    own = total + fake.follow(row, [*tokens, token])[0][-1]
                    extended.append((own - penalty * chosen.count(token), own, (*tokens, token)))
            ranked = sorted(extended, key=lambda one: -one[0])[: 2 * size]
            ends = [one[1:] for one in ranked[:size] if one[2][-1] == EOS]
            if len(finished[group]) < size:
                finished[group] = sorted(finished[group] + ends, key=lambda one: -one[0])[:size]
            beams[group] = [one[1:] for one in ranked if one[2][-1] != EOS][:size]
            chosen += [tokens[-1] for _, tokens in beams[group]]
    return sorted((one for some in finished for one in some), key=lambda one: -one[0])


@pytest.mark.parametrize(("groups", "size", "penalty"), [(2, 2, 0.5), (3, 1, 1.0), (1, 3, 1.0)])
def test_diverse_beams_equal_plain_loops(groups, size, penalty):
    fake, limits = Fake(8, 4, sharpness=0.7), [6, 4, 7, 3]
    options = {"beam_size": groups * size, "num_groups": groups, "diversity_penalty": penalty}
    result = beam_search(fake, *fake.start(), fake.rules(limits), **options)
    for row, limit in enumerate(limits):
        expected = diverse_by_hand(fake, row, limit, groups, size, penalty)
        found = [int(length) for length in result.lengths[row] if length]
        assert len(found) == len(expected)
        np.testing.assert_allclose(result.scores[row, : len(found)], [score for score, _ in expected], atol=1e-5)
        tokens = {tuple(result.tokens[row, n, :length].numpy().tolist()) for n, length in enumerate(found)}
        assert tokens == {tokens for _, tokens in expected}
