"""Attention against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.layers import AdditiveAttention, DotAttention, GeneralAttention, ScaledDotAttention
from tests.conftest import randomize
from tests.reference import softmax

B, N, S, QUERY, MEMORY, UNITS = 2, 3, 4, 5, 6, 7
MASK = np.array([[True] * 4, [True, True, False, False]])


def scores_of(kind, layer, query, memory):
    if kind == "additive":
        w_q, w_m, v = (np.asarray(part.kernel) for part in (layer.query, layer.key, layer.score))
        return (np.tanh((query @ w_q)[:, :, None] + (memory @ w_m)[:, None]) @ v)[..., 0]
    if kind == "general":
        return np.einsum("bnq,bsq->bns", query, memory @ np.asarray(layer.key.kernel))
    scale = QUERY**-0.5 if kind == "scaled_dot" else 1.0
    return np.einsum("bnq,bsq->bns", query, memory) * scale


def make(kind, policy="float32"):
    width = QUERY if kind in ("dot", "scaled_dot") else MEMORY
    classes = {"dot": DotAttention, "scaled_dot": ScaledDotAttention, "general": GeneralAttention}
    layer = AdditiveAttention(UNITS, dtype=policy) if kind == "additive" else classes[kind](dtype=policy)
    layer.build(QUERY, width)
    randomize(layer)
    return layer, width


@pytest.mark.parametrize("kind", ["additive", "general", "dot", "scaled_dot"])
def test_equals_numpy(kind, rng):
    layer, width = make(kind)
    query, states = rng.normal(size=(B, N, QUERY)).astype("f"), rng.normal(size=(B, S, width)).astype("f")
    memory = layer.project_memory(tf.constant(states), tf.constant(MASK))
    context, weights = layer.attend(tf.constant(query), memory)
    expected = softmax(np.where(MASK[:, None], scores_of(kind, layer, query, states), -1e9))
    np.testing.assert_allclose(weights, expected, atol=1e-6)
    np.testing.assert_allclose(context, np.einsum("bns,bsm->bnm", expected, states), atol=1e-5)
    assert not weights.numpy()[1, :, 2:].any()
    np.testing.assert_allclose(weights.numpy().sum(-1), 1.0, atol=1e-6)


@pytest.mark.parametrize("kind", ["additive", "general", "dot", "scaled_dot"])
def test_many_queries_equal_one_at_a_time(kind, rng):
    layer, width = make(kind)
    query, states = rng.normal(size=(B, N, QUERY)).astype("f"), rng.normal(size=(B, S, width)).astype("f")
    memory = layer.project_memory(tf.constant(states), tf.constant(MASK))
    together, _ = layer.attend(tf.constant(query), memory)
    for n in range(N):
        alone, _ = layer.attend(tf.constant(query[:, n : n + 1]), memory)
        np.testing.assert_allclose(together[:, n : n + 1], alone, atol=1e-6)


@pytest.mark.parametrize("kind", ["additive", "general", "scaled_dot"])
def test_weights_are_float32_in_mixed_precision(kind, rng):
    layer, width = make(kind, "mixed_bfloat16")
    states = tf.cast(rng.normal(size=(B, S, width)), tf.bfloat16)
    query = tf.cast(rng.normal(size=(B, N, QUERY)), tf.bfloat16)
    context, weights = layer.attend(query, layer.project_memory(states, tf.constant(MASK)))
    assert (context.dtype, weights.dtype) == (tf.bfloat16, tf.float32)


def test_impossible_sizes_are_errors():
    with pytest.raises(ValueError, match="query 5 and memory 6"):
        DotAttention().build(QUERY, MEMORY)
    with pytest.raises(ValueError, match="units is 0"):
        AdditiveAttention(0)
