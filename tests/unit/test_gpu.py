"""On a real GPU, by hand (`pytest -m gpu`): cuDNN against the path of CPUs, TF32 against float32, memory that grows."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import SearchOptions
from seq2seq.config.precision import TF32_CAPABILITY
from seq2seq.devices.device import set_tf32, set_up_device
from seq2seq.devices.gpu_trial import run_trial
from seq2seq.inference.translator import Translator
from seq2seq.layers import GRUCell, LSTMCell, Recurrence
from seq2seq.layers.cudnn import CuDNNWeights, run_cudnn
from tests.conftest import asks_for_gpu, randomize
from tests.toy import pairs, save_random_model, toy_tokenizer

B, T, INPUTS, UNITS = 5, 9, 32, 64
LENGTHS = np.array([9, 1, 4, 9, 6], np.int32)
CELLS = {"gru": GRUCell, "lstm": LSTMCell}


@pytest.mark.parametrize(
    ("expression", "asks"),
    [
        ("gpu", True),
        ("gpu and slow", True),
        ("slow or gpu", True),
        ("not slow and not gpu", False),
        ("not (gpu or slow)", False),
        ("not slow", False),
        ("slow", False),
        ("", False),
    ],
)
def test_gpus_are_shown_to_those_who_ask(expression, asks):
    assert asks_for_gpu(expression) is asks


def data(rng, kind):
    inputs = tf.constant(rng.normal(size=(B, T, INPUTS)).astype("f"))
    return inputs, [tf.constant(rng.normal(size=(B, UNITS)).astype("f")) for _ in range(2 if kind == "lstm" else 1)]


def run(kind, reverse, implementation, dtype, inputs, initial, mixer):
    """Outputs, last states, and the gradients of a mixture of the outputs: of inputs, first states and weights."""
    layer = Recurrence(CELLS[kind](UNITS, dtype=dtype), reverse, implementation, dtype=dtype)
    layer.build((None, None, INPUTS))
    randomize(layer.cell, scale=0.2)
    compute = layer.compute_dtype
    with tf.GradientTape() as tape:
        tape.watch([inputs, *initial])
        outputs, states = layer(tf.cast(inputs, compute), LENGTHS, [tf.cast(state, compute) for state in initial])
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * mixer)
        loss += tf.add_n([tf.reduce_sum(tf.cast(state, tf.float32)) for state in states])
    wanted = [inputs, *initial, *(weight.value for weight in layer.cell.weights)]
    return [outputs, *states], tape.gradient(loss, wanted)


@pytest.mark.gpu
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_cudnn_equals_the_fast_path_in_float32(kind, reverse, rng):
    set_tf32("float32")
    inputs, initial = data(rng, kind)
    mixer = rng.normal(size=(B, T, UNITS)).astype("f")
    (found, gradients), (expected, others) = (
        run(kind, reverse, way, "float32", inputs, initial, mixer) for way in ("cudnn", "fused")
    )
    for ours, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-5)
    for ours, other in zip(gradients, others, strict=True):
        assert np.linalg.norm(ours - other) <= 1e-5 * np.linalg.norm(other)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", CELLS)
def test_both_directions_in_one_call_equal_one_after_the_other(kind, rng):
    """Also from first states that are not zero, which lie in memory in an order of their own."""
    set_tf32("float32")
    inputs, _ = data(rng, kind)
    initial = [data(rng, kind)[1] for _ in range(2)]
    layers = []
    for reverse in (False, True):
        layer = Recurrence(CELLS[kind](UNITS), reverse, "fused")
        layer.build((None, None, INPUTS))
        randomize(layer.cell, seed=3 + reverse, scale=0.2)
        layers.append(layer)
    weights = [CuDNNWeights(*(weight.value for weight in layer.cell.weights)) for layer in layers]
    mixer = rng.normal(size=(B, T, 2 * UNITS)).astype("f")

    def gradients(outputs, states, tape):
        loss = tf.reduce_sum(outputs * mixer) + tf.add_n([tf.reduce_sum(state) for state in tf.nest.flatten(states)])
        return tape.gradient(loss, [inputs, *tf.nest.flatten([initial, weights])])

    with tf.GradientTape() as tape:
        tape.watch([inputs, *tf.nest.flatten(initial)])
        outputs, states = run_cudnn(kind, inputs, tf.constant(LENGTHS), weights, initial)
        found = [outputs, *tf.nest.flatten(states)], gradients(outputs, states, tape)
    with tf.GradientTape() as tape:
        tape.watch([inputs, *tf.nest.flatten(initial)])
        results = [layer(inputs, LENGTHS, first) for layer, first in zip(layers, initial, strict=True)]
        outputs, states = tf.concat([output for output, _ in results], axis=-1), [state for _, state in results]
        expected = [outputs, *tf.nest.flatten(states)], gradients(outputs, states, tape)
    for ours, other in zip(*map(tf.nest.flatten, (found, expected)), strict=True):
        assert np.linalg.norm(ours - other) <= 1e-5 * np.linalg.norm(other)


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "bound"), [("mixed_float16", 1e-2), ("mixed_bfloat16", 5e-2)])
@pytest.mark.parametrize("kind", CELLS)
def test_gradients_of_cudnn_in_16_bits_are_near_those_in_float32(kind, dtype, bound, rng):
    inputs, initial = data(rng, kind)
    mixer = rng.normal(size=(B, T, UNITS)).astype("f")
    set_tf32("float32")
    _, expected = run(kind, False, "fused", "float32", inputs, initial, mixer)
    set_tf32(dtype)
    _, gradients = run(kind, False, "cudnn", dtype, inputs, initial, mixer)
    for ours, other in zip(gradients, expected, strict=True):
        assert np.linalg.norm(tf.cast(ours, tf.float32) - other) <= bound * np.linalg.norm(other)


@pytest.mark.gpu
def test_float32_is_exact_and_tf32_is_not(rng):
    if set_up_device().capability < TF32_CAPABILITY:
        pytest.skip(f"{set_up_device().name} has no TF32")
    a, b = (rng.normal(size=(256, 256)).astype("f") for _ in range(2))
    expected = a.astype("d") @ b.astype("d")
    errors = {}
    for precision in ("float32", "tf32", "float32"):
        set_tf32(precision)
        errors[precision] = np.abs(tf.matmul(a, b).numpy() - expected).max()
    assert errors["float32"] < 1e-4
    assert errors["tf32"] > 1e-3


@pytest.mark.gpu
def test_memory_grows_and_the_trial_passes():
    assert set_up_device().is_gpu
    assert all(tf.config.experimental.get_memory_growth(gpu) for gpu in tf.config.get_visible_devices("GPU"))
    trial = run_trial()
    assert trial.passed, trial
    assert trial.errors, "at least one GPU was tried"


@pytest.mark.gpu
def test_scores_in_float32_do_not_depend_on_the_batch(tmp_path):
    save_random_model(tmp_path / "model", toy_tokenizer())
    translator = Translator.load(tmp_path / "model")
    sentences, options = [source for source, _ in pairs(20, 9)], SearchOptions(beam_size=3, max_length=12)
    together = translator.translate(sentences, options)
    for sentence, expected in zip(sentences, together, strict=True):
        (alone,) = translator.translate([sentence], options)
        assert alone.text == expected.text
        np.testing.assert_allclose(alone.token_log_probs, expected.token_log_probs, atol=1e-5)
