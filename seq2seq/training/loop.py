"""The training loop: exact to resume, driven by one compiled step, open to Keras callbacks."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console

from seq2seq.batching import BatchPlan, batch_dataset, plan_batches
from seq2seq.config import Config, Precision
from seq2seq.device import find_device
from seq2seq.errors import TrainingError
from seq2seq.model_directory import load_tokenizers, save_model, start_directory
from seq2seq.records import CONFIG, HISTORY, METADATA, append_history, cut_history, read_history
from seq2seq.training.checkpoints import (
    BEST,
    LAST,
    check_recipe,
    cut_kept,
    drop_kept,
    keep_weights,
    load_checkpoint,
    save_checkpoint,
)
from seq2seq.training.display import Display, Meter, clock
from seq2seq.training.interruption import StopRequest, stopping_on_signals
from seq2seq.training.lock import only_run
from seq2seq.training.optimization import learning_rate, watch_plateau
from seq2seq.training.preparation import prepare
from seq2seq.training.progress import Progress
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
    best          the best value of `validation.metric`; None before the first validation
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
) -> TrainingReport:
    """Train a model into a directory, or go on where an interrupted run there stopped.

    On a CPU the result is a function of the recipe and the corpus, bit for bit, however often the run was
    interrupted. SIGINT and SIGTERM end the run after the current batch, with a checkpoint.

    Args:
        config: The recipe.
        directory: The model directory; see `model_directory`.
        callbacks: Keras callbacks; they get batch and epoch logs and may set `model.stop_training`.
        console: Where to show progress; nowhere by default.

    Raises:
        TrainingError: Another process trains into the directory, it holds a run of another recipe, there is nothing
            to train on, the largest batch does not fit into memory, or no validation gave a number.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with only_run(directory):
        resumes = (directory / LAST).exists()
        if resumes:
            check_recipe(directory, config)
        elif (directory / METADATA).exists():
            raise TrainingError(f"{directory}: holds a model without a checkpoint. Train into another directory.")
        return _Run(config, directory, callbacks, Display(console), resumes).train()


