"""Everything that a run writes into its directory and reads again."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from seq2seq.config import Config
from seq2seq.devices.replicas import Replicas
from seq2seq.errors import TrainingError
from seq2seq.model_directory.directory import create_model_directory, save_weights
from seq2seq.model_directory.metadata import HISTORY, read_history
from seq2seq.models.base import DecoderModel, named_weights
from seq2seq.storage.lock import file_lock
from seq2seq.training.checkpoints import (
    BEST,
    LAST,
    append_history,
    keep_weights,
    load_checkpoint,
    prune_kept,
    save_checkpoint,
    snapshot,
    truncate_history,
    truncate_kept,
)
from seq2seq.training.preparation import TrainingData
from seq2seq.training.run_state import RunState

# Beside the checkpoints, which are no part of the model that is handed on.
LOCK_FILE = "checkpoints/train.lock"


def lock_run(directory: Path) -> AbstractContextManager[None]:
    """Keep a directory to this process, see `file_lock`.

    Raises:
        TrainingError: Another process trains into it.
    """
    return file_lock(
        directory / LOCK_FILE,
        lambda process: TrainingError(
            f"{directory}: process {process} is training into it. Wait for it or end it, or give another --output."
        ),
    )


class RunDirectory:
    """A run's checkpoints, model, kept weights and history. All workers call the same methods, the chief alone writes.

    Args:
        directory: The model directory.
        config: The recipe.
        model: That is trained.
        data: What it is trained on.
        replicas: Who writes.
    """

    def __init__(
        self, directory: Path, config: Config, model: DecoderModel, data: TrainingData, replicas: Replicas
    ) -> None:
        self.directory, self.config, self.model, self.data, self.replicas = directory, config, model, data, replicas

    def begin(self, resumes: bool) -> None:
        """Write the recipe that a run goes on with; without `resumes`, forget what an earlier run left."""
        if not self.replicas.is_chief:
            return
        if resumes:
            create_model_directory(self.directory, self.config, self.data.tokenizers)
        else:  # began with its corpora, for the workers that wait for them
            (self.directory / HISTORY).unlink(missing_ok=True)
            truncate_kept(self.directory, -1)

    def load(self, name: str, allow_changes: bool = False) -> RunState:
        """Go to where a checkpoint stands; what was measured after it will be measured again.

        Raises:
            TrainingError, ModelDirectoryError: See `load_checkpoint`.
        """
        progress = load_checkpoint(self.directory / name, self.model, self.data.fingerprint(), allow_changes)
        self.replicas.barrier()  # until all have read what the chief may write anew
        if self.replicas.is_chief:
            measured = progress.last_validation // self.config.training.accumulation_steps
            truncate_history(self.directory, measured)
            truncate_kept(self.directory, measured)
        return progress

    def save(self, name: str, run_state: RunState) -> None:
        """Write a checkpoint."""
        state = snapshot(self.model)  # on all workers: they may have to add up what they have
        if self.replicas.is_chief:
            save_checkpoint(self.directory / name, self.model, run_state, self.data.fingerprint(), state)

    def rollback_checkpoint(self, further: bool) -> str:
        """The checkpoint for a run that diverged: the last one or, to go further, the best one if there is one."""
        return BEST if further and (self.directory / BEST).exists() else LAST

    def record_validation(self, entry: Mapping[str, Any], run_state: RunState) -> None:
        """Write a validation's line of the history, and the weights that it measured where they are wanted.

        Until a validation is the best one, the directory's model is the last that was validated.
        """
        training = self.config.training
        if self.replicas.is_chief:
            append_history(self.directory, entry)
        if self.replicas.is_chief and (entry["best"] or run_state.best is None):
            scores = {key: entry[key] for key in ("epoch", "update", "valid_loss", "valid_perplexity", "bleu")}
            weights = named_weights(self.model)
            save_weights(self.directory, weights, self.model.precision, {"validation": scores}, self.data.corpus_stats)
        if entry["best"]:
            self.save(BEST, run_state)
        if self.replicas.is_chief and (training.keep_last or training.keep_best):
            keep_weights(self.directory, self.model, entry, self.config.validation.metric)

    def prune(self) -> None:
        """Delete kept weights that are no longer wanted; after the checkpoint that knows of the new ones."""
        if self.replicas.is_chief:
            prune_kept(self.directory, self.config.training.keep_last, self.config.training.keep_best)

    def history(self) -> list[dict[str, Any]]:
        """All validations so far, once all is written."""
        self.replicas.barrier()
        return read_history(self.directory)
