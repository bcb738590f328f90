"""Set up a training run, start its loop and report how it ended."""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from threading import Event

import keras
from rich.console import Console

from seq2seq.arguments import check_arguments
from seq2seq.config import Config, TranslationConfig
from seq2seq.data.batching import BatchPlan
from seq2seq.devices.replicas import report_lost_workers
from seq2seq.devices.stop_signals import on_stop_signals
from seq2seq.model_directory import LAST
from seq2seq.model_directory.directory import CONFIG, load_model_config
from seq2seq.model_directory.other_models import check_other_models
from seq2seq.model_directory.pretrained import refuse_pretrained
from seq2seq.training.alarms import AlarmMonitor, BaselineLosses
from seq2seq.training.callbacks import check_callbacks
from seq2seq.training.checkpoints import RunDirectory, check_recipe, lock_run, refuse_model_without_checkpoint
from seq2seq.training.display import CPUTimer, Display, TensorBoardWriter, make_display
from seq2seq.training.ending import baseline_warnings, compare_delivered_model, say_how_it_ended
from seq2seq.training.loop import TrainingLoop
from seq2seq.training.machine import Machine, check_workers, set_up_machine, with_batch_tokens
from seq2seq.training.pace import describe_plan, needs_plan, plan_updates, recorded_plan, with_plan_of_checkpoint
from seq2seq.training.parts import refuse_other_parts, train_parts
from seq2seq.training.recovery import DivergenceMonitor
from seq2seq.training.report import TrainingReport
from seq2seq.training.run_state import (
    RunState,
    check_minutes,
    check_update_count,
    count_batches,
    how_to_continue,
    nothing_left,
    plan_epoch,
    planned_updates,
)
from seq2seq.training.setup import (
    make_compiled_model,
    measure_pace,
    prepare_on_all_workers,
    summarize,
    try_largest_batches,
)
from seq2seq.training.stages import stage_runs
from seq2seq.training.start_alarms import (
    describe_overlaps,
    find_overlaps,
    partial_epoch_alarm,
    short_run_alarm,
    start_alarms,
)
from seq2seq.training.teachers import student_recipe, teacher_runs, translate_training_text
from seq2seq.training.validation import VALIDATORS, Validator, choose_samples


@check_arguments(config="load_config('quickstart') reads a recipe.")
def train(
    config: Config,
    directory: str | Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    console: Console | None = None,
    allow_changes: bool = False,
) -> TrainingReport:
    """Train a model into a directory, or resume an interrupted run there.

    On a CPU, the result depends only on the recipe and the corpus, bit for bit, however often the run was interrupted,
    unless `training.deterministic` is false. SIGINT, SIGTERM and SIGHUP (a closed terminal, unless it is ignored, as
    under nohup) end the run after the current batch, with a checkpoint. Before the first batch, or if a second signal
    is sent, they raise KeyboardInterrupt at once.

    Random generators of the process (Python's, NumPy's, TensorFlow's) are neither read nor changed. TensorFlow stays in
    the mode of the run: deterministic operations, once enabled, cannot be disabled, and unseeded random operations then
    fail until `tf.random.set_seed` is called; TF32 stays as the precision set it.

    A recipe with `stages` is a run for each of them, all but the last in `stages/1`, `stages/2` and so on in the
    directory; what is returned is that of the last stage, or of one that was interrupted. With `teachers`, the teachers
    are trained first, in `teachers/1`, `teachers/2` and so on, and what is returned is the report of the student.

    With `training.distribution: multi_worker`, every worker calls this function with the same recipe and a directory
    that all of them can access; the first one writes.

    Args:
        config: The recipe.
        directory: The model directory; see `model_directory`.
        callbacks: Keras callbacks; they get batch and epoch logs and may set `model.stop_training`. The recipe sets the
            learning rate (`training.schedule`); a callback that sets it is refused.
        console: Console for progress; by default, progress is shown in the output of a notebook cell or on stderr if
            that is a terminal; elsewhere nothing is shown, and `remaining_warnings` become Python warnings.
            `Console(quiet=True)` shows nothing and issues no warnings.
        allow_changes: Resume even if the recipe or the corpora changed. The current epoch then starts over.

    Raises:
        ArgumentError: A callback is one of `RATE_CALLBACKS`.
        ModelDirectoryError: The directory is that of a pretrained model; or see `check_other_models`.
        TrainingError: Another process is training into the directory, it has a run with a different recipe, there is
            nothing to train on, a finished run has used the given minutes, the largest batch does not fit into memory,
            the run diverged and rolling back did not help, another worker was lost, or a callback set the learning
            rate; or see `set_up_machine` and `check_workers`.
        ConfigError: See `set_up_machine` and `with_batch_tokens`.
    """
    check_callbacks(callbacks)
    directory, display = Path(directory), make_display(console)
    refuse_pretrained(directory)
    train_alone = partial(_train_alone, callbacks=callbacks, console=console, allow_changes=allow_changes)
    if config.stages:
        with lock_run(directory):
            runs = stage_runs(config, directory, allow_changes)
            report = train_parts(runs, partial(train_alone, locked=directory), display, is_whole=True)
        assert report is not None  # the last stage is never done
        return report
    if isinstance(config, TranslationConfig) and config.teachers.count:
        with lock_run(directory):
            return _train_student(config, directory, partial(train_alone, locked=directory), display, allow_changes)
    if not (directory / CONFIG).exists():  # else it is resumed, perhaps the last part by its own recipe
        refuse_other_parts(directory)
    return train_alone(config, directory)


