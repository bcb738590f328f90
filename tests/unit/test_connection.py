"""Residual, highway and norm against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.layers import Encoder, RandomStream
from seq2seq.layers.pointwise import ResidualConnection
from seq2seq.layers.stack import RecurrentStack
from tests.conftest import randomize
from tests.reference import normalize, sigmoid

B, T, UNITS = 2, 3, 5


def make(residual, layer_norm):
    layer = ResidualConnection(residual, layer_norm)
    layer.build((None, UNITS))
    randomize(layer)
    return layer


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("residual", [False, True, "highway"])
def test_equals_numpy(residual, layer_norm, rng):
    layer = make(residual, layer_norm)
    outputs, inputs = rng.normal(size=(2, B, T, UNITS)).astype("f")
    expected = outputs
    if residual is True:
        expected = outputs + inputs
    if residual == "highway":
        gate = sigmoid(inputs @ np.asarray(layer.gate.kernel) + np.asarray(layer.gate.bias))
        expected = gate * outputs + (1 - gate) * inputs
    if layer_norm:
        expected = normalize(expected) * np.asarray(layer.norm.scale) + np.asarray(layer.norm.shift)
    np.testing.assert_allclose(layer(tf.constant(outputs), tf.constant(inputs)), expected, atol=1e-5)


def test_the_bottom_layer_joins_nothing(rng):
    """Its inputs may have any width."""
    outputs = tf.constant(rng.normal(size=(B, T, UNITS)).astype("f"))
    layer = make(False, layer_norm=False)
    assert not layer.weights
    np.testing.assert_array_equal(layer(outputs, tf.zeros([B, T, UNITS + 1])), outputs)


@pytest.mark.parametrize("residual", [True, "highway"])
def test_no_stack_joins_at_the_bottom(residual):
    shared = {"cell": "gru", "layers": 3, "units": 4, "residual": residual, "stream": RandomStream(1)}
    joins = [connection.residual for (connection,) in RecurrentStack(**shared).connections]
    both = [[connection.residual for connection in layer] for layer in Encoder(**shared).connections]
    assert joins == [False, residual, residual]
    assert both == [[False], [residual], [residual]]


def test_a_highway_starts_nearly_closed(rng):
    layer = ResidualConnection("highway", layer_norm=False)
    layer.build((None, UNITS))
    layer.gate.kernel.assign(np.zeros((UNITS, UNITS)))
    outputs, inputs = (tf.constant(rng.normal(size=(B, UNITS)).astype("f")) for _ in range(2))
    share = 1 / (1 + np.e)
    np.testing.assert_allclose(layer(outputs, inputs), share * outputs + (1 - share) * inputs, atol=1e-6)


def test_the_norm_is_float32_inside(rng):
    layer = ResidualConnection(False, True, dtype="mixed_float16")
    layer.build((None, UNITS))
    x = rng.normal(size=(B, UNITS)) * 0.3 + 300.0  # its square overflows float16
    found = layer(tf.constant(x, tf.float16), tf.zeros([B, UNITS], tf.float16))
    assert found.dtype == tf.float16
    np.testing.assert_allclose(found, normalize(x.astype("float16").astype("f")), atol=0.01)
