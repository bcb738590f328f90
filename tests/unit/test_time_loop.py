"""The hoisted loop against a Python loop: values, and gradients of everything that a step reads."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig
from seq2seq.layers.recurrent_scan import deferred_matmul, recurrent_scan
from seq2seq.models.translation import Seq2Seq

T, B, U, OUT = 5, 2, 4, 3


@pytest.fixture
def parts(rng):
    def variable(*shape):
        return keras.Variable(rng.normal(size=shape).astype("f") * 0.5)

    def tensor(*shape):
        return tf.constant(rng.normal(size=shape).astype("f"))

    weights = {"twice": variable(U, U), "bias": variable(U), "out": variable(U, OUT), "unused": variable(2, 2)}
    return weights, tensor(T, B, U), tensor(T, B, OUT), tensor(B, U), tensor(B, OUT)


def make_step(weights):
    def step(x, states, constants):
        bias = tf.cast(weights["bias"], x[0].dtype)
        hidden = tf.tanh(x[0] + deferred_matmul(states[0], weights["twice"]) + bias)
        hidden = tf.tanh(deferred_matmul(hidden, weights["twice"]) * hidden + bias)
        return [deferred_matmul(hidden, weights["out"]) * constants[0] + x[1], hidden[:, :1] ** 2], [hidden]

    return step


def in_python(weights, x, y, start, constant):
    state, outputs = [start], []
    for t in range(T):
        out, state = make_step(weights)([x[t], y[t]], state, [constant])
        outputs.append([*out, state[0]])
    return [tf.stack(values) for values in zip(*outputs, strict=True)]


def hoisted(weights, x, y, start, constant):
    outputs, states = recurrent_scan(
        make_step(weights),
        [x, y],
        [start],
        constants=[constant],
        variables=list(weights.values()),
        output_dtypes=[tf.float32] * 2,
    )
    return [*outputs, *states]


@pytest.mark.parametrize("compiled", [False, True])
def test_equals_a_python_loop_with_all_gradients(parts, compiled):
    weights, *tensors = parts

    def run(function):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            values = function(weights, *tensors)
            loss = sum((i + 1.0) * tf.reduce_sum(value**3) for i, value in enumerate(values))
            loss += 7.0 * tf.reduce_sum(values[-1][-1])  # the last state counts on its own
        return values, tape.gradient(
            loss, [*tensors, *(v.value for v in weights.values())], unconnected_gradients="zero"
        )

    fast = tf.function(lambda: run(hoisted), autograph=False) if compiled else lambda: run(hoisted)
    for ours, theirs in zip(tf.nest.flatten(fast()), tf.nest.flatten(run(in_python)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_no_matrix_is_multiplied_for_a_weights_gradient_inside_the_loop(parts):
    """The gradient of a matrix is one product over all steps: rows times T, outside of the backward loop."""
    weights, *tensors = parts

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.add_n([tf.reduce_sum(value) for value in hoisted(weights, *tensors)])
        return tape.gradient(loss, [weights["twice"].value, weights["out"].value])

    inside, outside = weight_gradients(gradients, loops=2)
    assert not inside
    assert len(outside) == 3  # three products a step


@pytest.mark.parametrize(("form", "loops"), [("cgru", 5), ("input_feeding", 4)])
def test_nor_inside_the_loop_of_a_decoder(form, loops):
    """Three loops are the encoder's; of the conditional decoder, the upper layer has its own."""
    stack = {"layers": 2, "residual": "highway", "layer_norm": True}
    decoder = DecoderConfig(units=7, type=form, transition_depth=2, **stack)
    model = Seq2Seq(9, 9, EmbeddingsConfig(size=5), EncoderConfig(units=6, **stack), decoder)
    source, target = np.array([[4, 5, 3]], np.int32), np.array([[6, 7, 8, 3]], np.int32)

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            loss, *_ = model.loss_sums(source, target)
        return tape.gradient(loss, [v.value for v in model.trainable_variables])

    inside, outside = weight_gradients(gradients, loops=2 * loops)
    assert not inside
    assert len(outside) > 10


def weight_gradients(function, loops):
    """Products for a matrix's gradient: those in loops' bodies whose results are used, and those outside of loops."""
    graph = function.get_concrete_function().graph
    bodies = [
        graph._get_function(op.get_attr("body").name).graph for op in graph.get_operations() if "While" in op.type
    ]
    assert len(bodies) == loops

    def products(operations):
        return [op for op in operations if op.type == "MatMul" and op.get_attr("transpose_a")]

    inside = [op for body in bodies for op in products(_ancestors(body, {t.op.name for t in body.outputs}))]
    return inside, products(graph.get_operations())


def _ancestors(graph, names):
    operations = {op.name: op for op in graph.get_operations()}
    found, waiting = {}, [operations[name] for name in names if name in operations]
    while waiting:
        op = waiting.pop()
        if op.name not in found:
            found[op.name] = op
            waiting += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
    return found.values()


def test_low_precision_stays_in_the_loop(parts):
    weights, x, y, start, constant = parts
    low = [tf.cast(value, tf.bfloat16) for value in (x, y, start, constant)]
    outputs, states = recurrent_scan(
        make_step(weights),
        low[:2],
        [low[2]],
        constants=[low[3]],
        variables=list(weights.values()),
        output_dtypes=[tf.bfloat16] * 2,
    )
    assert {value.dtype for value in [*outputs, *states]} == {tf.bfloat16}
    exact = in_python(weights, x, y, start, constant)
    np.testing.assert_allclose(tf.cast(states[0], tf.float32), exact[-1], atol=0.05)


def test_sums_over_many_steps_keep_their_tail_in_low_precision(rng):
    """Each gradient is a sum of 200 numbers, which in bfloat16 would stop growing after a few dozen."""
    bias = keras.Variable(np.zeros(U, "f"))
    x = tf.cast(rng.uniform(0.2, 0.5, (200, B, U)), tf.bfloat16)
    factor = tf.ones([B, U], tf.bfloat16)

    def step(now, states, constants):
        return [now[0] * (constants[0] + tf.cast(bias, now[0].dtype))], []

    with tf.GradientTape() as tape:
        tape.watch(factor)
        (outputs,), _ = recurrent_scan(step, [x], [], constants=[factor], variables=[bias], output_dtypes=[tf.bfloat16])
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32))
    by_factor, by_bias = tape.gradient(loss, [factor, bias.value])
    exact = tf.reduce_sum(tf.cast(x, tf.float32), axis=0)
    np.testing.assert_allclose(tf.cast(by_factor, tf.float32), exact, rtol=2**-8)
    np.testing.assert_allclose(by_bias, tf.reduce_sum(exact, axis=0), rtol=2**-7)


def test_threads_trace_apart(parts):
    """What one thread multiplies while another traces a step is none of that step's products."""
    weights, x, y, start, constant = parts
    other, traced = keras.Variable(np.ones((U, U), "f")), make_step(weights)
    tracing, multiplied = threading.Event(), threading.Event()

    def step(*arguments):
        tracing.set()
        assert multiplied.wait(600)
        return traced(*arguments)

    def multiply():
        assert tracing.wait(600)
        deferred_matmul(start, other)
        multiplied.set()

    thread = threading.Thread(target=multiply)
    thread.start()
    outputs, _ = recurrent_scan(
        step, [x, y], [start], constants=[constant], variables=list(weights.values()), output_dtypes=[tf.float32] * 2
    )
    thread.join()
    expected, _ = recurrent_scan(
        traced, [x, y], [start], constants=[constant], variables=list(weights.values()), output_dtypes=[tf.float32] * 2
    )
    for ours, wanted in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(ours, wanted)
