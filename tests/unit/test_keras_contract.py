"""Models as Keras knows them: configs, files, `compile`, `fit` with callbacks, and what is refused."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig, LanguageModelDecoderConfig, TrainingConfig
from seq2seq.models.language_model import LanguageModel
from seq2seq.models.translation import Seq2Seq
from seq2seq.training.optimization import make_optimizer
from tests.conftest import randomize

W, V = 11, 9
SOURCE = np.array([[5, 4, 10, 3], [6, 3, 0, 0], [7, 8, 3, 0], [4, 3, 0, 0]], np.int32)
TARGET = np.array([[5, 7, 8, 4, 3], [4, 3, 0, 0, 0], [8, 3, 0, 0, 0], [6, 5, 3, 0, 0]], np.int32)
DECODERS = {
    "default": {"cell": "lstm", "layers": 2},
    "cgru": {"type": "cgru", "attention": "additive", "coverage": True},
    "input feeding": {"type": "input_feeding", "heads": 2, "layer_norm": True},
    "alternating": {"residual": "highway", "layers": 3},
    "language model": {},
}


def make(name="default", seed=2, dropout=0.1, **options):
    section = LanguageModelDecoderConfig if name == "language model" else DecoderConfig
    decoder = section(units=8, dropout=dropout, **DECODERS[name])
    if name == "language model":
        return LanguageModel(V, EmbeddingsConfig(size=5), decoder, seed=seed, **options)
    encoder = EncoderConfig(units=6, layers=2, bidirectional="alternating" if name == "alternating" else True)
    return Seq2Seq(W, V, EmbeddingsConfig(size=5, tied="none"), encoder, decoder, seed=seed, **options)


def dataset():
    return tf.data.Dataset.from_tensors((SOURCE % V, TARGET)).repeat(5)


def assert_same_weights(model, other):
    assert [weight.path for weight in model.weights] == [weight.path for weight in other.weights]
    for one, two in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one, two, err_msg=one.path)


@pytest.mark.parametrize("name", DECODERS)
def test_saved_and_loaded_gives_the_same_logits(name, tmp_path):
    model = make(name, precision="mixed_bfloat16" if name == "default" else "float32")
    randomize(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert loaded.get_config() == model.get_config()
    assert loaded.precision == model.precision
    np.testing.assert_array_equal(loaded((SOURCE % V, TARGET)), model((SOURCE % V, TARGET)))
    assert_same_weights(loaded, model)


@pytest.mark.parametrize("name", DECODERS)
def test_a_clone_is_what_the_constructor_gave(name):
    model, fresh = make(name), make(name)
    randomize(model)
    assert_same_weights(keras.models.clone_model(model), fresh)
    assert_same_weights(type(model).from_config(model.get_config()), fresh)


@pytest.mark.parametrize("name", ["default", "language model"])
def test_weights_alone(name, tmp_path):
    model, other = make(name), make(name, seed=7)
    randomize(model)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    assert_same_weights(other, model)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_loaded_model_trains_on_as_if_it_had_not_been_away(optimizer, tmp_path):
    """Amid what is gathered, with dropout and an average of the weights, and a frozen weight stays frozen."""
    whole, parts = make("language model"), make("language model")
    config = TrainingConfig(optimizer=optimizer, learning_rate=0.01, weight_decay=0.1)
    for model in (whole, parts):
        model.weights[3].trainable = False
        options = {
            "label_smoothing": 0.1,
            "clip_norm": 0.5,
            "accumulation_steps": 3,
            "ema_decay": 0.9,
            "max_norm_ratio": 50.0,
        }
        model.compile(make_optimizer(config), **options)
    whole.fit(dataset().repeat(2), verbose=0)
    parts.fit(dataset(), verbose=0)
    parts.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert not loaded.weights[3].trainable
    assert loaded.get_compile_config() == parts.get_compile_config()
    assert float(loaded.update.tokens) > 0, "an update is being gathered"
    loaded.fit(dataset(), verbose=0)
    assert_same_weights(loaded, whole)
    np.testing.assert_array_equal(loaded.optimizer.iterations, whole.optimizer.iterations)
    for one, two in zip(loaded.update.averages, whole.update.averages, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_model_of_others_weights_trains_afresh(tmp_path):
    """Files without a state of training, and a model that was compiled otherwise."""
    model, other = make("language model"), make("language model")
    model.compile("sgd", ema_decay=0.9)
    model.save(tmp_path / "model.keras")
    other.load_weights(tmp_path / "model.keras")
    assert_same_weights(other, model)
    other.compile("sgd")
    with pytest.warns(UserWarning, match="was compiled differently"):
        other.load_weights(tmp_path / "model.keras")


def test_a_state_of_training_is_not_taken_for_another_of_its_shapes(tmp_path):
    """What is gathered for an update is no average of the weights, though the arrays are alike."""
    model, other = make("language model"), make("language model")
    model.compile("sgd", accumulation_steps=2)
    model.fit(dataset(), verbose=0)
    model.save(tmp_path / "model.keras")
    other.compile("sgd", ema_decay=0.9)
    fresh = [np.array(average) for average in other.update.averages]
    with pytest.warns(UserWarning, match="was compiled differently"):
        other.load_weights(tmp_path / "model.keras")
    assert_same_weights(other, model)
    assert int(model.random_stream.step) > int(other.random_stream.step) == 0
    for before, average in zip(fresh, other.update.averages, strict=True):
        np.testing.assert_array_equal(before, average)


@pytest.mark.parametrize("name", ["default", "language model"])
def test_building_again_changes_nothing(name):
    model, other = make(name), make(name)
    model.build([(None, None), (None, None)])
    assert_same_weights(model, other)


def test_a_forced_function_is_traced_anew():
    model = make("language model")
    model.compile("sgd")
    step, sums = model.step_function(), model.loss_sums_function()
    model.make_train_function()
    model.make_test_function()
    assert (model.step_function(), model.loss_sums_function()) == (step, sums)
    model.make_train_function(force=True)
    model.make_test_function(force=True)
    assert model.step_function() is not step
    assert model.loss_sums_function() is not sums


def test_callbacks_work(tmp_path):
    model = make("language model")
    model.compile("adam")
    callbacks = [
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=1, min_delta=10.0, restore_best_weights=True),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="val_nll", mode="min", save_best_only=True),
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True),
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.02 / (1 + epoch)),
    ]
    history = model.fit(dataset(), validation_data=dataset(), epochs=4, callbacks=callbacks, verbose=0).history
    assert len(history["loss"]) == 2, "the second epoch was no better by 10"
    assert history["val_loss"][1] < history["val_loss"][0]
    assert {"loss", "nll", "val_loss", "val_nll", "gradient_norm", "learning_rate"} <= history.keys()
    np.testing.assert_allclose(history["learning_rate"], [0.02, 0.01])
    best, first = keras.models.load_model(tmp_path / "best.keras"), make("language model")
    first.load_weights(tmp_path / "1.weights.h5")
    assert_same_weights(first, model)
    found = best.evaluate(dataset(), verbose=0, return_dict=True)
    assert found["nll"] == pytest.approx(history["val_nll"][1], rel=1e-6)


def logs_of(*data, dtype=np.int32, compiled=None, **options):
    """What a fresh model's `fit` gives after two epochs of two batches, and its weights."""
    model = make("language model", dropout=0.0)
    model.compile("sgd", **(compiled or {}))
    arrays = [tuple(a.astype(dtype) for a in part) if isinstance(part, tuple) else part.astype(dtype) for part in data]
    history = model.fit(*arrays, batch_size=2, epochs=2, shuffle=False, verbose=0, **options).history
    return model, history["loss"]


