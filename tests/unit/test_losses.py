"""The label-smoothed loss and its own gradient, against NumPy and automatic differentiation."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.layers import smoothed_cross_entropy
from tests.reference import log_softmax

N, V = 4, 6
LABELS = np.array([0, 5, 2, 2], np.int32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_equals_numpy(smoothing, rng):
    logits = (3 * rng.normal(size=(N, V))).astype("f")
    loss, nll = smoothed_cross_entropy(tf.constant(logits), tf.constant(LABELS), smoothing)
    log_probs = log_softmax(logits)
    wanted = np.full((N, V), smoothing / V)
    wanted[np.arange(N), LABELS] += 1 - smoothing
    np.testing.assert_allclose(loss, -(wanted * log_probs).sum(1), rtol=1e-5)
    np.testing.assert_allclose(nll, -log_probs[np.arange(N), LABELS], rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_gradient_equals_automatic_differentiation(smoothing, rng):
    logits = tf.constant((3 * rng.normal(size=(N, V))).astype("f"))
    outer = tf.constant(rng.normal(size=N).astype("f"))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        ours = tf.reduce_sum(outer * smoothed_cross_entropy(logits, tf.constant(LABELS), smoothing)[0])
        wanted = (1 - smoothing) * tf.one_hot(LABELS, V) + smoothing / V
        plain = tf.reduce_sum(outer * -tf.reduce_sum(wanted * tf.nn.log_softmax(logits), axis=1))
    np.testing.assert_allclose(tape.gradient(ours, logits), tape.gradient(plain, logits), atol=1e-6)


def test_large_logits_stay_finite():
    logits = tf.constant([[1e4, -1e4, 0.0]])
    loss, nll = smoothed_cross_entropy(logits, tf.constant([1]), 0.1)
    assert np.isfinite(loss).all()
    assert float(nll[0]) == pytest.approx(2e4)


def test_no_positions_give_no_losses():
    loss, nll = smoothed_cross_entropy(tf.zeros([0, V]), tf.zeros([0], tf.int32), 0.1)
    assert loss.shape == nll.shape == (0,)
