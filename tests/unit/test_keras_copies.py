"""Keras's ways to copy a model and to watch its training, and copies of a translator."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq import GenerationOptions, LanguageModel, Seq2Seq, TextGenerator, Translator
from tests.conftest import randomize
from tests.toy import pairs, toy_tokenizer

pytestmark = pytest.mark.usefixtures("shared_searches")

V = 12
S = np.array([[5, 6, 7, 3], [8, 9, 3, 0], [4, 3, 0, 0], [10, 11, 3, 0], [6, 5, 4, 3], [7, 3, 0, 0]], np.int32)
T = np.array([[6, 7, 3], [9, 3, 0], [5, 3, 0], [11, 10, 3], [5, 6, 3], [8, 3, 0]], np.int32)


def make(seed=1, optimizer="sgd"):
    """A model whose steps are run eagerly, which saves tracing them for each copy."""
    model = Seq2Seq(V, V, {"size": 6}, {"units": 8}, {"units": 8}, seed=seed)
    model.compile(optimizer, run_eagerly=True)
    return model


def pickled(value):
    return pickle.loads(pickle.dumps(value))


def dataset():
    return tf.data.Dataset.from_tensor_slices((S, T)).batch(2)


def saved(path):
    def copied(model, folder):
        model.save(folder / path)
        return keras.models.load_model(folder / path)

    return copied


COPIES = {
    "save": saved("m.keras"),
    "deepcopy": lambda model, folder: copy.deepcopy(model),
    "pickle": lambda model, folder: pickled(model),
    "weights alone": lambda model, folder: (
        model.save_weights(folder / "m.weights.h5"),
        other := make(seed=9),
        other.load_weights(folder / "m.weights.h5"),
    )[1],
    "get_weights": lambda model, folder: (
        other := make(seed=9),
        other.set_weights(model.get_weights()),
    )[0],
}


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_gives_the_same_logits_and_can_be_trained(way, tmp_path):
    model = make()
    model.fit(S, T, verbose=0)
    other = COPIES[way](model, tmp_path)
    assert type(other) is Seq2Seq
    np.testing.assert_array_equal(other((S, T)), model((S, T)))
    for one in (model, other):
        one.fit(S, T, batch_size=6, verbose=0, epochs=2)
    np.testing.assert_allclose(other((S, T)), model((S, T)), atol=1e-5)


def test_descriptions_make_the_same_model():
    model = make()
    for other in (
        Seq2Seq.from_config(model.get_config()),
        keras.models.clone_model(model),
        keras.models.model_from_json(model.to_json()),
    ):
        np.testing.assert_array_equal(other((S, T)), model((S, T)))


def test_rates_of_callbacks_and_schedules_are_obeyed():
    """In Keras's own loop, which leaves the learning rate to them."""

    class Halve(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.optimizer.learning_rate = 0.5 ** (batch + 1)

    def last(*callbacks, optimizer="sgd"):
        model = make(optimizer=optimizer)
        history = model.fit(
            dataset(), validation_data=dataset(), epochs=3, shuffle=False, verbose=0, callbacks=callbacks
        )
        return float(np.asarray(model.optimizer.learning_rate)), history.history

    assert last(Halve())[0] == 0.125
    rate, history = last(keras.callbacks.LearningRateScheduler(lambda epoch: 0.0))
    assert rate == 0.0
    assert len(set(history["nll"])) == 1
    rate, history = last(keras.callbacks.ReduceLROnPlateau("val_loss", 0.1, patience=1, min_delta=100.0))
    np.testing.assert_allclose(history["learning_rate"], [0.01, 0.01, 0.001], rtol=1e-5)
    rate, _ = last(optimizer=keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(1.0, 9, 0.5)))
    assert rate == pytest.approx(0.5)


def test_a_checkpoint_of_the_whole_model_does_not_end_fit(tmp_path):
    model = make()
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"),
        keras.callbacks.BackupAndRestore(tmp_path / "backup"),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.TerminateOnNaN(),
    ]
    model.fit(dataset(), epochs=3, verbose=0, callbacks=callbacks)
    assert sorted(path.name for path in tmp_path.glob("*.keras")) == ["1.keras", "2.keras", "3.keras"]
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "3.keras")((S, T)), model((S, T)))


@pytest.mark.parametrize("way", [copy.deepcopy, pickled])
def test_a_translator_is_copied_with_its_tokenizers_and_options(way, tmp_path):
    tokenizer = toy_tokenizer()
    model = Seq2Seq(*2 * (tokenizer.vocabulary_size,), {"size": 6}, {"units": 8}, {"units": 8})
    randomize(model, seed=4, scale=0.7)
    Translator(model, tokenizer, tokenizer).save(tmp_path / "model")
    translator = Translator.load(tmp_path / "model")
    translator.options = translator.options.model_copy(update={"beam_size": 2, "max_length": 9})
    lines = [source for source, _ in pairs(5, 1)]
    other = way(translator)
    assert other.model is not translator.model
    assert other.tokenizers.source is other.tokenizers.target
    assert [one.text for one in other.translate(lines)] == [one.text for one in translator.translate(lines)]
    for name, one in (("original", translator), ("copy", other)):
        one.save(tmp_path / name)
    original, copied = ((tmp_path / name / "metadata.json").read_bytes() for name in ("original", "copy"))
    assert copied == original


@pytest.mark.parametrize("way", [copy.deepcopy, pickled])
def test_a_text_generator_is_copied(way):
    tokenizer = toy_tokenizer()
    model = LanguageModel(tokenizer.vocabulary_size, {"size": 6}, {"units": 8})
    randomize(model, seed=4, scale=0.7)
    generator = TextGenerator(model, tokenizer, GenerationOptions(max_length=9))
    other = way(generator)
    assert other.options == generator.options
    lines = [source for source, _ in pairs(3, 1)]
    assert other.perplexity(lines) == generator.perplexity(lines)
