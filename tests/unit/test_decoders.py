"""Decoders against plain NumPy, and their hoisted gradients against a Python loop of steps."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig
from seq2seq.models.translation import Seq2Seq
from tests.conftest import randomize
from tests.reference import additive_scores, attend, cell_step

SOURCE = np.array([[4, 5, 6, 7, 3], [8, 3, 0, 0, 0], [9, 10, 4, 3, 0]], np.int32)
TARGET = np.array([[5, 6, 9, 3], [7, 3, 0, 0], [12, 8, 3, 0]], np.int32)
MASK, REAL = SOURCE != 0, TARGET != 0


def make(**decoder):
    options = {"units": 5, "attention": "additive", "attention_units": 4} | decoder
    encoder = EncoderConfig(units=8, cell=options.get("cell", "gru"))
    model = Seq2Seq(11, 13, EmbeddingsConfig(size=5), encoder, DecoderConfig(**options))
    randomize(model)
    return model


def dense(layer, x):
    return np.tanh(x @ np.asarray(layer.kernel) + np.asarray(layer.bias))


def start_of(model):
    """What the decoder starts from, as NumPy arrays: encoder states and each layer's first states."""
    memory, state = model.encode(SOURCE)
    return np.asarray(memory.states), [[np.asarray(value)[:, 0] for value in layer] for layer in state.cells]


def logits_of(model, readout):
    return readout @ np.asarray(model.output_embedding.table).T + np.asarray(model.output_bias)


def inputs_of(model):
    previous = np.concatenate([np.full((3, 1), 2), TARGET[:, :-1]], axis=1)
    return np.asarray(model.target_embedding.table)[previous]


@pytest.mark.parametrize("coverage", [False, True])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_conditional_decoder_equals_numpy(cell, depth, coverage):
    model = make(type="cgru", cell=cell, layers=2, transition_depth=depth, coverage=coverage)
    decoder = model.decoder
    states, (bottom, upper) = start_of(model)
    seen, logits, all_weights = np.zeros(MASK.shape), [], []
    for embedded in inputs_of(model).transpose(1, 0, 2):
        query = cell_step(decoder.stack.cells[0], embedded, bottom)
        scores = additive_scores(query[0], states, decoder.attention, seen if coverage else None)
        context, weights = attend(scores, states, MASK)
        seen = seen + weights
        cells = decoder.second_cell.cells if depth > 1 else [decoder.second_cell]
        bottom = cell_step(cells[0], context, query)
        for transition in cells[1:]:
            bottom = cell_step(transition, None, bottom)
        upper = cell_step(decoder.stack.cells[1].cells[0] if depth > 1 else decoder.stack.cells[1],
                          np.concatenate([bottom[0], context], axis=-1), upper)  # fmt: skip
        for transition in decoder.stack.cells[1].cells[1:] if depth > 1 else []:
            upper = cell_step(transition, None, upper)
        top = upper[0] + bottom[0]  # residual
        readout = dense(decoder.readout, np.concatenate([top, context, embedded], axis=-1))
        logits.append(logits_of(model, readout))
        all_weights.append(weights)
    np.testing.assert_allclose(model((SOURCE, TARGET)).numpy()[REAL], np.stack(logits, 1)[REAL], atol=2e-5)
    np.testing.assert_allclose(model.attention_weights(SOURCE, TARGET).numpy()[REAL], np.stack(all_weights, 1)[REAL],
                               atol=1e-5)  # fmt: skip


def test_a_clock_of_the_conditional_decoder_counts_target_tokens():
    """Did each of its two cells count, groups of the second would never move."""
    model = make(type="cgru", cell="clockwork", units=8)
    memory, state = model.encode(SOURCE)
    clocks, moved = [], []
    for _ in range(9):
        before = state.cells[0][0]
        _, state, _ = model.decode_step(np.full((3, 1), 5), state, memory)
        clocks.append(set(state.cells[0][1].numpy().flat))
        moved.append(np.any(state.cells[0][0] != before, axis=(0, 1)).reshape(4, 2).all(axis=1).tolist())
    assert clocks == [{float(step % 8)} for step in range(1, 10)]
    assert moved == [[step % period == 0 for period in (1, 2, 4, 8)] for step in range(9)]


