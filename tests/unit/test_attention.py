"""Attention against NumPy."""

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import DecoderConfig
from seq2seq.layers.attention import (
    ATTENTIONS,
    AdditiveAttention,
    Attention,
    DotAttention,
    make_attention,
)
from seq2seq.layers.attention.base import record_head_weights
from seq2seq.layers.base import Initializers
from tests.conftest import randomize
from tests.reference import additive_scores, attend, softmax

ROOT = Path(__file__).parents[2]

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
    layer = make_attention(kind, UNITS, dtype=policy)
    layer.build(QUERY, width)
    randomize(layer)
    return layer, width


def test_recipes_know_every_attention():
    assert {"none", *ATTENTIONS} == set(get_args(DecoderConfig.model_fields["attention"].annotation))
    assert make_attention("none", UNITS) is None


@pytest.mark.parametrize("kind", ATTENTIONS)
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


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_many_queries_equal_one_at_a_time(kind, rng):
    layer, width = make(kind)
    query, states = rng.normal(size=(B, N, QUERY)).astype("f"), rng.normal(size=(B, S, width)).astype("f")
    memory = layer.project_memory(tf.constant(states), tf.constant(MASK))
    together, _ = layer.attend(tf.constant(query), memory)
    for n in range(N):
        alone, _ = layer.attend(tf.constant(query[:, n : n + 1]), memory)
        np.testing.assert_allclose(together[:, n : n + 1], alone, atol=1e-6)


@pytest.mark.parametrize("kind", ATTENTIONS)
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
    with pytest.raises(ValueError, match="heads is 3 and does not divide units 8"):
        make_attention("general", 8, heads=3)
    with pytest.raises(ValueError, match="heads is 2 and does not divide units 0"):
        DotAttention(heads=2)


@pytest.mark.parametrize("heads", [1, 2])
def test_what_does_not_exist_is_refused(heads):
    with pytest.raises(
        ValueError, match="attention is 'multiplicative', expected none, additive, general, dot, scaled"
    ):
        make_attention("multiplicative", 8, heads=heads)
    with pytest.raises(ValueError, match=f"GeneralAttention with heads {heads} does not support coverage"):
        make_attention("general", 8, heads=heads, coverage=True)
    with pytest.raises(
        ValueError, match="AdditiveAttention with heads 2 does not support coverage: use additive attention with one"
    ):
        make_attention("additive", 8, heads=2, coverage=True)


HEADS, WIDTH = 2, 8


def make_heads(kind):
    layer = make_attention(kind, WIDTH, heads=HEADS)
    layer.build(QUERY, MEMORY)
    randomize(layer)
    return layer


def inputs(rng, queries=N):
    query, states = rng.normal(size=(B, queries, QUERY)).astype("f"), rng.normal(size=(B, S, MEMORY)).astype("f")
    return tf.constant(query), tf.constant(states)


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_heads_equal_numpy_one_by_one(kind, rng):
    layer = make_heads(kind)
    query, states = inputs(rng)
    with record_head_weights() as watched:
        context, weights = layer.attend(query, layer.project_memory(states, tf.constant(MASK)))
    parts = (layer.query_kernel, layer.key_kernel, layer.value_kernel)
    contexts, all_weights = [], []
    for head in range(HEADS):
        columns = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
        w_q, w_k, w_v = (np.asarray(part)[:, columns] for part in parts)
        q, k, v = query.numpy() @ w_q, states.numpy() @ w_k, states.numpy() @ w_v
        if kind == "additive":
            scores = np.tanh(q[:, :, None] + k[:, None]) @ np.asarray(layer.score_kernel)[head]
        else:
            scores = np.einsum("bnd,bsd->bns", q, k) / ((WIDTH / HEADS) ** 0.5 if kind == "scaled_dot" else 1.0)
        all_weights.append(softmax(np.where(MASK[:, None], scores, -1e9)))
        contexts.append(np.einsum("bns,bsd->bnd", all_weights[-1], v))
    expected = np.concatenate(contexts, axis=-1) @ np.asarray(layer.output_kernel)
    np.testing.assert_allclose(context, expected, atol=1e-5)
    np.testing.assert_allclose(weights, np.mean(all_weights, axis=0), atol=1e-6)
    np.testing.assert_allclose(watched, [np.stack(all_weights, axis=1)], atol=1e-6)


class CosineAttention(Attention):
    """e_s = g cos(q, W m_s), as somebody who thinks of one head would write it."""

    def build_scores(self, query_size, memory_size):
        self.key = self.add_dense(query_size, "key", memory_size)
        self.gain = self.add_matrix("gain", 1, 1)

    def project_queries(self, query):
        return tf.math.l2_normalize(query, axis=-1)

    def project_keys(self, states):
        return tf.math.l2_normalize(states @ tf.cast(self.key.kernel, states.dtype), axis=-1)

    def scores(self, query, keys, coverage=None):
        return tf.cast(self.gain, query.dtype)[0, 0] * tf.matmul(query, keys, transpose_b=True)


