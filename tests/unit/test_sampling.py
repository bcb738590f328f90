"""Sampling: frequencies against their definition in NumPy, and draws that are nobody else's business."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.search import SearchConstraints, StepOutput, greedy_search, sample, sampling_uniforms
from tests.fake import BOS, EOS, PAD, UNK, Fake, V
from tests.reference import log_softmax, softmax

# A shape of the distribution: temperature, top_k, top_p.
SHAPES = [(1.0, None, 1.0), (0.5, None, 1.0), (3.0, None, 1.0), (1.0, 2, 1.0), (1.0, None, 0.7), (1.5, 3, 0.8)]


def distribution(logits, temperature, top_k, top_p):
    """Probabilities of a step, from the definitions; padding and BOS excluded."""
    allowed = [token for token in range(V) if token not in (PAD, BOS)]
    ranked = sorted(allowed, key=lambda token: -logits[token])[:top_k]
    probabilities = softmax(logits[ranked].astype("d") / temperature)
    kept, mass = [], 0.0
    for token, probability in zip(ranked, probabilities, strict=True):
        if mass >= top_p:
            break
        kept.append((token, probability))
        mass += probability
    result = np.zeros(V)
    for token, probability in kept:
        result[token] = probability / mass
    return result


def first_tokens(fake, uniforms, temperature, top_k, top_p):
    """The first tokens (B, N) drawn with uniform numbers (B, N); the search sorts draws by score, we by number."""
    numbers = np.repeat(uniforms[:, :, None], 2, axis=2).astype("f")
    result = sample(
        fake, *fake.start(), fake.rules([2] * fake.sentences), tf.constant(numbers),
        temperature=temperature, top_k=top_k, top_p=top_p,
    )  # fmt: skip
    return result.tokens[:, :, 0].numpy()


@pytest.mark.parametrize("shape", SHAPES)
def test_evenly_spread_numbers_give_the_distribution(shape):
    fake, count = Fake(3, 4, sharpness=1.0), 4000
    even = np.tile((np.arange(count) + 0.5) / count, (4, 1))
    tokens = first_tokens(fake, even, *shape)
    start = (BOS + 1) % fake.logits.shape[1]
    for row in range(4):
        frequencies = np.bincount(tokens[row], minlength=V) / count
        expected = distribution(fake.logits[row, start], *shape)
        np.testing.assert_allclose(frequencies, expected, atol=1.01 / count)


@pytest.mark.parametrize("shape", SHAPES[::5])
def test_drawn_numbers_give_the_distribution(shape):
    fake, count = Fake(3, 1, sharpness=1.0), 3000
    tokens = first_tokens(fake, sampling_uniforms(5, [[7, 8]], count, [1])[:, :, 0], *shape)
    expected = distribution(fake.logits[0, BOS + 1], *shape)
    found = np.bincount(tokens[0], minlength=V)
    assert not found[expected == 0].any()
    real = expected > 0
    chi_square = ((found - count * expected)[real] ** 2 / (count * expected)[real]).sum()
    assert chi_square < 16.3, "the 0.999 quantile of 3 degrees of freedom"


def test_whole_draws_follow_the_model():
    """Frequencies of whole translations are products of the steps' probabilities."""
    fake, count = Fake(8, 1, sharpness=1.0), 6000
    uniforms = sampling_uniforms(2, [[4]], count, [3])
    result = sample(fake, *fake.start(), fake.rules([3]), tf.constant(uniforms))
    drawn = [tuple(tokens) for tokens in result.tokens[0].numpy().tolist()]
    for hypothesis in {tuple(tokens) for tokens in drawn}:
        tokens = [token for token in hypothesis if token != PAD]
        probability, state = 1.0, 0
        for previous, token in zip([BOS, *tokens[:-1]], tokens[:2], strict=False):
            state = 7 * state + previous + 1
            state %= fake.logits.shape[1]
            probability *= distribution(fake.logits[0, state], 1.0, None, 1.0)[token]
        spread = np.sqrt(probability * (1 - probability) / count)
        assert drawn.count(hypothesis) / count == pytest.approx(probability, abs=4.5 * spread)


