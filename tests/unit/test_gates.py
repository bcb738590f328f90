"""Gates by name against the NumPy equations, and the statistics of them counted by hand."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.analysis.gates import GateValues, gate_values, histograms, saturation
from seq2seq.layers.cells import CELLS, make_cell
from tests.conftest import randomize
from tests.reference import sigmoid

B, T, INPUTS, UNITS = 2, 4, 3, 4
FUNCTIONS = {"sigmoid": sigmoid, "tanh": np.tanh, "relu": lambda x: np.maximum(x, 0)}
GRU = {"update", "reset", "candidate"}
LSTM = {"input", "forget", "candidate", "output", "cell_state"}
NAMES = {
    "gru": GRU,
    "gru_reset_before": GRU,
    "layer_norm_gru": GRU,
    "mgu": {"forget", "candidate"},
    "lstm": LSTM,
    "peephole_lstm": LSTM,
    "layer_norm_lstm": LSTM,
    "cifg": LSTM - {"input"},
    "slstm": LSTM - {"input", "cell_state"},
    "min_gru": {"update"},
    "min_lstm": {"forget"},
    "sru": {"forget", "reset"},
    "elman": {"hidden"},
    "jordan": {"hidden", "output"},
    "clockwork": {"candidate"},
}


def built(kind, depth=1, below=False):
    cell = make_cell(kind, UNITS, depth, below=below)
    cell.build((None, INPUTS))
    randomize(cell)
    return cell


@pytest.mark.parametrize("kind", sorted(CELLS))
def test_every_cell_names_its_gates(kind, rng):
    gates = gate_values(built(kind), rng.normal(size=(B, T, INPUTS)))
    assert gates.keys() == NAMES.get(kind, gates.keys())
    for gate in gates.values():
        assert gate.values.shape == (B, T, UNITS)
        np.testing.assert_allclose(gate.values, FUNCTIONS[gate.function](gate.preactivations), atol=1e-6)


def test_above_another_layer_there_is_a_depth_gate(rng):
    """Made once more of the equation; the inputs end in the memory of the layer below."""
    cell, x = built("depth_gated_lstm", below=True), rng.normal(size=(B, T, INPUTS + UNITS))
    gates = gate_values(cell, x)
    assert gates.keys() == {*LSTM, "depth"}
    weights = {weight.name: np.asarray(weight, float) for weight in cell.weights}
    own, below = x[..., :INPUTS], x[..., INPUTS:]
    memory = np.stack([np.zeros((B, UNITS)), *(memory for _, memory in run(cell, x)[:-1])], axis=1)
    p, q = weights["depth_vectors"]
    total = own @ weights["kernel"][:, 4 * UNITS :] + weights["bias"][4 * UNITS :] + p * memory + q * below
    np.testing.assert_allclose(gates["depth"].values, sigmoid(total), atol=1e-6)


def run(cell, x):
    """States of each step, by the cell's own call."""
    now, states = [np.zeros((B, size), np.float32) for size in cell.state_size], []
    for step in range(T):
        _, now = cell(tf.constant(x[:, step], tf.float32), now)
        states.append([np.asarray(state) for state in now])
    return states


def test_an_lstms_gates_make_its_states(rng):
    cell, x = built("lstm"), rng.normal(size=(B, T, INPUTS))
    gates = {name: gate.values for name, gate in gate_values(cell, x).items()}
    content = np.zeros((B, UNITS))
    for step, (hidden, memory) in enumerate(run(cell, x)):
        content = gates["forget"][:, step] * content + gates["input"][:, step] * gates["candidate"][:, step]
        np.testing.assert_allclose(memory, content, atol=1e-6)
        np.testing.assert_allclose(hidden, gates["output"][:, step] * gates["cell_state"][:, step], atol=1e-6)


@pytest.mark.parametrize("kind", ["gru", "gru_reset_before", "layer_norm_gru"])
def test_a_grus_gates_make_its_states(kind, rng):
    cell, x = built(kind), rng.normal(size=(B, T, INPUTS))
    gates = {name: gate.values for name, gate in gate_values(cell, x).items()}
    state = np.zeros((B, UNITS))
    for step, (hidden,) in enumerate(run(cell, x)):
        z = gates["update"][:, step]
        state = z * state + (1 - z) * gates["candidate"][:, step]
        np.testing.assert_allclose(hidden, state, atol=1e-6)


