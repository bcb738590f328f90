"""The training loop driving fakes: when it saves, stops and asks other workers."""

from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest

from seq2seq.model_directory import LAST
from seq2seq.training import loop as module
from seq2seq.training.alarms import BaselineLosses
from seq2seq.training.loop import TrainingLoop
from seq2seq.training.recovery import CHECK_INTERVAL, DivergenceError
from seq2seq.training.run_state import EpochBatches, RunState, StopReason
from tests.toy import toy_config

BATCHES = 12  # of an epoch
OFTEN, SELDOM = 1e-9, 1e9  # minutes between checkpoints


class Plan:
    """An epoch of batches of one sentence."""

    target_lengths = np.full(BATCHES, 3)

    def __len__(self):
        return BATCHES

    def batch(self, index):
        return np.array([index])


class Driven:
    """A loop and the fakes that it drives; `saved` are the batches after which a checkpoint was written."""

    def __init__(self, monkeypatch, workers=1, progress=None, minutes=SELDOM, skipping=(), **training):
        monkeypatch.setattr(module, "plan_epoch", lambda *arguments: Plan())
        monkeypatch.setattr(module, "batch_dataset", lambda train, plan, first, *replicas: [()] * (BATCHES - first))
        monkeypatch.setattr(module, "explain_out_of_memory", lambda *arguments: nullcontext())
        self.saved, self.asked, self.shown, self.stop = [], [], [], Event()
        self.model = MagicMock(precision="float32", stop_training=False, metrics=[])
        self.model.step_function.return_value = lambda: {"nll": 1.0, "loss": 1.0, "gradient_norm": 2.0}
        self.model.update = MagicMock(averaged_weights=nullcontext, gradient_norm=2.0, skipped=0)
        self.model.output_embedding.vocabulary_size = 56
        self.callbacks = MagicMock(callbacks=[])
        self.callbacks.on_train_batch_end.side_effect = lambda *arguments: self.after_batch(self.batches)
        training = {"epochs": 2, "checkpoint_minutes": minutes} | training
        driven = self

        class Watch(MagicMock):
            @property
            def skipped(self):
                return int(driven.batches in skipping)

        self.watch = Watch()
        self.loop = TrainingLoop(
            toy_config(Path(), training=training),
            self.model,
            MagicMock(),
            progress or RunState(),
            epoch_batches=EpochBatches(BATCHES),
            directory=SimpleNamespace(
                directory=Path("run"),
                save=lambda name, progress: self.saved.append(progress.total_batches) if name == LAST else None,
                load=lambda name: RunState(total_batches=2, batch=2),
                choose_rollback_checkpoint=lambda further: "checkpoints/last.safetensors",
                record_validation=lambda entry, is_delivered: None,
                prune=lambda: None,
            ),
            validator=MagicMock(loss=lambda: 1.0, translations=[]),
            monitor=self.watch,
            alarms=MagicMock(baselines=BaselineLosses(3.0, 4.0), record=lambda entry, is_last: []),
            callbacks=self.callbacks,
            display=SimpleNamespace(
                epoch_progress=self.live, print=MagicMock(), print_validation=lambda *given, **numbers: None
            ),
            replicas=SimpleNamespace(
                num_workers=workers, local_replicas=range(1), num_replicas=workers, any_worker=self.any
            ),
            stop=self.stop,
        )

    @property
    def batches(self):
        return self.loop.run_state.total_batches

    def after_batch(self, batches):
        """For tests to replace."""

    def any(self, *wishes):
        self.asked.append(self.batches)
        return wishes

    @contextmanager
    def live(self, *numbers):
        yield lambda done, numbers: self.shown.append((self.batches, numbers["eta"]))

    def stop_after(self, batches):
        def stop(done):
            if done == batches:
                self.stop.set()

        self.after_batch = stop


def test_a_run_that_nothing_disturbs_is_saved_at_its_start_its_validations_and_its_end(monkeypatch):
    driven = Driven(monkeypatch)
    driven.loop.run()
    assert driven.loop.end.reason is StopReason.EPOCHS
    assert driven.saved == [0, BATCHES, 2 * BATCHES, 2 * BATCHES]
    assert [call.args[0] for call in driven.callbacks.on_epoch_end.call_args_list] == [0, 1]


