"""What a run writes besides the model: checkpoints that resume exactly, weights kept for averaging, the history."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.config import Config, changed_keys
from seq2seq.config.search import EXTERNAL_OPTIONS
from seq2seq.errors import ModelDirectoryError, TrainingError
from seq2seq.model_directory.directory import load_model_config
from seq2seq.model_directory.metadata import HISTORY, read_history
from seq2seq.models.base import DecoderModel, named_weights, weight_name
from seq2seq.storage.arrays import load_arrays, load_metadata, save_arrays
from seq2seq.storage.files import atomic_write, regular_file, storage_errors
from seq2seq.training.run_state import RunState

LAST, BEST = "checkpoints/last.safetensors", "checkpoints/best.safetensors"
KEPT_WEIGHTS = "checkpoints/update-{:08d}.safetensors"
# What may differ between the recipe of an interrupted run and the one that resumes it: keys and whole sections.
# Precision may be spelt out where `auto` was: the checkpoint knows the one that was used.
CHANGEABLE_KEYS = (
    "training.epochs",
    "training.updates",
    "training.learning_rate",
    "training.schedule",
    "training.recovery",
    "training.checkpoint_minutes",
    "training.distribution",
    "training.precision",
    # About the machine, like the two above: a run that is resumed on another device gets that device's default anyway.
    "training.deterministic",
    "training.keep_last",
    "training.keep_best",
    "training.tensorboard",
    "validation.patience",
    # Validation has its own beam, and never samples.
    "search.beam_size",
    "search.n_best",
    "search.sample",
    "search.temperature",
    "search.top_k",
    "search.top_p",
    "search.seed",
    # Validation measures the model alone.
    *(f"search.{key}" for key in EXTERNAL_OPTIONS),
    # About the machine: a translation does not depend on its batch.
    "search.batch_tokens",
)


def training_state(model: DecoderModel) -> dict[str, Any]:
    """Every variable that a later training step depends on, by name."""
    # Keras numbers the second Adam of a process adam_1: the outer name is left out.
    named = {f"weights/{weight_name(v)}": v for v in model.weights}
    named |= {f"optimizer/{weight_name(v)}": v for v in model.optimizer.variables}
    named |= {f"metrics/{metric.name}/{v.name}": v for metric in model.metrics for v in metric.variables}
    named |= {f"update/{name}": v for name, v in model.update.state_variables().items()}
    return named | {"dropout_step": model.stream.step}


def snapshot(model: DecoderModel) -> dict[str, np.ndarray]:
    """The values of `training_state`."""
    return {name: np.array(variable) for name, variable in training_state(model).items()}


def restore(model: DecoderModel, arrays: Mapping[str, np.ndarray], origin: str) -> None:
    """Set the values of `training_state`.

    Raises:
        TrainingError: The checkpoint is of another model or optimizer.
    """
    variables = training_state(model)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    differ = sorted(set(shapes.items()) ^ {(name, array.shape) for name, array in arrays.items()})
    if differ:
        raise TrainingError(f"{origin}: does not fit this model and optimizer; '{differ[0][0]}' differs.")
    for name, variable in variables.items():
        variable.assign(arrays[name])


def save_checkpoint(
    path: Path, model: DecoderModel, run_state: RunState, corpora: str, state: Mapping[str, np.ndarray]
) -> None:
    """Write a checkpoint atomically.

    Args:
        corpora: The fingerprint of what is trained and validated on.
        state: What `snapshot` gave.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"run_state": run_state.as_dict(), "corpora": corpora, "precision": model.precision}
    save_arrays(path, state, about)


def load_checkpoint(path: Path, model: DecoderModel, corpora: str, allow_changes: bool = False) -> RunState:
    """Set a model's training state from a checkpoint and return where it stood.

    With `allow_changes` other corpora are taken, too, and the epoch begins anew.

    Raises:
        TrainingError: The corpora or the precision changed since, so the run could not go on as it would have.
        ModelDirectoryError: The file is damaged.
    """
    arrays, about = load_arrays(path)
    try:
        progress = RunState(**about["run_state"])
    except (KeyError, TypeError):
        raise ModelDirectoryError(f"{path}: is no checkpoint of training. Restore it from a copy.") from None
    if about["precision"] != model.precision:
        raise TrainingError(
            f"{path}: was written in {about['precision']}, and this run would go on in {model.precision}. "
            f"Set training.precision to {about['precision']}."
        )
    if about["corpora"] != corpora and not allow_changes:
        raise TrainingError(
            f"{path}: the training or validation corpus, or the filters, changed since this checkpoint was written. "
            "Bring them back, give --allow-changes, or train into another directory."
        )
    restore(model, arrays, str(path))
    if allow_changes:
        progress.batch = 0  # counts batches of a plan that may be another now
    return progress


