"""The parallel scan against loops: values, gradients, both directions, padding, 16 bits; and cells at their limits."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config.network import LINEAR_CELLS
from seq2seq.layers import Recurrence
from seq2seq.layers.cells import make_cell
from seq2seq.layers.linear_scan import BLOCK, linear_scan
from tests.conftest import randomize
from tests.family import STEPS

B, T, INPUTS, UNITS = 3, 2 * BLOCK + 3, 4, 5
LENGTHS = np.array([T, 1, BLOCK + 1], np.int32)


def loop(decay, inflow, state):
    states = []
    for a, b in zip(decay, inflow, strict=True):
        state = a * state + b
        states.append(state)
    return np.array(states)


def drawn(rng, steps):
    """Decays between 0 and 1, both included, inflows of either sign, and a first state."""
    decay = rng.uniform(size=(steps, B, UNITS))
    decay[rng.uniform(size=decay.shape) < 0.2] = 1.0
    decay[rng.uniform(size=decay.shape) < 0.1] = 0.0
    return decay, rng.normal(size=(steps, B, UNITS)), rng.normal(size=(B, UNITS))


@pytest.mark.parametrize("compiled", [False, True])
def test_states_and_gradients_are_those_of_a_loop_at_any_length(compiled, rng):
    """Less than a block, whole blocks, one step more, and numbers of blocks that are no powers of two."""

    def run(decay, inflow, initial, seeds):
        with tf.GradientTape() as tape:
            tape.watch([decay, inflow, initial])
            states = linear_scan(decay, inflow, initial)
        return [states, *tape.gradient(states, [decay, inflow, initial], seeds)]

    if compiled:
        any_length = tf.TensorSpec([None, None, UNITS], tf.float64)
        signature = [any_length, any_length, tf.TensorSpec([None, UNITS], tf.float64), any_length]
        run = tf.function(run, input_signature=signature, autograph=False)
    for steps in (1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 3, 11 * BLOCK):
        decay, inflow, initial = drawn(rng, steps)
        seeds = rng.normal(size=inflow.shape)
        states = loop(decay, inflow, initial)
        after = np.concatenate([decay[1:], np.zeros_like(decay[:1])])
        d_inflow = loop(after[::-1], seeds[::-1], np.zeros_like(initial))[::-1]
        before = np.concatenate([initial[None], states[:-1]])
        expected = [states, d_inflow * before, d_inflow, d_inflow[0] * decay[0]]
        for found, value in zip(run(*map(tf.constant, (decay, inflow, initial, seeds))), expected, strict=True):
            np.testing.assert_allclose(found, value, atol=1e-12)


@pytest.mark.parametrize("steps", [1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_a_graph_may_be_traced_for_one_length(steps, rng):
    """As by Keras's `fit` on arrays, whose length is known when the graph is traced."""
    decay, inflow, initial = drawn(rng, steps)
    traced = tf.function(linear_scan, autograph=False)
    found = traced(*map(tf.constant, (decay, inflow, initial)))
    np.testing.assert_allclose(found, loop(decay, inflow, initial), atol=1e-12)


def make(kind, implementation="auto", reverse=False, dtype="float32"):
    layer = Recurrence(make_cell(kind, UNITS, dtype=dtype), reverse, implementation, dtype=dtype)
    layer.build((None, None, INPUTS))
    randomize(layer.cell, scale=1.0)
    return layer


def results(layer, inputs, initial, mixer):
    """Outputs, last states, and gradients by inputs, initial states and weights."""
    with tf.GradientTape() as tape:
        tape.watch([inputs, initial])
        outputs, (last,) = layer(inputs, LENGTHS, [initial])
        loss = tf.reduce_sum(outputs * mixer) + 2 * tf.reduce_sum(last**2)
    weights = [weight.value for weight in layer.cell.weights]
    return [outputs, last, *tape.gradient(loss, [inputs, initial, *weights])]


def data(rng, dtype=tf.float32):
    shapes = (B, T, INPUTS), (B, UNITS), (B, T, UNITS)
    return [tf.constant(rng.normal(size=shape), dtype) for shape in shapes]