@pytest.mark.parametrize("cell", ["gru", "lstm", "layer_norm_gru", "layer_norm_lstm"])
def test_input_feeding_decoder_equals_numpy(cell):
    """A cell that normalises does so with the product of both inputs together."""
    model = make(type="input_feeding", cell=cell, layers=2)
    decoder = model.decoder
    states, (bottom, upper) = start_of(model)
    readout, logits = np.zeros((3, 5)), []
    joined = np.concatenate([decoder.stack.cells[0].kernel, decoder.feed_kernel])  # one kernel for [y; readout]
    for embedded in inputs_of(model).transpose(1, 0, 2):
        bottom = cell_step(decoder.stack.cells[0], np.concatenate([embedded, readout], axis=-1), bottom, joined)
        upper = cell_step(decoder.stack.cells[1], bottom[0], upper)
        top = upper[0] + bottom[0]
        context, _ = attend(additive_scores(top, states, decoder.attention), states, MASK)
        readout = dense(decoder.readout, np.concatenate([top, context], axis=-1))
        logits.append(logits_of(model, readout))
    np.testing.assert_allclose(model((SOURCE, TARGET)).numpy()[REAL], np.stack(logits, 1)[REAL], atol=2e-5)


@pytest.mark.parametrize("kind", ["attention", "initial", "every_step"])
def test_default_decoder_equals_numpy(kind):
    """The bottom layer asks and the one above reads its context; without attention there is none, or a fixed one."""
    without = {"attention": "none", "attention_units": None, "context": kind} if kind != "attention" else {}
    model = make(layers=2, **without)
    decoder = model.decoder
    memory, _ = model.encode(SOURCE)
    states, (bottom, upper) = start_of(model)
    logits = []
    for embedded in inputs_of(model).transpose(1, 0, 2):
        fixed = np.asarray(memory.states)[:, 0] if kind == "every_step" else None
        bottom = cell_step(decoder.stack.cells[0],
                           embedded if fixed is None else np.concatenate([embedded, fixed], -1), bottom)  # fmt: skip
        context = fixed
        if kind == "attention":
            context, _ = attend(additive_scores(bottom[0], states, decoder.attention), states, MASK)
        beside = [] if context is None else [context]
        upper = cell_step(decoder.stack.cells[1], np.concatenate([bottom[0], *beside], -1), upper)
        readout = dense(decoder.readout, np.concatenate([upper[0] + bottom[0], *beside], axis=-1))
        logits.append(logits_of(model, readout))
    np.testing.assert_allclose(model((SOURCE, TARGET)).numpy()[REAL], np.stack(logits, 1)[REAL], atol=2e-5)


