"""Every reason for which training ends, and that asking changes nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from seq2seq.errors import TrainingError
from seq2seq.training.display import counted
from seq2seq.training.ending import Reason, end_of
from seq2seq.training.planning import check_updates, planned_updates
from seq2seq.training.progress import Progress
from tests.toy import toy_config


def config(updates=None, epochs=None, accumulate=1, patience=None, metric="loss"):
    training = {"updates": updates, "epochs": epochs, "accumulate": accumulate}
    return toy_config(
        Path(), training=training, validation={"patience": patience, "metric": metric, "bleu": metric == "bleu"}
    )


@pytest.mark.parametrize(
    ("recipe", "going_on", "over", "reason", "message"),
    [
        ({"updates": 3, "accumulate": 2}, {"batches": 5}, {"batches": 6}, Reason.UPDATES, "3 updates are done"),
        ({"updates": 1}, {"batches": 0}, {"batches": 1}, Reason.UPDATES, "1 update is done"),
        ({"updates": 4}, {"batches": 3}, {"batches": 7000}, Reason.UPDATES, "7,000 updates are done"),
        ({"epochs": 2}, {"epoch": 2}, {"epoch": 3}, Reason.EPOCHS, "2 epochs are done"),
        ({"epochs": 1}, {"epoch": 1, "batch": 9}, {"epoch": 2}, Reason.EPOCHS, "1 epoch is done"),
        (
            {"epochs": 9, "patience": 2, "metric": "bleu"},
            {"waited": 1},
            {"waited": 2},
            Reason.PATIENCE,
            "no better bleu in 2 validations",
        ),
        ({"epochs": 9, "patience": 1}, {"waited": 0}, {"waited": 1}, Reason.PATIENCE, "no better loss in 1 validation"),
    ],
)
def test_each_limit_of_a_recipe_ends_a_run_when_it_is_reached(recipe, going_on, over, reason, message):
    assert end_of(config(**recipe), Progress(**going_on), stopped_by_callback=False) is None
    assert end_of(config(**recipe), Progress(**over), stopped_by_callback=False) == (reason, message)


def test_a_callback_ends_a_run_that_no_limit_ends():
    recipe = config(epochs=2)
    assert end_of(recipe, Progress(), stopped_by_callback=True) == (Reason.CALLBACK, "a callback stopped it")
    assert end_of(recipe, Progress(epoch=3), stopped_by_callback=True).reason is Reason.EPOCHS


def test_of_several_limits_the_first_is_named():
    recipe = config(updates=3, epochs=2, patience=1)
    reached = Progress(batches=3, epoch=3, waited=1)
    assert end_of(recipe, reached, stopped_by_callback=True).reason is Reason.UPDATES
    assert end_of(recipe, replace(reached, batches=2), stopped_by_callback=True).reason is Reason.EPOCHS
    assert end_of(recipe, replace(reached, batches=2, epoch=2), stopped_by_callback=True).reason is Reason.PATIENCE


def test_without_patience_a_run_waits_for_ever():
    assert end_of(config(epochs=2), Progress(waited=999), stopped_by_callback=False) is None


def test_asking_changes_nothing_and_an_end_that_moves_is_no_end():
    progress = Progress(batches=6, epoch=3)
    before = replace(progress)
    assert end_of(config(epochs=2), progress, stopped_by_callback=False)
    assert progress == before
    assert end_of(config(epochs=3), progress, stopped_by_callback=False) is None


@pytest.mark.parametrize(
    ("recipe", "batches", "expected"),
    [({"epochs": 3, "accumulate": 4}, 10, 7), ({"updates": 5}, 10, 5), ({"epochs": 1, "updates": 20}, 10, 10)],
)
def test_planned_updates_are_those_of_the_earlier_end(recipe, batches, expected):
    assert planned_updates(config(**recipe).training, batches) == expected


def test_a_run_must_make_an_update():
    check_updates(config(epochs=2, accumulate=24).training, 12)
    with pytest.raises(TrainingError, match=r"1 epoch of 12 batches, and an update takes training.accumulate = 13\."):
        check_updates(config(epochs=1, accumulate=13).training, 12)
    with pytest.raises(TrainingError, match=r"2 epochs of 1 batch, and an update takes training.accumulate = 3\."):
        check_updates(config(epochs=2, accumulate=3).training, 1)


def test_counts_are_said_with_their_number():
    assert [counted(n, noun) for n, noun in [(1, "batch"), (2, "batch"), (0, "epoch"), (3000, "update")]] == [
        "1 batch",
        "2 batches",
        "0 epochs",
        "3,000 updates",
    ]