@pytest.mark.parametrize("other", ["reference", "hoisted"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", LINEAR_CELLS)
def test_equals_both_loops_in_both_directions(kind, reverse, other, rng):
    values = data(rng)
    assert make(kind).choose_implementation() == "scan"
    scanned, looped = (results(make(kind, way, reverse), *values) for way in ("scan", other))
    for ours, theirs in zip(scanned, looped, strict=True):
        assert np.abs(theirs).max() > 1e-3
        np.testing.assert_allclose(ours, theirs, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", LINEAR_CELLS)
def test_what_stands_in_padding_changes_nothing(kind, reverse, rng):
    inputs, initial, mixer = data(rng)
    garbage = rng.normal(size=(B, T + BLOCK, INPUTS)).astype("f") * 50
    for row, length in enumerate(LENGTHS):
        garbage[row, :length] = inputs.numpy()[row, :length]
    layer = make(kind, reverse=reverse)
    wider = tf.pad(mixer, [[0, 0], [0, BLOCK], [0, 0]])
    expected, found = results(layer, inputs, initial, mixer), results(layer, tf.constant(garbage), initial, wider)
    real = np.arange(T) < LENGTHS[:, None]
    for place in (0, 2):  # along time: outputs, and gradients by inputs
        assert not np.asarray(found[place])[:, T:].any()
        expected[place], found[place] = np.asarray(expected[place])[real], np.asarray(found[place])[:, :T][real]
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("kind", LINEAR_CELLS)
def test_in_16_bits_the_scan_is_as_exact_as_the_loop(kind, dtype, rng):
    """Distances from float32, of everything together; the longest row has `T` steps."""
    values = data(rng)
    exact = results(make(kind), *values)
    low = [tf.cast(value, dtype) for value in values]

    def distance(implementation):
        pairs = zip(results(make(kind, implementation, dtype=f"mixed_{dtype}"), *low), exact, strict=True)
        return np.sqrt(sum(float(tf.reduce_sum((tf.cast(ours, tf.float32) - right) ** 2)) for ours, right in pairs))

    scanned, looped = distance("scan"), distance("hoisted")
    assert 0 < scanned < 1.5 * looped


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("kind", [*LINEAR_CELLS, "slstm"])
@pytest.mark.parametrize("shift", [-60.0, 60.0])
def test_gates_at_their_limits_give_numbers(kind, dtype, shift, rng):
    """Sigmoids that are 0 in float16 and almost in float32, and exponentials that neither could hold."""
    layer = make(kind, dtype=f"mixed_{dtype}" if dtype != "float32" else dtype)
    layer.cell.bias.assign(layer.cell.bias + shift * (np.arange(layer.cell.num_gates * UNITS) < 2 * UNITS))
    inputs, initial, mixer = data(rng, dtype)
    initial = [initial] * len(layer.cell.state_size)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, states = layer(inputs, LENGTHS, initial)
    gradients = tape.gradient(outputs, [inputs, *(weight.value for weight in layer.cell.weights)], mixer)
    for values in (outputs, *states, *gradients):
        assert np.isfinite(tf.cast(values, tf.float32)).all()


def test_exponential_gates_that_overflow_equal_the_papers_equations(rng):
    layer = make("slstm", dtype="float64")
    layer.cell.kernel.assign(layer.cell.kernel * 400)
    weights = {weight.name: np.asarray(weight) for weight in layer.cell.weights}
    x, states = rng.normal(size=(B, T, INPUTS)), [rng.normal(size=(B, UNITS)) for _ in range(3)]
    outputs, last = layer(tf.constant(x), np.full(B, T, np.int32), list(map(tf.constant, states)))
    assert np.abs(last[2]).max() > 710, "no float64 holds the exponential"
    for step in range(T):
        with np.errstate(over="ignore"):  # in the output gate, which is then 0
            output, states = STEPS["slstm"](x[:, step], states, weights)
        np.testing.assert_allclose(outputs[:, step], output, atol=1e-10)
    np.testing.assert_allclose(last[1], states[1], atol=1e-10)
    np.testing.assert_allclose(last[2], states[2], atol=1e-10)


@pytest.mark.parametrize("kind", LINEAR_CELLS)
def test_there_is_no_recurrent_product_to_mask(kind, rng):
    inputs, initial, _ = data(rng)
    layer, mask = make(kind), tf.ones([B, UNITS])
    with pytest.raises(ValueError, match="'scan' takes no recurrent mask"):
        layer(inputs, LENGTHS, [initial], mask)
    with pytest.raises(ValueError, match=r"^Min\w+Cell has no recurrent product"):
        layer.cell.step(layer.cell.project(inputs[:, 0]), [initial], mask)


def test_only_linear_recurrences_can_be_scanned():
    with pytest.raises(ValueError, match="'scan' needs a LinearCell, found a GRUCell"):
        Recurrence(make_cell("gru", UNITS), implementation="scan")