@pytest.mark.parametrize("heads", [1, 4])
def test_a_new_attention_runs_in_heads(heads, rng):
    layer = CosineAttention(WIDTH, heads)
    layer.build(QUERY, MEMORY)
    randomize(layer)
    query, states = inputs(rng)
    memory = layer.project_memory(states, tf.constant(MASK))
    context, weights = layer.attend_sequence(query, memory)

    kernels = [np.eye(QUERY), np.eye(MEMORY), np.eye(MEMORY)]
    if heads > 1:
        kernels = [np.asarray(kernel) for kernel in (layer.query_kernel, layer.key_kernel, layer.value_kernel)]
    parts = [
        np.split(x.numpy() @ kernel, heads, axis=-1) for x, kernel in zip((query, states, states), kernels, strict=True)
    ]
    contexts, all_weights = [], []
    for q, k, v in zip(*parts, strict=True):
        keys = k @ np.asarray(layer.key.kernel)
        norms = np.linalg.norm(q, axis=-1)[:, :, None] * np.linalg.norm(keys, axis=-1)[:, None]
        scores = np.asarray(layer.gain)[0, 0] * np.einsum("bnd,bsd->bns", q, keys) / norms
        all_weights.append(softmax(np.where(MASK[:, None], scores, -1e9)))
        contexts.append(np.einsum("bns,bsd->bnd", all_weights[-1], v))
    expected = np.concatenate(contexts, axis=-1) @ (np.eye(MEMORY) if heads == 1 else np.asarray(layer.output_kernel))
    np.testing.assert_allclose(context, expected, atol=1e-5)
    np.testing.assert_allclose(weights, np.mean(all_weights, axis=0), atol=1e-6)


class FadingAttention(Attention):
    """e_s = v . relu(q + m_s) - g a_s: it holds (..., N, S, A), and sees the attention so far."""

    supports_coverage = compute_in_blocks = True

    def build_scores(self, query_size, memory_size):
        self.query = self.add_dense(memory_size, "query", query_size)
        self.v, self.gain = self.add_matrix("v", memory_size, 1), self.add_matrix("gain", 1, 1)

    def project_queries(self, query):
        return query @ tf.cast(self.query.kernel, query.dtype)

    def scores(self, query, keys, coverage=None):
        hidden = tf.nn.relu(query[..., None, :] + keys[..., None, :, :])
        scores = (hidden @ tf.convert_to_tensor(self.v))[..., 0]
        return scores if coverage is None else scores - tf.convert_to_tensor(self.gain) * coverage


@pytest.mark.parametrize("options", [{}, {"heads": 4}, {"coverage": True}], ids=str)
def test_a_new_attention_reads_whole_targets_as_single_steps(options, rng, monkeypatch):
    """In blocks of two queries and a rest, or step by step, with the same gradients."""
    monkeypatch.setattr("seq2seq.layers.attention.base.BLOCK_ELEMENTS", 2 * B * S * WIDTH)
    layer = FadingAttention(WIDTH, **options)
    layer.build(QUERY, MEMORY)
    randomize(layer)
    query, states = inputs(rng, queries=7)

    def one_by_one(query, memory):
        seen, found = tf.zeros([B, 1, S]), []
        for t in range(7):
            found.append(layer.attend(query[:, t : t + 1], memory, seen))
            seen += found[-1][1]
        return [tf.concat(parts, axis=1) for parts in zip(*found, strict=True)]

    results = []
    for attend_to in (layer.attend_sequence, one_by_one):
        with tf.GradientTape() as tape:
            context, weights = attend_to(query, layer.project_memory(states, tf.constant(MASK)))
            loss = tf.reduce_sum(tf.sin(context)) + tf.reduce_sum(weights**2)
        results.append(
            [context, weights, *tape.gradient(loss, [w.value for w in layer.weights], unconnected_gradients="zero")]
        )
    for whole, single in zip(*results, strict=True):
        np.testing.assert_allclose(whole, single, atol=2e-5)


