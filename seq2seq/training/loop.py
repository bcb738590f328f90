"""The training loop: exact to resume, driven by one compiled step, open to Keras callbacks."""

import math
from threading import Event
from typing import Any

import keras
import tensorflow as tf

from seq2seq.config import Config
from seq2seq.data.batching import BatchPlan, batch_dataset
from seq2seq.devices.device import use_precision
from seq2seq.devices.replicas import Replicas
from seq2seq.errors import TrainingError
from seq2seq.models.base import DecoderModel
from seq2seq.training.baseline import LEAST_GAIN, warning_is_due, warning_of_no_gain
from seq2seq.training.checkpoints import LAST
from seq2seq.training.display import Display, counted
from seq2seq.training.ending import End, end_of
from seq2seq.training.interruption import Requests
from seq2seq.training.memory import explaining_memory
from seq2seq.training.optimization import learning_rate, watch_plateau
from seq2seq.training.planning import plan_epoch, planned_updates
from seq2seq.training.preparation import Prepared
from seq2seq.training.progress import Progress
from seq2seq.training.records import Records
from seq2seq.training.recovery import LOOK_EVERY, DivergedError, Watch
from seq2seq.training.tensorboard import EVERY, TensorBoard
from seq2seq.training.timer import Meter, Timer
from seq2seq.training.validation import Validator

SHOW_EVERY = 10  # batches between two looks at the live line: to look is to wait for the device