def keep_weights(folder: Path, model: DecoderModel, entry: Mapping[str, Any], metric: str) -> None:
    """Write the weights that a validation measured, for averaging, with its numbers.

    Args:
        folder: The model directory.
        entry: The validation's line of the history.
        metric: `loss` or `bleu`, the one that tells which are best.
    """
    values = {"loss": entry["valid_loss"], "bleu": entry["bleu"]}
    about = {"update": entry["update"], "epoch": entry["epoch"], "metric": metric, "value": values[metric], **values}
    save_arrays(folder / KEPT_WEIGHTS.format(entry["update"]), named_weights(model), about)


def kept_weights(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The files of kept weights in a model directory by update, each with what is known of its validation.

    That is `update` and `epoch`; `metric`, `loss` or `bleu`, which decides what is best, and its `value`; `loss`
    (nats a target token) and `bleu` (None where it was not measured). `load_arrays` reads the weights, by the
    names of `named_weights`.

    Raises:
        ModelDirectoryError: A file is damaged.
    """
    kept = [(file, load_metadata(file)) for file in folder.glob(KEPT_WEIGHTS.replace("{:08d}", "*"))]
    for file, about in kept:
        if not about.keys() >= {"update", "epoch", "metric", "value", "loss", "bleu"}:
            raise ModelDirectoryError(f"{file}: holds arrays, but no weights kept for averaging. Delete it.")
    return sorted(kept, key=lambda kept: kept[1]["update"])


def rank_by_metric(kept: list[tuple[Any, dict[str, Any]]]) -> list[tuple[Any, dict[str, Any]]]:
    """What `kept_weights` gave, by falling merit, without those that are no number.

    Of equal BLEU the lower loss comes first, of equals in all the earlier.
    """

    def rank(pair: tuple[Any, dict[str, Any]]) -> tuple[float, float]:
        value, loss = pair[1]["value"], pair[1]["loss"]
        return (-value, loss) if pair[1]["metric"] == "bleu" else (value, loss)

    return sorted((pair for pair in kept if not math.isnan(pair[1]["value"])), key=rank)


def prune_kept(folder: Path, keep_last: int, keep_best: int) -> None:
    """Delete kept weights that are neither among the newest nor among the best."""
    kept = kept_weights(folder)
    wanted = kept[max(len(kept) - keep_last, 0) :] + rank_by_metric(kept)[:keep_best]
    for file in {file for file, _ in kept} - {file for file, _ in wanted}:
        file.unlink()


def truncate_kept(folder: Path, update: int) -> None:
    """Delete weights kept after an update: those that a resumed run will write again."""
    for file, about in kept_weights(folder):
        if about["update"] > update:
            file.unlink()


def with_original_batching(directory: Path, config: Config) -> Config:
    """The recipe, with the `batching.max_tokens` that a run was started with where it leaves them to the device.

    So a run that is resumed on another device keeps its batches.
    """
    if config.batching.max_tokens is not None:
        return config
    tokens = load_model_config(directory).batching.max_tokens
    return config.model_copy(update={"batching": config.batching.model_copy(update={"max_tokens": tokens})})


def forbidden_changes(directory: Path, config: Config) -> list[str]:
    """Keys outside `CHANGEABLE_KEYS` in which a recipe differs from the one that a run was started with."""
    changed = changed_keys(load_model_config(directory), with_original_batching(directory, config))
    return [key for key in changed if not any(key == free or key.startswith(f"{free}.") for free in CHANGEABLE_KEYS)]


def check_recipe(directory: Path, config: Config) -> None:
    """See that a run can go on with a recipe.

    Raises:
        TrainingError: The recipe that it was started with differs in more than `CHANGEABLE_KEYS`.
    """
    if changed := forbidden_changes(directory, config):
        raise TrainingError(
            f"{directory}: holds a run of another recipe; changed: {', '.join(changed)}. Give the same recipe to "
            "resume it, --allow-changes to go on with this one all the same, or another --output to start anew."
        )


def append_history(folder: Path, entry: Mapping[str, Any]) -> None:
    """Add one validation to `history.jsonl`."""
    path = folder / HISTORY
    if os.path.lexists(path):
        regular_file(path)
    with storage_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(dict(entry)) + "\n")


def truncate_history(folder: Path, update: int) -> None:
    """Drop entries after an update: those that a resumed run will write again."""
    kept = [entry for entry in read_history(folder) if entry["update"] <= update]
    with atomic_write(folder / HISTORY) as partial:
        partial.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")