CASES = [(kind, options) for kind in ATTENTIONS for options in ({}, {"heads": 2})]
CASES += [(kind, {"coverage": True}) for kind, attention in ATTENTIONS.items() if attention.supports_coverage]


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_keras_can_make_it_again(kind, options):
    layer = make_attention(kind, WIDTH, initializers=Initializers(7), dtype="mixed_bfloat16", name="looks", **options)
    described = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    again = keras.saving.deserialize_keras_object(described)
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    for one in (layer, again):
        one.build(MEMORY, MEMORY)
    assert [weight.path for weight in again.weights] == [weight.path for weight in layer.weights]
    for ours, theirs in zip(layer.weights, again.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def make_coverage():
    layer = AdditiveAttention(UNITS, coverage=True)
    layer.build(QUERY, MEMORY)
    randomize(layer, scale=0.8)
    return layer


def test_coverage_equals_a_numpy_loop(rng):
    """Over a whole target, and step by step with the sum handed over."""
    layer = make_coverage()
    query, states = inputs(rng, queries=5)
    memory = layer.project_memory(states, tf.constant(MASK))
    contexts, weights = layer.attend_sequence(query, memory)
    seen = np.zeros((B, S))
    for t in range(5):
        scores = additive_scores(query.numpy()[:, t], states.numpy(), layer, seen)
        context, expected = attend(scores, states.numpy(), MASK)
        step = layer.attend(query[:, t : t + 1], memory, tf.constant(seen[:, None], tf.float32))
        seen += expected
        for found, value in ((contexts[:, t], context), (weights[:, t], expected)):
            np.testing.assert_allclose(found, value, atol=1e-5)
        np.testing.assert_allclose(step[0][:, 0], context, atol=1e-5)
        np.testing.assert_allclose(step[1][:, 0], expected, atol=1e-5)


def test_a_dropout_mask_meets_the_weights_that_make_the_context(rng):
    query, states = inputs(rng)
    drop = rng.choice([0.0, 2.0], size=(B, N, S)).astype("f")
    for layer in (make("general")[0], make("additive")[0], make_coverage()):
        memory = layer.project_memory(states, tf.constant(MASK))
        context, weights = layer.attend_sequence(query, memory, dropout_mask=tf.constant(drop))
        np.testing.assert_allclose(context, np.einsum("bns,bsm->bnm", weights * drop, states), atol=1e-5)
        np.testing.assert_allclose(tf.reduce_sum(weights, axis=-1), 1.0, atol=1e-6)


def scored_whole(layer, query, states, mixer):
    with tf.GradientTape() as tape:
        tape.watch([query, states])
        context, weights = layer.attend_sequence(query, layer.project_memory(states, tf.constant(MASK)))
        loss = tf.reduce_sum(context * mixer) + tf.reduce_sum(weights**2)
    return [context, weights, *tape.gradient(loss, [query, states, *(w.value for w in layer.weights)])]


@pytest.mark.parametrize("kind", ["additive", "additive heads"])
@pytest.mark.parametrize("block", [1, 2, 5, 7])
def test_blocks_change_nothing(kind, block, rng, monkeypatch):
    """Seven queries in blocks of one, in blocks that leave a rest, and in one block."""
    layer, width = (make_heads("additive"), WIDTH) if kind == "additive heads" else (make("additive")[0], UNITS)
    query, states = inputs(rng, queries=7)
    mixer = rng.normal(size=(B, 7, MEMORY)).astype("f")
    monkeypatch.setattr("seq2seq.layers.attention.base.BLOCK_ELEMENTS", block * B * S * width)
    found = scored_whole(layer, query, states, mixer)
    monkeypatch.setattr(type(layer), "attend_sequence", lambda self, q, memory: self.attend(q, memory))
    for ours, plain in zip(found, scored_whole(layer, query, states, mixer), strict=True):
        np.testing.assert_allclose(ours, plain, atol=2e-5, rtol=1e-4)


PEAK = """
import re, sys
from pathlib import Path
from tests import no_plots
import numpy as np
import seq2seq
import tensorflow as tf
from seq2seq.layers.attention import AdditiveAttention

tf.config.threading.set_intra_op_parallelism_threads(2)
tf.config.threading.set_inter_op_parallelism_threads(1)
layer = AdditiveAttention(64)
layer.build(64, 64)
attend = layer.attend_sequence if sys.argv[1] == "blocks" else layer.attend

@tf.function(input_signature=[tf.TensorSpec([None, None, 64])] * 2, autograph=False)
def run(query, states):
    with tf.GradientTape() as tape:
        tape.watch([query, states])
        memory = layer.project_memory(states, tf.ones(tf.shape(states)[:2], tf.bool))
        loss = tf.reduce_sum(attend(query, memory)[0] ** 2)
    return tape.gradient(loss, [query, states, *(w.value for w in layer.weights)])

def megabytes(what):
    return int(re.search(what + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

run(tf.zeros([1, 3, 64]), tf.zeros([1, 3, 64]))
Path("/proc/self/clear_refs").write_text("5")  # the peak until now, of imports and tracing, is forgotten
before = megabytes("VmRSS")
run(tf.zeros([4, 400, 64]), tf.zeros([4, 400, 64]))
print(megabytes("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is read and reset as Linux does it")
def test_the_peak_memory_of_additive_attention_is_bounded():
    """One (B, T, S, U) tensor of the large call is 164 MB; without blocks several are held at once."""

    def grown(how):
        done = subprocess.run([sys.executable, "-c", PEAK, how], cwd=ROOT, capture_output=True, text=True, check=True)
        return float(done.stdout)

    blocks, whole = grown("blocks"), grown("whole")
    assert whole > 250
    assert blocks < 0.4 * whole
