"""The training loop: one compiled step per batch, Keras callbacks, and checkpoints that resume exactly."""

import math
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from seq2seq.config import Config
from seq2seq.data.batching import BatchPlan, batch_dataset
from seq2seq.devices.device import set_tf32
from seq2seq.devices.replicas import Replicas
from seq2seq.errors import TrainingError
from seq2seq.model_directory import LAST
from seq2seq.models.base import DecoderModel
from seq2seq.plurals import pluralize
from seq2seq.training.alarms import MIN_GAIN, AlarmMonitor, count_faults
from seq2seq.training.callbacks import RateGuard
from seq2seq.training.checkpoints import BEST, RunDirectory
from seq2seq.training.display import LOG_INTERVAL, CPUTimer, Display, TensorBoardWriter, Timer
from seq2seq.training.optimization import learning_rate, update_plateau
from seq2seq.training.pace import late_warning
from seq2seq.training.preparation import TrainingData
from seq2seq.training.recovery import CHECK_INTERVAL, DivergenceError, DivergenceMonitor, explain_out_of_memory
from seq2seq.training.run_state import EpochBatches, RunState, StopResult, check_stopping, plan_epoch, planned_updates
from seq2seq.training.validation import Validator

ETA_BATCHES = 50  # batches of a session before its speed is used for an ETA
# Share of the updates before a warning about lateness: earlier, measuring and long translations dominate the time.
SETTLED_SHARE = 1 / 3
DISPLAY_INTERVAL = 10  # batches between refreshes of the live line, each of which waits for the device


class RunRequests(NamedTuple):
    """External requests to a run, which are handled between two batches.

    Attributes:
        interrupt: Request by a signal: save and stop, to be resumed later.
        end: Request by a callback: end as if all epochs were done.
        save: Request by the clock: write a checkpoint.
    """

    interrupt: bool = False
    end: bool = False
    save: bool = False


