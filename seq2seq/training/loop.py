"""The training loop: exact to resume, driven by one compiled step, open to Keras callbacks."""

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console

from seq2seq.batching import BatchPlan, batch_dataset, plan_batches
from seq2seq.config import Config, Precision, TrainingConfig, changed_keys
from seq2seq.device import find_device
from seq2seq.errors import TrainingError
from seq2seq.evaluation import score_texts
from seq2seq.model import Seq2Seq
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
from seq2seq.training.display import Display, clock
from seq2seq.training.preparation import Prepared, describe_drops, prepare
from seq2seq.training.progress import Progress
from seq2seq.training.schedules import learning_rate, watch_plateau
from seq2seq.translator import Translator

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
    """One session of training: from start or checkpoint to end or interruption."""

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
        self.data: Prepared = prepare(config, directory, display)
        self.model = build_model(config, self.data.tokenizers, precision)
        self.model.compile(
            make_optimizer(config.training),
            label_smoothing=config.training.label_smoothing,
            clip_norm=config.training.clip_norm,
            accumulate=config.training.accumulate,
        )
        self.translator = Translator(self.model, *self.data.tokenizers)
        signature = [tf.TensorSpec([None, None], tf.int32)] * 2
        self.train_step = tf.function(lambda *batch: self.model.train_step(batch), input_signature=signature)
        self.test_step = tf.function(lambda *batch: self.model.test_step(batch), input_signature=signature)
        self.callbacks = keras.callbacks.CallbackList(list(callbacks), model=self.model)
        self.progress = Progress()
        self.stop_requested = False

    @property
    def update(self) -> int:
        return self.progress.update(self.config.training.accumulate)

    def train(self, resumes: bool) -> TrainingReport:
        if resumes:
            self.progress = load_checkpoint(self.directory / LAST, self.model, self.data.train.fingerprint)
            cut_history(self.directory, self.update)
            self.display.say(f"resuming after update {self.update:,}, in epoch {self.progress.epoch}")
            self.progress.finished = ""  # the end may have been moved; if not, it is found again at once
        else:
            (self.directory / HISTORY).unlink(missing_ok=True)
        start_directory(self.directory, self.config, self.data.tokenizers)
        plan = self._plan()
        self._summarize(plan)
        self.model.stop_training = False
        with self._stopping_on_signals():
            self._try_largest_batch(plan)
            self._clock = self._saved = time.monotonic()
            self.callbacks.on_train_begin()
            while not self._is_over():
                self._epoch(plan)
                plan = self._plan()
            self.callbacks.on_train_end()
            self._save_last()
        if self.progress.finished:
            self.display.say(f"finished after {clock(self.progress.seconds)}: {self.progress.finished}")
        else:
            self.display.say(
                f"interrupted at update {self.update:,} and saved. Go on with the same command: "
                f"seq2seq train {self.directory / CONFIG} --output {self.directory}"
            )
        progress = self.progress
        history = read_history(self.directory)
        return TrainingReport(
            self.directory, progress.finished, self.update, progress.seconds, progress.best, history
        )

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
        progress, training = self.progress, self.config.training
        self.callbacks.on_epoch_begin(progress.epoch - 1)
        logs: dict[str, Any] = {}
        with self.display.epoch(progress.epoch, len(plan), progress.batch) as show:
            for source, target in batch_dataset(self.data.train, plan, start=progress.batch):
                self.callbacks.on_train_batch_begin(progress.batch)
                rate = learning_rate(training, self.update + 1, progress.plateau_factor)
                self.model.optimizer.learning_rate.assign(rate)
                logs = self.train_step(source, target)
                progress.tokens += int(plan.target_lengths[plan.batch(progress.batch)].sum())
                progress.batch += 1
                progress.batches += 1
                self._tick()
                self.callbacks.on_train_batch_end(progress.batch - 1, logs)
                if progress.batches % 10 == 0:
                    show(progress.batch, self._numbers(logs, plan))
                if self._validation_is_due(plan):
                    logs = dict(logs) | self._validate(logs)
                elif time.monotonic() - self._saved > 60 * training.checkpoint_minutes:
                    self._save_last()
                if self._is_over():
                    break
        if progress.batch == len(plan):
            progress.epoch, progress.batch = progress.epoch + 1, 0
            self.callbacks.on_epoch_end(progress.epoch - 2, logs)
            self._is_over()

    def _validation_is_due(self, plan: BatchPlan) -> bool:
        every = self.config.validation.every_updates
        last_batch = self.progress.batch == len(plan)
        if every is None:
            return last_batch or self.update == self.config.training.updates
        whole = self.progress.batches % self.config.training.accumulate == 0
        return whole and (self.update % every == 0 or self.update == self.config.training.updates)

    def _validate(self, logs: dict[str, Any]) -> dict[str, float]:
        """Measure, write history, keep the best, move the plateau, save."""
        model, progress, validation = self.model, self.progress, self.config.validation
        train_loss, train_nll = float(logs["loss"]), float(logs["nll"])
        valid_loss = self._validation_loss()
        bleu = self._validation_bleu() if validation.bleu else None
        value = valid_loss if validation.metric == "loss" or bleu is None else bleu
        improved = progress.judge(value, validation.metric == "bleu", self.update)
        self._tick()
        entry = {
            "epoch": progress.epoch,
            "update": self.update,
            "learning_rate": float(model.optimizer.learning_rate),
            "train_loss": train_loss,
            "train_nll": train_nll,
            "gradient_norm": float(logs["gradient_norm"]),
            "skipped_updates": int(model.update.skipped),
            "valid_loss": valid_loss,
            "valid_perplexity": math.exp(min(valid_loss, 700.0)),
            "bleu": bleu,
            "best": improved,
            "tokens_per_second": self._tokens_per_second(),
            "seconds": progress.seconds,
        }
        watch_plateau(self.config.training, progress, improved)
        progress.tokens = 0
        self._speed_from = (0, time.monotonic())
        for metric in model.metrics:
            metric.reset_state()
        append_history(self.directory, entry)
        self.display.validation(entry, improved)
        if improved:
            scores = {key: entry[key] for key in ("epoch", "update", "valid_loss", "valid_perplexity", "bleu")}
            save_model(self.directory, model, self.data.tokenizers, {"validation": scores})
            save_checkpoint(self.directory / BEST, model, progress, self.data.train.fingerprint)
        self._save_last()
        return {"val_loss": valid_loss} | ({} if bleu is None else {"val_bleu": bleu})

    def _validation_loss(self) -> float:
        """Mean negative log-likelihood a target token, in nats; perplexity is its exponential."""
        valid = self.data.valid
        plan = plan_batches(
            valid.source.lengths, valid.target.lengths, tokens=4 * self.config.batching.tokens, pool=len(valid), seed=0, epoch=0
        )
        for metric in self.model.metrics:
            metric.reset_state()
        for batch in batch_dataset(valid, plan):
            self.test_step(*batch)
        return float(self.model.nll_metric.result())

    def _validation_bleu(self) -> float:
        pairs = self.data.valid_pairs
        options = self.config.search.model_copy(update={"beam_size": self.config.validation.beam_size, "n_best": 1})
        with self.display.counting("translating the validation corpus", "sentences", len(pairs)) as advance:
            translations = self.translator.translate([pair.source for pair in pairs], options, advance)
        texts = [translation.text for translation in translations]
        return score_texts(texts, [pair.target for pair in pairs], bootstrap=False)[0].score

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
        return bool(progress.finished) or self.stop_requested

    def _save_last(self) -> None:
        self._tick()
        save_checkpoint(self.directory / LAST, self.model, self.progress, self.data.train.fingerprint)
        self._saved = time.monotonic()

    def _tick(self) -> None:
        now = time.monotonic()
        self.progress.seconds += now - self._clock
        self._clock = now

    _speed_from: tuple[int, float] | None = None

    def _tokens_per_second(self) -> float:
        """Since this session's last validation, so that a resumed run does not count an earlier session's tokens."""
        if self._speed_from is None:
            return 0.0
        tokens, since = self._speed_from
        return (self.progress.tokens - tokens) / max(time.monotonic() - since, 1e-9)

    def _numbers(self, logs: dict[str, Any], plan: BatchPlan) -> dict[str, float]:
        speed = self._tokens_per_second()
        self._speed_from = self._speed_from or (self.progress.tokens, time.monotonic())
        total = math.inf if self.config.training.epochs is None else len(plan) * self.config.training.epochs
        if self.config.training.updates is not None:
            total = min(total, self.config.training.updates * self.config.training.accumulate)
        per_batch = self.progress.seconds / max(self.progress.batches, 1)
        eta = (total - self.progress.batches) * per_batch
        return {"update": self.update, "loss": float(logs["loss"]), "tokens_per_second": speed, "eta": max(eta, 0.0)}

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

    @contextmanager
    def _stopping_on_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask for a stop after the current batch; a second one stops at once."""

        def request(number: int, frame: FrameType | None) -> None:
            if self.stop_requested:
                raise KeyboardInterrupt
            self.stop_requested = True
            self.display.say("stopping after this batch; once more to stop without saving")

        previous: dict[int, Any] = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                previous[number] = signal.signal(number, request)
        except ValueError:
            pass  # signals go to the main thread alone; elsewhere the caller handles them
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def make_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """The optimizer of a recipe, without any clip argument: `GradientUpdate` clips."""
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(config.learning_rate, momentum=config.momentum)
    adam = {"beta_1": config.beta_1, "beta_2": config.beta_2, "epsilon": config.epsilon}
    if config.optimizer == "adam":
        return keras.optimizers.Adam(config.learning_rate, **adam)
    optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay, **adam)
    optimizer.exclude_from_weight_decay(var_names=["bias", "table"])
    return optimizer


def _check_recipe(directory: Path, config: Config) -> None:
    old = load_config_of(directory)
    changed = [key for key in changed_keys(old, config) if key not in MAY_CHANGE]
    if changed:
        raise TrainingError(
            f"{directory}: holds a run of another recipe; changed: {', '.join(changed)}. "
            "Give the same recipe to resume it, or another --output to start anew."
        )


StepResult = Callable[..., dict[str, tf.Tensor]]
