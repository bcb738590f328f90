"""The fast path equals the plain path, NumPy and Keras; padding changes nothing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.layers import GRUCell, LSTMCell, Recurrence
from seq2seq.layers.cells import make_cell
from seq2seq.layers.recurrence import _at_end
from tests.conftest import randomize
from tests.reference import gru_step, lstm_step

B, T, INPUTS, UNITS = 3, 6, 4, 5
LENGTHS = np.array([6, 1, 4], np.int32)
CELLS = {"gru": GRUCell, "lstm": LSTMCell}


def make(kind, reverse=False, implementation="fused", **kwargs):
    layer = Recurrence(CELLS[kind](UNITS, **kwargs), reverse=reverse, implementation=implementation, **kwargs)
    layer.build((None, None, INPUTS))
    randomize(layer.cell)
    return layer


def data(rng, kind):
    inputs = rng.normal(size=(B, T, INPUTS)).astype("f")
    return tf.constant(inputs), [
        tf.constant(rng.normal(size=(B, UNITS)).astype("f")) for _ in range(2 if kind == "lstm" else 1)
    ]


def test_the_last_states_and_their_gradient_are_each_rows_own(rng):
    sequence = tf.constant(rng.normal(size=(T, B, UNITS)).astype("f"))
    d_states = rng.normal(size=(B, UNITS)).astype("f")
    with tf.GradientTape() as tape:
        tape.watch(sequence)
        states = _at_end(sequence, tf.constant(LENGTHS))
    np.testing.assert_array_equal(states, sequence.numpy()[LENGTHS - 1, np.arange(B)])
    expected = np.zeros((T, B, UNITS), "f")
    expected[LENGTHS - 1, np.arange(B)] = d_states
    np.testing.assert_array_equal(tf.convert_to_tensor(tape.gradient(states, sequence, d_states)), expected)


@pytest.mark.parametrize("implementation", ["reference", "fused"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_equals_a_numpy_loop(kind, reverse, implementation, rng):
    layer = make(kind, reverse, implementation)
    inputs, initial = data(rng, kind)
    outputs, states = layer(inputs, LENGTHS, initial)
    weights = [np.asarray(weight) for weight in (layer.cell.kernel, layer.cell.recurrent_kernel, layer.cell.bias)]
    for row, length in enumerate(LENGTHS):
        state = [np.asarray(value)[row] for value in initial]
        order = range(length)[::-1] if reverse else range(length)
        for t in order:
            x = inputs.numpy()[row, t]
            state = [gru_step(x, *state, *weights)] if kind == "gru" else list(lstm_step(x, *state, *weights))
            np.testing.assert_allclose(outputs[row, t], state[0], atol=1e-5)
        assert not outputs.numpy()[row, length:].any(), "padded positions are zero"
        for found, expected in zip(states, state, strict=True):
            np.testing.assert_allclose(found[row], expected, atol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_fast_and_plain_have_equal_gradients(kind, reverse, rng):
    inputs, initial = data(rng, kind)
    mixer = rng.normal(size=(B, T, UNITS)).astype("f")
    results = []
    for implementation in ("reference", "fused"):
        layer = make(kind, reverse, implementation)
        with tf.GradientTape() as tape:
            tape.watch([inputs, *initial])
            outputs, states = layer(inputs, LENGTHS, initial)
            # The last states count apart, each with its own factor, so that none of their gradients can hide.
            ends = tf.add_n([(i + 2.0) * tf.reduce_sum(state**2) for i, state in enumerate(states)])
            loss = tf.reduce_sum(outputs * mixer) + ends
        results.append(tape.gradient(loss, [inputs, *initial, *[w.value for w in layer.cell.weights]]))
    for plain, fast in zip(*results, strict=True):
        assert np.abs(plain).max() > 1e-3
        np.testing.assert_allclose(plain, fast, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_fast_gradients_equal_finite_differences(kind, rng):
    layer = make(kind)
    inputs, initial = data(rng, kind)
    x = inputs.numpy().astype("float64")

    def loss(values):
        return float(tf.reduce_sum(layer(tf.constant(values, tf.float32), LENGTHS, initial)[0] ** 2))

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(layer(inputs, LENGTHS, initial)[0] ** 2)
    gradient = tape.gradient(total, inputs).numpy()
    for index in [(0, 0, 0), (0, 3, 2), (2, 1, 3), (1, 0, 1)]:
        up, down = x.copy(), x.copy()
        up[index] += 1e-2
        down[index] -= 1e-2
        assert gradient[index] == pytest.approx((loss(up) - loss(down)) / 2e-2, rel=2e-2, abs=2e-3)


@pytest.mark.parametrize(
    ("kind", "keras_layer"),
    [
        ("gru", keras.layers.GRU(UNITS, return_sequences=True)),
        ("lstm", keras.layers.LSTM(UNITS, return_sequences=True)),
    ],
)
def test_weights_can_be_exchanged_with_keras(kind, keras_layer, rng):
    layer = make(kind)
    inputs, _ = data(rng, kind)
    mask = tf.sequence_mask(LENGTHS, T)
    keras_layer(inputs, mask=mask)
    keras_layer.set_weights(layer.cell.get_weights())
    expected = np.asarray(keras_layer(inputs, mask=mask))
    outputs, _ = layer(inputs, LENGTHS)
    valid = mask.numpy()
    np.testing.assert_allclose(outputs.numpy()[valid], expected[valid], atol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_what_stands_in_padding_changes_nothing(kind, reverse, rng):
    layer = make(kind, reverse)
    inputs, initial = data(rng, kind)
    garbage = rng.normal(size=(B, T + 3, INPUTS)).astype("f") * 50
    for row, length in enumerate(LENGTHS):
        garbage[row, :length] = inputs.numpy()[row, :length]
    outputs, states = layer(inputs, LENGTHS, initial)
    longer, longer_states = layer(tf.constant(garbage), LENGTHS, initial)
    np.testing.assert_allclose(longer[:, :T], outputs, atol=1e-6)
    for state, other in zip(states, longer_states, strict=True):
        np.testing.assert_allclose(state, other, atol=1e-6)


def test_a_cell_of_ones_own_runs_on_the_plain_path(rng):
    class Leaky(keras.layers.Layer):
        """h_t = h / 2 + x_t."""

        state_size, output_size = [INPUTS], INPUTS

        def call(self, inputs, states):
            new = states[0] / 2 + inputs
            return new, [new]

    layer = Recurrence(Leaky())
    inputs, _ = data(rng, "gru")
    outputs, _ = layer(inputs, LENGTHS)
    x = inputs.numpy()
    np.testing.assert_allclose(outputs[0, 2], x[0, 2] + x[0, 1] / 2 + x[0, 0] / 4, atol=1e-6)
    with pytest.raises(ValueError, match="Leaky"):
        Recurrence(Leaky(), implementation="fused")


ANY_CELL = [("gru", 1), ("lstm", 1), ("layer_norm_gru", 1), ("layer_norm_lstm", 1), ("gru", 3), ("layer_norm_lstm", 2)]


def outputs_and_gradients(layer, inputs, initial, mixer, mask=None):
    with tf.GradientTape() as tape:
        tape.watch([inputs, *initial])
        outputs, states = layer(inputs, LENGTHS, initial, mask)
        ends = tf.add_n([(i + 2.0) * tf.reduce_sum(state**2) for i, state in enumerate(states)])
        loss = tf.reduce_sum(outputs * mixer) + ends
    return [outputs, *states, *tape.gradient(loss, [inputs, *initial, *[w.value for w in layer.cell.weights]])]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("kind", "depth"), ANY_CELL)
def test_hoisted_equals_plain_for_any_cell(kind, depth, reverse, rng):
    layers = []
    for way in ("reference", "hoisted"):
        layers.append(Recurrence(make_cell(kind, UNITS, depth), reverse=reverse, implementation=way))
        layers[-1].build((None, None, INPUTS))
        randomize(layers[-1].cell)  # the same values each time
    inputs, initial = data(rng, "lstm" if "lstm" in kind else "gru")
    mixer = rng.normal(size=(B, T, UNITS)).astype("f")
    plain, hoisted = (outputs_and_gradients(layer, inputs, initial, mixer) for layer in layers)
    for ours, theirs in zip(hoisted, plain, strict=True):
        assert np.abs(theirs).max() > 1e-4
        np.testing.assert_allclose(ours, theirs, atol=3e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_recurrent_mask_is_the_same_at_every_step(kind, rng):
    """The fast path equals a Python loop of masked steps; its gradients equal the hoisted path's."""
    fast = make(kind)
    hoisted = make(kind, implementation="hoisted")
    inputs, initial = data(rng, kind)
    mask = tf.constant(rng.choice([0.0, 2.0], size=(B, UNITS)).astype("f"))
    states = list(initial)
    for t in range(T):
        output, states = fast.cell.step(fast.cell.project(inputs[:, t]), states, mask)
        found = fast(inputs, np.full(B, t + 1, np.int32), initial, mask)[0]
        np.testing.assert_allclose(found[:, t], output, atol=1e-5)
    mixer = rng.normal(size=(B, T, UNITS)).astype("f")
    ours, theirs = (outputs_and_gradients(layer, inputs, initial, mixer, mask) for layer in (fast, hoisted))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=3e-5, rtol=1e-4)
    unmasked = fast(inputs, LENGTHS, initial)[0]
    assert np.abs(unmasked - ours[0]).max() > 1e-2


def test_a_mask_needs_a_path_that_knows_it(rng):
    inputs, initial = data(rng, "gru")
    with pytest.raises(ValueError, match="'reference' takes no recurrent mask"):
        make("gru", implementation="reference")(inputs, LENGTHS, initial, tf.ones([B, UNITS]))
