"""Set up a training run, start its loop and report how it ended."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from threading import Event
from typing import Any

import keras
from rich.console import Console

from seq2seq.config import Config
from seq2seq.devices.replicas import reporting_lost_workers
from seq2seq.errors import TrainingError
from seq2seq.model_directory.directory import load_config_of
from seq2seq.model_directory.metadata import CONFIG, METADATA
from seq2seq.training.baseline import WARNING_AT_THE_END, warning_of_short_run
from seq2seq.training.checkpoints import LAST, as_begun, check_recipe, must_not_change
from seq2seq.training.display import Display, clock
from seq2seq.training.ending import End
from seq2seq.training.interruption import stopping_on_signals
from seq2seq.training.loop import TrainingLoop
from seq2seq.training.machine import Machine, check_workers, set_up, with_tokens
from seq2seq.training.planning import check_updates, plan_epoch, planned_updates
from seq2seq.training.progress import Progress
from seq2seq.training.records import Records, only_run
from seq2seq.training.recovery import Watch
from seq2seq.training.start import make_model, prepare_together, summarize, try_largest_batches
from seq2seq.training.tensorboard import TensorBoard
from seq2seq.training.validation import VALIDATORS, Validator


@dataclass(frozen=True)
class TrainingReport:
    """How a run ended.

    directory     the model directory
    finished      why training ended; None if it was interrupted and can be resumed
    updates       done, those that were skipped for not being finite included
    seconds       training time over all sessions, validation included
    best          the best value of `validation.metric`; None where no validation was clearly better than token
                  frequencies (`baseline.LEAST_GAIN`)
    history       one entry per validation, as in `history.jsonl`
    """

    directory: Path
    finished: End | None
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
    """Train a model into a directory, or resume an interrupted run there.

    On a CPU the result is a function of the recipe and the corpus, bit for bit, however often the run was
    interrupted, unless `training.deterministic` is false. SIGINT and SIGTERM end the run after the current batch, with
    a checkpoint.

    Random generators of the process (Python's, NumPy's, TensorFlow's) are neither read nor changed. TensorFlow stays in
    the run's mode: deterministic operations, once enabled, cannot be disabled, and unseeded random operations then fail
    until `tf.random.set_seed` is called; TF32 stays as the precision set it.

    With `training.distribution: multi_worker` every worker calls this with the same recipe and a directory that all of
    them see; the first one writes.

    Args:
        config: The recipe.
        directory: The model directory; see `model_directory`.
        callbacks: Keras callbacks; they get batch and epoch logs and may set `model.stop_training`.
        console: Where to show progress; nowhere by default.
        override: Resume even if the recipe or the corpora changed. The current epoch then begins anew.

    Raises:
        TrainingError: Another process trains into the directory, it holds a run of another recipe, there is nothing
            to train on, the largest batch does not fit into memory, the run diverged and rolling back did not help, or
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
        return _train(config, directory, callbacks, Display(console), machine, resumes, override)


def _train(
    config: Config,
    directory: Path,
    callbacks: Sequence[keras.callbacks.Callback],
    display: Display,
    machine: Machine,
    resumes: bool,
    override: bool,
) -> TrainingReport:
    device, precision, replicas = machine
    several = f", replicas: {replicas.count}" if replicas.count > 1 else ""
    display.say(f"device: {device.name}, precision: {precision}{several}")
    board = TensorBoard(directory) if config.training.tensorboard and replicas.is_chief else None
    data = prepare_together(config, directory, display, replicas, resumes)
    model = make_model(config, data.tokenizers, precision, replicas, display, starts=not resumes)
    validator = VALIDATORS.get(type(config), Validator)(model, data, config, display, replicas)
    records = Records(directory, config, model, data, replicas)
    progress = _resume(config, directory, records, display, override) if resumes else Progress()
    records.begin(resumes)
    stop = Event()
    loop = TrainingLoop(
        config,
        model,
        data,
        progress,
        records=records,
        validator=validator,
        watch=Watch(config.training.recovery, model, data),
        callbacks=keras.callbacks.CallbackList(list(callbacks), model=model),
        display=display,
        board=board,
        replicas=replicas,
        stop=stop,
    )
    if board is not None:
        board.start(loop.update)
    if loop.has_more_to_do:
        plan = plan_epoch(config, data.train, progress.epoch)
        summarize(display, model, data, plan, directory)
        check_updates(config.training, len(plan))
        if warning := warning_of_short_run(planned_updates(config.training, len(plan)), config.training):
            display.say(warning)
        with stopping_on_signals(stop, display.say):
            # The largest batches of all epochs: one of them may leave out a mixture's longest sentence.
            tried = plan_epoch(config, data.train, progress.epoch, whole=True)
            try_largest_batches(display, model, validator, data, tried, replicas)
            loop.run()
    _say_how_it_ended(loop, directory, display)
    progress = loop.progress
    return TrainingReport(directory, loop.end, loop.update, progress.seconds, progress.best, records.history())


def _resume(config: Config, directory: Path, records: Records, display: Display, override: bool) -> Progress:
    """Restore the last checkpoint, and say what has changed since."""
    changed = must_not_change(directory, config)
    before, now = load_config_of(directory).training, config.training
    progress = records.load(LAST, override)
    display.say(f"resuming after update {progress.batches // now.accumulate:,}, in epoch {progress.epoch}")
    if progress.recoveries and (before.learning_rate, before.schedule) != (now.learning_rate, now.schedule):
        progress.recoveries = 0
        display.say("the learning rate was changed, and is no longer halved for the times the run was rolled back")
    if changed:
        display.say(f"warning: the recipe changed: {', '.join(changed)}")
    return progress


def _say_how_it_ended(loop: TrainingLoop, directory: Path, display: Display) -> None:
    if loop.end is None:
        display.say(
            f"interrupted, and saved as of update {loop.saved_update:,}. Go on with: "
            f"seq2seq train {quote(str(directory / CONFIG))} --output {quote(str(directory))}"
        )
        return
    display.say(f"finished after {clock(loop.progress.seconds)}: {loop.end.message}")
    if loop.progress.best is None:
        display.say(WARNING_AT_THE_END)
