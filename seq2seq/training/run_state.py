"""State of a run, its planned batches and updates, and the reasons why it ends."""

import math
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from seq2seq.config import Config, TrainingConfig
from seq2seq.data.batching import BatchPlan, plan_batches
from seq2seq.data.mixture import EncodedMixture
from seq2seq.errors import TrainingError
from seq2seq.model_directory import whole_recipe
from seq2seq.model_directory.directory import CONFIG
from seq2seq.plurals import pluralize
from seq2seq.training.averaging import rank
from seq2seq.training.display import format_duration
from seq2seq.training.preparation import TrainingData


@dataclass
class RunState:
    """Everything about a run except its arrays, as plain values that are stored in a checkpoint.

    Attributes:
        epoch: Current epoch, from 1.
        batch: Number of batches done in this epoch.
        total_batches: Number of batches done in all.
        last_validation_batch: Number of batches done at the last validation.
        validations: Number of entries of the history so far.
        seconds: Wall-clock training time so far, over all sessions.
        cpu_seconds: CPU time so far, user and system, over all sessions, each from the call of `train`.
        best: Best value of the validation metric of a model that had learnt something.
        best_update: Update at which it was reached.
        best_loss: Loss of that validation.
        lowest_loss: Lowest loss of all validations.
        wait: Number of validations since the best one or, while there is none, since the lowest loss.
        plateau_factor: Factor by which the plateau schedule has multiplied the learning rate.
        plateau_wait: Number of validations without improvement that the plateau schedule has counted.
        rollbacks: Number of rollbacks to a checkpoint, each of which halves the learning rate.
        plan: The plan for `training.minutes`, see `pace.recorded_plan`; None if there is none.
    """

    epoch: int = 1
    batch: int = 0
    total_batches: int = 0
    last_validation_batch: int = 0
    validations: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    best: float | None = None
    best_update: int = 0
    best_loss: float | None = None
    lowest_loss: float | None = None
    wait: int = 0
    plateau_factor: float = 1.0
    plateau_wait: int = 0
    rollbacks: int = 0
    plan: dict[str, Any] | None = None

    def update_best(
        self, loss: float, bleu: float | None, metric: str, update: int, beats_baseline: bool = True
    ) -> bool:
        """Record a validation; return whether it is the best so far, by the metric and, for equal BLEU, by the loss.

        A model that does not beat the baseline is never the best; until one does, `wait` follows the lowest loss.
        """
        by, value = ("loss", loss) if metric == "loss" or bleu is None else ("bleu", bleu)
        before = None if self.best is None or self.best_loss is None else rank(by, self.best, self.best_loss)
        better = before is None or rank(by, value, loss) < before
        best = beats_baseline and better and not math.isnan(loss)
        lower = not math.isnan(loss) and (self.lowest_loss is None or loss < self.lowest_loss)
        self.wait = 0 if best or (self.best is None and lower) else self.wait + 1
        if best:
            self.best, self.best_loss, self.best_update = value, loss, update
        if lower:
            self.lowest_loss = loss
        return best


def plan_epoch(config: Config, train: EncodedMixture, epoch: int, full_pass: bool = False) -> BatchPlan:
    """The batches of an epoch, counted from 1; or, with `full_pass`, every sentence of a mixture exactly once."""
    batching = config.batching
    assert batching.max_tokens is not None  # see `with_batch_tokens`
    return plan_batches(
        train.source.lengths,
        train.target.lengths,
        max_tokens=batching.max_tokens,
        shuffle_buffer=batching.shuffle_buffer,
        seed=config.seed,
        epoch=epoch,
        indices=None if full_pass else train.epoch_indices(config.seed, epoch),
    )


class EpochBatches(NamedTuple):
    """Numbers of batches of the epochs of a run, constant during the run; an epoch may have slightly more or fewer.

    Attributes:
        first: Number of batches of the first epoch.
        last_sampled: Last epoch with subword sampling, and so with about as many; None: all epochs are alike.
        later: Number of batches of an epoch after that one.
    """

    first: int
    last_sampled: int | None = None
    later: int = 0

    def up_to(self, epoch: int) -> int:
        """Number of batches of all epochs up to this one."""
        sampled = epoch if self.last_sampled is None else min(epoch, self.last_sampled)
        return sampled * self.first + (epoch - sampled) * self.later


def count_batches(config: Config, data: TrainingData, first: int) -> EpochBatches:
    """The numbers of batches of a run whose first epoch has `first` of them."""
    last = config.tokenizer.sampling.last_epoch
    if last is None:
        return EpochBatches(first)
    return EpochBatches(first, last, later=len(plan_epoch(config, data.read_epoch(last + 1), last + 1)))


def planned_updates(training: TrainingConfig, batches: EpochBatches) -> int:
    """Number of updates of the whole run, constant during the run.

    `training.epochs` or `training.updates` must be set.
    """
    by_epochs = None if training.epochs is None else batches.up_to(training.epochs) // training.accumulation_steps
    return min(end for end in (by_epochs, training.updates) if end is not None)


