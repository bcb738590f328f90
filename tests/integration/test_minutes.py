"""Runs of given minutes: planned by a speed that is measured, or given here, then followed whatever the clock says."""

import io
import os
import re
import shutil
import signal
from itertools import count

import numpy as np
import pytest
from rich.console import Console

from seq2seq.config import load_config
from seq2seq.errors import TrainingError
from seq2seq.model_directory import LAST
from seq2seq.model_directory.directory import CONFIG, load_model_config
from seq2seq.storage.arrays import load_arrays
from seq2seq.training import StopReason, run, setup, train
from seq2seq.training.display import Timer, format_duration
from seq2seq.training.pace import Pace
from tests.runs import InterruptAfter, assert_resumes_exactly, assert_same_run, often_saved
from tests.toy import toy_config

pytestmark = pytest.mark.usefixtures("shared_graphs")
PACE = Pace(update=0.5, validation=0.2, so_far=0.0)
UPDATES, INTERVAL, WARMUP = 26, 3, 6  # that fit into `minutes`, and what suits them
CRASHES = 2, 17


def recipe(corpus, minutes=0.25, **training):
    schedule = {"type": "cosine", "warmup_updates": 20}
    training = {"minutes": minutes, "epochs": None, "schedule": schedule, "keep_best": 2} | training
    return often_saved(toy_config(corpus, training=training))


def decided(folder):
    config = load_model_config(folder)
    training = config.training
    return training.updates, config.validation.interval_updates, training.schedule.warmup_updates


def interrupt(*arguments):
    """In place of any function: a signal comes there."""
    os.kill(os.getpid(), signal.SIGTERM)
    raise AssertionError("the run goes on")


@pytest.fixture
def paced(monkeypatch):
    """Give the speed instead of measuring it; the list has a place for each time that a run asked."""
    asked = []
    monkeypatch.setattr(run, "measure_pace", lambda *arguments: asked.append(arguments) or PACE)
    return asked


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """A run that nothing interrupts; what crashes would have left of it lies beside it."""
    folder = tmp_path_factory.mktemp("minutes") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "measure_pace", lambda *arguments: PACE)
        report = assert_resumes_exactly(recipe(corpus), folder, *CRASHES)
    assert report.end.reason is StopReason.UPDATES
    assert [entry["update"] for entry in report.history] == [*range(INTERVAL, UPDATES, INTERVAL), UPDATES]
    return folder


def test_the_decision_is_recorded_and_training_again_with_it_makes_the_same_run(whole, paced, tmp_path):
    assert decided(whole) == (UPDATES, INTERVAL, WARMUP)
    assert load_model_config(whole).training.minutes == 0.25
    train(load_config(whole / CONFIG), tmp_path)
    assert load_arrays(tmp_path / LAST)[1]["run_state"]["plan"]["updates"] == UPDATES
    assert_same_run(whole, tmp_path)
    assert not paced, "the recipe says it all"


def test_a_run_that_was_interrupted_keeps_its_plan(corpus, whole, paced, tmp_path):
    assert not train(recipe(corpus), tmp_path, [InterruptAfter(4)]).end
    assert decided(tmp_path) == (UPDATES, INTERVAL, WARMUP)
    assert train(load_config(tmp_path / CONFIG), tmp_path, [InterruptAfter(9)]).end is None
    assert train(recipe(corpus), tmp_path).end
    assert len(paced) == 1
    assert_same_run(whole, tmp_path)


def test_a_crash_before_the_decision_loses_nothing(corpus, whole, paced, monkeypatch, tmp_path):
    def crash(config, *arguments):
        raise ArithmeticError

    with monkeypatch.context() as patch:
        patch.setattr(run, "plan_updates", crash)
        with pytest.raises(ArithmeticError):
            train(recipe(corpus), tmp_path)
    assert decided(tmp_path)[0] is None
    train(recipe(corpus), tmp_path)
    assert_same_run(whole, tmp_path)


@pytest.mark.parametrize("recorded", [True, False])
def test_other_minutes_plan_anew(recorded, corpus, paced, tmp_path):
    """Given with the recorded recipe or with the one that the run began with."""
    screen = io.StringIO()
    assert not train(recipe(corpus), tmp_path, [InterruptAfter(5)]).end
    config = load_config(tmp_path / CONFIG, ["training.minutes=0.5"]) if recorded else recipe(corpus, 0.5)
    report = train(config, tmp_path, console=Console(file=screen, width=400))
    assert report.updates == decided(tmp_path)[0] > UPDATES
    assert "resuming after update 5, in epoch 1\n" in screen.getvalue()
    assert "planned for 0.5 minutes: " in screen.getvalue()
    assert decided(tmp_path)[2] == WARMUP


