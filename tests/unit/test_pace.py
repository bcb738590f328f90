"""How many updates fit into given minutes, how often a run then validates, and what is kept of it on resuming."""

from pathlib import Path

import numpy as np
import pytest

from seq2seq.config.section import MAX_INTEGER
from seq2seq.training.pace import (
    Pace,
    describe_plan,
    late_warning,
    mean_update,
    needs_plan,
    plan_updates,
    with_recorded_plan,
)
from seq2seq.training.run_state import EpochBatches, planned_updates
from tests.toy import toy_config

PACE = Pace(update=0.5, validation=2.0, so_far=0.0)
EPOCH = 400  # batches
BATCHES = EpochBatches(EPOCH)


def recipe(minutes=30.0, interval=None, warmup=100, **training):
    schedule = {"type": "cosine", "warmup_updates": warmup}
    training = {"minutes": minutes, "epochs": None, "schedule": schedule} | training
    return toy_config(Path(), training=training, validation={"interval_updates": interval})


def planned(config, pace=PACE, done=0):
    """Updates, interval and warmup."""
    config = plan_updates(config, pace, BATCHES, done)
    assert not needs_plan(config)
    return config.training.updates, config.validation.interval_updates, config.training.schedule.warmup_updates


def seconds(updates, interval, pace=PACE):
    return updates * pace.update + updates / interval * pace.validation


def test_as_many_updates_as_fit_with_their_validations():
    updates, interval, warmup = planned(recipe())
    assert (interval, warmup) == (None, 100), "eight to 25 epochs, which cost little: left as they are"
    assert seconds(updates, EPOCH) <= 1800 < seconds(updates + 1, EPOCH)
    assert planned(recipe(interval=300))[1] == 300
    half = planned(recipe(accumulation_steps=2))  # an epoch has 200 updates, and then 17 would do
    assert half[1] is None
    assert seconds(half[0], 200) <= 1800 < seconds(half[0] + 1, 200)


@pytest.mark.parametrize("minutes", [0.5, 1.0, 7.0, 30.0, 600.0])
@pytest.mark.parametrize("interval", [None, 1, 70, 10**6])
@pytest.mark.parametrize("validation", [0.0, 0.05, 2.0, 30.0])
@pytest.mark.parametrize("used", [0.0, 20.0])
def test_the_time_suffices_and_validation_takes_its_share_of_it(minutes, interval, validation, used):
    pace, done = Pace(update=0.1, validation=validation, so_far=used), 3 * bool(used)
    config = plan_updates(recipe(minutes, interval), pace, BATCHES, done)
    updates, distance = config.training.updates - done, config.validation.interval_updates or EPOCH
    left, count = 60 * minutes - used, updates / distance
    if validation >= left:
        assert updates <= 1
        return
    time = updates * 0.1 + max(count, 1) * validation
    rest = 0.01 * distance  # a tenth of it, at 0.1 s
    assert left - 0.11 - validation - rest <= time <= left + 0.01, "of the time, at most a validation is lost"
    share = count * validation / left
    assert share <= 0.26 or count <= 1
    if share > 0.101:
        assert count < 8.1
    if count < 7.9:  # they would take too long
        assert count <= 1 or share == pytest.approx(0.25, abs=0.01)
    if interval is None:
        assert count < 25.1 or distance == 1


def test_a_run_that_its_epochs_end_validates_as_often_as_one_that_the_time_ends():
    config = plan_updates(recipe(minutes=1000, epochs=3), PACE, BATCHES, 0)
    assert planned_updates(config.training, BATCHES) == 1200
    assert config.validation.interval_updates == 150
    assert config.training.updates > 100_000, "with more epochs it is these"
    uneven = plan_updates(recipe(minutes=1, epochs=59), Pace(0.026, 0.48, 0.0), EpochBatches(18), 0)
    assert uneven.validation.interval_updates == 133, "an eighth of 1,062 updates is 132.75"
    said = describe_plan(config, PACE, 1200)
    assert " (training.epochs = 3 ends the run after 1,200); validation, of 2 s, every 150 updates; warmup of" in said


