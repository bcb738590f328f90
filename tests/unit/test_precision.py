"""Mixed precision: what is computed in which dtype, read from the traced step, and that each one trains."""

from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig
from seq2seq.layers.cells import ClockworkCell
from seq2seq.models.translation import Seq2Seq

V = 37
LOSS_OPS = {"SparseSoftmaxCrossEntropyWithLogits", "Softmax", "LogSoftmax"}
LOW = {"mixed_float16": tf.float16, "mixed_bfloat16": tf.bfloat16}


COMBINATIONS = {
    "gru": ({}, {}),
    "lstm": ({"cell": "lstm"}, {"cell": "lstm"}),
    "cgru": (
        {"recurrent_dropout": 0.1},
        {"type": "cgru", "coverage": True, "attention_dropout": 0.1, "recurrent_dropout": 0.1},
    ),
    "input feeding": (
        {"cell": "layer_norm_gru", "bidirectional": "all", "layer_norm": True},
        {"type": "input_feeding", "cell": "layer_norm_lstm", "layer_norm": True, "residual": "highway", "heads": 2},
    ),
    "deep transitions": (
        {"transition_depth": 2, "bidirectional": "alternating"},
        {"transition_depth": 2, "attention": "scaled_dot", "heads": 2, "bridge": "mean"},
    ),
    "no attention": ({}, {"attention": "none", "context": "every_step", "bridge": "max"}),
    "linear and exponential": ({"cell": "min_lstm"}, {"cell": "slstm", "recurrent_dropout": 0.1}),
}


def make(precision, name="gru", accumulation_steps=1):
    encoder, decoder = COMBINATIONS[name]
    model = Seq2Seq(
        V,
        V,
        EmbeddingsConfig(size=8, tied="all", dropout=0.1, source_word_dropout=0.1),
        EncoderConfig(**{"units": 8, "layers": 2, "dropout": 0.1} | encoder),
        DecoderConfig(**{"units": 8, "layers": 2, "attention": "additive", "dropout": 0.1} | decoder),
        seed=1,
        precision=precision,
    )
    model.compile(keras.optimizers.Adam(1e-2), label_smoothing=0.1, accumulation_steps=accumulation_steps)
    return model


def operations(graph):
    """All operations, those of loops and branches too."""
    found = list(graph.get_operations())
    for function in graph._functions.values() if hasattr(graph, "_functions") else []:
        inner = getattr(function, "graph", None)
        found += operations(inner) if inner is not None else []
    return found


@pytest.mark.parametrize(
    ("precision", "name"), [(p, n) for n in COMBINATIONS for p in LOW if p == "mixed_bfloat16" or n in ("gru", "lstm")]
)
def test_dtypes_of_the_traced_step(precision, name):
    model = make(precision, name)
    ops = operations(model.step_function().get_concrete_function().graph)
    products = [op for op in ops if op.type in ("MatMul", "BatchMatMulV2", "BatchMatMulV3")]
    assert len(products) > 30, "the loops' products are among them"
    wrong = [op.name for op in products if op.outputs[0].dtype != LOW[precision]]
    assert not wrong, f"products outside {precision}: {wrong}"
    losses = [op for op in ops if op.type in LOSS_OPS]
    assert len(losses) >= (1 if name == "no attention" else 2)
    assert all(op.outputs[0].dtype == tf.float32 for op in losses)
    variables = [*model.weights, *model.optimizer.variables]
    floats = [v for v in variables if "float" in str(v.dtype)]
    assert all(v.dtype == "float32" for v in floats), "weights and optimizer slots"
    memory, state = model.encode(tf.constant([[4, 3]]))
    logits, _, weights = model.decode_step(tf.constant([[2]]), state, memory)
    assert (logits.dtype, weights.dtype) == (tf.float32, tf.float32)


@pytest.mark.parametrize("precision", LOW)
def test_a_clock_is_counted_in_float32(precision):
    """TensorFlow's GPU kernels have no bfloat16 floormod."""
    cell = ClockworkCell(8, dtype=precision)
    cell.build((None, 3))
    shapes = [(None, 8), (None, 8), (None, 1)]
    specs = [tf.TensorSpec(shape, LOW[precision]) for shape in shapes]
    graph = tf.function(lambda x, h, clock: cell.step(x, [h, clock])[1]).get_concrete_function(*specs)
    counted = [op for op in operations(graph.graph) if op.type == "FloorMod"]
    assert len(counted) == 5
    assert all(op.outputs[0].dtype == tf.float32 for op in counted)
    assert [state.dtype for state in graph.structured_outputs] == [LOW[precision]] * 2


@cache
def curve(precision, combination):
    """The losses of 60 updates on a batch to copy."""
    generator = np.random.default_rng(0)
    source = generator.integers(4, V, (16, 6)).astype(np.int32)
    source[:, -1] = 3
    model = make(precision, combination)
    losses = []
    for _ in range(60):
        model.loss_metric.reset_state()
        losses.append(float(model.step_function()(source, source)["loss"]))
    assert int(model.update.skipped) <= 1
    return np.array(losses)


@pytest.mark.parametrize(
    ("precision", "combination"),
    [
        ("mixed_float16", "gru"),
        ("mixed_bfloat16", "gru"),
        pytest.param("mixed_float16", "cgru", marks=pytest.mark.slow),
        pytest.param("mixed_bfloat16", "input feeding", marks=pytest.mark.slow),
    ],
)
def test_follows_float32_and_learns(precision, combination):
    expected = curve("float32", combination)
    assert expected[-1] < 0.8 * expected[0]
    np.testing.assert_allclose(curve(precision, combination), expected, rtol=0.06)
