"""Search over a three-line fake model, against exhaustive enumeration."""

from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.search import beam_search, greedy_search, normalized
from tests.reference import log_softmax

PAD, UNK, BOS, EOS = 0, 1, 2, 3
V, S, BUCKETS = 6, 3, 31
IDS = {"bos_id": BOS, "eos_id": EOS, "pad_id": PAD}
INNER = [UNK, 4, 5]  # tokens that a translation may hold before EOS


class Fake:
    """Logits and attention are looked up by a hash of all tokens so far, so a wrong gather of states shows."""

    def __init__(self, seed: int, sentences: int, sharpness: float = 2.0) -> None:
        generator = np.random.default_rng(seed)
        self.logits = (sharpness * generator.normal(size=(sentences, BUCKETS, V))).astype("f")
        self.weights = generator.dirichlet(np.ones(S), size=(sentences, BUCKETS)).astype("f")
        self.sentences = sentences

    def __call__(self, tokens, state, memory):
        state = (7 * state + tokens[:, :, None] + 1) % BUCKETS
        row = tf.repeat(memory[:, None], tf.shape(tokens)[1], axis=1)
        index = tf.stack([row, state[:, :, 0]], axis=-1)
        return tf.gather_nd(self.logits, index), state, tf.gather_nd(self.weights, index)

    def start(self):
        return tf.zeros([self.sentences, 1, 1], tf.int32), tf.range(self.sentences)

    def follow(self, sentence, tokens):
        """Token log-probabilities and attention of one hypothesis, step by step."""
        state, log_probs, weights = 0, [], []
        for previous, token in zip([BOS, *tokens[:-1]], tokens, strict=True):
            state = (7 * state + previous + 1) % BUCKETS
            log_probs.append(log_softmax(self.logits[sentence, state])[token])
            weights.append(self.weights[sentence, state])
        return np.array(log_probs), np.array(weights)

    def exhaustive(self, sentence, max_length, penalty):
        """All hypotheses, best first."""
        hypotheses = [[*inner, EOS] for n in range(max_length) for inner in product(INNER, repeat=n)]
        scored = [
            (float(normalized(tf.constant(self.follow(sentence, h)[0].sum(), tf.float32), len(h), penalty)), h)
            for h in hypotheses
        ]
        return sorted(scored, key=lambda pair: -pair[0])


@pytest.mark.parametrize("penalty", [0.0, 1.0, "average"])
@pytest.mark.parametrize("seed", range(3))
def test_an_unpruned_beam_equals_exhaustive_search(seed, penalty):
    limits = [4, 2, 3]
    fake = Fake(seed, len(limits))
    result = beam_search(fake, *fake.start(), tf.constant(limits), beam_size=40, length_penalty=penalty, **IDS)
    for row, limit in enumerate(limits):
        expected = fake.exhaustive(row, limit, penalty)
        found = int((result.lengths[row].numpy() > 0).sum())
        assert found == min(len(expected), 40)
        for n in range(found):
            score, hypothesis = expected[n]
            length = int(result.lengths[row, n])
            assert result.tokens[row, n, :length].numpy().tolist() == hypothesis
            assert float(result.scores[row, n]) == pytest.approx(score, abs=1e-5)
            log_probs, weights = fake.follow(row, hypothesis)
            np.testing.assert_allclose(result.log_probs[row, n, :length], log_probs, atol=1e-5)
            np.testing.assert_allclose(result.weights[row, n, :length], weights, atol=1e-6)
            assert not result.tokens[row, n, length:].numpy().any()
            assert not result.log_probs[row, n, length:].numpy().any()
            assert not result.weights[row, n, length:].numpy().any()


@pytest.mark.parametrize("seed", range(4))
def test_beam_1_equals_greedy(seed):
    fake = Fake(seed, 8, sharpness=1.0)
    limits = tf.constant([3, 12, 1, 7, 9, 12, 5, 12])
    greedy = greedy_search(fake, *fake.start(), limits, **IDS)
    beam = beam_search(fake, *fake.start(), limits, beam_size=1, **IDS)
    for ours, other in zip(greedy, beam, strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-5)