def test_epochs_without_sampling_are_counted_apart():
    sampled = EpochBatches(first=20, last_sampled=3, later=10)
    assert [sampled.up_to(epoch) for epoch in (0, 2, 3, 5)] == [0, 40, 60, 80]
    assert planned_updates(recipe(minutes=None, epochs=5, accumulation_steps=4).training, sampled) == 20
    assert planned_updates(plan_updates(recipe(minutes=1000, epochs=5), PACE, sampled, 0).training, sampled) == 80


@pytest.mark.parametrize("left", [50.0, 100.0, 500.0])
def test_updates_before_the_second_pass_take_their_own_time(left):
    """Of 0.1 seconds each for the first 1,000, and of 0.25 seconds from then on."""
    updates = left / mean_update(0.1, 0.25, 1000, left)
    assert min(updates, 1000) * 0.1 + max(updates - 1000, 0) * 0.25 == pytest.approx(left)
    assert mean_update(0.25, 0.25, 0, left) == 0.25


def test_a_run_does_not_validate_shortly_before_its_end_and_at_it():
    for minutes in np.linspace(1, 9, 50):
        updates, interval, _ = planned(recipe(minutes))
        assert interval is None or updates % interval == 0 or updates % interval >= interval / 10


def test_a_warmup_that_is_too_long_is_shortened_to_a_quarter():
    updates, _, warmup = planned(recipe(minutes=1, warmup=100))
    assert 80 < updates < 110
    assert warmup == updates // 4
    assert planned(recipe(minutes=1, warmup=0))[2] == 0
    assert planned(recipe(minutes=1e-9, warmup=9)) == (1, 12, 1)


def test_a_run_without_time_left_ends_where_it_is():
    assert planned(recipe(), PACE._replace(so_far=9999.0), done=77)[0] == 77
    assert planned(recipe(minutes=1e12))[0] == MAX_INTEGER, "which a recipe can hold"


def test_the_line_about_the_plan():
    config = plan_updates(recipe(minutes=2, warmup=0), PACE, BATCHES, 0)
    assert describe_plan(config, PACE, config.training.updates) == (
        "planned for 2 minutes: 208 updates of 0.5 s; validation, of 2 s, every 26 updates"
    )


def test_a_plan_that_was_recorded_is_kept_unless_the_minutes_change():
    given = recipe(minutes=1)
    started = plan_updates(given, PACE, BATCHES, 0)
    assert started != given
    assert with_recorded_plan(given, started) == started
    assert with_recorded_plan(started, started) == started
    for again in (given, started):
        other = again.model_copy(update={"training": again.training.model_copy(update={"minutes": 2.0})})
        anew = with_recorded_plan(other, started)
        assert needs_plan(anew)
        assert anew.validation == started.validation
        assert anew.training.schedule == started.training.schedule


def test_the_recorded_recipe_with_another_interval_is_another_recipe():
    started = plan_updates(recipe(), PACE, BATCHES, 0)
    changed = started.model_copy(update={"validation": started.validation.model_copy(update={"interval_updates": 9})})
    assert with_recorded_plan(changed, started) == changed, "to be refused by `check_recipe`"


def test_updates_that_are_given_win():
    started = plan_updates(recipe(), PACE, BATCHES, 0)
    for given in (recipe(updates=5), recipe(minutes=60, updates=5), recipe(minutes=None, updates=5)):
        assert not needs_plan(given)
        assert with_recorded_plan(given, started) == given
    thinned = plan_updates(recipe(interval=1), PACE, BATCHES, 0).validation
    assert thinned.interval_updates > 1
    started = started.model_copy(update={"validation": thinned})
    assert with_recorded_plan(recipe(updates=5), started).validation == thinned, "or the run would be refused"
    assert with_recorded_plan(recipe(updates=5, interval=7), started).validation.interval_updates == 7
    never_planned = recipe(minutes=None, updates=5)
    assert with_recorded_plan(recipe(minutes=60, updates=5), never_planned).training.updates == 5
    assert needs_plan(with_recorded_plan(recipe(minutes=60), never_planned))


def test_a_run_that_ends_late_says_so():
    assert late_warning(None, 1e9) == ""
    assert late_warning(10.0, 719.0) == ""
    assert "will take about 12:01 instead of 10:00; its updates stay" in late_warning(10.0, 721.0)