def check_update_count(training: TrainingConfig, batches: EpochBatches) -> None:
    """Check that the run makes at least one update.

    Raises:
        TrainingError: All epochs together have fewer batches than a single update needs.
    """
    if training.epochs is not None and (total := batches.up_to(training.epochs)) < training.accumulation_steps:
        raise TrainingError(
            f"no update would be made: the run has {pluralize(total, 'batch')} in "
            f"{pluralize(training.epochs, 'epoch')}, but an update needs {training.accumulation_steps} "
            "(training.accumulation_steps). Lower it, or raise training.epochs."
        )


class StopReason(Enum):
    """Reason why a run ended."""

    UPDATES = "updates"  # training.updates
    EPOCHS = "epochs"  # training.epochs
    PATIENCE = "patience"  # validation.patience
    CALLBACK = "callback"  # `model.stop_training`


class StopResult(NamedTuple):
    """The end of a run; an interrupted run has none.

    Attributes:
        reason: Reason, for programs.
        message: Reason in words, e.g. `3 epochs are done`.
    """

    reason: StopReason
    message: str


def check_stopping(config: Config, run_state: RunState, stopped_by_callback: bool) -> StopResult | None:
    """Why a run is over; None while it is not. Changes nothing.

    Returns:
        The first reason that applies: updates done, epochs done, patience exhausted, a callback set
        `model.stop_training`.
    """
    training, validation = config.training, config.validation
    updates = run_state.total_batches // training.accumulation_steps
    if training.updates is not None and updates >= training.updates:
        return StopResult(StopReason.UPDATES, _done(updates, "update"))
    if training.epochs is not None and run_state.epoch > training.epochs:
        return StopResult(StopReason.EPOCHS, _done(training.epochs, "epoch"))
    if validation.patience is not None and run_state.wait >= validation.patience:
        waited = pluralize(validation.patience, "validation")
        return StopResult(StopReason.PATIENCE, f"no better {validation.metric_name} in {waited}")
    if stopped_by_callback:
        return StopResult(StopReason.CALLBACK, "a callback stopped it")
    return None


def nothing_left(config: Config, run_state: RunState, end: StopResult, directory: Path) -> str:
    """The message when a finished run is resumed, with the command that would continue it."""
    training, message = config.training, end.message
    if training.updates is not None and end.reason is StopReason.UPDATES:
        updates = run_state.total_batches // training.accumulation_steps
        message = f"{updates:,} of {_done(training.updates, 'update')}"
    elif training.epochs is not None and end.reason is StopReason.EPOCHS:
        message = f"{training.epochs:,} of {_done(training.epochs, 'epoch')}"
    longer = how_to_continue(config, run_state, directory)
    return f"nothing left to do: {message}" + (longer and f". To continue: {longer}")


def resume_command(directory: Path) -> str:
    """The command that resumes a run, by its recorded recipe; with what follows a teacher, or a stage."""
    if (recipe := whole_recipe(directory)) is not None:
        return f"seq2seq train {quote(str(recipe))}"
    return f"seq2seq train {quote(str(directory / CONFIG))}"


def how_to_continue(config: Config, run_state: RunState, directory: Path) -> str:
    """The command that would continue a finished run; "" if only a callback ended it, or another run follows."""
    if whole_recipe(directory) is not None:
        return ""
    training, validation, more = config.training, config.validation, []
    updates = run_state.total_batches // training.accumulation_steps
    if training.updates is not None and updates >= training.updates:
        planned = run_state.plan is not None and run_state.plan["updates"] == training.updates
        by_minutes = f"--minutes {_more_minutes(training.minutes or 0.0, run_state.seconds):g}"
        more.append(by_minutes if planned else f"--set training.updates={_half_more(updates)}")
    if training.epochs is not None and run_state.epoch > training.epochs:
        more.append(f"--set training.epochs={_half_more(training.epochs)}")
    if validation.patience is not None and run_state.wait >= validation.patience:
        more.append(f"--set validation.patience={validation.patience + run_state.wait}")
    return " ".join([resume_command(directory), *more]) if more else ""


def check_minutes(config: Config, run_state: RunState, directory: Path) -> None:
    """Check that a finished run is resumed with more minutes than it has already used.

    Args:
        config: A recipe for which `pace.needs_plan` is true, since its minutes are not those of the checkpoint's plan.
        run_state: Position of the run. A run that still lacks a validation may be ended earlier than planned.
        directory: The model directory.

    Raises:
        TrainingError: No time is left, and the last update has been validated.
    """
    minutes = config.training.minutes
    assert minutes is not None
    measured = 0 < run_state.total_batches == run_state.last_validation_batch
    if measured and run_state.seconds >= 60 * minutes:
        command = f"{resume_command(directory)} --minutes {_more_minutes(minutes, run_state.seconds):g}"
        raise TrainingError(
            f"{directory}: training.minutes is {minutes:g}, the total of all sessions, but "
            f"{format_duration(run_state.seconds)} are already used. Give more than that: {command}."
        )


def _more_minutes(minutes: float, seconds: float) -> float:
    """Twice the planned minutes or, if most of that is already used, twice the used ones, as a whole number."""
    return 2 * minutes if 90 * minutes > seconds else 2.0 * math.ceil(seconds / 60)


def _half_more(count: int) -> int:
    return math.ceil(1.5 * count)


def _done(count: int, noun: str) -> str:
    return f"{pluralize(count, noun)} {'is' if count == 1 else 'are'} done"