def test_arrays_in_whatever_form_train_alike():
    source, target = SOURCE % V, TARGET
    expected, losses = logs_of(source, target)
    assert losses[1] < losses[0]
    for found, others in (
        logs_of((source, target)),
        logs_of(source, target, dtype=np.int64),
        logs_of(source, target, dtype=np.uint8),
        logs_of(source, target, compiled={"run_eagerly": True}),
        logs_of(source, target, compiled={"steps_per_execution": 2}),
    ):
        np.testing.assert_allclose(others, losses, rtol=1e-5)
        for one, two in zip(found.weights, expected.weights, strict=True):
            np.testing.assert_allclose(one, two, atol=1e-6)
    logs = logs_of(np.tile(source, (2, 1)), np.tile(target, (2, 1)), validation_split=0.5)[0].history.history
    assert logs["val_loss"][1] < logs["val_loss"][0]


def test_single_batches():
    model = make("language model", dropout=0.0)
    model.compile("sgd")
    before = model.test_on_batch(SOURCE % V, TARGET, return_dict=True)["loss"]
    trained = model.train_on_batch(SOURCE % V, TARGET, return_dict=True)
    assert trained["gradient_norm"] > 0
    model.reset_metrics()
    assert model.test_on_batch(SOURCE % V, TARGET, return_dict=True)["loss"] < before


def test_64_bit_ids_are_ids():
    model = make("cgru")
    randomize(model)
    narrow, wide = (tuple(tf.constant(ids, dtype) for ids in (SOURCE, TARGET)) for dtype in (tf.int32, tf.int64))
    found = []
    for source, target in (narrow, wide):
        memory, state = model.encode(source)
        logits, _, weights = model.decode_step(target[:, :1], state, memory)
        losses = model.loss_sums(source, target, 0.1)
        found.append([*losses, model((source, target)), model.attention_weights(source, target), logits, weights])
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "mse"},
        {"loss_weights": [0.5]},
        {"metrics": ["accuracy"]},
        {"weighted_metrics": ["accuracy"]},
        {"jit_compile": True},
        {"auto_scale_loss": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_compile_refuses_what_it_cannot_honour(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=rf"Seq2Seq does not take {name}={re.escape(repr(value))}: .+"):
        make().compile("sgd", **options)
    make().compile("sgd", **{name: False if name in ("jit_compile", "auto_scale_loss") else None})


@pytest.mark.parametrize(
    "optimizer",
    [keras.optimizers.SGD(loss_scale_factor=2.0), keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())],
    ids=["factor", "dynamic"],
)
def test_an_optimizer_that_scales_the_loss_is_refused(optimizer):
    with pytest.raises(ValueError, match="the optimizer scales the loss"):
        make().compile(optimizer)
