"""Every reason for which training ends, and that asking changes nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from seq2seq.errors import TrainingError
from seq2seq.training.display import count_noun
from seq2seq.training.run_state import EndReason, RunState, check_updates, find_end, planned_updates
from tests.toy import toy_config


def config(updates=None, epochs=None, accumulation_steps=1, patience=None, metric="loss"):
    training = {"updates": updates, "epochs": epochs, "accumulation_steps": accumulation_steps}
    return toy_config(
        Path(), training=training, validation={"patience": patience, "metric": metric, "bleu": metric == "bleu"}
    )


@pytest.mark.parametrize(
    ("recipe", "going_on", "over", "reason", "message"),
    [
        (
            {"updates": 3, "accumulation_steps": 2},
            {"total_batches": 5},
            {"total_batches": 6},
            EndReason.UPDATES,
            "3 updates are done",
        ),
        ({"updates": 1}, {"total_batches": 0}, {"total_batches": 1}, EndReason.UPDATES, "1 update is done"),
        ({"updates": 4}, {"total_batches": 3}, {"total_batches": 7000}, EndReason.UPDATES, "7,000 updates are done"),
        ({"epochs": 2}, {"epoch": 2}, {"epoch": 3}, EndReason.EPOCHS, "2 epochs are done"),
        ({"epochs": 1}, {"epoch": 1, "batch": 9}, {"epoch": 2}, EndReason.EPOCHS, "1 epoch is done"),
        (
            {"epochs": 9, "patience": 2, "metric": "bleu"},
            {"wait": 1},
            {"wait": 2},
            EndReason.PATIENCE,
            "no better bleu in 2 validations",
        ),
        ({"epochs": 9, "patience": 1}, {"wait": 0}, {"wait": 1}, EndReason.PATIENCE, "no better loss in 1 validation"),
    ],
)
def test_each_limit_of_a_recipe_ends_a_run_when_it_is_reached(recipe, going_on, over, reason, message):
    assert find_end(config(**recipe), RunState(**going_on), stopped_by_callback=False) is None
    assert find_end(config(**recipe), RunState(**over), stopped_by_callback=False) == (reason, message)


def test_a_callback_ends_a_run_that_no_limit_ends():
    recipe = config(epochs=2)
    assert find_end(recipe, RunState(), stopped_by_callback=True) == (EndReason.CALLBACK, "a callback stopped it")
    assert find_end(recipe, RunState(epoch=3), stopped_by_callback=True).reason is EndReason.EPOCHS


def test_of_several_limits_the_first_is_named():
    recipe = config(updates=3, epochs=2, patience=1)
    reached = RunState(total_batches=3, epoch=3, wait=1)
    assert find_end(recipe, reached, stopped_by_callback=True).reason is EndReason.UPDATES
    assert find_end(recipe, replace(reached, total_batches=2), stopped_by_callback=True).reason is EndReason.EPOCHS
    assert (
        find_end(recipe, replace(reached, total_batches=2, epoch=2), stopped_by_callback=True).reason
        is EndReason.PATIENCE
    )


def test_without_patience_a_run_waits_for_ever():
    assert find_end(config(epochs=2), RunState(wait=999), stopped_by_callback=False) is None


def test_asking_changes_nothing_and_an_end_that_moves_is_no_end():
    progress = RunState(total_batches=6, epoch=3)
    before = replace(progress)
    assert find_end(config(epochs=2), progress, stopped_by_callback=False)
    assert progress == before
    assert find_end(config(epochs=3), progress, stopped_by_callback=False) is None


@pytest.mark.parametrize(
    ("recipe", "batches", "expected"),
    [({"epochs": 3, "accumulation_steps": 4}, 10, 7), ({"updates": 5}, 10, 5), ({"epochs": 1, "updates": 20}, 10, 10)],
)
def test_planned_updates_are_those_of_the_earlier_end(recipe, batches, expected):
    assert planned_updates(config(**recipe).training, batches) == expected


def test_a_run_must_make_an_update():
    check_updates(config(epochs=2, accumulation_steps=24).training, 12)
    with pytest.raises(
        TrainingError, match=r"1 epoch of 12 batches, and an update takes training.accumulation_steps = 13\."
    ):
        check_updates(config(epochs=1, accumulation_steps=13).training, 12)
    with pytest.raises(
        TrainingError, match=r"2 epochs of 1 batch, and an update takes training.accumulation_steps = 3\."
    ):
        check_updates(config(epochs=2, accumulation_steps=3).training, 1)


def test_counts_are_said_with_their_number():
    assert [count_noun(n, noun) for n, noun in [(1, "batch"), (2, "batch"), (0, "epoch"), (3000, "update")]] == [
        "1 batch",
        "2 batches",
        "0 epochs",
        "3,000 updates",
    ]