class TrainingLoop:
    """Train until the run ends, is interrupted, or diverges and rolling back does not help.

    It drives what it is given. Nothing is read, built or written before `run`.

    Args:
        config: The recipe.
        model: Compiled, in the state that `progress` belongs to.
        data: What to train on.
        progress: Where the run stands at first; the attribute of this name follows it.
        records: Checkpoints, history and the delivered model.
        validator: Measures the model.
        watch: Notices that the run diverges.
        callbacks: Keras's, of the model.
        display: Where to show progress.
        replicas: The copies of the model.
        stop: Set to interrupt the run.
        board: TensorBoard, on the worker that writes; None for none.

    saved_update  the update that the last checkpoint was written after
    """

    def __init__(
        self,
        config: Config,
        model: DecoderModel,
        data: Prepared,
        progress: Progress,
        *,
        records: Records,
        validator: Validator,
        watch: Watch,
        callbacks: keras.callbacks.CallbackList,
        display: Display,
        replicas: Replicas,
        stop: Event,
        board: TensorBoard | None = None,
    ) -> None:
        self.config, self.model, self.data, self.progress = config, model, data, progress
        self.records, self.validator, self.watch, self.callbacks = records, validator, watch, callbacks
        self.display, self.replicas, self.stop, self.board = display, replicas, stop, board
        self.requests = Requests()  # as all workers agree
        self.saved_update = self.update
        self.meter = Meter()
        self.since_counted, self.since_saved = Timer(), Timer()  # since seconds were counted, and a checkpoint written

    @property
    def update(self) -> int:
        """Updates done, those that were skipped for not being finite included."""
        return self.progress.batches // self.config.training.accumulate

    @property
    def end(self) -> End | None:
        """Why the run is over; None while running or if interrupted."""
        return end_of(self.config, self.progress, self.requests.end)

    @property
    def has_more_to_do(self) -> bool:
        """Whether training continues, or a finished run still lacks its final validation."""
        return not self._stands_still or self._has_to_measure

    @property
    def _stands_still(self) -> bool:
        """Whether training has stopped: the run is over or interrupted."""
        return self.end is not None or self.requests.interrupt

    @property
    def _has_to_measure(self) -> bool:
        """Whether the run is over and the final validation is missing, whatever the schedule."""
        return self.end is not None and self.progress.validated != self.progress.batches

    def run(self) -> None:
        """Train, validate and save.

        Raises:
            TrainingError: A batch does not fit into memory, or the run diverged and rolling back did not help.
        """
        self.since_counted.restart()
        self.since_saved.restart()
        self.requests = self._ask()
        if not self.progress.batches:
            self._save()  # from here on the directory can be resumed
        self.meter.restart()
        self.callbacks.on_train_begin()
        while self.has_more_to_do:
            try:
                if self._stands_still:
                    self._validate()
                else:
                    self._epoch()
            except DivergedError as trouble:
                self._roll_back(trouble)
        self.callbacks.on_train_end()
        self._save_unless_skipping()

    def _epoch(self) -> None:
        """Run the rest of the epoch."""
        progress = self.progress
        plan = plan_epoch(self.config, self.data.train, progress.epoch)
        logs: dict[str, Any] = {}
        self.callbacks.on_epoch_begin(progress.epoch - 1)
        with self.display.epoch(progress.epoch, len(plan), progress.batch) as show:
            for batch in batch_dataset(self.data.train, plan, progress.batch, self.replicas.here, self.replicas.count):
                logs = self._learn(batch, plan)
                if progress.batches % SHOW_EVERY == 0:
                    show(progress.batch, self._numbers(logs, plan))
                self._write_scalars(logs)
                self.requests = self._ask()
                if progress.batches % LOOK_EVERY == 0:
                    self.watch.look_at_updates()
                if self._validation_is_due(plan):
                    logs = logs | self._validate()
                elif self.requests.save:
                    self._save_unless_skipping()
                if self._stands_still:
                    break
        if progress.batch == len(plan):
            progress.epoch, progress.batch = progress.epoch + 1, 0
            self.callbacks.on_epoch_end(progress.epoch - 2, logs)
            self.requests = self._ask()

    def _learn(self, batch: tuple[tf.Tensor, ...], plan: BatchPlan) -> dict[str, Any]:
        """One batch; returns the logs of the step."""
        progress, number = self.progress, self.progress.batch
        self.callbacks.on_train_batch_begin(number)
        rate = learning_rate(self.config.training, self.update + 1, progress.plateau_factor) / 2**progress.recoveries
        self.model.optimizer.learning_rate.assign(rate)
        use_precision(self.model.precision)  # a callback may have run a model of another one
        with explaining_memory(self.data, plan, number, self.replicas.count):
            logs = self.model.step_function()(*batch)
        self.meter.tokens += int(plan.target_lengths[plan.batch(number)].sum())
        progress.batch += 1
        progress.batches += 1
        progress.seconds += self.since_counted.restart()
        self.watch.note(progress, plan, logs["gradient_norm"])
        self.callbacks.on_train_batch_end(number, logs)
        return logs

    def _write_scalars(self, logs: dict[str, Any]) -> None:
        if self.board is None or self.progress.batches % (EVERY * self.config.training.accumulate):
            return
        scalars = {name: float(logs[name]) for name in ("loss", "gradient_norm")}
        scalars["learning_rate"] = float(self.model.optimizer.learning_rate.numpy())
        self.board.training(self.update, scalars | {"tokens_per_second": self.meter.per_second()})

    def _validation_is_due(self, plan: BatchPlan) -> bool:
        every, accumulate = self.config.validation.every_updates, self.config.training.accumulate
        if every is None:
            return self.progress.batch == len(plan)
        return self.progress.batches % (every * accumulate) == 0

    def _validate(self) -> dict[str, float]:
        """Validate: log, save the best, update the schedule; returns logs for callbacks."""
        training, progress, before = self.config.training, self.progress, self.progress.validated
        with self.model.update.averaged_weights():  # with `ema`, they are what is measured, kept and delivered
            entry = self._measure()
            watch_plateau(training, progress, progress.waited == 0, self.update)
            self.display.validation(entry, improved=entry["best"])
            if progress.best is None and warning_is_due(entry, before // training.accumulate, training):
                guessing = math.log(self.model.output_embedding.vocabulary_size)
                self.display.say(warning_of_no_gain(entry, self.validator.frequency_loss, guessing, training))
            self.records.validated(entry, progress)
            if self.board is not None:
                self.board.validation(entry, *self.validator.samples())
        self._save_unless_skipping()
        self.records.tidy()
        self.meter.restart()
        return {"val_loss": entry["valid_loss"]} | ({} if entry["bleu"] is None else {"val_bleu": entry["bleu"]})

    def _measure(self) -> dict[str, Any]:
        """Validate and return the history entry; `progress` records whether it is the best."""
        model, progress = self.model, self.progress
        trained = {f"train_{metric.name}": float(metric.result()) for metric in model.metrics}
        speed = self.meter.per_second()
        loss = self.validator.loss()
        self.watch.look_at_validation(loss)
        for metric in model.metrics:
            metric.reset_state()
        bleu = self.validator.bleu()
        entry = {
            "epoch": max(1, progress.epoch - (progress.batch == 0)),  # that of the batch before
            "update": self.update,
            "learning_rate": float(model.optimizer.learning_rate.numpy()),
            **trained,
            "gradient_norm": float(model.update.norm),
            "skipped_updates": int(model.update.skipped),
            "recoveries": progress.recoveries,
            "valid_loss": loss,
            "valid_perplexity": math.exp(min(loss, 700.0)),
            "bleu": bleu,
        }
        learnt = loss <= self.validator.frequency_loss - LEAST_GAIN
        entry["best"] = progress.judge(loss, bleu, self.config.validation.metric, self.update, learnt)
        progress.validated = progress.batches
        progress.seconds += self.since_counted.restart()
        return entry | {"tokens_per_second": speed, "seconds": progress.seconds}

    def _ask(self) -> Requests:
        """Stop, end and save requests of all workers; several exchange them every `LOOK_EVERY` batches only."""
        if self.replicas.workers > 1 and self.progress.batches % LOOK_EVERY:
            return self.requests._replace(save=False)
        due = self.since_saved.seconds() > 60 * self.config.training.checkpoint_minutes
        return Requests(*self.replicas.any(self.stop.is_set(), bool(self.model.stop_training), due))

    def _roll_back(self, trouble: DivergedError) -> None:
        """To the last checkpoint, or else the best one, with half the learning rate.

        Raises:
            TrainingError: There were too many rollbacks already.
        """
        before, times = self.progress, self.config.training.recovery.times
        if before.recoveries >= times:
            raise TrainingError(
                f"{self.records.directory}: diverged after {counted(before.recoveries, 'rollback')}, each with half "
                f"the learning rate: {trouble}. Lower training.learning_rate or training.clip_norm, or mend the data. "
                f"{self.watch.diagnosis()}"
            )
        checkpoint = self.records.go_back_to(further=before.recoveries > 0 or trouble.by_validation)
        self.progress = self.records.load(checkpoint)
        self.progress.recoveries, self.progress.seconds = before.recoveries + 1, before.seconds
        self.model.update.skipped_in_a_row.assign(0)
        self.watch.seen.clear()
        self.display.say(
            f"warning: {trouble}: back to update {self.update:,} of {checkpoint}, with the learning rate times "
            f"{0.5**self.progress.recoveries:g} (rollback {self.progress.recoveries} of {times})"
        )
        self._save()

    def _save_unless_skipping(self) -> None:
        """While updates are skipped, the checkpoint from before is the one to roll back to, or to resume from."""
        if self.end is not None or not self.watch.skipped:
            self._save()
        else:
            self.since_saved.restart()  # as if it had been written: it is asked for again later, and not at each batch

    def _save(self) -> None:
        self.progress.seconds += self.since_counted.restart()
        self.records.save(LAST, self.progress)
        self.saved_update = self.update
        self.since_saved.restart()

    def _numbers(self, logs: dict[str, Any], plan: BatchPlan) -> dict[str, float]:
        """For the live line; the time left is estimated from the whole run's pace."""
        progress, training = self.progress, self.config.training
        total = planned_updates(training, len(plan)) * training.accumulate
        return {
            "update": self.update,
            "loss": float(logs["loss"]),
            "tokens_per_second": self.meter.per_second(),
            "eta": max(total - progress.batches, 0) * progress.seconds / progress.batches,
        }