class _Run:
    """One session of training: from the start or a checkpoint to the end or an interruption."""

    def __init__(
        self,
        config: Config,
        directory: Path,
        callbacks: Sequence[keras.callbacks.Callback],
        display: Display,
        resumes: bool,
    ) -> None:
        self.config, self.directory, self.display, self.resumes = config, directory, display, resumes
        device = find_device()
        if not device.is_gpu:
            tf.config.experimental.enable_op_determinism()
        keras.utils.set_random_seed(config.seed)
        chosen = config.training.precision
        precision: Precision = device.precision if chosen == "auto" else chosen
        display.say(f"device: {device.name}, precision: {precision}")
        self.board = TensorBoard(directory) if config.training.tensorboard else None
        self.data = prepare(config, directory, display, load_tokenizers(directory) if resumes else None)
        self.model = make_model(config, self.data.tokenizers, precision, display, starts=not resumes)
        self.validator = Validator(self.model, self.data, config, display)
        self.train_step = tf.function(
            lambda *batch: self.model.train_step(batch),
            input_signature=[tf.TensorSpec([None, None], tf.int32)] * 2,
            autograph=False,
        )
        self.callbacks = keras.callbacks.CallbackList(list(callbacks), model=self.model)
        self.progress = Progress()
        self.meter = Meter()
        self.stop = StopRequest()

    @property
    def update(self) -> int:
        """Updates done, those that were skipped for not being finite included."""
        return self.progress.batches // self.config.training.accumulate

    def train(self) -> TrainingReport:
        if self.resumes:
            self.progress = load_checkpoint(self.directory / LAST, self.model, self.data.fingerprint())
            self.progress.finished = ""  # the end may have been moved; if not, it is found again at once
            # What was measured after this checkpoint is measured again.
            measured = self.progress.validated // self.config.training.accumulate
            cut_history(self.directory, measured)
            cut_kept(self.directory, measured)
            self.display.say(f"resuming after update {self.update:,}, in epoch {self.progress.epoch}")
        else:
            (self.directory / HISTORY).unlink(missing_ok=True)
            cut_kept(self.directory, -1)
        if self.board is not None:
            self.board.start(self.update)
        start_directory(self.directory, self.config, self.data.tokenizers)
        progress = self.progress
        if not self._is_over() or progress.validated != progress.batches:
            self._train()
        if progress.finished:
            self.display.say(f"finished after {clock(progress.seconds)}: {progress.finished}")
        else:
            self.display.say(
                f"interrupted at update {self.update:,} and saved. Go on with: "
                f"seq2seq train {quote(str(self.directory / CONFIG))} --output {quote(str(self.directory))}"
            )
        history = read_history(self.directory)
        return TrainingReport(self.directory, progress.finished, self.update, progress.seconds, progress.best, history)

    def _train(self) -> None:
        plan, training, progress = self._plan(), self.config.training, self.progress
        summarize(self.display, self.model, self.data, plan, self.directory)
        if training.epochs is not None and len(plan) * training.epochs < training.accumulate:
            raise TrainingError(
                f"no update would be made: {training.epochs} epochs of {len(plan)} batches are fewer than "
                f"training.accumulate {training.accumulate}. Lower it, or raise training.epochs."
            )
        with stopping_on_signals(self.display.say) as self.stop:
            # An epoch may leave out a mixture's longest sentence.
            sampled = self.data.train.rows(self.config.seed, progress.epoch) is not None
            tried = self._plan(whole=True) if sampled else plan
            try_largest_batches(self.display, self.model, self.train_step, self.validator, self.data, tried)
            self._clock = self._saved = time.monotonic()
            if not progress.batches:
                self._save_last()  # from here on the directory can be resumed
            self.meter.restart()
            self.callbacks.on_train_begin()
            while not self._is_over():
                self._epoch(self._plan())
            self.callbacks.on_train_end()
            if progress.finished and progress.validated != progress.batches:
                self._validate()  # whatever the schedule, a finished run has measured what it delivers
            self._save_last()
        if progress.finished and progress.best is None:
            raise TrainingError(
                f"{self.directory}: no validation {self.config.validation.metric} was a number. "
                "Lower training.learning_rate or training.clip_norm."
            )

    def _plan(self, whole: bool = False) -> BatchPlan:
        """The batches of the current epoch; or, `whole`, as they would be with each sentence of a mixture once."""
        batching, train = self.config.batching, self.data.train
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
            for source, target in batch_dataset(self.data.train, plan, start=progress.batch):
                self.callbacks.on_train_batch_begin(progress.batch)
                rate = learning_rate(training, self.update + 1, progress.plateau_factor)
                self.model.optimizer.learning_rate.assign(rate)
                logs = self.train_step(source, target)
                self.meter.tokens += int(plan.target_lengths[plan.batch(progress.batch)].sum())
                progress.batch += 1
                progress.batches += 1
                self._tick()
                self.callbacks.on_train_batch_end(progress.batch - 1, logs)
                if progress.batches % 10 == 0:
                    show(progress.batch, self._numbers(logs, plan))
                if self.board is not None and progress.batches % (EVERY * training.accumulate) == 0:
                    norm = float(logs["gradient_norm"])
                    scalars = {"loss": float(logs["loss"]), "learning_rate": rate, "gradient_norm": norm}
                    self.board.training(self.update, scalars | {"tokens_per_second": self.meter.per_second()})
                if self._validation_is_due(plan):
                    logs = logs | self._validate()
                elif time.monotonic() - self._saved > 60 * training.checkpoint_minutes:
                    self._save_last()
                if self._is_over():
                    break
        if progress.batch == len(plan):
            progress.epoch, progress.batch = progress.epoch + 1, 0
            self.callbacks.on_epoch_end(progress.epoch - 2, logs)

    def _validation_is_due(self, plan: BatchPlan) -> bool:
        every, accumulate = self.config.validation.every_updates, self.config.training.accumulate
        if every is None:
            return self.progress.batch == len(plan)
        return self.progress.batches % (every * accumulate) == 0

    def _validate(self) -> dict[str, float]:
        """Measure, write history, keep what is worth it, move the plateau, save; returns logs for callbacks."""
        training, progress = self.config.training, self.progress
        with self.model.update.averaged_weights():  # with `ema`, they are what is measured, kept and delivered
            entry = self._measure()
            watch_plateau(training, progress, entry["best"], self.update)
            append_history(self.directory, entry)
            self.display.validation(entry, improved=entry["best"])
            self._keep(entry)
        self._save_last()
        drop_kept(self.directory, training.keep_last, training.keep_best)
        self.meter.restart()
        return {"val_loss": entry["valid_loss"]} | ({} if entry["bleu"] is None else {"val_bleu": entry["bleu"]})

    def _measure(self) -> dict[str, Any]:
        """The validation's line of the history; takes in whether it is the best."""
        model, progress = self.model, self.progress
        trained = {f"train_{metric.name}": float(metric.result()) for metric in model.metrics}
        speed = self.meter.per_second()
        loss = self.validator.loss()
        bleu = self.validator.bleu() if self.config.validation.bleu else None
        entry = {
            "epoch": progress.epoch,
            "update": self.update,
            "learning_rate": float(model.optimizer.learning_rate),
            **trained,
            "gradient_norm": float(model.update.norm),
            "skipped_updates": int(model.update.skipped),
            "valid_loss": loss,
            "valid_perplexity": math.exp(min(loss, 700.0)),
            "bleu": bleu,
        }
        metric = self.config.validation.metric
        entry["best"] = progress.judge(loss if metric == "loss" or bleu is None else bleu, metric, self.update)
        progress.validated = progress.batches
        self._tick()
        return entry | {"tokens_per_second": speed, "seconds": progress.seconds}

    def _keep(self, entry: dict[str, Any]) -> None:
        """Write the weights that were measured, where they are wanted, and what TensorBoard shows of them."""
        training = self.config.training
        if entry["best"]:
            scores = {key: entry[key] for key in ("epoch", "update", "valid_loss", "valid_perplexity", "bleu")}
            save_model(self.directory, self.model, {"validation": scores}, self.data.facts)
            save_checkpoint(self.directory / BEST, self.model, self.progress, self.data.fingerprint())
        if training.keep_last or training.keep_best:
            keep_weights(self.directory, self.model, entry, self.config.validation.metric)
        if self.board is not None:
            self.board.validation(entry, *self.validator.samples())

    def _is_over(self) -> bool:
        training, progress = self.config.training, self.progress
        patience = self.config.validation.patience
        if training.updates is not None and self.update >= training.updates:
            progress.finished = f"{self.update:,} updates are done"
        elif training.epochs is not None and progress.epoch > training.epochs:
            progress.finished = "1 epoch is done" if training.epochs == 1 else f"{training.epochs} epochs are done"
        elif patience is not None and progress.waited >= patience:
            progress.finished = f"no better {self.config.validation.metric} in {patience} validations"
        elif self.model.stop_training:
            progress.finished = "a callback stopped it"
        return bool(progress.finished or self.stop)

    def _save_last(self) -> None:
        self._tick()
        save_checkpoint(self.directory / LAST, self.model, self.progress, self.data.fingerprint())
        self._saved = time.monotonic()

    def _tick(self) -> None:
        now = time.monotonic()
        self.progress.seconds += now - self._clock
        self._clock = now

    def _numbers(self, logs: dict[str, Any], plan: BatchPlan) -> dict[str, float]:
        """For the live line; the time left is estimated from the whole run's pace."""
        training, progress = self.config.training, self.progress
        total = math.inf if training.epochs is None else len(plan) * training.epochs
        if training.updates is not None:
            total = min(total, training.updates * training.accumulate)
        return {
            "update": self.update,
            "loss": float(logs["loss"]),
            "tokens_per_second": self.meter.per_second(),
            "eta": max(total - progress.batches, 0) * progress.seconds / progress.batches,
        }
