"""Runs that break off without their last words, and runs whose end moves: they end as one that went through."""

import os
import signal

import keras
import pytest

from seq2seq.inference.translator import Translator
from seq2seq.training import train
from tests.runs import InterruptAfter, assert_same_run
from tests.toy import GATHERING, toy_config

pytestmark = pytest.mark.usefixtures("shared_graphs")


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """A run that nothing interrupts, of `GATHERING`."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert train(toy_config(corpus, training=GATHERING), folder).end
    return folder


class CrashAfter(keras.callbacks.Callback):
    """Raise after some batches: the run dies without its last words."""

    def __init__(self, batches, validations=None):
        super().__init__()
        self.left, self.validations = batches, validations

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("crash")

    def on_epoch_end(self, epoch, logs=None):
        if self.validations:
            raise RuntimeError("crash")


@pytest.mark.parametrize("moment", ["after a validation", "before a second checkpoint"])
def test_a_crash_loses_nothing_but_time(moment, corpus, whole, tmp_path):
    config = toy_config(corpus, training=GATHERING)
    crash = CrashAfter(99, validations=1) if moment == "after a validation" else CrashAfter(5)
    with pytest.raises(RuntimeError, match="crash"):
        train(config, tmp_path, [crash])
    assert train(config, tmp_path).end
    assert_same_run(whole, tmp_path)


def test_a_second_signal_stops_at_once(corpus, tmp_path):
    class Impatient(InterruptAfter):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            super().on_train_batch_end(batch, logs)
            if self.left == -1:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(toy_config(corpus), tmp_path, [Impatient(1)])


def test_a_finished_run_goes_on_when_its_end_moves(corpus, whole, tmp_path):
    shorter = toy_config(corpus, training={**GATHERING, "epochs": 1})
    train(shorter, tmp_path)
    assert train(shorter, tmp_path).end
    train(toy_config(corpus, training=GATHERING), tmp_path)
    Translator.load(tmp_path)  # its metadata knows the changed recipe
    assert_same_run(whole, tmp_path)
