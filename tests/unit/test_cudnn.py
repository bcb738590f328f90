"""What cuDNN is given, on any machine: its documented equations, in NumPy, stand in for the operation."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.layers import GRUCell, LSTMCell, Recurrence, cudnn
from seq2seq.layers.recurrence import run_bidirectional
from tests.conftest import randomize
from tests.reference import sigmoid

B, T, INPUTS, UNITS = 4, 6, 3, 5
LENGTHS = np.array([6, 1, 4, 2], np.int32)
CELLS = {"gru": GRUCell, "lstm": LSTMCell}
GATES = {"gru": 3, "lstm": 4}


def unpacked(parameters, mode, width, directions):
    """Of each direction [W, R, b_W, b_R], each a list of gates: matrices of all directions come first, then biases."""
    place, parts = 0, [[] for _ in range(directions)]

    def take(*shape):
        nonlocal place
        place += np.prod(shape)
        return parameters[place - np.prod(shape) : place].reshape(shape)

    for shapes in (((UNITS, width), (UNITS, UNITS)), ((UNITS,), (UNITS,))):
        for part in parts:
            part += [[take(*shape) for _ in range(GATES[mode])] for shape in shapes]
    assert place == parameters.size
    return parts


def gru_step(x, states, w, r, b_w, b_r):
    """NVIDIA's equations; linLayerID 0 is the reset gate, 1 the update gate, 2 the new memory."""
    (h,) = states
    a, b = [w[g] @ x + b_w[g] for g in range(3)], [r[g] @ h + b_r[g] for g in range(3)]
    reset, update = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1])
    return [(1 - update) * np.tanh(a[2] + reset * b[2]) + update * h]


def lstm_step(x, states, w, r, b_w, b_r):
    """NVIDIA's equations; linLayerID 0 is the input gate, 1 the forget gate, 2 the new memory, 3 the output gate."""
    h, c = states
    i, f, g, o = (w[g] @ x + b_w[g] + r[g] @ h + b_r[g] for g in range(4))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(c), c]


class CuDNN:
    """`tf.raw_ops` with a `CudnnRNNV3` in NumPy that takes memory as TensorFlow's kernel hands it to cuDNN."""

    def __init__(self):
        self.dtypes = []

    def CudnnRNNV3(self, *, is_training, **given):  # noqa: N802
        x, input_h, input_c, params = (given[name] for name in ("input", "input_h", "input_c", "params"))
        time_major, rnn_mode, dtype = given["time_major"], given["rnn_mode"], x.dtype
        self.dtypes.append(dtype)
        assert dtype == input_h.dtype == input_c.dtype == params.dtype
        x = np.asarray(x, "f8") if time_major else np.asarray(x, "f8").transpose(1, 0, 2)
        directions = {"unidirectional": 1, "bidirectional": 2}[given["direction"]]
        rows = x.shape[1]
        shape = (directions, rows, UNITS) if time_major else (rows, directions, UNITS)
        states = [np.asarray(state, "f8") for state in ([input_h, input_c] if rnn_mode == "lstm" else [input_h])]
        assert all(state.shape == shape for state in states)
        states = [state.reshape(directions, rows, UNITS).copy() for state in states]  # as it lies in memory
        step = {"gru": gru_step, "lstm": lstm_step}[rnn_mode]
        outputs = np.zeros((*x.shape[:2], directions * UNITS))
        parts = unpacked(np.asarray(params, "f8"), rnn_mode, x.shape[2], directions)
        for d, (w, r, b_w, b_r) in enumerate(parts):
            for row, length in enumerate(np.asarray(given["sequence_lengths"])):
                state = [values[d, row] for values in states]
                for t in range(length)[:: -1 if d else 1]:
                    state = step(x[t, row], state, w, r, b_w, b_r)
                    outputs[t, row, d * UNITS : (d + 1) * UNITS] = state[0]
                for values, value in zip(states, state, strict=True):
                    values[d, row] = value
        outputs = outputs if time_major else outputs.transpose(1, 0, 2)
        made = [tf.constant(value, dtype) for value in (outputs, *(state.reshape(shape) for state in states))]
        return (*made, *[tf.zeros((), dtype)] * (3 - len(made)), None, None)


@pytest.fixture
def fake(monkeypatch):
    made = CuDNN()
    monkeypatch.setattr(cudnn.tf, "raw_ops", made)
    return made