@dataclass(eq=False)
class TrainingLoop:
    """Train until the run ends, is interrupted, or diverges and rolling back does not help.

    All its parts are passed in. Nothing is read, built or written before `run`.

    Args:
        config: The recipe.
        model: Compiled model, in the state that belongs to `run_state`.
        data: Training data.
        run_state: Initial state of the run; the attribute of this name is its current state.
        epoch_batches: Numbers of batches of the epochs, for `planned_updates`.
        directory, validator, monitor, alarms, callbacks, display, replicas: Parts that belong to this model and run.
        stop: Event that interrupts the run.
        tensorboard: Writer of event files, on the chief worker only; None to write none.
        cpu_timer: Timer that was started with the session.

    Attributes:
        saved_update: Number of updates at the last checkpoint.
    """

    config: Config
    model: DecoderModel
    data: TrainingData
    run_state: RunState
    epoch_batches: EpochBatches
    directory: RunDirectory
    validator: Validator
    monitor: DivergenceMonitor
    alarms: AlarmMonitor
    callbacks: keras.callbacks.CallbackList
    display: Display
    replicas: Replicas
    stop: Event
    tensorboard: TensorBoardWriter | None = None
    cpu_timer: CPUTimer = field(default_factory=CPUTimer)

    def __post_init__(self) -> None:
        self.requests = RunRequests()  # the same on all workers
        self.saved_update, self.said_late = self.update, False
        # Time since the last pause, since `run_state.seconds` was increased, and since the last checkpoint.
        self.throughput, self.count_timer, self.save_timer = Timer(), Timer(), Timer()

    @property
    def update(self) -> int:
        """Number of updates so far, including skipped ones."""
        return self.run_state.total_batches // self.config.training.accumulation_steps

    @property
    def planned_updates(self) -> int:
        """Number of updates of the whole run."""
        return planned_updates(self.config.training, self.epoch_batches)

    @property
    def expected_seconds(self) -> float:
        """Seconds that the whole run will take, including validation, at the speed of this session."""
        progress, batches = self.run_state, self.planned_updates * self.config.training.accumulation_steps
        seconds, done = progress.seconds - self.started_at[0], progress.total_batches - self.started_at[1]
        return progress.seconds + max(batches - progress.total_batches, 0) * seconds / max(done, 1)

    @property
    def end(self) -> StopResult | None:
        """Why the run is over; None while running or if interrupted."""
        return check_stopping(self.config, self.run_state, self.requests.end)

    @property
    def should_continue(self) -> bool:
        """Whether training continues, or a finished run still lacks its final validation, whatever the schedule."""
        measured = self.run_state.last_validation_batch == self.run_state.total_batches
        return not self._stands_still or (self.end is not None and not measured)

    @property
    def _stands_still(self) -> bool:
        """Whether training has stopped: the run is over or interrupted."""
        return self.end is not None or self.requests.interrupt

    def run(self) -> None:
        """Train, validate and save.

        Raises:
            TrainingError: A batch does not fit into memory, or the run diverged and rolling back did not help.
        """
        self.started_at = self.run_state.seconds, self.run_state.total_batches
        self.count_timer.restart()
        self.save_timer.restart()
        self.requests = self._ask()
        if not self.run_state.total_batches:
            self._save()  # from here on the directory can be resumed
        self.throughput.restart()
        self.rate_guard = RateGuard(self.model.optimizer, self.callbacks.callbacks)
        self.callbacks.on_train_begin()
        while self.should_continue:
            try:
                if self._stands_still:
                    self._validate()
                else:
                    self._epoch()
            except DivergenceError as trouble:
                self._roll_back(trouble)
        self.callbacks.on_train_end()
        self._save_unless_skipping()

    def _epoch(self) -> None:
        """Run the rest of the epoch."""
        progress = self.run_state
        train = self.data.read_epoch(progress.epoch)
        plan = plan_epoch(self.config, train, progress.epoch)
        self.model.uses_consistency = progress.epoch >= self.config.training.consistency.start_epoch
        logs: dict[str, Any] = {}
        self.callbacks.on_epoch_begin(progress.epoch - 1)
        with self.display.epoch_progress(progress.epoch, len(plan), progress.batch) as show:
            for batch in batch_dataset(
                train, plan, progress.batch, self.replicas.local_replicas, self.replicas.num_replicas
            ):
                logs = self._learn(batch, plan)
                if progress.total_batches % DISPLAY_INTERVAL == 0:
                    show(progress.batch, self._numbers(logs))
                self._write_scalars(logs)
                self.requests = self._ask()
                if progress.total_batches % CHECK_INTERVAL == 0:
                    self.monitor.check_skipped_updates()
                if self._validation_is_due(plan):
                    logs = logs | self._validate(ends_epoch=progress.batch == len(plan))
                elif self.requests.save:
                    self._save_unless_skipping()
                if self._stands_still:
                    break
        if progress.batch == len(plan):
            progress.epoch, progress.batch = progress.epoch + 1, 0
            self.callbacks.on_epoch_end(progress.epoch - 2, logs)
            self.requests = self._ask()

    def _learn(self, batch: tuple[tf.Tensor, ...], plan: BatchPlan) -> dict[str, Any]:
        """Train on one batch; returns the logs of the step."""
        progress, number = self.run_state, self.run_state.batch
        self.callbacks.on_train_batch_begin(number)
        training, end = self.config.training, self.planned_updates
        rate = learning_rate(training, self.update + 1, progress.plateau_factor, end) / 2**progress.rollbacks
        if number % DISPLAY_INTERVAL == 0:
            self.rate_guard.check()
        self.rate_guard.assign(rate)
        set_tf32(self.model.precision)  # a callback may have run a model of a different precision
        with explain_out_of_memory(self.data, plan, number, self.replicas.num_replicas):
            logs = self.model.step_function()(*batch)
        self.throughput.tokens += int(plan.target_lengths[plan.batch(number)].sum())
        progress.batch += 1
        progress.total_batches += 1
        progress.seconds += self.count_timer.restart()
        self.monitor.record(progress, plan, logs["gradient_norm"])
        self.callbacks.on_train_batch_end(number, logs)
        return logs

    def _write_scalars(self, logs: dict[str, Any]) -> None:
        interval = LOG_INTERVAL * self.config.training.accumulation_steps
        if self.tensorboard is None or self.run_state.total_batches % interval:
            return
        scalars = {name: float(value) for name, value in logs.items() if name != "nll"}
        scalars["learning_rate"] = float(self.model.optimizer.learning_rate.numpy())
        self.tensorboard.log_training(self.update, scalars | {"tokens_per_second": self.throughput.tokens_per_second()})

    def _validation_is_due(self, plan: BatchPlan) -> bool:
        every, accumulate = self.config.validation.interval_updates, self.config.training.accumulation_steps
        if every is None:
            return self.run_state.batch == len(plan)
        return self.run_state.total_batches % (every * accumulate) == 0

    def _validate(self, ends_epoch: bool = False) -> dict[str, float]:
        """Validate: log, save the best, update the schedule; returns logs for callbacks."""
        training, progress = self.config.training, self.run_state
        with self.model.update.averaged_weights():  # with `ema_decay`, these are measured, kept and delivered
            entry = self._measure()
            after = replace(progress, epoch=progress.epoch + ends_epoch)
            is_last = check_stopping(self.config, after, self.requests.end) is not None
            update_plateau(training, progress, progress.wait == 0, self.update)
            self.display.print_validation(entry, improved=entry["best"])
            for text in self.alarms.record(entry, is_last):
                self.display.print(f"warning: {text}")
            settled = self.update >= SETTLED_SHARE * self.planned_updates
            if settled and not self.said_late and (late := late_warning(training.minutes, self.expected_seconds)):
                self.said_late = True
                self.display.print(late)
            # Until a validation is marked as best, the directory's model is the one validated last.
            self.directory.record_validation(entry, is_delivered=entry["best"] or progress.best is None)
            if self.tensorboard is not None:
                self.tensorboard.log_validation(entry, *self.validator.samples())
        if entry["best"]:  # with the live weights, from which a rollback continues
            self.directory.save(BEST, progress)
        self._save_unless_skipping()
        self.directory.prune()
        self.throughput.restart()
        return {"val_loss": entry["valid_loss"]} | ({} if entry["bleu"] is None else {"val_bleu": entry["bleu"]})

    def _measure(self) -> dict[str, Any]:
        """Validate and return the history entry; `run_state` records whether it is the best."""
        model, progress = self.model, self.run_state
        trained = {f"train_{metric.name}": float(metric.result()) for metric in model.metrics}
        if not model.consistency_metric.tokens.numpy():  # no second pass yet
            trained.pop("train_consistency", None)
        speed = self.throughput.tokens_per_second()
        loss = self.validator.loss()
        self.monitor.check_validation(loss)
        for metric in model.metrics:
            metric.reset_state()
        bleu = self.validator.bleu()
        entry = {
            "epoch": max(1, progress.epoch - (progress.batch == 0)),  # the epoch of the previous batch
            "update": self.update,
            "learning_rate": float(model.optimizer.learning_rate.numpy()),
            **trained,
            "gradient_norm": float(model.update.gradient_norm),
            "skipped_updates": int(model.update.skipped),
            "rollbacks": progress.rollbacks,
            "valid_loss": loss,
            "valid_perplexity": math.exp(min(loss, 700.0)),
            "bleu": bleu,
            "translations": count_faults(self.validator.translations, self.data.valid_pairs),
        }
        learnt = loss <= self.alarms.baselines.frequencies - MIN_GAIN
        entry["best"] = progress.update_best(loss, bleu, self.config.validation.metric, self.update, learnt)
        progress.last_validation_batch, progress.validations = progress.total_batches, progress.validations + 1
        self._count_time()
        times = {"seconds": progress.seconds, "cpu_seconds": progress.cpu_seconds}
        return entry | {"tokens_per_second": speed, **times}

    def _ask(self) -> RunRequests:
        """Collect the requests of all workers, which exchange them only every `CHECK_INTERVAL` batches."""
        if self.replicas.num_workers > 1 and self.run_state.total_batches % CHECK_INTERVAL:
            return self.requests._replace(save=False)
        due = self.save_timer.seconds() > 60 * self.config.training.checkpoint_minutes
        return RunRequests(*self.replicas.any_worker(self.stop.is_set(), bool(self.model.stop_training), due))

    def _roll_back(self, trouble: DivergenceError) -> None:
        """Roll back to the last checkpoint, or further to the best one, with half the learning rate.

        Raises:
            TrainingError: There were too many rollbacks already.
        """
        before, times = self.run_state, self.config.training.recovery.max_rollbacks
        if before.rollbacks >= times:
            raise TrainingError(
                f"{self.directory.directory}: diverged after {pluralize(before.rollbacks, 'rollback')}, each with "
                f"half the learning rate: {trouble}. Lower training.learning_rate or training.clip_norm, or clean the "
                f"data. {self.monitor.diagnosis()}"
            )
        checkpoint = self.directory.choose_rollback_checkpoint(
            further=before.rollbacks > 0 or trouble.found_in_validation
        )
        self.run_state = self.directory.load(checkpoint)
        self.rate_guard.remember()
        self.run_state.rollbacks, self.run_state.plan = before.rollbacks + 1, before.plan
        self.run_state.seconds, self.run_state.cpu_seconds = before.seconds, before.cpu_seconds
        self.model.update.consecutive_skips.assign(0)
        self.monitor.recent_batches.clear()
        self.alarms.roll_back(self.run_state.validations)
        self.display.print(
            f"warning: {trouble}: rolled back to update {self.update:,} of {checkpoint}, with the learning rate times "
            f"{0.5**self.run_state.rollbacks:g} (rollback {self.run_state.rollbacks} of {times})"
        )
        self._save()

    def _save_unless_skipping(self) -> None:
        """Save, except while updates are skipped: the checkpoint from before is then needed to roll back or resume."""
        if self.end is not None or not self.monitor.skipped:
            self._save()
        else:
            self.save_timer.restart()  # as if it had been written: so it is requested later, and not at each batch

    def _count_time(self) -> None:
        self.run_state.seconds += self.count_timer.restart()
        self.run_state.cpu_seconds += self.cpu_timer.restart()

    def _save(self) -> None:
        self._count_time()
        self.directory.save(LAST, self.run_state)
        self.saved_update = self.update
        self.save_timer.restart()

    def _numbers(self, logs: dict[str, Any]) -> dict[str, float | None]:
        """Figures of the live line."""
        has_pace = self.run_state.total_batches - self.started_at[1] >= ETA_BATCHES
        return {
            "update": self.update,
            "loss": float(logs["nll"]),
            "tokens_per_second": self.throughput.tokens_per_second(),
            "planned_updates": self.planned_updates,
            "eta": self.expected_seconds - self.run_state.seconds if has_pace else None,
        }