def test_reset_and_update_are_not_swapped(rng):
    """W, R and b of the one gate are set so that it is open, of the other so that it is shut."""
    cell = built("gru")
    bias = np.zeros((2, 3 * UNITS))
    bias[0, :UNITS], bias[0, UNITS : 2 * UNITS] = 20, -20
    cell.bias.assign(bias)
    gates = gate_values(cell, rng.normal(size=(B, T, INPUTS)))
    assert gates["update"].values.min() > 0.99
    assert gates["reset"].values.max() < 0.01


def test_a_deep_transition_numbers_its_gates(rng):
    gates = gate_values(built("gru", depth=3), rng.normal(size=(B, T, INPUTS)))
    assert list(gates) == [name + n for n in ("", " 2", " 3") for name in ("update", "reset", "candidate")]
    assert not np.allclose(gates["update"].values, gates["update 2"].values)


def test_padding_is_left_out(rng):
    cell, x = built("gru"), rng.normal(size=(B, T, INPUTS))
    whole, padded = gate_values(cell, x)["reset"], gate_values(cell, x, lengths=[4, 2])["reset"]
    np.testing.assert_array_equal(padded.values[0], whole.values[0])
    np.testing.assert_array_equal(padded.values[1, :2], whole.values[1, :2])
    assert np.isnan(padded.values[1, 2:]).all()
    row = saturation({"reset": padded}).iloc[0]
    assert row["mean"] == pytest.approx(np.concatenate([whole.values[0], whole.values[1, :2]]).mean())


def test_slopes_equal_finite_differences(rng):
    totals = rng.normal(size=(1, 3, 5))
    for name, function in FUNCTIONS.items():
        slopes = GateValues(name, totals, function(totals)).derivatives()
        expected = (function(totals + 1e-6) - function(totals - 1e-6)) / 2e-6
        np.testing.assert_allclose(slopes, expected, atol=1e-8)


def gate_of(function, values):
    values = np.array(values, float)[None, None]
    return GateValues(function, values, values)


def test_saturation_counts_both_ends():
    gates = {
        "forget": gate_of("sigmoid", [0.05, 0.5, 0.95, 0.99, np.nan]),
        "candidate": gate_of("tanh", [-0.95, 0.05, 0.5, 0.95, 0.99]),
        "hidden": gate_of("relu", [0.0, 0.0, 0.05, 3.0]),
    }
    table = saturation(gates).set_index("gate")
    assert table.loc["forget", ["low", "high", "saturated"]].tolist() == [0.25, 0.5, 0.75]
    assert table.loc["candidate", ["low", "high", "saturated"]].tolist() == pytest.approx([0.2, 0.4, 0.6])
    assert table.loc["hidden", ["low", "high", "slope"]].tolist() == [0.5, 0.0, 0.5]
    assert table.loc["forget", "slope"] == pytest.approx(np.mean([0.05 * 0.95, 0.25, 0.95 * 0.05, 0.99 * 0.01]))


def test_histograms_span_the_functions_range():
    table = histograms({"a": gate_of("sigmoid", [0.1, 0.2, 0.6, 0.9, np.nan]), "b": gate_of("tanh", [-0.5, 0.5])}, 4)
    assert table[table["gate"] == "a"]["left"].tolist() == [0.0, 0.25, 0.5, 0.75]
    assert table[table["gate"] == "a"]["share"].tolist() == [0.5, 0.0, 0.25, 0.25]
    assert table[table["gate"] == "b"]["left"].tolist() == [-1.0, -0.5, 0.0, 0.5]
    assert table[table["gate"] == "b"]["share"].tolist() == [0.0, 0.5, 0.0, 0.5]
    with pytest.raises(ValueError, match="bins is 0"):
        histograms({"a": gate_of("tanh", [0.5])}, 0)


def test_a_cell_without_names_is_an_error(rng):
    cell = built("elman")
    cell.step = lambda projected, states, mask=None: (projected, [projected])
    with pytest.raises(ValueError, match="ElmanCell has no named gates"):
        gate_values(cell, rng.normal(size=(B, T, INPUTS)))