def test_scores_are_the_models_own_and_sorted():
    fake = Fake(5, 6)
    limits = [10, 2, 7, 9, 4, 10]
    uniforms = sampling_uniforms(1, [[i] for i in range(6)], 4, limits)
    rules = fake.rules(limits, length_penalty=0.6, coverage_penalty=0.4, min_lengths=tf.fill([6], 3), forbidden=(UNK,))
    result = sample(fake, *fake.start(), rules, tf.constant(uniforms), temperature=2.0, top_k=4, top_p=0.9)
    for row in range(6):
        for n in range(4):
            length = int(result.lengths[row, n])
            tokens = result.tokens[row, n, :length].numpy().tolist()
            assert min(3, limits[row]) <= length <= limits[row]
            assert tokens.index(EOS) == length - 1
            assert not {PAD, BOS, UNK} & set(tokens)
            log_probs, weights = fake.follow(row, tokens)
            np.testing.assert_allclose(result.log_probs[row, n, :length], log_probs, atol=1e-5)
            np.testing.assert_allclose(result.attention[row, n, :length], weights, atol=1e-6)
            assert not result.attention[row, n, length:].numpy().any()
            expected = fake.score(row, tokens, penalty=0.6, beta=0.4)
            assert float(result.scores[row, n]) == pytest.approx(expected, abs=1e-5)
    assert (np.diff(result.scores.numpy(), axis=1) <= 0).all()
    assert (np.diff(result.scores.numpy(), axis=1) < 0).any()


@pytest.mark.parametrize("shape", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 0.001}])
def test_narrow_shapes_equal_greedy(shape):
    fake = Fake(1, 8)
    rules = fake.rules([3, 12, 1, 7, 9, 12, 5, 12])
    uniforms = sampling_uniforms(3, [[i] for i in range(8)], 1, [12] * 8)
    drawn = sample(fake, *fake.start(), rules, tf.constant(uniforms), **shape)
    for ours, other in zip(drawn, greedy_search(fake, *fake.start(), rules), strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-5)


def test_numbers_at_the_ends_draw_what_may_come():
    """A number next to 1, and rounding, must not reach the tokens that are out of reach."""
    generator = np.random.default_rng(0)
    vocabulary = 999
    logits = generator.normal(size=(40, 1, vocabulary)).astype("f")

    def step(tokens, state, memory):
        log_probs = tf.nn.log_softmax(tf.repeat(memory, tf.shape(tokens)[1], axis=1))
        return StepOutput(log_probs, state, tf.zeros([40, tf.shape(tokens)[1], 0]))

    forbidden = tuple(range(4, 900))
    rules = SearchConstraints(max_lengths=tf.fill([40], 2), bos_id=BOS, eos_id=EOS, forbidden=forbidden)
    ends = np.array([0.0, np.nextafter(np.float32(1), np.float32(0))], "f")
    uniforms = tf.constant(np.tile(ends[None, :, None], (40, 1, 2)))
    for top_k in (None, 950):
        result = sample(step, tf.zeros([40, 1, 1]), tf.constant(logits), rules, uniforms, top_k=top_k)
        first = result.tokens[:, :, 0].numpy()
        assert not np.isin(first, [PAD, BOS, *forbidden]).any()
        log_probs = log_softmax(logits[:, 0])[np.arange(40)[:, None], first]
        np.testing.assert_allclose(result.log_probs[:, :, 0], log_probs, atol=1e-4)
        assert (first[:, 0] != first[:, 1]).all(), "the likeliest and the least likely"


def test_numbers_depend_on_seed_sentence_and_draw_alone():
    sentences, lengths = [[4, 5, 6], [4, 5], [9]], [7, 3, 5]
    numbers = sampling_uniforms(11, sentences, 3, lengths)
    assert numbers.shape == (3, 3, 7)
    assert numbers.dtype == np.float32
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert not numbers[1, :, 3:].any()
    # Alone, among others, in another order, with more draws, with more or less room: the same.
    np.testing.assert_array_equal(sampling_uniforms(11, [[9]], 1, [9])[0, 0, :5], numbers[2, 0, :5])
    np.testing.assert_array_equal(sampling_uniforms(11, sentences[::-1], 8, [2, 3, 7])[2, :3], numbers[0])
    # Another seed, sentence or draw: others.
    others = [numbers[0, 0], numbers[0, 1], numbers[1, 0], sampling_uniforms(12, sentences, 1, lengths)[0, 0]]
    firsts = {tuple(other[:3].tolist()) for other in others}
    assert len(firsts) == len(others)
    # A sentence is not mixed up with a draw of another seed: each has a place of its own.
    assert sampling_uniforms(1, [[0, 4]], 1, [1])[0, 0, 0] != sampling_uniforms(1, [[4]], 1, [1])[0, 0, 0]
