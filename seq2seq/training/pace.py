"""The speed of a run, measured before its first update, and the number of updates that fit into `training.minutes`."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from seq2seq.config import Config
from seq2seq.config.section import MAX_INTEGER
from seq2seq.plurals import pluralize
from seq2seq.training.display import format_duration
from seq2seq.training.run_state import EpochBatches

# Validation may take this share of the time, or up to MAX_SHARE if a run would otherwise have fewer validations than
# MIN_VALIDATIONS.
SHARE, MAX_SHARE = 0.1, 0.25
MIN_VALIDATIONS = 8
MAX_VALIDATIONS = 25  # if the recipe gives no interval and epochs are short
MAX_WARMUP = 0.25  # share of the updates; a quarter costs little before a cosine (Smith and Topin 2018: 0.3)
LEAST_REST = 0.1  # share of an interval; fewer updates after the last whole interval are dropped
LATE = 1.2  # multiple of `training.minutes` beyond which a run counts as late


class Pace(NamedTuple):
    """Measured times, in seconds.

    Attributes:
        update: Mean time of an update, with all its batches.
        validation: Time of a validation, with the checkpoints that follow it.
        so_far: Training time so far, over all sessions, including the measurement.
    """

    update: float
    validation: float
    so_far: float


def needs_plan(config: Config) -> bool:
    """Whether `training.minutes` decides the number of updates of a run."""
    return config.training.minutes is not None and config.training.updates is None


def with_recorded_plan(config: Config, started: Config) -> Config:
    """The recipe with which a run is resumed, completed by the decisions of `plan_updates` for the recorded recipe.

    If `minutes` differ, `updates` stay null, to be planned again. If `updates` are given and differ from the recorded
    ones, they apply, and the validation interval stays the same.
    """
    before, now = started.training, config.training
    if before.minutes is None or now.minutes is None:
        return config
    if now.updates not in (None, before.updates):
        interval = config.validation.interval_updates or started.validation.interval_updates
        return _with_plan(config, now.updates, interval)
    updates = before.updates if now.minutes == before.minutes else None
    plan = started if now.updates is None else config
    return _with_plan(config, updates, plan.validation.interval_updates, plan.training.schedule.warmup_updates)


def mean_update(single: float, double: float, count: float, left: float) -> float:
    """Mean time of an update in a run of `left` seconds.

    Args:
        single: Seconds per update before `consistency.start_epoch`.
        double: Seconds per update from then on, with the second pass.
        count: Number of updates before `consistency.start_epoch`.
        left: Seconds of all updates.
    """
    rest = left - count * single
    return single if rest <= 0 else left / (count + rest / double)


def plan_updates(config: Config, pace: Pace, epoch_batches: EpochBatches, done: int) -> Config:
    """The recipe with as many `training.updates` as fit into the rest of `training.minutes`.

    `validation.interval_updates` is unchanged (null: at the end of every epoch), unless validation would take more than
    a tenth of the time (`SHARE`), or there would be fewer than 8 validations or, if it is null, more than 25. If 8
    validations would take more than a quarter of the time, there are fewer. A warmup of more than a quarter of the run
    is shortened to a quarter.

    Args:
        config: A recipe for which `needs_plan` is true.
        pace: Measured times.
        epoch_batches: Numbers of batches of the epochs.
        done: Number of updates so far.
    """
    training, given = config.training, config.validation.interval_updates
    assert training.minutes is not None
    update, validation = pace.update, pace.validation
    left = max(60 * training.minutes - pace.so_far, 0.0)
    # If epochs end the run earlier, validations are spread over those updates.
    most = math.inf
    if training.epochs is not None:
        most = epoch_batches.up_to(training.epochs) / training.accumulation_steps - done

    def interval_of(validations: int) -> float:
        return min((left - validations * validation) / update, most) / validations

    wanted = given or epoch_batches.first / training.accumulation_steps
    # With an interval of i updates, validation takes v / (v + i u) of the time.
    shortest, least = (math.ceil(validation / update * (1 / share - 1)) for share in (SHARE, MAX_SHARE))
    if given is None:
        shortest = max(shortest, math.ceil(interval_of(MAX_VALIDATIONS)))
    interval = max(min(max(wanted, shortest), math.floor(interval_of(MIN_VALIDATIONS))), least, 1)
    fitting = min(left / (update + validation / interval), (left - validation) / update)  # at least one validation
    updates = min(max(done + math.floor(fitting), done, 1), MAX_INTEGER)
    distance = given
    if interval != wanted:
        distance = int(interval)
        end = min(updates, done + most)
        rest = int(end % distance)
        if rest < LEAST_REST * distance <= end - done:  # move the last validation to the end, not shortly before it
            if end == updates:
                updates -= rest
            else:  # the epochs determine the end
                distance = math.ceil(end / (end // distance))
    warmup = training.schedule.warmup_updates
    warmup = min(warmup, max(math.floor(MAX_WARMUP * updates), 1))
    return _with_plan(config, updates, distance, warmup)


def describe_plan(config: Config, pace: Pace, end: int) -> str:
    """Describe the decisions of `plan_updates` in one line, for a run that ends after `end` updates at the latest."""
    training, interval = config.training, config.validation.interval_updates
    assert training.minutes is not None
    assert training.updates is not None
    by_epochs = f" (training.epochs = {training.epochs} ends the run after {end:,})" if end < training.updates else ""
    distance = "every epoch" if interval is None else f"every {pluralize(interval, 'update')}"
    warmup = training.schedule.warmup_updates
    return (
        f"planned for {pluralize(training.minutes, 'minute')}: {pluralize(training.updates, 'update')} of "
        f"{pace.update:.2g} s{by_epochs}; validation, of {pace.validation:.2g} s, {distance}"
        + (f"; warmup of {pluralize(warmup, 'update')}" if warmup else "")
    )


def late_warning(minutes: float | None, expected: float) -> str:
    """A warning about a run that is expected to take more than `LATE` times its `training.minutes`; else "".

    `expected` is in seconds.
    """
    if minutes is None or expected <= LATE * 60 * minutes:
        return ""
    return (
        f"slower than planned: this run will take about {format_duration(expected)} instead of "
        f"{format_duration(60 * minutes)}; its updates stay as planned"
    )


def early_notice(minutes: float | None, seconds: float) -> str:
    """A notice about a run that took less than 1 / `LATE` of its `training.minutes`; else ""."""
    if minutes is None or LATE * seconds >= 60 * minutes:
        return ""
    return f"faster than planned: ended after {format_duration(seconds)} of {format_duration(60 * minutes)}"


def recorded_plan(config: Config) -> dict[str, Any] | None:
    """The plan that a checkpoint keeps for a run with `training.minutes`; None for any other run."""
    training = config.training
    if training.minutes is None:
        return None
    return {
        "minutes": training.minutes,
        "updates": training.updates,
        "interval_updates": config.validation.interval_updates,
        "warmup_updates": training.schedule.warmup_updates,
    }


def with_plan_of_checkpoint(config: Config, plan: Mapping[str, Any] | None) -> Config:
    """A recipe for which `needs_plan` is true, with the plan of its checkpoint if that is for the same minutes."""
    if plan is None or plan["minutes"] != config.training.minutes:
        return config
    return _with_plan(config, plan["updates"], plan["interval_updates"], plan["warmup_updates"])


def _with_plan(config: Config, updates: int | None, interval: int | None, warmup: int | None = None) -> Config:
    def changed(section: Any, **values: Any) -> Any:
        return section.model_copy(update=values)

    schedule = config.training.schedule
    if warmup is not None:
        schedule = changed(schedule, warmup_updates=warmup)
    training = changed(config.training, updates=updates, schedule=schedule)
    return changed(config, training=training, validation=changed(config.validation, interval_updates=interval))
