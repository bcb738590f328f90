"""Cells against NumPy, gate by gate, and against Keras's own layers."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.layers import DeepTransitionCell, GRUCell, LayerNormGRUCell, LayerNormLSTMCell, LSTMCell
from seq2seq.layers.cells import make_cell
from tests.conftest import randomize
from tests.reference import cell_step, gru_step, lstm_step, sigmoid

N, INPUTS, UNITS = 2, 3, 5


def make(cell_class):
    cell = cell_class(UNITS)
    cell.build((None, INPUTS))
    randomize(cell)
    return cell, [np.asarray(weight) for weight in (cell.kernel, cell.recurrent_kernel, cell.bias)]


def test_gru_cell_equals_numpy(rng):
    cell, weights = make(GRUCell)
    x, h = rng.normal(size=(N, INPUTS)).astype("f"), rng.normal(size=(N, UNITS)).astype("f")
    output, states = cell(tf.constant(x), [tf.constant(h)])
    expected = gru_step(x, h, *weights)
    np.testing.assert_allclose(output, expected, atol=1e-6)
    assert len(states) == 1
    np.testing.assert_allclose(states[0], expected, atol=1e-6)


def test_lstm_cell_equals_numpy(rng):
    cell, weights = make(LSTMCell)
    x = rng.normal(size=(N, INPUTS)).astype("f")
    h, c = rng.normal(size=(2, N, UNITS)).astype("f")
    output, (new_h, new_c) = cell(tf.constant(x), [tf.constant(h), tf.constant(c)])
    expected_h, expected_c = lstm_step(x, h, c, *weights)
    np.testing.assert_allclose(output, expected_h, atol=1e-6)
    np.testing.assert_allclose(new_h, expected_h, atol=1e-6)
    np.testing.assert_allclose(new_c, expected_c, atol=1e-6)


@pytest.mark.parametrize("cell_class", [GRUCell, LSTMCell])
def test_cell_keeps_the_keras_contract(cell_class):
    cell, _ = make(cell_class)
    assert cell.output_size == UNITS
    assert list(cell.state_size) == [UNITS] * (2 if cell_class is LSTMCell else 1)


@pytest.mark.parametrize("cell_class", [GRUCell, LSTMCell])
def test_no_units_is_an_error(cell_class):
    with pytest.raises(ValueError, match="units is 0"):
        cell_class(0)


def test_forget_gate_starts_open():
    cell = LSTMCell(UNITS)
    cell.build((None, INPUTS))
    i, f, g, o = np.split(np.asarray(cell.bias), 4)
    assert (f == 1).all()
    for gate in (i, g, o):
        assert not gate.any()


@pytest.mark.parametrize("cell_class", [LayerNormGRUCell, LayerNormLSTMCell])
def test_layer_norm_cell_equals_numpy(cell_class, rng):
    cell, _ = make(cell_class)
    x = rng.normal(size=(N, INPUTS)).astype("f")
    states = [rng.normal(size=(N, UNITS)).astype("f") for _ in cell.state_size]
    expected = cell_step(cell, x, states)
    output, new = cell(tf.constant(x), [tf.constant(state) for state in states])
    np.testing.assert_allclose(output, expected[0], atol=1e-5)
    for found, value in zip(new, expected, strict=True):
        np.testing.assert_allclose(found, value, atol=1e-5)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_deep_transition_is_its_cells_one_after_the_other(kind, rng):
    cell = make_cell(kind, UNITS, transition_depth=3)
    assert isinstance(cell, DeepTransitionCell)
    cell.build((None, INPUTS))
    randomize(cell)
    assert [hasattr(inner, "kernel") for inner in cell.cells] == [True, False, False]
    x = rng.normal(size=(N, INPUTS)).astype("f")
    start = [rng.normal(size=(N, UNITS)).astype("f") for _ in cell.state_size]
    states = cell_step(cell.cells[0], x, start)
    for inner in cell.cells[1:]:
        states = cell_step(inner, None, states)
    output, new = cell(tf.constant(x), [tf.constant(state) for state in start])
    np.testing.assert_allclose(output, states[0], atol=1e-5)
    for found, expected in zip(new, states, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_mask_meets_the_state_in_the_recurrent_product_only(kind, rng):
    cell, (kernel, recurrent, bias) = make(GRUCell if kind == "gru" else LSTMCell)
    x, mask = rng.normal(size=(N, INPUTS)).astype("f"), np.array([[2, 0, 2, 2, 0], [0, 2, 0, 2, 2]], "f")
    states = [rng.normal(size=(N, UNITS)).astype("f") for _ in cell.state_size]
    _, new = cell.step(cell.project(tf.constant(x)), [tf.constant(state) for state in states], tf.constant(mask))
    if kind == "gru":
        h = states[0]
        a, b = np.split(x @ kernel + bias[0], 3, -1), np.split((h * mask) @ recurrent + bias[1], 3, -1)
        z, r = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1])
        expected = [z * h + (1 - z) * np.tanh(a[2] + r * b[2])]
    else:
        expected = list(lstm_step(x, states[0] * mask, states[1], kernel, recurrent, bias))
    for found, value in zip(new, expected, strict=True):
        np.testing.assert_allclose(found, value, atol=1e-5)
