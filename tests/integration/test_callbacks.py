"""Keras callbacks in a run: those that set the learning rate are refused, the others do what they do in Keras."""

import keras
import numpy as np
import pytest

from seq2seq import train_pairs
from seq2seq.errors import ArgumentError, TrainingError
from seq2seq.training import StopReason, run, setup, train
from tests.toy import pairs, toy_config

pytestmark = pytest.mark.usefixtures("shared_graphs")


class Setter(keras.callbacks.Callback):
    """Set the learning rate at a hook, once it has been called `after` times."""

    def __init__(self, hook, rate=0.005, after=0):
        super().__init__()
        self.hook, self.rate, self.calls = hook, rate, -after
        setattr(self, hook, self.set_rate)

    def set_rate(self, *arguments, **logs):
        self.calls += 1
        if self.calls > 0:
            self.model.optimizer.learning_rate = self.rate


@pytest.mark.parametrize(
    ("callback", "instead"),
    [
        (keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.0), "training.schedule, e.g. {type: cosine"),
        (keras.callbacks.ReduceLROnPlateau(patience=0), "training.schedule: {type: plateau"),
        (type("Mine", (keras.callbacks.ReduceLROnPlateau,), {})(), "training.schedule: {type: plateau"),
    ],
    ids=["scheduler", "plateau", "subclass"],
)
def test_callbacks_of_keras_that_set_the_rate_are_refused_at_once(corpus, tmp_path, callback, instead):
    message = rf"callbacks\[1\]: {type(callback).__name__} sets the learning rate.* {instead}"
    others = [keras.callbacks.TerminateOnNaN(), callback]
    with pytest.raises(ArgumentError, match=message):
        train(toy_config(corpus), tmp_path / "run", others)
    with pytest.raises(ArgumentError, match=message):
        train_pairs(pairs(30, 1), tmp_path / "pairs", callbacks=others)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "hook", ["on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_epoch_end"]
)
def test_a_callback_of_ones_own_that_sets_the_rate_is_noticed(corpus, tmp_path, hook):
    with pytest.raises(TrainingError, match=r"a callback set the learning rate to 0\.005, .*use training\.schedule"):
        train(toy_config(corpus, training={"epochs": 2}), tmp_path, [Setter(hook)])


def test_a_schedule_in_its_place_is_noticed(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "make_compiled_model", setup.make_compiled_model)  # whose optimizer nobody uses again
    schedule = keras.optimizers.schedules.ExponentialDecay(0.004, 10, 0.5)
    with pytest.raises(TrainingError, match=r"a callback set the learning rate to 0\.004"):
        train(toy_config(corpus, training={"epochs": 2}), tmp_path, [Setter("on_epoch_begin", schedule)])


def test_late_and_amid_a_resumed_run(corpus, tmp_path):
    """After an epoch, and after a session that ended."""
    config = toy_config(corpus, training={"epochs": 1})
    assert train(config, tmp_path, [keras.callbacks.TerminateOnNaN()]).end.reason is StopReason.EPOCHS
    config = toy_config(corpus, training={"epochs": 3})
    with pytest.raises(TrainingError, match=r"a callback set the learning rate to 0\.005"):
        train(config, tmp_path, [Setter("on_epoch_begin", after=1)])
    assert train(config, tmp_path, [keras.callbacks.TerminateOnNaN()]).end.reason is StopReason.EPOCHS


def test_a_rate_that_is_set_to_what_it_is_is_no_matter(corpus, tmp_path):
    class Touch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = float(np.asarray(self.model.optimizer.learning_rate))

    assert train(toy_config(corpus, training={"epochs": 2}), tmp_path, [Touch()]).end.reason is StopReason.EPOCHS


def test_callbacks_that_keep_and_watch_do_not_end_a_run(corpus, tmp_path):
    """A whole model, weights, tables; and a run with them is the run without."""
    folder = tmp_path / "kept"
    folder.mkdir()
    watchers = [
        keras.callbacks.ModelCheckpoint(folder / "{epoch}.keras", monitor="val_loss"),
        keras.callbacks.ModelCheckpoint(folder / "best.keras", monitor="val_loss", save_best_only=True),
        keras.callbacks.ModelCheckpoint(folder / "{epoch}.weights.h5", save_weights_only=True),
        keras.callbacks.CSVLogger(folder / "log.csv"),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
    ]
    config = toy_config(corpus, training={"epochs": 2})
    report, plain = train(config, tmp_path / "run", watchers), train(config, tmp_path / "plain")
    assert report.end.reason is StopReason.EPOCHS
    assert [entry["valid_loss"] for entry in report.history] == [entry["valid_loss"] for entry in plain.history]
    names = {"1.keras", "2.keras", "best.keras", "1.weights.h5", "2.weights.h5", "log.csv"}
    assert {path.name for path in folder.iterdir()} == names
    loaded = keras.models.load_model(folder / "2.keras")
    assert int(loaded.optimizer.iterations) == report.updates


def test_early_stopping_ends_a_run(corpus, tmp_path):
    stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=1, min_delta=100.0)
    report = train(toy_config(corpus, training={"epochs": 5}), tmp_path, [stopping])
    assert (report.end.reason, len(report.history)) == (StopReason.CALLBACK, 2)
