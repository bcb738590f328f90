"""Gradients and losses that stop being numbers: skipped, gone back from, and at last diagnosed."""

import re

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.errors import TrainingError
from seq2seq.model_directory import LAST
from seq2seq.model_directory.history import read_history
from seq2seq.models.translation import Seq2Seq
from seq2seq.storage.arrays import load_arrays
from seq2seq.training import StopReason, train
from seq2seq.training.checkpoints import RunDirectory
from tests.runs import assert_resumes_exactly, timeless
from tests.toy import toy_config

pytestmark = pytest.mark.usefixtures("shared_graphs")
FAST = 0.01  # learning rate
SECTIONS = {
    "float32": {},
    "mixed_float16": {"encoder": {"units": 12, "cell": "lstm"}, "decoder": {"units": 12, "cell": "lstm"}},
}
OFTEN = {"interval_updates": 6}


def poison(monkeypatch, when):
    """Multiply the loss by NaN in training steps for which `when(model)` holds."""
    losses_of = Seq2Seq.loss_sums

    def poisoned(self, source, target, label_smoothing=0.0, training=False):
        loss, *others = losses_of(self, source, target, label_smoothing, training)
        return loss * tf.where(when(self) & training, np.float32("nan"), 1.0), *others

    monkeypatch.setattr(Seq2Seq, "loss_sums", poisoned)


def config(corpus, precision, after=4, times=2, updates=40):
    training = {
        "learning_rate": FAST,
        "epochs": None,
        "updates": updates,
        "precision": precision,
        "recovery": {"max_skipped_updates": after, "max_rollbacks": times},
    }
    return toy_config(corpus, **SECTIONS[precision], training=training, validation=OFTEN)


@pytest.mark.parametrize("precision", SECTIONS)
def test_one_bad_update_is_skipped_and_counted(precision, corpus, tmp_path, monkeypatch):
    poison(monkeypatch, lambda model: model.random_stream.step == 7)
    report = train(config(corpus, precision, updates=12), tmp_path)
    assert [entry["skipped_updates"] for entry in report.history] == [0, 1]
    assert report.history[-1]["rollbacks"] == 0
    assert all(np.isfinite(array).all() for name, array in load_arrays(tmp_path / LAST)[0].items() if "usual" in name)


def test_many_in_a_row_go_back_with_half_the_learning_rate(corpus, tmp_path, monkeypatch):
    """NaN from step 14 on, for as long as the learning rate is what it was."""
    poison(
        monkeypatch, lambda model: (model.random_stream.step >= 14) & (model.optimizer.learning_rate.value > FAST / 1.5)
    )
    precision = "mixed_float16"  # a test below goes back in float32
    # Crashes while it skips, and after it went back, change nothing.
    report = assert_resumes_exactly(config(corpus, precision), tmp_path / "whole", 16, 30)
    assert report.end == (StopReason.UPDATES, "40 updates are done")
    rates = [(entry["update"], entry["learning_rate"], entry["rollbacks"]) for entry in report.history]
    assert rates[0] == (6, pytest.approx(FAST), 0)
    assert rates[-1] == (40, pytest.approx(FAST / 2), 1)
    assert [update for update, *_ in rates] == sorted({update for update, *_ in rates}), "none is told twice"
    assert report.history[-1]["valid_loss"] < report.history[0]["valid_loss"]


def test_when_going_back_does_not_help_it_stops_and_says_what_it_saw(corpus, tmp_path, monkeypatch):
    poison(monkeypatch, lambda model: model.random_stream.step >= 14)
    with pytest.raises(TrainingError) as caught:
        train(config(corpus, "float32"), tmp_path)
    message = str(caught.value)
    assert "diverged after 2 rollbacks, each with half the learning rate: " in message
    assert re.search(r"(?:[4-9]|1\d) updates skipped in a row", message)
    assert re.search(r"epoch/batch \(gradient norm\): \d/\d+ \(nan\), ", message)
    assert re.search(
        r"longest sentence of the last 4 batches has \d+ source and \d+ target tokens: the \w+ .* \|\|\| der ", message
    )
    assert load_arrays(tmp_path / LAST)[1]["run_state"]["rollbacks"] == 2
    with pytest.raises(TrainingError, match="after 2 rollbacks"):
        train(config(corpus, "float32"), tmp_path)


def test_an_exploding_gradient_is_skipped(corpus, tmp_path, monkeypatch):
    """It is finite, and so many times what is usual."""
    monkeypatch.setattr("seq2seq.models.update.NORM_WARMUP_UPDATES", 5)
    losses_of = Seq2Seq.loss_sums

    def exploding(self, source, target, label_smoothing=0.0, training=False):
        loss, *others = losses_of(self, source, target, label_smoothing, training)
        return loss * tf.where((self.random_stream.step == 8) & training, 1e4, 1.0), *others

    monkeypatch.setattr(Seq2Seq, "loss_sums", exploding)
    report = train(config(corpus, "float32", updates=12), tmp_path / "skipped")
    assert [entry["skipped_updates"] for entry in report.history] == [0, 1]
    anything = toy_config(
        corpus,
        training={"learning_rate": FAST, "epochs": None, "updates": 12, "recovery": {"max_norm_ratio": None}},
        validation=OFTEN,
    )
    report = train(anything, tmp_path / "taken")
    assert [entry["skipped_updates"] for entry in report.history] == [0, 0]


def test_a_validation_worse_than_guessing_goes_back_to_the_best(corpus, tmp_path, monkeypatch):
    from seq2seq.training.validation import Validator

    measure, calls = Validator.loss, []

    def diverged(self):
        calls.append(measure(self))
        return 99.0 if len(calls) == 3 else calls[-1]

    monkeypatch.setattr(Validator, "loss", diverged)
    report = train(config(corpus, "float32", updates=24), tmp_path)
    assert report.end
    assert [entry["update"] for entry in report.history] == [6, 12, 18, 24]
    assert [entry["rollbacks"] for entry in report.history] == [0, 0, 1, 1]
    assert timeless(read_history(tmp_path)) == timeless(report.history)

    monkeypatch.setattr(Validator, "loss", lambda self: float("nan"))
    with pytest.raises(TrainingError, match=r"the validation loss is nan, and that of a uniform guess 4\.025"):
        train(config(corpus, "float32", updates=24), tmp_path / "nan")


def test_a_learning_rate_that_is_changed_on_resuming_is_taken_as_it_is(corpus, tmp_path, monkeypatch):
    """A run that went back three times goes on with an eighth of its own rate, and with all of a new one."""
    started = config(corpus, "float32", updates=6)
    train(started, tmp_path)

    restored = RunDirectory.load

    def load(*arguments):
        progress = restored(*arguments)
        progress.rollbacks = 3
        return progress

    monkeypatch.setattr(RunDirectory, "load", load)
    longer = started.model_copy(update={"training": started.training.model_copy(update={"updates": 12})})
    entry = train(longer, tmp_path).history[-1]
    assert entry["rollbacks"] == 3
    assert entry["learning_rate"] == pytest.approx(FAST / 8)
    other = longer.training.model_copy(update={"updates": 18, "learning_rate": 0.002})
    entry = train(longer.model_copy(update={"training": other}), tmp_path).history[-1]
    assert entry["rollbacks"] == 0
    assert entry["learning_rate"] == pytest.approx(0.002)