@pytest.mark.parametrize("training", [{"epochs": 3}, {"epochs": None, "updates": 3 * BATCHES}])
def test_alarms_know_which_validation_is_the_last(training, monkeypatch):
    driven, told = Driven(monkeypatch, **training), []
    driven.loop.alarms.record = lambda entry, is_last: told.append(is_last) or []
    driven.loop.run()
    assert told == [False, False, True]


def test_a_run_is_called_late_once_and_not_by_its_first_validations(monkeypatch):
    driven, said = Driven(monkeypatch), []
    training = {"minutes": 1e-9, "epochs": None, "updates": 6 * BATCHES}
    driven.loop.config = toy_config(Path(), training=training)
    driven.loop.display.print = lambda text: said.append((driven.batches, text.partition(":")[0]))
    driven.loop.run()
    assert said == [(2 * BATCHES, "slower than planned")]


def test_the_time_that_is_left_is_told_from_the_pace_of_batches_and_not_of_what_came_before(monkeypatch):
    driven = Driven(monkeypatch, progress=RunState(), epochs=9)
    driven.loop.run_state.seconds = 1e6  # to measure the speed took that long
    driven.loop.run()
    etas = dict(driven.shown)
    assert {batches for batches, eta in etas.items() if eta is None} == {10, 20, 30, 40}
    assert all(eta < 1000 for eta in etas.values() if eta is not None)


def test_an_interrupted_run_is_saved_after_its_batch_and_has_no_end(monkeypatch):
    driven = Driven(monkeypatch)
    driven.stop_after(5)
    driven.loop.run()
    assert driven.loop.end is None
    assert not driven.loop.should_continue
    assert driven.saved == [0, 5]
    assert driven.loop.saved_update == 5
    driven.callbacks.on_epoch_end.assert_not_called()


def test_while_updates_are_skipped_no_checkpoint_is_written(monkeypatch):
    driven = Driven(monkeypatch, minutes=OFTEN, skipping=(3, 4, 5))
    driven.stop_after(7)
    driven.loop.run()
    assert driven.saved == [0, 1, 2, 6, 7, 7]


def test_a_run_that_is_interrupted_while_it_skips_keeps_its_last_checkpoint(monkeypatch):
    driven = Driven(monkeypatch, minutes=OFTEN, skipping=(4, 5))
    driven.stop_after(5)
    driven.loop.run()
    assert driven.saved == [0, 1, 2, 3]
    assert driven.loop.saved_update == 3


def test_the_end_is_saved_even_while_updates_are_skipped(monkeypatch):
    driven = Driven(monkeypatch, skipping=(3, 4), updates=4, epochs=None)
    driven.loop.run()
    assert driven.loop.end.reason is StopReason.UPDATES
    assert driven.saved[-1] == 4


def test_several_workers_agree_now_and_then_and_stop_together(monkeypatch):
    driven = Driven(monkeypatch, workers=2, minutes=OFTEN)
    driven.stop_after(4)
    driven.loop.run()
    assert driven.asked == [0, CHECK_INTERVAL]
    assert driven.saved == [0, CHECK_INTERVAL, CHECK_INTERVAL], "one that is asked alone neither stops nor saves"


@pytest.mark.parametrize(("validated", "more"), [(2 * BATCHES, False), (BATCHES, True)])
def test_a_finished_run_has_nothing_to_do_but_measure(validated, more, monkeypatch):
    finished = RunState(epoch=3, total_batches=2 * BATCHES, last_validation_batch=validated)
    driven = Driven(monkeypatch, progress=finished)
    for _ in range(2):
        assert driven.loop.should_continue is more, "asking changes nothing"
    driven.loop.run()
    assert driven.batches == 2 * BATCHES
    assert driven.loop.run_state.last_validation_batch == 2 * BATCHES
    driven.model.step_function.assert_not_called()


def test_a_run_that_diverges_is_rolled_back_and_its_new_start_saved(monkeypatch):
    driven = Driven(monkeypatch, epochs=1)
    driven.watch.check_skipped_updates.side_effect = [DivergenceError("all wrong"), None, None]
    driven.loop.run()
    assert driven.saved == [0, 2, BATCHES, BATCHES]
    assert driven.loop.run_state.rollbacks == 1
    (said,) = driven.loop.display.print.call_args_list[0].args
    assert said.startswith("warning: all wrong: rolled back to update 2 of checkpoints/last.safetensors")
    assert said.endswith("times 0.5 (rollback 1 of 3)")
