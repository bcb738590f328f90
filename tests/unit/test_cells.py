"""Cells against NumPy, gate by gate, and against Keras's own layers."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.layers import GRUCell, LSTMCell
from tests.conftest import randomize
from tests.reference import gru_step, lstm_step

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