@pytest.mark.parametrize("beam_size", [1, 2, 3])
def test_scores_are_the_sums_of_their_parts(beam_size):
    fake = Fake(5, 6)
    limits = tf.fill([6], 10)
    result = beam_search(fake, *fake.start(), limits, beam_size=beam_size, length_penalty=0.6, **IDS)
    for row in range(6):
        for n in range(beam_size):
            tokens = result.tokens[row, n, : int(result.lengths[row, n])].numpy().tolist()
            assert tokens[-1] == EOS
            assert EOS not in tokens[:-1]
            assert not {PAD, BOS} & set(tokens)
            total = fake.follow(row, tokens)[0].sum() / ((5 + len(tokens)) / 6) ** 0.6
            assert float(result.scores[row, n]) == pytest.approx(total, abs=1e-5)
    assert (np.diff(result.scores.numpy(), axis=1) <= 0).all()
    rows = [{tuple(tokens) for tokens in row} for row in result.tokens.numpy().tolist()]
    assert all(len(row) == beam_size for row in rows), "hypotheses are distinct"


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_sentence_is_frozen_whatever_its_batch_does(beam_size):
    limits = [2, 15, 4, 9]
    fake = Fake(2, 4, sharpness=0.7)
    together = beam_search(fake, *fake.start(), tf.constant(limits), beam_size=beam_size, length_penalty=1.0, **IDS)
    for row, limit in enumerate(limits):
        state, memory = fake.start()
        alone = beam_search(
            fake,
            state[row : row + 1],
            memory[row : row + 1],
            tf.constant([limit]),
            beam_size=beam_size,
            length_penalty=1.0,
            **IDS,
        )
        width = alone.tokens.shape[2]
        np.testing.assert_array_equal(together.tokens[row, :, :width], alone.tokens[0])
        np.testing.assert_allclose(together.scores[row], alone.scores[0], atol=1e-6)
        assert not together.tokens[row, :, width:].numpy().any()


def test_max_length_ends_with_eos():
    fake = Fake(1, 2)
    fake.logits[:, :, EOS] = -20.0  # a model that never wants to stop
    for search in (
        greedy_search(fake, *fake.start(), tf.constant([3, 5]), **IDS),
        beam_search(fake, *fake.start(), tf.constant([3, 5]), beam_size=2, **IDS),
    ):
        assert search.lengths[:, 0].numpy().tolist() == [3, 5]
        for row, length in enumerate([3, 5]):
            assert int(search.tokens[row, 0, length - 1]) == EOS
            tokens = search.tokens[row, 0, :length].numpy().tolist()
            np.testing.assert_allclose(search.log_probs[row, 0, :length], fake.follow(row, tokens)[0], atol=1e-4)


def test_padding_and_bos_are_never_chosen():
    fake = Fake(3, 3)
    fake.logits[:, :, [PAD, BOS]] = 30.0
    for result in (
        greedy_search(fake, *fake.start(), tf.fill([3], 6), **IDS),
        beam_search(fake, *fake.start(), tf.fill([3], 6), beam_size=3, **IDS),
    ):
        for row in range(3):
            tokens = result.tokens[row, 0, : int(result.lengths[row, 0])].numpy().tolist()
            assert not {PAD, BOS} & set(tokens)


def test_length_penalties():
    scores, lengths = tf.constant([-6.0, -6.0]), tf.constant([1, 7])
    np.testing.assert_allclose(normalized(scores, lengths, 0.0), [-6, -6])
    np.testing.assert_allclose(normalized(scores, lengths, 1.0), [-6, -3])
    np.testing.assert_allclose(normalized(scores, lengths, "average"), [-6, -6 / 7], rtol=1e-6)