LOOPS = {
    "cgru": {"type": "cgru"},
    "conditional, deep": {"type": "cgru", "layers": 2, "transition_depth": 2, "coverage": True},
    "conditional, heads": {"type": "cgru", "cell": "lstm", "heads": 2},
    "input feeding": {"type": "input_feeding"},
    "input feeding, deep": {
        "type": "input_feeding", "cell": "lstm", "layers": 2, "coverage": True, "residual": "highway",
    },
    "input feeding, layer norm": {
        "type": "input_feeding", "cell": "layer_norm_lstm", "layers": 2, "transition_depth": 2, "residual": "highway",
    },
    "coverage": {"coverage": True},
    "heads": {"heads": 2},
    "layer norm": {"type": "cgru", "cell": "layer_norm_gru", "layer_norm": True},
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_gradients_equal_those_through_a_python_loop_of_steps(name):
    model = make(**LOOPS[name])
    values = [v.value for v in model.trainable_variables]
    with tf.GradientTape() as tape:
        hoisted = model.loss_sums(SOURCE, TARGET)[0]
    expected = tape.gradient(hoisted, values)
    with tf.GradientTape() as tape:
        memory, state = model.encode(SOURCE)
        tokens, losses = tf.fill([3, 1], 2), []
        for t in range(TARGET.shape[1]):
            logits, state, _ = model.decode_step(tokens, state, memory)
            cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(TARGET[:, t], logits[:, 0])
            losses.append(tf.reduce_sum(tf.where(REAL[:, t], cross_entropy, 0.0)))
            tokens = tf.constant(TARGET[:, t : t + 1])
        stepped = tf.add_n(losses)
    assert float(hoisted) == pytest.approx(float(stepped), rel=1e-5)
    for variable, ours, theirs in zip(model.trainable_variables, expected, tape.gradient(stepped, values), strict=True):
        np.testing.assert_allclose(
            tf.convert_to_tensor(ours), tf.convert_to_tensor(theirs), rtol=2e-4, atol=2e-5, err_msg=variable.path
        )


MASKED = ["dropout", "recurrent_dropout", "attention_dropout", "readout_dropout"]


@pytest.mark.parametrize("form", ["luong", "cgru", "input_feeding"])
@pytest.mark.parametrize("option", MASKED)
def test_each_dropout_acts_in_training_only_and_by_its_draw(form, option):
    rates = dict.fromkeys(MASKED, 0.0) | {option: 0.5}
    model, plain = make(type=form, layers=2, **rates), make(type=form, layers=2)
    expected = float(plain.loss_sums(SOURCE, TARGET)[0])
    assert float(model.loss_sums(SOURCE, TARGET)[0]) == pytest.approx(expected, rel=1e-6)
    losses = []
    for draw in (0, 1, 1):
        model.random_stream.step.assign(draw)
        losses.append(float(model.loss_sums(SOURCE, TARGET, training=True)[0]))
    assert losses[1] == losses[2] != losses[0]
    assert abs(losses[0] - expected) > 1e-4


@pytest.mark.parametrize("form", ["luong", "cgru", "input_feeding"])
def test_attention_dropout_scales_the_context_and_not_the_weights(form, monkeypatch):
    """With a mask of 3 everywhere, the context is three times the memory's mean under the weights handed out."""
    model = make(type=form, attention_dropout=0.5)
    tripled = make(type=form)
    monkeypatch.setattr(model.decoder.attention_dropout, "mask", lambda shape, dtype, training: tf.fill(shape, 3.0))
    original = tripled.decoder.start

    def start(states, mask, last):
        memory, state = original(states, mask, last)
        return memory._replace(states=3.0 * memory.states), state

    monkeypatch.setattr(tripled.decoder, "start", start)
    ours, theirs = (m((SOURCE, TARGET), training=True).numpy()[REAL] for m in (model, tripled))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    weights = model.attention_weights(SOURCE, TARGET).numpy()[REAL]
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, atol=1e-5)


@pytest.mark.parametrize("side", ["source", "target"])
def test_word_dropout_zeroes_whole_tokens(side):
    sizes = EmbeddingsConfig(size=8, **{f"{side}_word_dropout": 0.5})
    model = Seq2Seq(11, 13, sizes, EncoderConfig(units=4), DecoderConfig(units=4))
    words = {"source": model.source_dropouts, "target": model.target_dropouts}
    mask = words[side][0](tf.ones([20, 30, 8]), training=True).numpy()
    assert set(np.unique(mask)) == {0.0, 2.0}
    assert (mask == mask[:, :, :1]).all(), "a token goes as a whole"
    assert 0.4 < (mask[:, :, 0] == 0).mean() < 0.6
    other = "target" if side == "source" else "source"
    assert (words[other][0](tf.ones([2, 3, 8]), training=True).numpy() == 1).all()
    kept = float(model.loss_sums(SOURCE, TARGET)[0])
    assert float(model.loss_sums(SOURCE, TARGET, training=True)[0]) != pytest.approx(kept, rel=1e-6)