def _train_student(
    config: TranslationConfig,
    directory: Path,
    train_part: Callable[[Config, Path], TrainingReport],
    display: Display,
    allow_changes: bool,
) -> TrainingReport:
    """Train the teachers of a recipe, let them translate its text, and train the student."""
    runs, config = teacher_runs(config, directory, allow_changes)
    report = train_parts(runs, train_part, display, is_whole=False)
    if report is not None and report.end is None:
        return report
    with on_stop_signals(partial(_end_at_once, display)):
        translate_training_text(config, directory, display)
    display.print(f"student: {directory}")
    return train_part(student_recipe(config, directory), directory)


def _train_alone(
    config: Config,
    directory: Path,
    callbacks: Sequence[keras.callbacks.Callback],
    console: Console | None,
    allow_changes: bool,
    locked: Path | None = None,
) -> TrainingReport:
    """Train a model by a recipe without stages and teachers, or resume its run; `locked` is locked by the caller."""
    machine, display = set_up_machine(config), make_display(console)
    replicas = machine.replicas
    directory.mkdir(parents=True, exist_ok=True)
    needs_lock = replicas.is_chief and directory != locked
    with report_lost_workers(replicas), lock_run(directory) if needs_lock else nullcontext():
        resumes = (directory / LAST).exists()
        refuse_model_without_checkpoint(directory)
        replicas.barrier()  # until all workers have looked
        config, changed = check_recipe(directory, config, allow_changes) if resumes else (config, None)
        check_other_models(config, resumes=resumes)
        config = with_batch_tokens(config, machine.device)
        check_workers(machine, config)
        with on_stop_signals(partial(_end_at_once, display)):
            return _train(config, directory, callbacks, display, machine, changed, allow_changes)


