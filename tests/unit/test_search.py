"""Search over a fake model, against exhaustive enumeration."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.search import (
    SearchConstraints,
    beam_search,
    coverage_penalty,
    greedy_search,
    normalize_scores,
    sample,
    top_k,
)
from seq2seq.search.loop import run_search
from tests.fake import BOS, BUCKETS, EOS, PAD, UNK, Fake, check


@pytest.mark.parametrize("beta", [0.0, 0.7])
@pytest.mark.parametrize("penalty", [0.0, 1.0, "average"])
@pytest.mark.parametrize("seed", range(3))
def test_an_unpruned_beam_equals_exhaustive_search(seed, penalty, beta):
    limits = [4, 2, 3]
    fake = Fake(seed, len(limits))
    rules = fake.rules(limits, length_penalty=penalty, coverage_penalty=beta)
    result = beam_search(fake, *fake.start(), rules, beam_size=40)
    for row, limit in enumerate(limits):
        check(fake, row, result, fake.exhaustive(row, limit, penalty=penalty, beta=beta))


def test_a_coverage_penalty_changes_the_order():
    fake = Fake(0, 1)
    assert fake.exhaustive(0, 4)[0] != fake.exhaustive(0, 4, beta=3.0)[0], "or these tests would not see it"
    result = beam_search(fake, *fake.start(), fake.rules([4], coverage_penalty=3.0), beam_size=40, keep_attention=False)
    assert result.attention.shape[-1] == 0
    for n, (score, tokens) in enumerate(fake.exhaustive(0, 4, beta=3.0)):
        assert float(result.scores[0, n]) == pytest.approx(score, abs=1e-5)
        covered = fake.follow(0, tokens)[1].sum(axis=0)
        np.testing.assert_allclose(result.coverage[0, n], covered, atol=1e-5, err_msg="it needs no attention")


def test_coverage_scores(rng):
    mask = np.array([[True, True, True, True], [True, True, False, False]])
    covered = (2 * rng.random((2, 3, 4))).astype("f")
    expected = np.where(mask[:, None], np.log(np.minimum(covered, 1.0)), 0.0).sum(axis=-1)
    np.testing.assert_allclose(coverage_penalty(tf.constant(covered), tf.constant(mask)), expected, atol=1e-6)
    nothing = coverage_penalty(tf.zeros([1, 1, 3]), tf.constant([[True, True, False]]))
    assert -50 < float(nothing[0, 0]) < -40, "finite, and of the two real positions"
    with pytest.raises(ValueError, match=r"coverage_penalty is 0\.5: pass source_mask"):
        SearchConstraints(max_lengths=tf.constant([3]), bos_id=BOS, eos_id=EOS, coverage_penalty=0.5)


@pytest.mark.parametrize("beta", [0.0, 0.7])
def test_min_length_and_forbidden_tokens_equal_exhaustive_search_without_the_others(beta):
    limits, shortest = [4, 2, 4], [3, 3, 1]  # the second sentence's limit wins
    fake = Fake(4, 3)
    fake.logits[:, :, EOS] += 2.0
    rules = fake.rules(limits, min_lengths=tf.constant(shortest), forbidden=(UNK,), coverage_penalty=beta)
    result = beam_search(fake, *fake.start(), rules, beam_size=20)
    greedy = greedy_search(fake, *fake.start(), rules)
    for row in range(3):
        expected = fake.exhaustive(row, limits[row], min_length=shortest[row], inner=(4, 5), beta=beta)
        check(fake, row, result, expected)
        tokens = greedy.tokens[row, 0, : int(greedy.lengths[row, 0])].numpy().tolist()
        assert (pytest.approx(float(greedy.scores[row, 0]), abs=1e-5), tokens) in expected


def step_by_step(fake, row, limit, shortest, forbidden):
    """Greedy search in NumPy."""
    state, tokens = 0, [BOS]
    while tokens[-1] != EOS:
        state = (7 * state + tokens[-1] + 1) % BUCKETS
        logits = fake.logits[row, state].copy()
        logits[[PAD, BOS, *forbidden]] = -np.inf
        if len(tokens) < shortest:
            logits[EOS] = -np.inf
        tokens.append(EOS if len(tokens) == limit else int(logits.argmax()))
    return tokens[1:]


@pytest.mark.parametrize("shortest", [1, 4])
@pytest.mark.parametrize("forbidden", [(), (UNK,)])
def test_greedy_takes_the_likeliest_that_may_come(shortest, forbidden):
    limits = [3, 12, 1, 7, 9, 12, 5, 12]
    fake = Fake(6, 8, sharpness=1.0)
    rules = fake.rules(limits, min_lengths=tf.fill([8], shortest), forbidden=forbidden, coverage_penalty=0.3)
    result = greedy_search(fake, *fake.start(), rules)
    for row, limit in enumerate(limits):
        tokens = step_by_step(fake, row, limit, shortest, forbidden)
        check(fake, row, result, [(fake.score(row, tokens, beta=0.3), tokens)])


@pytest.mark.parametrize("beta", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_beam_1_equals_greedy(seed, beta):
    fake = Fake(seed, 8, sharpness=1.0)
    rules = fake.rules(
        [3, 12, 1, 7, 9, 12, 5, 12], min_lengths=tf.fill([8], 3), forbidden=(UNK,), coverage_penalty=beta
    )
    greedy = greedy_search(fake, *fake.start(), rules)
    beam = beam_search(fake, *fake.start(), rules, beam_size=1)
    for ours, other in zip(greedy, beam, strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-5)


@pytest.mark.parametrize("beam_size", [1, 2, 3])
def test_scores_are_the_sums_of_their_parts(beam_size):
    fake = Fake(5, 6)
    rules = fake.rules([10] * 6, length_penalty=0.6, coverage_penalty=0.4)
    result = beam_search(fake, *fake.start(), rules, beam_size=beam_size)
    for row in range(6):
        for n in range(beam_size):
            tokens = result.tokens[row, n, : int(result.lengths[row, n])].numpy().tolist()
            assert tokens[-1] == EOS
            assert EOS not in tokens[:-1]
            assert not {PAD, BOS} & set(tokens)
            total = fake.score(row, tokens, penalty=0.6, beta=0.4)
            assert float(result.scores[row, n]) == pytest.approx(total, abs=1e-5)
    assert (np.diff(result.scores.numpy(), axis=1) <= 0).all()
    rows = [{tuple(tokens) for tokens in row} for row in result.tokens.numpy().tolist()]
    assert all(len(row) == beam_size for row in rows), "hypotheses are distinct"


def searches(fake, limits, rows=None, **values):
    """A result of each kind of search."""
    rules, start = fake.rules(limits, rows, **values), fake.start(*(rows or ()))
    uniforms = np.random.default_rng(1).random((fake.sentences, 3, 15)).astype("f")
    return (
        greedy_search(fake, *start, rules),
        beam_search(fake, *start, rules, beam_size=3),
        sample(fake, *start, rules, tf.constant(uniforms if rows is None else uniforms[rows]), top_k=3),
    )


def test_a_sentence_is_frozen_whatever_its_batch_does():
    limits = [2, 15, 4, 9]
    fake = Fake(2, 4, sharpness=0.7)
    penalties = {"length_penalty": 1.0, "coverage_penalty": 0.5}
    kinds = searches(fake, limits, **penalties)
    for row, limit in enumerate(limits):
        for together, alone in zip(kinds, searches(fake, [limit], [row], **penalties), strict=True):
            width = alone.tokens.shape[2]
            np.testing.assert_array_equal(together.tokens[row, :, :width], alone.tokens[0])
            np.testing.assert_allclose(together.scores[row], alone.scores[0], atol=1e-6)
            assert not together.tokens[row, :, width:].numpy().any()


def test_max_length_ends_with_eos():
    fake = Fake(1, 2)
    fake.logits[:, :, EOS] = -20.0  # a model that never wants to stop
    for result in searches(fake, [3, 5]):
        assert result.lengths[:, 0].numpy().tolist() == [3, 5]
        for row, length in enumerate([3, 5]):
            assert int(result.tokens[row, 0, length - 1]) == EOS
            tokens = result.tokens[row, 0, :length].numpy().tolist()
            np.testing.assert_allclose(result.log_probs[row, 0, :length], fake.follow(row, tokens)[0], atol=1e-4)


def test_what_must_not_be_chosen_is_not():
    fake = Fake(3, 3)
    fake.logits[:, :, [PAD, BOS, UNK]] = 30.0
    fake.logits[:, :, EOS] = 20.0
    for result in searches(fake, [6, 5, 4], min_lengths=tf.constant([4, 4, 4]), forbidden=(UNK,)):
        for tokens in result.tokens.numpy().reshape(-1, result.tokens.shape[2]).tolist():
            hypothesis = tokens[: tokens.index(EOS) + 1]
            assert not {PAD, BOS, UNK} & set(hypothesis)
            assert len(hypothesis) >= 4


def test_a_model_whose_logits_are_no_numbers_ends_too():
    fake = Fake(3, 3)
    fake.logits[:] = np.nan
    for result in searches(fake, [6, 5, 4], coverage_penalty=0.5):
        assert result.tokens.shape[2] <= 6


def test_length_penalties():
    scores, lengths = tf.constant([-6.0, -6.0]), tf.constant([1, 7])
    np.testing.assert_allclose(normalize_scores(scores, lengths, 0.0), [-6, -6])
    np.testing.assert_allclose(normalize_scores(scores, lengths, 1.0), [-6, -3])
    np.testing.assert_allclose(normalize_scores(scores, lengths, "average"), [-6, -6 / 7], rtol=1e-6)


@pytest.mark.parametrize(("size", "k"), [(1, 1), (3, 8), (31, 4), (64, 64), (97, 10), (1000, 24)])
@pytest.mark.parametrize("traced", [False, True])
def test_top_k_by_blocks_equals_sorting(rng, size, k, traced):
    values = rng.integers(0, 40, (2, 3, size)).astype("f")  # with many ties
    function = tf.function(lambda x: top_k(x, k), input_signature=[tf.TensorSpec([None, None, None])], autograph=False)
    best, places = (function if traced else lambda x: top_k(x, k))(tf.constant(values))
    order = np.argsort(-values, axis=-1, kind="stable")[:, :, :k]
    np.testing.assert_array_equal(places, order)
    np.testing.assert_array_equal(best, np.take_along_axis(values, order, -1))


@pytest.mark.parametrize("search", ["beam", "greedy", "sample"])
def test_sentences_that_leave_the_loop_early_change_nothing(search):
    """Limits spread wide, so that the batch is halved several times; and each sentence alone, which never is."""
    limits = [3, 14, 1, 9, 2, 1, 20, 2, 5, 1, 30]
    fake = Fake(7, len(limits))
    fake.logits[:, :, EOS] -= 3.0
    uniforms = tf.constant(np.random.default_rng(3).random((len(limits), 2, max(limits)), "f"))

    def run(rows):
        state, memory = fake.start(*rows)
        rules = fake.rules([limits[row] for row in rows], rows, coverage_penalty=0.3, length_penalty=1.0)
        if search == "beam":
            return beam_search(fake, state, memory, rules, beam_size=3)
        if search == "greedy":
            return greedy_search(fake, state, memory, rules)
        return sample(fake, state, memory, rules, tf.gather(uniforms, rows))

    each_alone = [run([row]) for row in range(len(limits))]
    for function in (run, tf.function(run, autograph=False)):
        together = function(list(range(len(limits))))
        assert len(set(together.lengths[:, 0].numpy().tolist())) > 5, "or nothing leaves early"
        for row, alone in enumerate(each_alone):
            length = alone.tokens.shape[2]
            np.testing.assert_array_equal(together.tokens[row, :, :length], alone.tokens[0])
            assert not together.tokens[row, :, length:].numpy().any()
            np.testing.assert_allclose(together.scores[row], alone.scores[0], atol=1e-6)
            np.testing.assert_allclose(together.log_probs[row, :, :length], alone.log_probs[0], atol=1e-6)
            np.testing.assert_allclose(together.attention[row, :, :length], alone.attention[0], atol=1e-6)


def test_the_loop_goes_on_with_the_sentences_that_are_left():
    seen = []

    def step(t, rows, outcome, carried, memory):
        np.testing.assert_array_equal(memory, 10 * rows.numpy())
        seen.append(rows.numpy().tolist())
        return outcome + 1, carried, (rows + 1,)

    ends = tf.constant([1, 4, 2, 1, 1, 2, 7, 1])
    steps, counts, (trace,) = run_search(
        step, lambda t, rows, _: t >= tf.gather(ends, rows), tf.zeros(8, tf.int32), ends, 10 * tf.range(8), [tf.int64]
    )
    assert seen == [list(range(8)), [1, 2, 5, 6], *[[1, 6]] * 2, *[[6]] * 3]
    assert int(steps) == 7
    assert counts.numpy().tolist() == [1, 4, 2, 1, 1, 2, 7, 1]
    expected = np.zeros((7, 8), int)
    for t, rows in enumerate(seen):
        expected[t, rows] = np.array(rows) + 1
    np.testing.assert_array_equal(trace.stack(), expected)
