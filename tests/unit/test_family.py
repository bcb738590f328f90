"""Every cell against a plain NumPy loop, outputs and gradients, by every path that runs it."""

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config.network import LINEAR_CELLS, CellName
from seq2seq.errors import ArgumentError
from seq2seq.layers import Recurrence
from seq2seq.layers.cells import CELLS, LinearCell, make_cell
from tests.conftest import randomize
from tests.family import READING, STEPS

B, T, INPUTS, UNITS = 2, 7, 3, 8
LENGTHS = np.array([7, 4])
STEP = 1e-5  # of finite differences


def weights_of(cell) -> dict[str, np.ndarray]:
    return {weight.name: np.asarray(weight).astype(np.float64) for weight in cell.weights}


def first_states(cell, rng) -> list[np.ndarray]:
    """Any numbers; of a clock a whole one, another for each row."""
    return [
        rng.normal(size=(B, size)) if size == UNITS else np.arange(3.0, 3.0 + B)[:, None] for size in cell.state_size
    ]


def numpy_loop(kind, x, states, weights):
    """Outputs (B, T, U), zero at padding, and last states."""
    outputs, last = (
        np.zeros((B, T, (1 + CELLS[kind].outputs_cell_state) * UNITS)),
        [np.array(state) for state in states],
    )
    for row, length in enumerate(LENGTHS):
        now = [state[row : row + 1] for state in states]
        for t in range(length):
            output, now = STEPS[kind](x[row : row + 1, t], now, weights)
            outputs[row, t] = output[0]
        for state, value in zip(last, now, strict=True):
            state[row] = value[0]
    return outputs, last


BOTTOM = [(kind, False) for kind in sorted(CELLS)]
ABOVE = [(kind, True) for kind in sorted(CELLS) if CELLS[kind].outputs_cell_state]


@pytest.fixture(params=[*BOTTOM, *ABOVE], ids=lambda case: case[0] + ("-above" if case[1] else ""), scope="module")
def case(request):
    """A cell's kind, the cell in a recurrence, and what it reads; for tests that leave its weights as they are."""
    kind, below = request.param
    rng = np.random.default_rng(11)
    cell = make_cell(kind, UNITS, below=below)
    recurrence = Recurrence(cell)
    recurrence.build((None, None, INPUTS))
    randomize(cell)
    x = rng.normal(size=(B, T, INPUTS + UNITS if below else INPUTS))
    states = first_states(cell, rng)
    return kind, recurrence, x, states


def test_each_has_a_reference_and_a_place_in_recipes():
    assert CELLS.keys() == STEPS.keys() == set(get_args(CellName))
    assert {kind for kind, cell in CELLS.items() if issubclass(cell, LinearCell)} == set(LINEAR_CELLS)


@pytest.mark.parametrize("implementation", ["reference", "hoisted", "auto"])
def test_equals_a_numpy_loop(case, implementation, monkeypatch):
    kind, recurrence, x, states = case
    monkeypatch.setattr(recurrence, "implementation", implementation)
    expected, last = numpy_loop(kind, x, states, weights_of(recurrence.cell))
    initial = [tf.constant(state, tf.float32) for state in states]
    outputs, found = recurrence(tf.constant(x, tf.float32), tf.constant(LENGTHS, tf.int32), initial)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    for state, value in zip(found, last, strict=True):
        np.testing.assert_allclose(state, value, atol=1e-5)