def make(kind, reverse=False, implementation="fused", dtype="float32", seed=3):
    layer = Recurrence(CELLS[kind](UNITS, dtype=dtype), reverse=reverse, implementation=implementation, dtype=dtype)
    layer.build((None, None, INPUTS))
    randomize(layer.cell, seed=seed)
    return layer


def states_of(kind, rng):
    return [tf.constant(rng.normal(size=(B, UNITS)).astype("f")) for _ in range({"gru": 1, "lstm": 2}[kind])]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_one_direction_is_what_the_cpu_computes(kind, reverse, rng, fake):
    inputs, initial = tf.constant(rng.normal(size=(B, T, INPUTS)).astype("f")), states_of(kind, rng)
    expected, last = make(kind, reverse)(inputs, LENGTHS, initial)
    outputs, states = make(kind, reverse, "cudnn")(inputs, LENGTHS, initial)
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    for found, wanted in zip(states, last, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert len(fake.dtypes) == 1


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_both_directions_are_one_call_and_what_the_cpu_computes(kind, rng, fake):
    inputs = tf.constant(rng.normal(size=(B, T, INPUTS)).astype("f"))

    def both(implementation):
        return [make(kind, reverse, implementation, seed=3 + reverse) for reverse in (False, True)]

    results = run_bidirectional(both("cudnn"), inputs, LENGTHS)
    assert len(fake.dtypes) == 1
    for (outputs, states), (expected, last) in zip(
        results, run_bidirectional(both("fused"), inputs, LENGTHS), strict=True
    ):
        np.testing.assert_allclose(outputs, expected, atol=1e-6)
        for found, wanted in zip(states, last, strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_first_states_of_both_directions_stay_apart(kind, rng, fake):
    inputs, layers = rng.normal(size=(B, T, INPUTS)).astype("f"), [make(kind, seed=seed) for seed in (3, 4)]
    initial = [states_of(kind, rng) for _ in layers]
    weights = [cudnn.CuDNNWeights(*(w.value for w in layer.cell.weights)) for layer in layers]
    outputs, _ = cudnn.run_cudnn(kind, tf.constant(inputs), tf.constant(LENGTHS), weights, initial)
    for d, layer in enumerate(layers):
        layer.reverse = bool(d)
        expected, _ = layer(tf.constant(inputs), LENGTHS, initial[d])
        np.testing.assert_allclose(outputs[:, :, d * UNITS : (d + 1) * UNITS], expected, atol=1e-6)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_the_gradient_of_packing_is_that_of_tensorflow(kind, directions, rng):
    """Packing moves numbers: each must find its way back, and a bias that cuDNN has alone gets nothing."""
    weights = [
        cudnn.CuDNNWeights(*(w.value for w in make(kind, seed=seed).cell.weights)) for seed in range(3, 3 + directions)
    ]
    flat = tf.nest.flatten(weights)
    with tf.GradientTape() as tape:
        tape.watch(flat)
        packed = cudnn._packed(kind, weights)
        factors = tf.constant(rng.normal(size=packed.shape).astype("f"))
        total = tf.reduce_sum(factors * packed)
    for number, (gradient, value) in enumerate(zip(tape.gradient(total, flat), flat, strict=True)):
        for _ in range(5):
            place = tuple(rng.integers(size) for size in value.shape)
            moved = value.numpy()
            moved[place] += 1.0
            others = [*flat[:number], tf.constant(moved), *flat[number + 1 :]]
            again = cudnn._packed(kind, tf.nest.pack_sequence_as(weights, others))
            (index,) = np.flatnonzero(np.abs(again - packed) > 0.5)
            np.testing.assert_allclose(gradient.numpy()[place], factors[index], rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "computed"), [("float32", "float32"), ("mixed_float16", "float16"), ("mixed_bfloat16", "float32")]
)
def test_never_in_bfloat16(dtype, computed, rng, fake):
    layer = make("lstm", implementation="cudnn", dtype=dtype)
    inputs = tf.cast(rng.normal(size=(B, T, INPUTS)), layer.compute_dtype)
    outputs, states = layer(inputs, LENGTHS)
    assert fake.dtypes == [computed]
    assert {value.dtype.name for value in (outputs, *states)} == {layer.compute_dtype}
