"""Every reason for which training ends, and that asking changes nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from seq2seq.errors import TrainingError
from seq2seq.evaluation.baselines import COPY, FREQUENT, MODEL
from seq2seq.plurals import pluralize
from seq2seq.training.ending import baseline_warnings
from seq2seq.training.run_state import (
    EpochBatches,
    RunState,
    StopReason,
    check_minutes,
    check_stopping,
    check_update_count,
    nothing_left,
    planned_updates,
)
from tests.toy import toy_config


def config(updates=None, epochs=None, accumulation_steps=1, patience=None, metric="loss", minutes=None):
    training = {"updates": updates, "epochs": epochs, "accumulation_steps": accumulation_steps, "minutes": minutes}
    return toy_config(
        Path(), training=training, validation={"patience": patience, "metric": metric, "compute_bleu": metric == "bleu"}
    )


@pytest.mark.parametrize(
    ("recipe", "going_on", "over", "reason", "message"),
    [
        (
            {"updates": 3, "accumulation_steps": 2},
            {"total_batches": 5},
            {"total_batches": 6},
            StopReason.UPDATES,
            "3 updates are done",
        ),
        ({"updates": 1}, {"total_batches": 0}, {"total_batches": 1}, StopReason.UPDATES, "1 update is done"),
        ({"updates": 4}, {"total_batches": 3}, {"total_batches": 7000}, StopReason.UPDATES, "7,000 updates are done"),
        ({"epochs": 2}, {"epoch": 2}, {"epoch": 3}, StopReason.EPOCHS, "2 epochs are done"),
        ({"epochs": 1}, {"epoch": 1, "batch": 9}, {"epoch": 2}, StopReason.EPOCHS, "1 epoch is done"),
        (
            {"epochs": 9, "patience": 2, "metric": "bleu"},
            {"wait": 1},
            {"wait": 2},
            StopReason.PATIENCE,
            "no better BLEU in 2 validations",
        ),
        ({"epochs": 9, "patience": 1}, {"wait": 0}, {"wait": 1}, StopReason.PATIENCE, "no better loss in 1 validation"),
    ],
)
def test_each_limit_of_a_recipe_ends_a_run_when_it_is_reached(recipe, going_on, over, reason, message):
    assert check_stopping(config(**recipe), RunState(**going_on), stopped_by_callback=False) is None
    assert check_stopping(config(**recipe), RunState(**over), stopped_by_callback=False) == (reason, message)


def test_a_callback_ends_a_run_that_no_limit_ends():
    recipe = config(epochs=2)
    assert check_stopping(recipe, RunState(), stopped_by_callback=True) == (
        StopReason.CALLBACK,
        "a callback stopped it",
    )
    assert check_stopping(recipe, RunState(epoch=3), stopped_by_callback=True).reason is StopReason.EPOCHS


def test_of_several_limits_the_first_is_named():
    recipe = config(updates=3, epochs=2, patience=1)
    reached = RunState(total_batches=3, epoch=3, wait=1)
    assert check_stopping(recipe, reached, stopped_by_callback=True).reason is StopReason.UPDATES
    assert (
        check_stopping(recipe, replace(reached, total_batches=2), stopped_by_callback=True).reason is StopReason.EPOCHS
    )
    assert (
        check_stopping(recipe, replace(reached, total_batches=2, epoch=2), stopped_by_callback=True).reason
        is StopReason.PATIENCE
    )


def test_without_patience_a_run_waits_for_ever():
    assert check_stopping(config(epochs=2), RunState(wait=999), stopped_by_callback=False) is None


def test_asking_changes_nothing_and_an_end_that_moves_is_no_end():
    progress = RunState(total_batches=6, epoch=3)
    before = replace(progress)
    assert check_stopping(config(epochs=2), progress, stopped_by_callback=False)
    assert progress == before
    assert check_stopping(config(epochs=3), progress, stopped_by_callback=False) is None


@pytest.mark.parametrize(
    ("recipe", "batches", "expected"),
    [({"epochs": 3, "accumulation_steps": 4}, 10, 7), ({"updates": 5}, 10, 5), ({"epochs": 1, "updates": 20}, 10, 10)],
)
def test_planned_updates_are_those_of_the_earlier_end(recipe, batches, expected):
    assert planned_updates(config(**recipe).training, EpochBatches(batches)) == expected


@pytest.mark.parametrize(
    ("recipe", "reached", "said"),
    [
        ({"epochs": 8}, {"epoch": 9}, "8 of 8 epochs are done. To continue: --set training.epochs=12"),
        ({"epochs": 1}, {"epoch": 2}, "1 of 1 epoch is done. To continue: --set training.epochs=2"),
        (
            {"updates": 1000},
            {"total_batches": 1000},
            "1,000 of 1,000 updates are done. To continue: --set training.updates=1500",
        ),
        (
            {"updates": 7, "minutes": 30.0},
            {"total_batches": 7, "plan": {"updates": 7}},
            "7 of 7 updates are done. To continue: --minutes 60",
        ),
        (
            {"updates": 4, "minutes": 30.0},
            {"total_batches": 8, "plan": {"updates": 7}},
            "8 of 4 updates are done. To continue: --set training.updates=12",
        ),
        (
            {"updates": 4, "epochs": 2},
            {"total_batches": 4, "epoch": 3},
            "4 of 4 updates are done. To continue: --set training.updates=6 --set training.epochs=3",
        ),
        (
            {"epochs": 9, "patience": 3},
            {"wait": 3},
            "no better loss in 3 validations. To continue: --set validation.patience=6",
        ),
    ],
)
def test_a_finished_run_says_with_which_keys_it_would_continue(recipe, reached, said):
    finished, run_state = config(**recipe), RunState(**reached)
    end = check_stopping(finished, run_state, stopped_by_callback=False)
    expected = said.replace("To continue:", "To continue: seq2seq train 'a run/config.yaml'")
    assert nothing_left(finished, run_state, end, Path("a run")) == f"nothing left to do: {expected}"


def test_a_finished_run_needs_more_minutes_than_it_has_used():
    recipe, finished = config(minutes=2.0), RunState(total_batches=9, last_validation_batch=9, seconds=133.0)
    with pytest.raises(TrainingError) as error:
        check_minutes(recipe, finished, Path("run"))
    assert str(error.value) == (
        "run: training.minutes is 2, the total of all sessions, but 2:13 are already used. Give more than that: "
        "seq2seq train run/config.yaml --minutes 4."
    )
    check_minutes(config(minutes=2.5), finished, Path("run"))
    check_minutes(recipe, replace(finished, last_validation_batch=8), Path("run"))  # a run may be ended early
    with pytest.raises(TrainingError, match="--minutes 6"):
        check_minutes(config(minutes=1.0), finished, Path("run"))


def test_a_model_behind_a_baseline_by_one_score_only_is_not_called_useless():
    def warnings(bleu, chrf):
        others = {COPY: {"BLEU": 3.0, "chrF2": 29.83}, FREQUENT: {"BLEU": 1.0, "chrF2": 8.0}}
        return baseline_warnings({MODEL: {"BLEU": bleu, "chrF2": chrf}, **others}, "seq2seq train x")

    assert warnings(5.0, 30.0) == []
    assert warnings(5.0, 25.46) == [
        "on the validation corpus the model has chrF2 25.46, no better than 29.83 of copying the source, but "
        "BLEU 5.00, above 3.00 of copying the source: read some of its translations before you rely on it. "
        "Train on more text, or for longer: seq2seq train x"
    ]
    (useless,) = warnings(3.0, 25.46)
    assert "BLEU 3.00, no better than 3.00 of copying the source and chrF2 25.46, no better" in useless
    assert "it is of little use as a translator" in useless


def test_a_run_must_make_an_update():
    check_update_count(config(epochs=2, accumulation_steps=24).training, EpochBatches(12))
    with pytest.raises(
        TrainingError, match=r"12 batches in 1 epoch, but an update needs 13 \(training.accumulation_steps\)\."
    ):
        check_update_count(config(epochs=1, accumulation_steps=13).training, EpochBatches(12))
    with pytest.raises(
        TrainingError, match=r"2 batches in 2 epochs, but an update needs 3 \(training.accumulation_steps\)\."
    ):
        check_update_count(config(epochs=2, accumulation_steps=3).training, EpochBatches(1))


def test_counts_are_said_with_their_number():
    assert [
        pluralize(n, noun) for n, noun in [(1, "batch"), (2, "batch"), (0, "epoch"), (3000, "update"), (30.0, "minute")]
    ] == [
        "1 batch",
        "2 batches",
        "0 epochs",
        "3,000 updates",
        "30 minutes",
    ]
