"""The training loop: exact to resume, driven by one compiled step, open to Keras callbacks."""

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console

from seq2seq.config import Config
from seq2seq.data.batching import BatchPlan, batch_dataset, plan_batches
from seq2seq.devices.device import use_precision
from seq2seq.devices.replicas import reporting_lost_workers
from seq2seq.errors import TrainingError
from seq2seq.model_directory.directory import load_config_of, load_tokenizers, start_directory
from seq2seq.model_directory.metadata import CONFIG, METADATA
from seq2seq.training.baseline import LEAST_GAIN, WARNING_AT_THE_END, warning_of_no_gain, warning_of_short_run
from seq2seq.training.checkpoints import LAST, as_begun, check_recipe, must_not_change
from seq2seq.training.display import Display, Meter, clock
from seq2seq.training.interruption import StopRequest, stopping_on_signals
from seq2seq.training.machine import Machine, check_workers, set_up, with_tokens
from seq2seq.training.memory import explaining_memory
from seq2seq.training.optimization import learning_rate, watch_plateau
from seq2seq.training.preparation import Prepared, prepare
from seq2seq.training.progress import Progress
from seq2seq.training.records import Records, only_run
from seq2seq.training.recovery import LOOK_EVERY, DivergedError, Watch
from seq2seq.training.start import make_model, summarize, try_largest_batches
from seq2seq.training.tensorboard import EVERY, TensorBoard
from seq2seq.training.validation import Validator


@dataclass(frozen=True)
class TrainingReport:
    """How a run ended.

    directory     the model directory
    finished      why training ended; "" if it was interrupted and can be resumed
    updates       done, those that were skipped for not being finite included
    seconds       training time over all sessions, validation included
    best          the best value of `validation.metric`; None where no validation was clearly better than token
                  frequencies (`baseline.LEAST_GAIN`)
    history       one entry a validation, as in `history.jsonl`
    """

    directory: Path
    finished: str
    updates: int
    seconds: float
    best: float | None
    history: list[dict[str, Any]]


def train(
    config: Config,
    directory: str | Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    console: Console | None = None,
    override: bool = False,
) -> TrainingReport:
    """Train a model into a directory, or go on where an interrupted run there stopped.

    On a CPU the result is a function of the recipe and the corpus, bit for bit, however often the run was
    interrupted, unless `training.deterministic` is false. SIGINT and SIGTERM end the run after the current batch, with
    a checkpoint.

    Random generators of the process (Python's, NumPy's, TensorFlow's) are neither read nor changed. What stays changed
    is how TensorFlow computes: its operations remain deterministic where the run had them so, since it has no way to
    turn that off, and a random operation without a seed then is an error until `tf.random.set_seed` is called; TF32
    products are on or off as the run's precision has them.

    With `training.distribution: multi_worker` every worker calls this with the same recipe and a directory that all of
    them see; the first one writes.

    Args:
        config: The recipe.
        directory: The model directory; see `model_directory`.
        callbacks: Keras callbacks; they get batch and epoch logs and may set `model.stop_training`.
        console: Where to show progress; nowhere by default.
        override: Go on with a run although recipe or corpora changed. Its epoch begins anew then.

    Raises:
        TrainingError: Another process trains into the directory, it holds a run of another recipe, there is nothing
            to train on, the largest batch does not fit into memory, the run diverged and going back did not help, or
            another worker was lost; or see `set_up` and `check_workers`.
        ConfigError: See `set_up` and `with_tokens`.
    """
    machine = set_up(config)
    replicas, directory = machine.replicas, Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with reporting_lost_workers(replicas), only_run(directory) if replicas.is_chief else nullcontext():
        resumes = (directory / LAST).exists()
        replicas.wait()  # until all have seen what there is
        if not resumes and (directory / METADATA).exists():
            raise TrainingError(f"{directory}: holds a model without a checkpoint. Train into another directory.")
        if resumes:
            config = as_begun(directory, config)
            if not override:
                check_recipe(directory, config)
        config = with_tokens(config, machine.device)
        check_workers(machine, config)
        return _Run(config, directory, callbacks, Display(console), machine, resumes, override).train()


