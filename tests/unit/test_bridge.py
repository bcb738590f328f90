"""What the decoder starts from, against NumPy, with rows of unequal lengths."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.layers.bridge import Bridge
from tests.conftest import randomize

B, S, M, UNITS = 3, 4, 6, 5
LENGTHS = [4, 1, 3]
MASK = np.arange(S) < np.array(LENGTHS)[:, None]


@pytest.fixture
def left(rng):
    """Last states of two encoder layers of LSTMs, the top layer's states (with garbage in padding)."""
    last = [[rng.normal(size=(B, M)).astype("f") for _ in range(2)] for _ in range(2)]
    states = rng.normal(size=(B, S, M)).astype("f") - 3.0  # a maximum over padding's zeros would show
    states[~MASK] = 99.0
    return last, states


def make(summary, sizes=((UNITS, UNITS), (UNITS, UNITS)), **options):
    bridge = Bridge(summary, sizes, **options)
    bridge.build(M, 2 * M)
    randomize(bridge)
    return bridge


def tensors(left):
    last, states = left
    return [[tf.constant(state) for state in layer] for layer in last], tf.constant(states), tf.constant(MASK)


def summary_of(kind, left):
    last, states = left
    if kind == "dense":
        return np.concatenate([layer[0] for layer in last], axis=-1)
    pool = np.mean if kind == "mean" else np.max
    return np.stack([pool(states[row, :length], axis=0) for row, length in enumerate(LENGTHS)])


@pytest.mark.parametrize("kind", ["dense", "mean", "max"])
def test_a_learnt_transform_of_the_summary(kind, left):
    bridge = make(kind)
    first, vector = bridge(*tensors(left))
    expected = summary_of(kind, left)
    np.testing.assert_allclose(vector, expected, atol=1e-5)
    for i, layer in enumerate(first):
        for j, state in enumerate(layer):
            dense = bridge.layers[i][j]
            by_hand = np.tanh(expected @ np.asarray(dense.kernel) + np.asarray(dense.bias))
            np.testing.assert_allclose(state, by_hand, atol=1e-5)
    assert len({tuple(np.ravel(state)) for layer in first for state in layer}) == 4, "each state has its own weights"


def test_last_hands_all_states_on(left):
    bridge = make("copy", ((M, M), (M, M)))
    assert not bridge.weights
    first, vector = bridge(*tensors(left))
    for layer, expected in zip(first, left[0], strict=True):
        for state, value in zip(layer, expected, strict=True):
            np.testing.assert_array_equal(state, value)
    np.testing.assert_array_equal(vector, left[0][-1][0])


def test_a_transformed_vector_has_a_layer_of_its_own(left):
    bridge = make("dense", context_size=7)
    first, vector = bridge(*tensors(left))
    summary = summary_of("dense", left)
    expected = np.tanh(summary @ np.asarray(bridge.context_layer.kernel) + np.asarray(bridge.context_layer.bias))
    np.testing.assert_allclose(vector, expected, atol=1e-5)
    dense = bridge.layers[1][0]
    by_hand = np.tanh(expected @ np.asarray(dense.kernel) + np.asarray(dense.bias))
    np.testing.assert_allclose(first[1][0], by_hand, atol=1e-5)
    assert bridge.width == 7