def test_a_run_that_was_faster_than_planned_says_so_with_its_way_on(corpus, paced, tmp_path):
    """Planned by half a second an update; the toy takes less."""
    screen = io.StringIO()
    report = train(recipe(corpus, 0.5), tmp_path, console=Console(file=screen, width=400))
    command = f"seq2seq train {tmp_path / CONFIG} --minutes 1"
    done = f"finished: {report.updates} updates are done"
    faster = f"faster than planned: ended after {format_duration(report.seconds)} of 0:30"
    assert f"{done}; {faster}. To continue: {command}\n" in screen.getvalue()


def test_an_attempt_at_other_minutes_does_not_lose_the_plan(corpus, whole, paced, monkeypatch, tmp_path):
    """It was interrupted before it decided; the checkpoint still has what was decided before."""
    assert not train(recipe(corpus), tmp_path, [InterruptAfter(5)]).end
    plan = {"minutes": 0.25, "updates": UPDATES, "interval_updates": INTERVAL, "warmup_updates": WARMUP}
    assert load_arrays(tmp_path / LAST)[1]["run_state"]["plan"] == plan
    with monkeypatch.context() as patch:
        patch.setattr(run, "measure_pace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(recipe(corpus, 0.5), tmp_path)
    assert decided(tmp_path)[0] is None
    assert train(recipe(corpus), tmp_path).end
    assert decided(tmp_path) == (UPDATES, INTERVAL, WARMUP)
    assert len(paced) == 1
    assert_same_run(whole, tmp_path)


def test_a_finished_run_says_what_would_continue_it(corpus, whole, paced, tmp_path):
    folder, screen = shutil.copytree(whole, tmp_path / "run"), io.StringIO()
    report = train(recipe(corpus), folder, console=Console(file=screen, width=400))
    assert report.updates == UPDATES
    said = screen.getvalue()
    command = re.escape(f"nothing left to do: 26 of 26 updates are done. To continue: seq2seq train {folder / CONFIG}")
    (minutes,) = re.findall(rf"{command} --minutes (\S+)\n", said)
    assert 60 * float(minutes) > report.seconds
    assert "resuming" not in said
    assert "finished:" not in said
    assert not paced
    assert_same_run(whole, folder)


def test_minutes_that_are_used_already_are_refused_and_nothing_is_written(corpus, whole, paced, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "run")
    before = (folder / CONFIG).read_bytes()
    with pytest.raises(TrainingError, match=r"training\.minutes is 0\.0001, the total of all sessions, but 0:\d+ are"):
        train(recipe(corpus, 0.0001), folder)
    assert (folder / CONFIG).read_bytes() == before
    assert not paced
    assert_same_run(whole, folder)


def test_speed_is_measured_before_the_first_update_and_leaves_no_trace(corpus, monkeypatch, tmp_path):
    """By a clock that ticks whenever it is read, so that the run decides the same on any machine."""
    ticks = count()
    monkeypatch.setattr(Timer, "clock", lambda self: next(ticks) / 20)
    screen = io.StringIO()
    # The last of the measured batches make no update: that they were gathered must be undone, too.
    config = recipe(corpus, 0.03, accumulation_steps=3)
    report = train(config, tmp_path / "measured", console=Console(file=screen, width=400))
    assert decided(tmp_path / "measured")[0] == report.updates > 2
    assert "planned for 0.03 minutes: " in screen.getvalue()
    train(load_config(tmp_path / "measured" / CONFIG), tmp_path / "again")
    assert_same_run(tmp_path / "measured", tmp_path / "again")


@pytest.mark.parametrize("where", ["batch_dataset", "explain_out_of_memory"])
def test_a_signal_before_the_first_update_ends_the_run_at_once(where, corpus, whole, paced, monkeypatch, tmp_path):
    """While its speed is measured, and while the largest batches are tried."""
    screen = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(run, "measure_pace", setup.measure_pace)
        patch.setattr(setup, where, interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(recipe(corpus), tmp_path, console=Console(file=screen, width=400))
    assert "stopping: there is nothing new to save; the same command starts or resumes the run\n" in screen.getvalue()
    assert decided(tmp_path)[0] is None
    assert not (tmp_path / LAST).exists()
    train(recipe(corpus), tmp_path)
    assert_same_run(whole, tmp_path)


def test_a_cosine_without_a_length_ends_with_the_run_and_moves_with_its_end(corpus, tmp_path):
    def rates(epochs, *callbacks):
        values = {"epochs": epochs, "minutes": None, "schedule": {"type": "cosine", "min_learning_rate": 0.0}}
        report = train(recipe(corpus, **values), tmp_path, callbacks)
        return report, [entry["learning_rate"] for entry in report.history]

    report, (first, last) = rates(2)
    assert 0 < first < 0.01
    assert last < 1e-3
    assert np.isclose(first, 0.005, rtol=0.2), "half way down"
    report, learning_rates = rates(3)
    assert learning_rates[1] == last
    assert learning_rates[2] < 1e-3
    assert load_arrays(tmp_path / LAST)[1]["run_state"]["total_batches"] == report.updates
