"""The model: teacher forcing equals stepping, padding changes nothing, ties tie, fit trains."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig, validate_config
from seq2seq.models.translation import Seq2Seq
from tests.conftest import randomize

SOURCE_V, TARGET_V = 11, 13
SOURCE = np.array([[4, 5, 6, 7, 3], [8, 3, 0, 0, 0], [9, 10, 4, 3, 0]], np.int32)
TARGET = np.array([[5, 6, 3, 0], [7, 8, 9, 3], [12, 3, 0, 0]], np.int32)

VARIANTS = {
    "gru": ({}, {}, {}),
    "lstm": ({}, {"cell": "lstm"}, {"cell": "lstm", "attention": "additive"}),
    "deep": ({"tied": "none"}, {"layers": 3}, {"layers": 3, "attention": "scaled_dot", "units": 6}),
    "mixed cells": ({}, {"cell": "lstm", "bidirectional": False, "layers": 2}, {"layers": 2, "residual": False}),
    "sutskever": (
        {},
        {"layers": 2, "bidirectional": False},
        {"layers": 2, "units": 6, "attention": "none", "bridge": "copy"},
    ),
    "cho": ({}, {"cell": "lstm"}, {"layers": 2, "attention": "none", "context": "every_step"}),
    "cho from the mean": ({}, {}, {"attention": "none", "context": "every_step", "bridge": "mean"}),
    "maximum": ({}, {}, {"attention": "none", "bridge": "max"}),
    "normed without attention": (
        {},
        {"layers": 2, "residual": "highway", "layer_norm": True},
        {"layers": 2, "residual": "highway", "layer_norm": True, "attention": "none", "bridge": "max"},
    ),
    "last lstm": ({}, {"cell": "lstm"}, {"cell": "lstm", "units": 6, "bridge": "copy"}),
    "heads": ({}, {}, {"units": 8, "heads": 2, "attention": "scaled_dot"}),
    "additive heads": ({}, {}, {"heads": 3, "attention": "additive", "attention_units": 9}),
    "coverage": ({}, {}, {"attention": "additive", "coverage": True, "attention_units": 5}),
    "cgru": ({}, {}, {"type": "cgru", "attention": "additive"}),
    "conditional lstm": ({}, {}, {"type": "cgru", "cell": "lstm", "layers": 2, "attention": "general"}),
    "conditional deep": (
        {},
        {},
        {"type": "cgru", "attention": "additive", "coverage": True, "transition_depth": 3, "layer_norm": True},
    ),
    "conditional heads": ({}, {}, {"type": "cgru", "heads": 3, "attention": "additive", "attention_units": 6}),
    "input feeding": ({}, {}, {"type": "input_feeding"}),
    "input feeding deep": (
        {},
        {},
        {"type": "input_feeding", "cell": "lstm", "layers": 3, "attention": "additive", "coverage": True},
    ),
    "input feeding transitions": (
        {},
        {},
        {"type": "input_feeding", "layers": 2, "residual": "highway", "transition_depth": 2, "heads": 7},
    ),
    "input feeding normed": (
        {},
        {"cell": "layer_norm_lstm"},
        {"type": "input_feeding", "cell": "layer_norm_gru", "transition_depth": 2, "layer_norm": True},
    ),
    "bideep": (
        {},
        {"layers": 3, "bidirectional": "alternating", "transition_depth": 2},
        {"layers": 2, "transition_depth": 2},
    ),
    "normed": (
        {},
        {"cell": "layer_norm_lstm", "layers": 2, "bidirectional": "all", "residual": "highway", "layer_norm": True},
        {"cell": "layer_norm_gru", "layers": 2, "residual": "highway", "layer_norm": True},
    ),
    "without gates": ({}, {"cell": "elman", "bidirectional": "all", "layers": 2}, {"cell": "jordan", "layers": 2}),
    "rectified": ({}, {"cell": "irnn"}, {"cell": "elman_relu", "type": "cgru"}),
    "peepholes and coupled gates": (
        {},
        {"cell": "peephole_lstm", "layers": 2, "bidirectional": "alternating"},
        {"cell": "cifg", "type": "input_feeding"},
    ),
    "reset before": (
        {},
        {"cell": "gru_reset_before", "transition_depth": 2},
        {"cell": "mgu", "type": "cgru", "transition_depth": 2},
    ),
    "sru": ({}, {"cell": "sru", "layers": 2}, {"cell": "sru", "layers": 2, "type": "cgru"}),
    "minimal": (
        {},
        {"cell": "min_lstm", "layers": 2, "bidirectional": "all"},
        {"cell": "min_gru", "layers": 2},
    ),
    "minimal conditional": ({}, {"cell": "min_gru"}, {"cell": "min_lstm", "type": "cgru", "layers": 2}),
    "exponential gates": (
        {},
        {"cell": "slstm", "layers": 2, "units": 7, "bidirectional": False},
        {"cell": "slstm", "layers": 2, "bridge": "copy", "recurrent_dropout": 0.2},
    ),
    "exponential gates fed": (
        {},
        {"cell": "slstm", "transition_depth": 2},
        {"cell": "slstm", "type": "input_feeding", "transition_depth": 2},
    ),
    "clockwork": (
        {},
        {"cell": "clockwork", "units": 8, "layers": 2},
        {"cell": "clockwork", "units": 8, "transition_depth": 2, "type": "cgru"},
    ),
    "clockwork last": (
        {},
        {"cell": "clockwork", "units": 8, "bidirectional": False},
        {"cell": "clockwork", "units": 8, "bridge": "copy"},
    ),
    "depth-gated": (
        {},
        {"cell": "depth_gated_lstm", "layers": 3, "bidirectional": "alternating"},
        {"cell": "depth_gated_lstm", "layers": 3, "transition_depth": 2, "recurrent_dropout": 0.2},
    ),
    "depth-gated conditional": (
        {},
        {"cell": "depth_gated_lstm", "layers": 3},
        {"cell": "depth_gated_lstm", "layers": 2, "type": "cgru"},
    ),
    "depth-gated fed": (
        {},
        {"cell": "depth_gated_lstm", "layers": 2, "bidirectional": "all"},
        {"cell": "depth_gated_lstm", "layers": 3, "type": "input_feeding"},
    ),
    "sigmoid": ({}, {"cell": "elman_sigmoid"}, {"cell": "peephole_lstm", "attention": "none", "bridge": "mean"}),
}


def make(name="gru", seed=3, **kwargs):
    embeddings, encoder, decoder = VARIANTS[name]
    model = Seq2Seq(
        SOURCE_V,
        TARGET_V,
        EmbeddingsConfig(**{"size": 5} | embeddings),
        EncoderConfig(**{"units": 6} | encoder),
        DecoderConfig(**{"units": 7} | decoder),
        **kwargs,
    )
    randomize(model, seed)
    return model


@pytest.fixture(params=VARIANTS, scope="module")
def model(request):
    """One of the variants, for tests that leave its weights as they are."""
    return make(request.param)


@pytest.fixture(scope="module")
def logits(model):
    """Teacher-forced logits of the variant."""
    return model((SOURCE, TARGET)).numpy()


def step_through(model, source, target):
    memory, state = model.encode(source)
    tokens, logits, weights = tf.fill([len(target), 1], 2), [], []
    for t in range(target.shape[1]):
        now, state, attention = model.decode_step(tokens, state, memory)
        logits.append(now[:, 0])
        weights.append(attention[:, 0])
        tokens = tf.constant(target[:, t : t + 1])
    return np.stack(logits, axis=1), np.stack(weights, axis=1)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_least_parameters_are_not_more_and_not_far_fewer(name):
    model = make(name)
    embeddings, encoder, decoder = VARIANTS[name]
    values = {
        "embeddings": {"size": 5} | embeddings,
        "encoder": {"units": 6} | encoder,
        "decoder": {"units": 7} | decoder,
        "data": {split: {"phrasebook": split} for split in ("train", "valid")},
    }
    least = validate_config(values, name).min_parameters(SOURCE_V, TARGET_V)
    parts = {"encoder": model.encoder, "decoder": model.decoder}
    found = {name: sum(weight.shape.num_elements() for weight in part.weights) for name, part in parts.items()}
    found["embeddings"] = model.count_params() - sum(found.values())
    assert all(least[part] <= found[part] for part in found)
    assert model.count_params() < 16 * sum(least.values())


def test_teacher_forcing_equals_stepping(model, logits):
    real = TARGET != 0
    stepped, weights = step_through(model, SOURCE, TARGET)
    np.testing.assert_allclose(logits[real], stepped[real], atol=2e-5)
    np.testing.assert_allclose(model.attention_weights(SOURCE, TARGET).numpy()[real], weights[real], atol=2e-5)


def test_longer_padding_changes_nothing(model, logits):
    wider = model((np.pad(SOURCE, [(0, 0), (0, 4)]), np.pad(TARGET, [(0, 0), (0, 3)]))).numpy()
    real = TARGET != 0
    np.testing.assert_allclose(wider[:, :4][real], logits[real], atol=1e-5)
    for ours, other in zip(
        model.loss_sums(SOURCE, TARGET, 0.1),
        model.loss_sums(np.pad(SOURCE, [(0, 0), (0, 4)]), np.pad(TARGET, [(0, 0), (0, 3)]), 0.1),
        strict=True,
    ):
        np.testing.assert_allclose(ours, other, rtol=1e-5)


def test_a_sentence_alone_equals_the_same_in_a_batch(model, logits):
    for row in range(3):
        s, t = (SOURCE[row] != 0).sum(), (TARGET[row] != 0).sum()
        alone = model((SOURCE[row : row + 1, :s], TARGET[row : row + 1, :t])).numpy()
        np.testing.assert_allclose(alone[0], logits[row, :t], atol=1e-5)


def test_hypotheses_of_one_sentence_do_not_mix(model):
    memory, state = model.encode(SOURCE)
    wide = tf.nest.map_structure(lambda x: tf.concat([x, 0.5 * x, -x], axis=1), state)
    tokens = tf.constant([[4, 5, 6]] * 3)
    logits, new, weights = model.decode_step(tokens, wide, memory)
    for k, scale in enumerate([1.0, 0.5, -1.0]):
        one = tf.nest.map_structure(lambda x, by=scale: by * x, state)
        alone, alone_state, alone_weights = model.decode_step(tokens[:, k : k + 1], one, memory)
        np.testing.assert_allclose(logits[:, k : k + 1], alone, atol=1e-5)
        np.testing.assert_allclose(weights[:, k : k + 1], alone_weights, atol=1e-5)
        for x, y in zip(tf.nest.flatten(new), tf.nest.flatten(alone_state), strict=True):
            np.testing.assert_allclose(x[:, k : k + 1], y, atol=1e-5)


def test_every_weight_gets_a_gradient(model):
    with tf.GradientTape() as tape:
        loss, _, _ = model.loss_sums(SOURCE, TARGET, 0.1, training=True)
    for weight, gradient in zip(
        model.trainable_variables, tape.gradient(loss, [v.value for v in model.trainable_variables]), strict=True
    ):
        assert gradient is not None, weight.path
        if "recurrent_kernel_" in weight.path:
            continue  # of a clockwork's groups, of which the slow ones move again after these sentences' ends
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 0, weight.path


def test_losses_count_real_tokens_only():
    loss, nll, tokens = make().loss_sums(SOURCE, TARGET)
    assert float(tokens) == (TARGET != 0).sum()
    log_probs = tf.nn.log_softmax(make()((SOURCE, TARGET))).numpy()
    expected = -sum(log_probs[b, t, TARGET[b, t]] for b, t in zip(*np.nonzero(TARGET), strict=True))
    assert float(nll) == pytest.approx(expected, rel=1e-5)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("tied", "tables"), [("none", 3), ("target", 2), ("all", 1)])
def test_ties(tied, tables):
    model = Seq2Seq(9, 9, EmbeddingsConfig(size=4, tied=tied), EncoderConfig(units=4), DecoderConfig(units=4))
    assert sum("table" in weight.path for weight in model.weights) == tables
    assert len({weight.path for weight in model.weights}) == len(model.weights), "paths name weights uniquely"
    same = [
        a is b
        for a, b in [(model.source_embedding, model.target_embedding), (model.target_embedding, model.output_embedding)]
    ]
    assert same == {"none": [False, False], "target": [False, True], "all": [True, True]}[tied]


def test_one_table_needs_one_vocabulary():
    with pytest.raises(ValueError, match="11 source and 13 target"):
        Seq2Seq(11, 13, EmbeddingsConfig(tied="all"))


def test_residual_adds_from_the_second_layer_on():
    with_, without = (
        Seq2Seq(
            9, 9, EmbeddingsConfig(size=4), EncoderConfig(units=4, layers=2, residual=residual), DecoderConfig(units=4)
        )
        for residual in (True, False)
    )
    randomize(with_)
    without.set_weights(with_.get_weights())
    for model in (with_, without):
        upper = model.encoder.recurrences[1][0].cell
        for weight in upper.weights:
            weight.assign(tf.zeros_like(weight))  # a GRU of zeros puts out zeros
    assert not without.encode(SOURCE % 9)[0].states.numpy().any()
    assert np.abs(with_.encode(SOURCE % 9)[0].states.numpy()[0]).min() > 0


def test_compile_takes_no_loss_and_no_clipping_optimizer():
    with pytest.raises(ValueError, match="mse"):
        make().compile("adam", loss="mse")
    with pytest.raises(ValueError, match="clip"):
        make().compile(keras.optimizers.Adam(clipnorm=1.0))


def test_plain_fit_trains_by_the_same_step():
    dataset = tf.data.Dataset.from_tensors((SOURCE, TARGET)).repeat(5)
    fitted, stepped = make(), make()
    for model in (fitted, stepped):
        model.compile(keras.optimizers.SGD(0.5), label_smoothing=0.1)
    history = fitted.fit(dataset, epochs=2, verbose=0, shuffle=False).history
    fitted.step_function()(tf.constant(SOURCE), tf.constant(TARGET))  # goes on where `fit` stopped
    for _ in range(11):
        stepped.train_batch((tf.constant(SOURCE), tf.constant(TARGET)))
    for a, b in zip(fitted.weights, stepped.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert history["loss"][1] < history["loss"][0]
    assert fitted.evaluate(dataset, verbose=0, return_dict=True)["nll"] > 0


def test_the_step_is_traced_once_whatever_the_shapes_and_anew_after_compiling():
    traced, eager = make(), make()
    batches = [(SOURCE, TARGET), (SOURCE[:2, :3], TARGET[:2, :3]), (SOURCE[2:], TARGET[2:])]
    batches = [tuple(map(tf.constant, batch)) for batch in batches]
    for smoothing in (0.0, 0.3):
        for model in (traced, eager):
            model.compile(keras.optimizers.SGD(0.5), label_smoothing=smoothing)
        step, sums = traced.step_function(), traced.loss_sums_function()
        for batch in batches:
            np.testing.assert_allclose(step(*batch)["loss"], eager.train_batch(batch)["loss"], atol=1e-5)
            np.testing.assert_allclose(sums(*batch), eager.loss_sums(*batch)[1:], rtol=1e-5)
        assert traced.step_function() is step
        assert traced.loss_sums_function() is sums
        assert step.experimental_get_tracing_count() == sums.experimental_get_tracing_count() == 1
    for a, b in zip(traced.weights, eager.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5, err_msg=a.path)
    traced.compile(keras.optimizers.SGD(0.5))
    assert traced.step_function() is not step
    assert traced.loss_sums_function() is not sums


def test_accumulated_batches_equal_one_large_batch():
    """SGD, no dropout, unequal token counts."""
    whole, parts = make(), make()
    whole.compile(keras.optimizers.SGD(0.5), label_smoothing=0.1, clip_norm=0.3)
    parts.compile(keras.optimizers.SGD(0.5), label_smoothing=0.1, clip_norm=0.3, accumulation_steps=3)
    for _ in range(2):
        whole.train_batch((tf.constant(SOURCE), tf.constant(TARGET)))
        for row in range(3):
            s, t = (SOURCE[row] != 0).sum(), (TARGET[row] != 0).sum()
            parts.train_batch((tf.constant(SOURCE[row : row + 1, :s]), tf.constant(TARGET[row : row + 1, :t])))
    for a, b in zip(whole.weights, parts.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5, err_msg=a.path)


def test_dropout_is_on_in_training_only():
    model = Seq2Seq(9, 9, EmbeddingsConfig(size=4, dropout=0.5), EncoderConfig(units=4), DecoderConfig(units=4))
    losses = []
    for draw in (0, 1, 1):
        model.random_stream.step.assign(draw)
        losses.append(float(model.loss_sums(SOURCE % 9, TARGET % 9, training=True)[0]))
    assert losses[0] != losses[1] == losses[2]
    assert float(model.loss_sums(SOURCE % 9, TARGET % 9)[0]) == float(model.loss_sums(SOURCE % 9, TARGET % 9)[0])