class _Run:
    """One session of training: from the start or a checkpoint to the end or an interruption."""

    def __init__(
        self,
        config: Config,
        directory: Path,
        callbacks: Sequence[keras.callbacks.Callback],
        display: Display,
        machine: Machine,
        resumes: bool,
        override: bool,
    ) -> None:
        device, precision, replicas = machine
        self.config, self.directory, self.display, self.replicas = config, directory, display, replicas
        self.resumes, self.override = resumes, override
        several = f", replicas: {replicas.count}" if replicas.count > 1 else ""
        display.say(f"device: {device.name}, precision: {precision}{several}")
        self.board = TensorBoard(directory) if config.training.tensorboard and replicas.is_chief else None
        self.data = self._prepare()
        self.model = make_model(config, self.data.tokenizers, precision, replicas, display, starts=not resumes)
        self.validator = Validator(self.model, self.data, config, display, replicas)
        self.train_step = tf.function(
            lambda *batch: self.model.train_step(batch),
            input_signature=[tf.TensorSpec([None, None], tf.int32)] * 2 * len(replicas.here),
            autograph=False,
        )
        self.records = Records(directory, config, self.model, self.data, replicas)
        self.watch = Watch(config.training.recovery, self.model, self.data)
        self.callbacks = keras.callbacks.CallbackList(list(callbacks), model=self.model)
        self.progress = Progress()
        self.meter = Meter()
        self.stop = StopRequest()
        self.stopping = self.stopped_by_callback = self.saving = False  # as all workers agree

    @property
    def update(self) -> int:
        """Updates done, those that were skipped for not being finite included."""
        return self.progress.batches // self.config.training.accumulate

    def _prepare(self) -> Prepared:
        """The chief encodes the corpora, and then the other workers read what it wrote."""
        if not self.replicas.is_chief:
            self.replicas.wait()
        written = self.resumes or not self.replicas.is_chief
        tokenizers = load_tokenizers(self.directory) if written else None
        data = prepare(self.config, self.directory, self.display, tokenizers)
        if self.replicas.is_chief:
            if not self.resumes:
                start_directory(self.directory, self.config, data.tokenizers)
            self.replicas.wait()
        return data

    def train(self) -> TrainingReport:
        if self.resumes:
            changed = must_not_change(self.directory, self.config)
            before, now = load_config_of(self.directory).training, self.config.training
            self._load(LAST, self.override)
            self.display.say(f"resuming after update {self.update:,}, in epoch {self.progress.epoch}")
            if self.progress.recoveries and (before.learning_rate, before.schedule) != (
                now.learning_rate,
                now.schedule,
            ):
                self.progress.recoveries = 0
                self.display.say(
                    "the learning rate was changed, and is no longer halved for the times the run went back"
                )
            if changed:
                self.display.say(f"warning: the recipe changed: {', '.join(changed)}")
        self.records.begin(self.resumes)
        if self.board is not None:
            self.board.start(self.update)
        if not self._is_over() or self._has_to_measure():
            self._train()
        progress, history = self.progress, self.records.history()
        if progress.finished:
            self.display.say(f"finished after {clock(progress.seconds)}: {progress.finished}")
            if progress.best is None:
                self.display.say(WARNING_AT_THE_END)
        else:
            self.display.say(
                f"interrupted, and saved as of update {self.saved_update:,}. Go on with: "
                f"seq2seq train {quote(str(self.directory / CONFIG))} --output {quote(str(self.directory))}"
            )
        return TrainingReport(self.directory, progress.finished, self.update, progress.seconds, progress.best, history)

    def _load(self, name: str, override: bool = False) -> None:
        self.progress = self.records.load(name, override)
        self.progress.finished = ""  # the end may have been moved; if not, it is found again at once
        self.saved_update = self.update

    def _train(self) -> None:
        plan, training, progress = self._plan(), self.config.training, self.progress
        summarize(self.display, self.model, self.data, plan, self.directory)
        if training.epochs is not None and len(plan) * training.epochs < training.accumulate:
            raise TrainingError(
                f"no update would be made: {training.epochs} epochs of {len(plan)} batches are fewer than "
                f"training.accumulate {training.accumulate}. Lower it, or raise training.epochs."
            )
        if warning := warning_of_short_run(self._planned_updates(plan), training):
            self.display.say(warning)
        with stopping_on_signals(self.display.say) as self.stop:
            # An epoch may leave out a mixture's longest sentence.
            sampled = self.data.train.rows(self.config.seed, progress.epoch) is not None
            tried = self._plan(whole=True) if sampled else plan
            try_largest_batches(
                self.display, self.model, self.train_step, self.validator, self.data, tried, self.replicas
            )
            self._clock = self._saved = time.monotonic()
            self._agree()
            if not progress.batches:
                self._save_last()  # from here on the directory can be resumed
            self.meter.restart()
            self.callbacks.on_train_begin()
            while not self._is_over() or self._has_to_measure():
                try:
                    if self._is_over():
                        self._validate()
                    else:
                        self._epoch(self._plan())
                except DivergedError as trouble:
                    self._go_back(trouble)
            self.callbacks.on_train_end()
            self._save_last()

    def _plan(self, whole: bool = False) -> BatchPlan:
        """The batches of the current epoch; or, `whole`, as they would be with each sentence of a mixture once."""
        batching, train = self.config.batching, self.data.train
        assert batching.tokens is not None  # see `with_tokens`
        seed, epoch = self.config.seed, self.progress.epoch
        return plan_batches(
            train.source.lengths,
            train.target.lengths,
            tokens=batching.tokens,
            pool=batching.pool,
            seed=seed,
            epoch=epoch,
            rows=None if whole else train.rows(seed, epoch),
        )

    def _epoch(self, plan: BatchPlan) -> None:
        """What is left of an epoch."""
        progress, training = self.progress, self.config.training
        logs: dict[str, Any] = {}
        self.callbacks.on_epoch_begin(progress.epoch - 1)
        with self.display.epoch(progress.epoch, len(plan), progress.batch) as show:
            for batch in batch_dataset(self.data.train, plan, progress.batch, self.replicas.here, self.replicas.count):
                self.callbacks.on_train_batch_begin(progress.batch)
                rate = learning_rate(training, self.update + 1, progress.plateau_factor) / 2**progress.recoveries
                self.model.optimizer.learning_rate.assign(rate)
                use_precision(self.model.precision)  # a callback may have run a model of another one
                with explaining_memory(self.data, plan, progress.batch, self.replicas.count):
                    logs = self.train_step(*batch)
                self.meter.tokens += int(plan.target_lengths[plan.batch(progress.batch)].sum())
                progress.batch += 1
                progress.batches += 1
                self._tick()
                self.watch.note(progress, plan, logs["gradient_norm"])
                self.callbacks.on_train_batch_end(progress.batch - 1, logs)
                if progress.batches % 10 == 0:
                    show(progress.batch, self._numbers(logs, plan))
                if self.board is not None and progress.batches % (EVERY * training.accumulate) == 0:
                    norm = float(logs["gradient_norm"])
                    scalars = {"loss": float(logs["loss"]), "learning_rate": rate, "gradient_norm": norm}
                    self.board.training(self.update, scalars | {"tokens_per_second": self.meter.per_second()})
                self._agree()
                if progress.batches % LOOK_EVERY == 0:
                    self.watch.look_at_updates()
                if self._validation_is_due(plan):
                    logs = logs | self._validate()
                elif self.saving:
                    self._save_last()
                if self._is_over():
                    break
        if progress.batch == len(plan):
            progress.epoch, progress.batch = progress.epoch + 1, 0
            self.callbacks.on_epoch_end(progress.epoch - 2, logs)
            self._agree()

    def _validation_is_due(self, plan: BatchPlan) -> bool:
        every, accumulate = self.config.validation.every_updates, self.config.training.accumulate
        if every is None:
            return self.progress.batch == len(plan)
        return self.progress.batches % (every * accumulate) == 0

    def _validate(self) -> dict[str, float]:
        """Measure, write history, keep what is worth it, move the plateau, save; returns logs for callbacks."""
        before = self.progress.validated
        with self.model.update.averaged_weights():  # with `ema`, they are what is measured, kept and delivered
            entry = self._measure()
            watch_plateau(self.config.training, self.progress, self.progress.waited == 0, self.update)
            self.display.validation(entry, improved=entry["best"])
            if self.progress.best is None and (warning := self._warning_of_no_gain(entry, before)):
                self.display.say(warning)
            self.records.validated(entry, self.progress)
            if self.board is not None:
                self.board.validation(entry, *self.validator.samples())
        self._save_last()
        self.records.tidy()
        self.meter.restart()
        return {"val_loss": entry["valid_loss"]} | ({} if entry["bleu"] is None else {"val_bleu": entry["bleu"]})

    def _measure(self) -> dict[str, Any]:
        """The validation's line of the history; takes in whether it is the best."""
        model, progress = self.model, self.progress
        trained = {f"train_{metric.name}": float(metric.result()) for metric in model.metrics}
        speed = self.meter.per_second()
        loss = self.validator.loss()
        self.watch.look_at_validation(loss)
        for metric in model.metrics:
            metric.reset_state()
        bleu = self.validator.bleu() if self.config.validation.bleu else None
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
        metric = self.config.validation.metric
        learnt = loss <= self.validator.frequency_loss - LEAST_GAIN
        entry["best"] = progress.judge(loss, bleu, metric, self.update, learnt)
        progress.validated = progress.batches
        self._tick()
        return entry | {"tokens_per_second": speed, "seconds": progress.seconds}

    def _warning_of_no_gain(self, entry: dict[str, Any], before: int) -> str:
        """Of the first validation, and where that fell into the warmup, of the first one after it; else "".

        Args:
            entry: The validation's line of the history.
            before: Batches that the validation before it had seen; 0: there was none.
        """
        warmup, accumulate = self.config.training.schedule.warmup, self.config.training.accumulate
        due = not before or before // accumulate < warmup <= entry["update"]
        if not due:
            return ""
        guessing = math.log(self.model.output_embedding.vocabulary_size)
        return warning_of_no_gain(entry, self.validator.frequency_loss, guessing, self.config.training)

    def _is_over(self) -> bool:
        training, progress = self.config.training, self.progress
        patience = self.config.validation.patience
        if training.updates is not None and self.update >= training.updates:
            progress.finished = f"{self.update:,} updates are done"
        elif training.epochs is not None and progress.epoch > training.epochs:
            progress.finished = "1 epoch is done" if training.epochs == 1 else f"{training.epochs} epochs are done"
        elif patience is not None and progress.waited >= patience:
            progress.finished = f"no better {self.config.validation.metric} in {patience} validations"
        elif self.stopped_by_callback:
            progress.finished = "a callback stopped it"
        return bool(progress.finished or self.stopping)

    def _has_to_measure(self) -> bool:
        """Whatever the schedule, a finished run has measured what it delivers."""
        return bool(self.progress.finished) and self.progress.validated != self.progress.batches

    def _agree(self) -> None:
        """Make known to all workers what any of them was asked for; several do so now and then, since it takes time."""
        if self.replicas.workers > 1 and self.progress.batches % LOOK_EVERY:
            self.saving = False
            return
        due = time.monotonic() - self._saved > 60 * self.config.training.checkpoint_minutes
        wishes = bool(self.stop), bool(self.model.stop_training), due
        self.stopping, self.stopped_by_callback, self.saving = self.replicas.any(*wishes)

    def _go_back(self, trouble: DivergedError) -> None:
        """To the last checkpoint, or else the best one, with half the learning rate.

        Raises:
            TrainingError: It has gone back too often already.
        """
        before, times = self.progress, self.config.training.recovery.times
        if before.recoveries >= times:
            raise TrainingError(
                f"{self.directory}: diverged after going back {before.recoveries} times, each time with half the "
                f"learning rate: {trouble}. Lower training.learning_rate or training.clip_norm, or mend the data. "
                f"{self.watch.diagnosis()}"
            )
        checkpoint = self.records.go_back_to(further=before.recoveries > 0 or trouble.by_validation)
        self._load(checkpoint)
        self.progress.recoveries, self.progress.seconds = before.recoveries + 1, before.seconds
        self.model.update.skipped_in_a_row.assign(0)
        self.watch.seen.clear()
        self.display.say(
            f"warning: {trouble}: back to update {self.update:,} of {checkpoint}, with the learning rate times "
            f"{0.5**self.progress.recoveries:g} ({self.progress.recoveries} of {times} times)"
        )
        self._save_last()

    def _save_last(self) -> None:
        """Not while updates are skipped: the checkpoint from before is the one to go back to, or to resume from."""
        if self.progress.finished or not self.watch.skipped:
            self._tick()
            self.records.save(LAST, self.progress)
            self.saved_update = self.update
        self._saved = time.monotonic()

    def _tick(self) -> None:
        now = time.monotonic()
        self.progress.seconds += now - self._clock
        self._clock = now

    def _planned_updates(self, plan: BatchPlan) -> int:
        """Updates of the whole run, by the batches of this epoch."""
        training = self.config.training
        by_epochs = None if training.epochs is None else len(plan) * training.epochs // training.accumulate
        return min(end for end in (by_epochs, training.updates) if end is not None)

    def _numbers(self, logs: dict[str, Any], plan: BatchPlan) -> dict[str, float]:
        """For the live line; the time left is estimated from the whole run's pace."""
        progress = self.progress
        total = self._planned_updates(plan) * self.config.training.accumulate
        return {
            "update": self.update,
            "loss": float(logs["loss"]),
            "tokens_per_second": self.meter.per_second(),
            "eta": max(total - progress.batches, 0) * progress.seconds / progress.batches,
        }
