"""Files of a run: checkpoints that resume exactly, the history, the delivered model and the lock."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.config import Config, changed_keys
from seq2seq.config.search import EXTERNAL_OPTIONS
from seq2seq.devices.replicas import Replicas
from seq2seq.errors import ModelDirectoryError, TrainingError
from seq2seq.model_directory import LAST, LOCK_FILE, STAGES
from seq2seq.model_directory.directory import (
    METADATA,
    create_model_directory,
    load_model_config,
    save_weights,
)
from seq2seq.model_directory.history import HISTORY, append_history, read_history, truncate_history
from seq2seq.models.base import DecoderModel, named_weights, weight_name
from seq2seq.storage.arrays import digest, load_arrays, save_arrays
from seq2seq.storage.locks import file_lock
from seq2seq.training.averaging import prune_kept, save_kept_weights, truncate_kept
from seq2seq.training.pace import with_recorded_plan
from seq2seq.training.preparation import TrainingData
from seq2seq.training.run_state import RunState, resume_command

BEST = "checkpoints/best.safetensors"
# Keys and whole sections that decide nothing about training that is done.
# `precision` may be given if it was `auto`: the checkpoint records which one was used.
IDLE_KEYS = (
    *(f"training.{key}" for key in ("checkpoint_minutes", "keep_last", "keep_best", "tensorboard")),
    # Machine settings: a run resumed on another device gets the defaults of that device anyway.
    *(f"training.{key}" for key in ("distribution", "precision", "deterministic")),
    # Validation has its own beam size without groups, never samples, and uses none of the external files.
    *(f"search.{key}" for key in ("beam_size", "n_best", "sample", "temperature", "top_k", "top_p", "seed")),
    *(f"search.{key}" for key in ("beam_groups", "diversity_penalty")),
    *(f"search.{key}" for key in EXTERNAL_OPTIONS),
    # A machine setting: a translation does not depend on its batch.
    "search.batch_tokens",
)
# Those that may differ between the recipe of an interrupted run and the one that resumes it.
CHANGEABLE_KEYS = (
    *(f"training.{key}" for key in ("epochs", "updates", "minutes", "learning_rate", "schedule", "recovery")),
    "validation.patience",
    *IDLE_KEYS,
)
# Paths of text, which may change; the fingerprint in the checkpoint identifies the text itself.
CORPUS_PATHS = re.compile(r"data\.(train|valid|test)\.(mixture\.\d+\.)?(tsv|source|target)")


def training_state(model: DecoderModel) -> dict[str, Any]:
    """Every variable on which a later training step depends, by name."""
    # Keras numbers the second Adam of a process adam_1: the outer name is left out.
    named = {f"weights/{weight_name(v)}": v for v in model.weights}
    named |= {f"optimizer/{weight_name(v)}": v for v in model.optimizer.variables}
    named |= {f"metrics/{metric.name}/{v.name}": v for metric in model.metrics for v in metric.variables}
    named |= {f"update/{name}": v for name, v in model.update.state_variables().items()}
    return named | {"dropout_step": model.random_stream.step}


def snapshot(model: DecoderModel) -> dict[str, np.ndarray]:
    """The values of `training_state`."""
    return {name: np.array(variable) for name, variable in training_state(model).items()}


def restore(model: DecoderModel, arrays: Mapping[str, np.ndarray], origin: str) -> None:
    """Set the values of `training_state`.

    Raises:
        TrainingError: The checkpoint belongs to a different model or optimizer.
    """
    variables = training_state(model)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    differ = sorted(set(shapes.items()) ^ {(name, array.shape) for name, array in arrays.items()})
    if differ:
        raise TrainingError(f"{origin}: does not fit this model and optimizer; '{differ[0][0]}' differs.")
    for name, variable in variables.items():
        variable.assign(arrays[name])


def refuse_model_without_checkpoint(directory: Path) -> None:
    """Refuse to train into a directory whose model cannot be trained further.

    Raises:
        TrainingError: It has a model, but no checkpoint.
    """
    if (directory / METADATA).exists() and not (directory / LAST).exists():
        raise TrainingError(f"{directory}: has a model without a checkpoint. Train into another directory.")


def check_recipe(directory: Path, config: Config, allow_changes: bool = False) -> tuple[Config, list[str]]:
    """Check that a run can be resumed with a recipe.

    Returns:
        The recipe, and the keys outside `CHANGEABLE_KEYS` in which it differs from the one that the run was started
        with. If it leaves `batching.max_tokens` open, it gets the value that the run was started with, so that a run
        resumed on a different device keeps its batches; if it leaves `training.updates` to `training.minutes`, see
        `with_recorded_plan`.

    Raises:
        TrainingError: There are such keys, and `allow_changes` is false.
    """
    started = load_model_config(directory)
    config, changed = _compare(started, config, CHANGEABLE_KEYS)
    if changed and not allow_changes:
        before, now = (
            None if run.training.minutes is None else f"{run.training.minutes:g}" for run in (started, config)
        )
        planned = f" (a plan depends on training.minutes: {before or 'none'} then, {now or 'none'} now)"
        reason = "" if now == before else planned
        minutes = f" --minutes {now}" if now not in (before, None) else ""
        raise TrainingError(
            f"{directory}: has a run with a different recipe; changed: {', '.join(changed)}{reason}. To resume the run "
            f"with its own recipe: {resume_command(directory)}{minutes}. To resume it with the changed keys, give "
            "--allow-changes; to start a new run, give another --output."
        )
    return config, changed


def check_finished(directory: Path, config: Config, allow_changes: bool = False) -> list[str]:
    """Check that the recipe of a finished stage or teacher is the one that it was trained with.

    Returns:
        The keys outside `IDLE_KEYS` in which it differs, and paths of text.

    Raises:
        TrainingError: There are such keys, and `allow_changes` is false.
    """
    started = load_model_config(directory)
    paths = [key for key in changed_keys(started, config) if CORPUS_PATHS.fullmatch(key)]
    _, changed = _compare(started, config, IDLE_KEYS)
    if changed and not allow_changes:
        if directory.parent.name == STAGES:  # a teacher otherwise
            part, later = "stage", f"a later stage, set the key in its section: --set stages.{directory.name}."
            later += f"{changed[0]}=VALUE"
        else:
            part, later = "teacher", "the student alone, set the key to its old value in teachers.changes"
        raise TrainingError(
            f"{directory}: this {part} is finished, and has been trained with a different recipe; changed: "
            f"{', '.join(changed)}. To change {later}. To continue with the model of the {part} as it is, give "
            f"--allow-changes; to train all {part}s anew, give another --output."
        )
    return changed + paths


def _compare(started: Config, config: Config, free: Sequence[str]) -> tuple[Config, list[str]]:
    """Complete a recipe as `check_recipe` does, and list the keys that differ, without paths of text and free ones."""
    if config.batching.max_tokens is None:
        batching = config.batching.model_copy(update={"max_tokens": started.batching.max_tokens})
        config = config.model_copy(update={"batching": batching})
    config = with_recorded_plan(config, started)
    keys = [key for key in changed_keys(started, config) if not CORPUS_PATHS.fullmatch(key)]
    return config, [key for key in keys if not any(key == name or key.startswith(f"{name}.") for name in free)]


def lock_run(directory: Path) -> AbstractContextManager[None]:
    """Lock a directory for this process; see `file_lock`.

    Raises:
        TrainingError: Another process is training into it.
    """
    return file_lock(
        directory / LOCK_FILE,
        lambda process: TrainingError(
            f"{directory}: process {process} is training into it. Wait for it or end it, or give another --output."
        ),
    )


@dataclass
class RunDirectory:
    """Checkpoints, model, kept weights and history of a run. All workers call its methods; only the chief writes."""

    directory: Path
    config: Config
    model: DecoderModel
    data: TrainingData
    replicas: Replicas
    allow_changes: bool = False
    _written: set[str] = field(default_factory=set, init=False)  # checkpoints of this session

    def start_run(self, resumes: bool) -> None:
        """Write the recipe of a run that resumes; for a new run, delete what an earlier one left."""
        if not self.replicas.is_chief:
            return
        if resumes:
            create_model_directory(self.directory, self.config, self.data.tokenizers)
        else:  # its recipe was written with the corpora, for which the other workers wait
            (self.directory / HISTORY).unlink(missing_ok=True)
            truncate_kept(self.directory, -1)

    def replace_config(self, config: Config) -> None:
        """Continue with a different recipe, and write it."""
        self.config = config
        if self.replicas.is_chief:
            create_model_directory(self.directory, config, self.data.tokenizers)

    def load(self, name: str) -> RunState:
        """Restore a checkpoint; later validations are dropped from the history and will be repeated.

        With `allow_changes`, the corpora may differ from those of an earlier session, and the epoch starts over.

        Raises:
            TrainingError: The corpora, the teachers or the precision changed since, so the run cannot be resumed
                exactly.
            ModelDirectoryError: The file is damaged.
        """
        path, precision = self.directory / name, self.model.precision
        allow_changes = self.allow_changes and name not in self._written
        arrays, about = load_arrays(path)
        try:
            progress, corpora, trained_in = RunState(**about["run_state"]), about["corpora"], about["precision"]
        except (KeyError, TypeError):
            raise ModelDirectoryError(f"{path}: is not a training checkpoint. Restore it from a copy.") from None
        if trained_in != precision:
            raise TrainingError(
                f"{path}: was written in {trained_in}, but this run would resume in {precision}. "
                f"Set training.precision to {trained_in}."
            )
        if corpora != self.data.fingerprint() and not allow_changes:
            keys = filter(CORPUS_PATHS.fullmatch, changed_keys(load_model_config(self.directory), self.config))
            elsewhere = ", ".join(keys)
            raise TrainingError(
                f"{path}: the training or validation corpus, or the filters, changed since this checkpoint was "
                f"written{f'; changed: {elsewhere}' if elsewhere else ''}. Undo the change, give --allow-changes, or "
                "train into another directory."
            )
        if about["teachers"] != self._teachers and not allow_changes:
            raise TrainingError(
                f"{path}: the teachers of training.distillation, or their weights, changed since this checkpoint was "
                "written. Undo the change, give --allow-changes, or train into another directory."
            )
        if allow_changes:  # a changed objective has other metrics, which start anew
            here = snapshot(self.model)
            kept = {name: value for name, value in arrays.items() if name in here or not name.startswith("metrics/")}
            arrays = {name: value for name, value in here.items() if name.startswith("metrics/")} | kept
        restore(self.model, arrays, str(path))
        if allow_changes:
            progress.batch = 0  # it counts batches of a plan that may have changed
        self.replicas.barrier()  # until all workers have read what the chief may now overwrite
        if self.replicas.is_chief:
            truncate_history(self.directory, progress.validations)  # by number: two may have the same update
            truncate_kept(self.directory, progress.last_validation_batch // self.config.training.accumulation_steps)
        return progress

    def save(self, name: str, run_state: RunState) -> None:
        """Write a checkpoint, atomically."""
        self._written.add(name)
        state = snapshot(self.model)  # on all workers, which may have to add up their parts
        if self.replicas.is_chief:
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            about = {"corpora": self.data.fingerprint(), "precision": self.model.precision, "teachers": self._teachers}
            save_arrays(path, state, {"run_state": asdict(run_state)} | about)

    @cached_property
    def _teachers(self) -> list[str]:
        """Digests of the teachers' weights."""
        taught_by = self.model.distillation
        return [] if taught_by is None else [digest(named_weights(teacher)) for teacher in taught_by.teachers]

    def choose_rollback_checkpoint(self, further: bool) -> str:
        """The checkpoint to roll back to: the last one or, if `further` back, the best one if there is one."""
        return BEST if further and (self.directory / BEST).exists() else LAST

    def record_validation(self, entry: Mapping[str, Any], is_delivered: bool) -> None:
        """Append a validation to the history, and write the weights that it measured if they are to be kept.

        Args:
            entry: The validation.
            is_delivered: Whether the weights become the directory's model.
        """
        training = self.config.training
        if self.replicas.is_chief:
            append_history(self.directory, entry)
        if self.replicas.is_chief and is_delivered:
            scores = {key: entry[key] for key in ("epoch", "update", "valid_loss", "valid_perplexity", "bleu")}
            weights = named_weights(self.model)
            save_weights(self.directory, weights, self.model.precision, {"validation": scores}, self.data.corpus_stats)
        if self.replicas.is_chief and (training.keep_last or training.keep_best):
            save_kept_weights(self.directory, self.model, entry, self.config.validation.metric)

    def prune(self) -> None:
        """Delete kept weights that are no longer wanted, after writing a checkpoint that covers the new ones."""
        if self.replicas.is_chief:
            prune_kept(self.directory, self.config.training.keep_last, self.config.training.keep_best)

    def history(self) -> list[dict[str, Any]]:
        """All validations so far, read once the chief has written them."""
        self.replicas.barrier()
        return read_history(self.directory)
