"""The language model: equal to a NumPy loop, teacher forcing equals stepping, padding and source change nothing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import DecoderConfig, EmbeddingsConfig, LanguageModelDecoderConfig
from seq2seq.models.language_model import LanguageModel
from tests.conftest import randomize
from tests.reference import cell_step, log_softmax

V = 13
TARGET = np.array([[5, 6, 3, 0], [7, 8, 9, 3], [12, 3, 0, 0]], np.int32)
SOURCE = np.full((3, 1), 3, np.int32)
VARIANTS = {
    "gru": ({}, {}),
    "lstm, deep": ({"tied": "none"}, {"cell": "lstm", "layers": 3}),
    "highway, norm": ({}, {"layers": 2, "residual": "highway", "layer_norm": True}),
    "transitions": ({}, {"cell": "layer_norm_lstm", "transition_depth": 3, "layers": 2}),
    "counting cell": ({}, {"cell": "clockwork", "units": 8}),
    "sru": ({"size": 5}, {"cell": "sru", "layers": 2, "residual": False}),
    "peepholes": ({}, {"cell": "peephole_lstm"}),
}


def build(name="gru", seed=3, **more):
    embeddings, decoder = VARIANTS[name]
    model = LanguageModel(
        V,
        EmbeddingsConfig(**{"size": 4} | embeddings),
        LanguageModelDecoderConfig(**{"units": 7} | decoder),
        **more,
    )
    randomize(model, seed)
    return model


def by_steps(model, target):
    """Log-probabilities (T, V) of a row by repeated `decode_step`, K = 1."""
    memory, state = model.encode(tf.constant(SOURCE[:1]))
    found = []
    for token in [2, *target[:-1]]:
        logits, state, weights = model.decode_step(tf.constant([[token]]), state, memory)
        assert weights.shape == (1, 1, 0)
        found.append(log_softmax(logits.numpy()[0, 0]))
    return np.array(found)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_log_probs_equal_a_numpy_loop(cell):
    embeddings = EmbeddingsConfig(size=4, tied="none")
    model = LanguageModel(V, embeddings, LanguageModelDecoderConfig(cell=cell, units=7))
    randomize(model)
    logits = model((SOURCE, TARGET)).numpy()
    read, write = (np.asarray(part.table) for part in (model.target_embedding, model.output_embedding))
    kernel, bias = (np.asarray(part) for part in (model.decoder.readout.kernel, model.decoder.readout.bias))
    for row, target in enumerate(TARGET):
        states = [np.zeros((1, 7)) for _ in model.decoder.stack.cells[0].state_size]
        for t, token in enumerate(target[target > 0]):
            states = cell_step(model.decoder.stack.cells[0], read[[2, *target][t]][None], states)
            readout = np.tanh(states[0] @ kernel + bias)
            expected = log_softmax(readout @ write.T + np.asarray(model.output_bias))[0]
            np.testing.assert_allclose(log_softmax(logits[row, t]), expected, atol=1e-5)
            assert token > 0


@pytest.mark.parametrize("name", VARIANTS)
def test_teacher_forced_equals_stepping(name):
    model = build(name)
    logits = model((SOURCE, TARGET)).numpy()
    for row, target in enumerate(TARGET):
        length = int((target > 0).sum())
        np.testing.assert_allclose(log_softmax(logits[row, :length]), by_steps(model, target[:length]), atol=1e-5)


@pytest.mark.parametrize("name", ["gru", "lstm, deep", "counting cell"])
def test_losses_are_those_of_the_steps_whatever_the_padding(name):
    model = build(name)
    _, nll, tokens = model.loss_sums(SOURCE, TARGET)
    each = [by_steps(model, row[row > 0])[np.arange((row > 0).sum()), row[row > 0]] for row in TARGET]
    assert float(nll) == pytest.approx(-np.concatenate(each).sum(), rel=1e-5)
    assert int(tokens) == 9
    np.testing.assert_allclose(model.token_losses(SOURCE, TARGET)[1], -np.concatenate(each), atol=1e-5)
    padded = np.pad(TARGET, [(0, 0), (0, 5)])
    np.testing.assert_allclose(model.token_losses(SOURCE, padded)[1], -np.concatenate(each), atol=1e-5)


def test_the_source_says_nothing():
    model = build()
    other = np.array([[4, 5, 3], [3, 0, 0], [9, 3, 0]], np.int32)
    np.testing.assert_array_equal(model((SOURCE, TARGET)), model((other, TARGET)))
    memory, state = model.encode(tf.constant(SOURCE))
    assert memory.states.shape == (3, 1, 0)
    assert all(not tensor.numpy().any() for tensor in tf.nest.flatten(state)), "it starts from zeros"
    assert not model.uses_attention


def test_several_hypotheses_a_sentence_step_apart():
    model = build("lstm, deep")
    memory, state = model.encode(tf.constant(SOURCE[:2]))
    state = tf.nest.map_structure(lambda part: tf.repeat(part, 2, axis=1), state)
    tokens = tf.constant([[2, 5], [7, 2]])
    together, _, _ = model.decode_step(tokens, state, memory)
    for row in range(2):
        for k in range(2):
            alone = by_steps_from(model, int(tokens[row, k]))
            np.testing.assert_allclose(log_softmax(together[row, k].numpy()), alone, atol=1e-5)


def by_steps_from(model, token):
    memory, state = model.encode(tf.constant(SOURCE[:1]))
    return log_softmax(model.decode_step(tf.constant([[token]]), state, memory)[0].numpy()[0, 0])


def test_it_learns_through_fit():
    model = build(seed=1)
    model.compile(keras.optimizers.Adam(0.02))
    data = tf.data.Dataset.from_tensors((SOURCE, TARGET)).repeat(40)
    model.fit(data, epochs=1, verbose=0, shuffle=False)
    before, after = build(seed=1).loss_sums(SOURCE, TARGET)[1], model.loss_sums(SOURCE, TARGET)[1]
    assert float(after) < 0.5 * float(before)


def test_what_it_refuses():
    with pytest.raises(ValueError, match="nothing to attend to: pass a LanguageModelDecoderConfig"):
        LanguageModel(V, decoder=DecoderConfig())
    with pytest.raises(ValueError, match=r"LanguageModel does not take loss='mse'"):
        build().compile("sgd", loss="mse")


def test_the_decoder_is_all_its_weights():
    model = build("lstm, deep")
    parts = {weight.path.split("/")[1] for weight in model.weights}
    assert parts == {"target_embedding", "output_embedding", "decoder", "output_bias"}
    assert not [weight.path for weight in model.weights if "bridge" in weight.path]
