"""The training loop: exact to resume, driven by one compiled step, open to Keras callbacks."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console

from seq2seq.batching import BatchPlan, batch_dataset, plan_batches
from seq2seq.config import Config, Precision, changed_keys
from seq2seq.device import find_device
from seq2seq.errors import TrainingError
from seq2seq.model_directory import CONFIG, METADATA, build_model, load_config_of, save_model, start_directory
from seq2seq.training.checkpoints import (
    BEST,
    HISTORY,
    LAST,
    append_history,
    cut_history,
    load_checkpoint,
    read_history,
    restore,
    save_checkpoint,
    snapshot,
)
from seq2seq.training.display import Display, Meter, clock
from seq2seq.training.interruption import StopRequest, stopping_on_signals
from seq2seq.training.optimization import learning_rate, make_optimizer, watch_plateau
from seq2seq.training.preparation import describe_drops, prepare
from seq2seq.training.progress import Progress
from seq2seq.training.validation import Validator

# What may differ between the recipe of an interrupted run and the one that resumes it.
MAY_CHANGE = ("training.epochs", "training.updates", "training.checkpoint_minutes", "validation.patience")


@dataclass(frozen=True)
class TrainingReport:
    """How a run ended.

    directory     the model directory
    finished      why training ended; "" if it was interrupted and can be resumed
    updates       optimizer steps done
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
        TrainingError: The directory holds a run of another recipe, there is nothing to train on, or the
            largest batch does not fit into memory.
    """
    directory = Path(directory)
    resumes = (directory / LAST).exists()
    if resumes:
        _check_recipe(directory, config)
    elif (directory / METADATA).exists():
        raise TrainingError(f"{directory}: holds a model without a checkpoint. Train into another directory.")
    return _Run(config, directory, callbacks, Display(console)).train(resumes)


class _Run:
    """One session of training: from the start or a checkpoint to the end or an interruption."""

    def __init__(
        self, config: Config, directory: Path, callbacks: Sequence[keras.callbacks.Callback], display: Display
    ) -> None:
        self.config, self.directory, self.display = config, directory, display
        device = find_device()
        if not device.is_gpu:
            tf.config.experimental.enable_op_determinism()
        keras.utils.set_random_seed(config.seed)
        chosen = config.training.precision
        precision: Precision = device.precision if chosen == "auto" else chosen
        display.say(f"device: {device.name}, precision: {precision}")
        self.data = prepare(config, directory, display)
        self.model = build_model(config, self.data.tokenizers, precision)
        self.model.compile(
            make_optimizer(config.training),
            label_smoothing=config.training.label_smoothing,
            clip_norm=config.training.clip_norm,
            accumulate=config.training.accumulate,
        )
        self.validator = Validator(self.model, self.data, config, display)
        self.train_step = tf.function(
            lambda *batch: self.model.train_step(batch),
            input_signature=[tf.TensorSpec([None, None], tf.int32)] * 2,
        )
        self.callbacks = keras.callbacks.CallbackList(list(callbacks), model=self.model)
        self.progress = Progress()
        self.meter = Meter()
        self.stop = StopRequest()

    @property
    def update(self) -> int:
        """Optimizer steps done."""
        return self.progress.batches // self.config.training.accumulate

    def train(self, resumes: bool) -> TrainingReport:
        if resumes:
            self.progress = load_checkpoint(self.directory / LAST, self.model, self.data.train.fingerprint)
            self.progress.finished = ""  # the end may have been moved; if not, it is found again at once
            cut_history(self.directory, self.update)
            self.display.say(f"resuming after update {self.update:,}, in epoch {self.progress.epoch}")
        else:
            (self.directory / HISTORY).unlink(missing_ok=True)
        start_directory(self.directory, self.config, self.data.tokenizers)
        if not self._is_over():
            self._train()
        progress = self.progress
        if progress.finished:
            self.display.say(f"finished after {clock(progress.seconds)}: {progress.finished}")
        else:
            self.display.say(
                f"interrupted at update {self.update:,} and saved. Go on with: "
                f"seq2seq train {self.directory / CONFIG} --output {self.directory}"
            )
        history = read_history(self.directory)
        return TrainingReport(self.directory, progress.finished, self.update, progress.seconds, progress.best, history)

    def _train(self) -> None:
        plan = self._plan()
        self._summarize(plan)
        self.model.stop_training = False
        with stopping_on_signals(self.display.say) as self.stop:
            self._try_largest_batch(plan)
            self._clock = self._saved = time.monotonic()
            self.meter.restart()
            self.callbacks.on_train_begin()
            while not self._is_over():
                self._epoch(self._plan())
            self.callbacks.on_train_end()
            self._save_last()

    def _plan(self) -> BatchPlan:
        batching = self.config.batching
        return plan_batches(
            self.data.train.source.lengths,
            self.data.train.target.lengths,
            tokens=batching.tokens,
            pool=batching.pool,
            seed=self.config.seed,
            epoch=self.progress.epoch,
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
                if self._validation_is_due(plan):
                    logs = logs | self._validate(logs)
                elif time.monotonic() - self._saved > 60 * training.checkpoint_minutes:
                    self._save_last()
                if self._is_over():
                    break
        if progress.batch == len(plan):
            progress.epoch, progress.batch = progress.epoch + 1, 0
            self.callbacks.on_epoch_end(progress.epoch - 2, logs)

    def _validation_is_due(self, plan: BatchPlan) -> bool:
        """By schedule, and at the end in any case: a finished run has measured what it delivers."""
        training, every, progress = self.config.training, self.config.validation.every_updates, self.progress
        if self.update == training.updates or self.model.stop_training:
            return True
        if progress.batch == len(plan) and (every is None or progress.epoch == training.epochs):
            return True
        whole = progress.batches % training.accumulate == 0
        return every is not None and whole and self.update % every == 0

    def _validate(self, logs: dict[str, Any]) -> dict[str, float]:
        """Measure, write history, keep the best, move the plateau, save; returns logs for callbacks."""
        model, progress, validation = self.model, self.progress, self.config.validation
        trained = {f"train_{name}": float(logs[name]) for name in ("loss", "nll")}
        speed = self.meter.per_second()
        valid_loss = self.validator.loss()
        bleu = self.validator.bleu() if validation.bleu else None
        value = valid_loss if validation.metric == "loss" or bleu is None else bleu
        improved = progress.judge(value, validation.metric, self.update)
        self._tick()
        entry = {
            "epoch": progress.epoch,
            "update": self.update,
            "learning_rate": float(model.optimizer.learning_rate),
            **trained,
            "gradient_norm": float(logs["gradient_norm"]),
            "skipped_updates": int(model.update.skipped),
            "valid_loss": valid_loss,
            "valid_perplexity": math.exp(min(valid_loss, 700.0)),
            "bleu": bleu,
            "best": improved,
            "tokens_per_second": speed,
            "seconds": progress.seconds,
        }
        watch_plateau(self.config.training, progress, improved)
        append_history(self.directory, entry)
        self.display.validation(entry, improved)
        if improved:
            scores = {key: entry[key] for key in ("epoch", "update", "valid_loss", "valid_perplexity", "bleu")}
            save_model(self.directory, model, self.data.tokenizers, {"validation": scores})
            save_checkpoint(self.directory / BEST, model, progress, self.data.train.fingerprint)
        self._save_last()
        self.meter.restart()
        return {"val_loss": valid_loss} | ({} if bleu is None else {"val_bleu": bleu})

    def _is_over(self) -> bool:
        training, progress = self.config.training, self.progress
        patience = self.config.validation.patience
        if training.updates is not None and self.update >= training.updates:
            progress.finished = f"{self.update:,} updates are done"
        elif training.epochs is not None and progress.epoch > training.epochs:
            progress.finished = f"{training.epochs} epochs are done"
        elif patience is not None and progress.waited >= patience:
            progress.finished = f"no better {self.config.validation.metric} in {patience} validations"
        elif self.model.stop_training:
            progress.finished = "a callback stopped it"
        return bool(progress.finished or self.stop)

    def _save_last(self) -> None:
        self._tick()
        save_checkpoint(self.directory / LAST, self.model, self.progress, self.data.train.fingerprint)
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

    def _summarize(self, plan: BatchPlan) -> None:
        """Say what is about to be trained."""
        report, train = self.data.filtered, self.data.train
        shapes = plan.shapes()
        largest = shapes[plan.largest()]
        drops = describe_drops(report)
        tokenizers = self.data.tokenizers
        sizes = (
            f"{tokenizers.source.vocabulary_size:,} joint"
            if tokenizers.source is tokenizers.target
            else f"{tokenizers.source.vocabulary_size:,} source, {tokenizers.target.vocabulary_size:,} target"
        )
        self.display.table(
            "Training",
            {
                "parameters": f"{self.model.count_params():,}",
                "corpus": f"{report.kept:,} of {report.read:,} pairs" + (f" (dropped: {drops})" if drops else ""),
                "vocabulary": sizes,
                "tokens an epoch": f"{train.source.lengths.sum():,} source, {train.target.lengths.sum():,} target",
                "batches": f"{len(plan):,} of {int(shapes[:, 0].mean())} sentences on average, "
                f"{plan.padding_waste():.1%} padding",
                "largest batch": f"{largest[0]} sentences of {largest[1]} source and {largest[2]} target tokens",
                "directory": str(self.directory),
            },
        )

    def _try_largest_batch(self, plan: BatchPlan) -> None:
        """Run the largest batch once and undo it: what does not fit into memory fails now."""
        index = plan.largest()
        before = snapshot(self.model)
        rows = plan.batch(index)
        try:
            with self.display.waiting("compiling and trying the largest batch"):
                corpus = self.data.train
                self.train_step(tf.constant(corpus.source.gather(rows)), tf.constant(corpus.target.gather(rows)))
        except tf.errors.ResourceExhaustedError:
            sentences, source, target = plan.shapes()[index]
            raise TrainingError(
                f"the largest batch ({sentences} sentences of {source} source and {target} target tokens) does not "
                "fit into memory. Lower batching.tokens or data.filters.max_tokens, and raise training.accumulate."
            ) from None
        restore(self.model, before, "trial")


def _check_recipe(directory: Path, config: Config) -> None:
    old = load_config_of(directory)
    changed = [key for key in changed_keys(old, config) if key not in MAY_CHANGE]
    if changed:
        raise TrainingError(
            f"{directory}: holds a run of another recipe; changed: {', '.join(changed)}. "
            "Give the same recipe to resume it, or another --output to start anew."
        )