def _train(
    config: Config,
    directory: Path,
    callbacks: Sequence[keras.callbacks.Callback],
    display: Display,
    machine: Machine,
    changed: list[str] | None,
    allow_changes: bool,
) -> TrainingReport:
    """Train; `changed` are the keys that `check_recipe` found for a run that resumes, None for a new run."""
    resumes, cpu_timer = changed is not None, CPUTimer()
    device, precision, replicas = machine
    several = f", replicas: {replicas.num_replicas}" if replicas.num_replicas > 1 else ""
    display.print(f"device: {device.name}, precision: {precision}{several}")
    board = TensorBoardWriter(directory) if config.training.tensorboard and replicas.is_chief else None
    data = prepare_on_all_workers(config, directory, display, replicas, resumes)
    model = make_compiled_model(config, data.tokenizers, precision, replicas, display, is_new=not resumes)
    validator = VALIDATORS.get(type(config), Validator)(model, data, config, display, replicas)
    records = RunDirectory(directory, config, model, data, replicas, allow_changes)
    progress = RunState() if changed is None else _resume(records, changed, display, allow_changes)
    if needs_plan(with_plan_of_checkpoint(config, progress.plan)):
        check_minutes(config, progress, directory)
    records.start_run(resumes)
    baselines = BaselineLosses(validator.unigram_loss, math.log(model.vocabulary_sizes[1]))
    with display.spinner("comparing the corpora"):
        overlaps = find_overlaps(data)
        at_start = start_alarms(config, data, overlaps, precision, device.is_gpu)
    alarms = AlarmMonitor(config, baselines, at_start, records.history())
    plan, stop = plan_epoch(config, data.read_epoch(1), 1), Event()
    loop = TrainingLoop(
        config,
        model,
        data,
        progress,
        epoch_batches=count_batches(config, data, len(plan)),
        directory=records,
        validator=validator,
        monitor=DivergenceMonitor(config.training.recovery, model, data),
        alarms=alarms,
        callbacks=keras.callbacks.CallbackList(list(callbacks), model=model),
        display=display,
        tensorboard=board,
        replicas=replicas,
        stop=stop,
        cpu_timer=cpu_timer,
    )
    if board is not None:
        board.start(loop.update)
    comparison, has_ended = None, loop.end is not None and not loop.should_continue
    if loop.end is not None and has_ended:
        display.print(nothing_left(config, progress, loop.end, directory))
    else:
        if resumes:
            display.print(f"resuming after update {loop.update:,}, in epoch {progress.epoch}")
        overlap = describe_overlaps(overlaps, data)
        summarize(display, model, data, plan, directory, config.validation.metric_name, overlap)
        check_update_count(config.training, loop.epoch_batches)
        for alarm in at_start:
            display.print(f"warning: {alarm.text}")
        # The largest batches over all epochs: a single epoch may not include the longest sentence of a mixture.
        try_largest_batches(
            validator,
            data.read_epoch(progress.epoch),
            plan_epoch(config, data.read_epoch(progress.epoch), progress.epoch, full_pass=True),
        )
        _plan_by_speed(loop, plan)
        with on_stop_signals(partial(_end_after_batch, stop, display)):
            loop.run()
            comparison = None if loop.end is None else compare_delivered_model(loop)
    # If the model has learnt nothing, an alarm with a better remedy already says so.
    learnt = loop.run_state.best is not None
    longer = how_to_continue(loop.config, loop.run_state, directory)
    beaten = baseline_warnings(comparison, longer) if comparison is not None and learnt else []
    remaining = [*alarms.remaining(), *beaten]
    if not has_ended:
        say_how_it_ended(loop, display, comparison)
    for text in remaining if loop.end is not None else ():
        display.warn(text)
    progress = loop.run_state
    return TrainingReport(
        directory,
        loop.end,
        loop.update,
        progress.seconds,
        progress.best,
        records.history(),
        warnings=list(dict.fromkeys([*alarms.said(), *(() if loop.end is None else remaining)])),
        remaining_warnings=remaining,
        comparison=comparison,
        samples=[pair[:2] for pair in choose_samples(data.valid_pairs)] if "source" in data.sides else [],
        overlaps=overlaps,
        stopped=stop.is_set(),
    )


def _resume(records: RunDirectory, changed: list[str], display: Display, allow_changes: bool) -> RunState:
    """Restore the last checkpoint, and report what has changed since."""
    recorded = load_model_config(records.directory)
    before, now = recorded.training, records.config.training
    progress = records.load(LAST)
    valid = records.config.corpora.valid
    if allow_changes and valid.held_out and not valid.is_within(recorded.corpora.valid):
        display.print(
            "warning: if the corpora or data.valid have changed, validation sentences may have been trained on before. "
            "Only an unchanged or lower data.valid.fraction holds the same sentences out of any corpus"
        )
    if progress.rollbacks and (before.learning_rate, before.schedule) != (now.learning_rate, now.schedule):
        progress.rollbacks = 0
        display.print("the learning rate was changed: it is no longer halved for the earlier rollbacks")
    if changed:
        display.print(f"warning: the recipe changed: {', '.join(changed)}")
    return progress


def _plan_by_speed(loop: TrainingLoop, plan: BatchPlan) -> None:
    """Plan the updates that fit into `training.minutes`, unless there is a plan already, and record the plan."""
    config, display = loop.config, loop.display
    if needs_plan(config):
        config = with_plan_of_checkpoint(config, loop.run_state.plan)
        if needs_plan(config):
            pace = measure_pace(
                loop.validator, loop.directory, loop.run_state, loop.data.read_epoch(1), plan, loop.epoch_batches
            )
            loop.run_state.seconds = pace.so_far
            config = plan_updates(config, pace, loop.epoch_batches, loop.update)
            display.print(describe_plan(config, pace, planned_updates(config.training, loop.epoch_batches)))
        loop.config = loop.alarms.config = config
        loop.directory.replace_config(config)
    loop.run_state.plan = recorded_plan(config)
    training, updates = loop.config.training, loop.planned_updates
    for alarm in (short_run_alarm(updates, training), partial_epoch_alarm(updates, len(plan), training)):
        if alarm is not None:
            loop.alarms.at_start.append(alarm)
            display.print(f"warning: {alarm.text}")


def _end_at_once(display: Display) -> None:
    """Stop: before the first batch there is nothing to save, and after the last one everything is saved."""
    display.print("stopping: there is nothing new to save; the same command starts or resumes the run")
    raise KeyboardInterrupt


def _end_after_batch(request: Event, display: Display) -> None:
    """Set `request` at the first signal; stop at the second one."""
    if request.is_set():
        raise KeyboardInterrupt
    request.set()
    display.print("stopping after this batch or validation; press Ctrl-C again to stop without saving")