def test_gradients_equal_finite_differences_of_the_numpy_loop(case, rng):
    """By inputs, first states and each weight, along a random direction of each."""
    kind, recurrence, x, states = case
    weights = weights_of(recurrence.cell)
    seeds = [
        rng.normal(size=(B, T, recurrence.cell.output_size)),
        *(rng.normal(size=s.shape) * (s.shape[1] == UNITS) for s in states),
    ]

    def loss(x, states, weights):
        outputs, last = numpy_loop(kind, x, states, weights)
        return sum(float((seed * value).sum()) for seed, value in zip(seeds, [outputs, *last], strict=True))

    variables = {variable.name: variable for variable in recurrence.cell.weights}
    with tf.GradientTape() as tape:
        x_in = tf.Variable(x, dtype=tf.float32)
        states_in = [tf.Variable(state, dtype=tf.float32) for state in states]
        outputs, last = recurrence(x_in, tf.constant(LENGTHS, tf.int32), [s.value() for s in states_in])
        total = tf.add_n(
            [
                tf.reduce_sum(tf.constant(seed, tf.float32) * value)
                for seed, value in zip(seeds, [outputs, *last], strict=True)
            ]
        )
    sources = [x_in, *states_in, *(variable.value for variable in variables.values())]
    found = tape.gradient(total, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    gradients = [np.asarray(tf.convert_to_tensor(gradient)) for gradient in found]
    places = ["x", *range(len(states)), *variables]
    for place, gradient in zip(places, gradients, strict=True):
        direction = rng.normal(size=gradient.shape)
        if isinstance(place, int) and states[place].shape[1] != UNITS:
            assert not gradient.any(), "nobody learns a clock"
            continue

        def moved(by, place=place, direction=direction):
            if place == "x":
                return loss(x + by * direction, states, weights)
            if isinstance(place, int):
                changed = [s + by * direction if i == place else s for i, s in enumerate(states)]
                return loss(x, changed, weights)
            return loss(x, states, {**weights, place: weights[place] + by * direction})

        expected = (moved(STEP) - moved(-STEP)) / (2 * STEP)
        np.testing.assert_allclose((gradient * direction).sum(), expected, rtol=1e-3, atol=1e-3, err_msg=str(place))


def test_irnn_starts_at_the_identity():
    cell = make_cell("irnn", UNITS)
    cell.build((None, INPUTS))
    np.testing.assert_array_equal(cell.recurrent_kernel, np.eye(UNITS))


@pytest.mark.parametrize(
    "kind", ["lstm", "peephole_lstm", "cifg", "depth_gated_lstm", "layer_norm_lstm", "slstm", "min_lstm"]
)
def test_forget_gates_start_open(kind):
    cell = make_cell(kind, UNITS)
    cell.build((None, INPUTS))
    parts = np.split(np.asarray(cell.bias), cell.num_gates)
    assert [part.tolist() for part in parts] == [
        [float(place == cell.forget_gate_index)] * UNITS for place in range(cell.num_gates)
    ]


@pytest.mark.parametrize("kind", READING)
def test_a_deep_transition_of_any_cell_reads_no_input_after_the_first(kind, rng):
    cell = make_cell(kind, UNITS, transition_depth=2)
    cell.build((None, INPUTS))
    randomize(cell)
    x = rng.normal(size=(B, INPUTS))
    states = first_states(cell, rng)
    first, second = (weights_of(inner) for inner in cell.cells)
    second["kernel"] = np.zeros((INPUTS, cell.cells[1].num_gates * UNITS))
    if "input_scale" not in second and "layer_norm" in kind:
        second["input_scale"] = np.ones(cell.cells[1].num_gates * UNITS)
    _, middle = STEPS[kind](x, states, first)
    counted = cell.num_states
    expected, last = STEPS[kind](np.zeros_like(x), [*middle[:counted], *states[counted:]], second)
    output, found = cell(tf.constant(x, tf.float32), [tf.constant(state, tf.float32) for state in states])
    np.testing.assert_allclose(output, expected, atol=1e-5)
    for state, value in zip(found, last, strict=True):
        np.testing.assert_allclose(state, value, atol=1e-5)


@pytest.mark.parametrize("kind", LINEAR_CELLS)
def test_a_cell_that_reads_only_its_input_makes_no_deep_transition(kind):
    with pytest.raises(ArgumentError, match=rf"transition_depth: found 3\. .*'{kind}' computes its gates"):
        make_cell(kind, UNITS, transition_depth=3)


def test_the_table_of_costs_counts_parameters_as_built_cells_do():
    text = (Path(__file__).parents[2] / "docs" / "cells.md").read_text(encoding="utf-8")
    rows = [[part.strip() for part in line.split("|")[1:4]] for line in text.splitlines() if line.startswith("| `")]
    assert {kind.strip("`") for kind, _, _ in rows} == CELLS.keys()
    for kind, _, formula in rows:
        cell = make_cell(kind.strip("`"), UNITS, below=True)
        cell.build((None, INPUTS))
        terms = re.findall(r"([\d.]*)([IU]?)(?: \+ |$)", formula)
        width = {"I": INPUTS, "U": UNITS, "": 1}
        each = [float(factor or 1) * width[letter] for factor, letter in terms if factor or letter]
        assert cell.count_params() == sum(each) * UNITS, kind
