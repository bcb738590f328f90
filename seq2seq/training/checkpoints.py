"""Checkpoints that resume exactly: weights, optimizer, accumulated gradients, metrics, counters."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.errors import TrainingError
from seq2seq.model import Seq2Seq
from seq2seq.model_directory import inner_path, load_arrays, replacing, save_arrays
from seq2seq.training.progress import Progress

LAST, BEST = "checkpoints/last.h5", "checkpoints/best.h5"
HISTORY = "history.jsonl"


def training_state(model: Seq2Seq) -> dict[str, Any]:
    """Every variable that a later training step depends on, by name."""
    # Keras numbers the second Adam of a process adam_1: the outer name is left out.
    named = {f"weights/{inner_path(v)}": v for v in model.weights}
    named |= {f"optimizer/{inner_path(v)}": v for v in model.optimizer.variables}
    named |= {f"metrics/{metric.name}/{v.name}": v for metric in model.metrics for v in metric.variables}
    named |= {f"update/{name}": v for name, v in model.update.state_variables().items()}
    return named | {"draw": model.stream.draw}


def snapshot(model: Seq2Seq) -> dict[str, np.ndarray]:
    """The values of `training_state`."""
    return {name: np.array(variable) for name, variable in training_state(model).items()}


def restore(model: Seq2Seq, arrays: Mapping[str, np.ndarray], origin: str) -> None:
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


def save_checkpoint(path: Path, model: Seq2Seq, progress: Progress, corpora: str) -> None:
    """Write a checkpoint atomically. `corpora` is the fingerprint of what is trained and validated on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"progress": progress.as_dict(), "corpora": corpora, "precision": model.dtype_policy.name}
    save_arrays(path, snapshot(model), about)


def load_checkpoint(path: Path, model: Seq2Seq, corpora: str) -> Progress:
    """Set a model's training state from a checkpoint and return where it stood.

    Raises:
        TrainingError: The corpora or the precision changed since, so the run could not go on as it would have.
        ModelDirectoryError: The file is damaged.
    """
    arrays, about = load_arrays(path)
    if about["precision"] != model.dtype_policy.name:
        raise TrainingError(
            f"{path}: was written in {about['precision']}, and this run would go on in {model.dtype_policy.name}. "
            f"Set training.precision to {about['precision']}."
        )
    if about["corpora"] != corpora:
        raise TrainingError(
            f"{path}: the training or validation corpus, or the filters, changed since this checkpoint was written. "
            "Bring them back, or train into another directory."
        )
    restore(model, arrays, str(path))
    return Progress(**about["progress"])


def append_history(folder: Path, entry: Mapping[str, Any]) -> None:
    """Add one validation to `history.jsonl`."""
    with (folder / HISTORY).open("a", encoding="utf-8") as file:
        file.write(json.dumps(dict(entry)) + "\n")


def read_history(folder: Path) -> list[dict[str, Any]]:
    """All validations of a run, in order; [] before the first. A half-written last line does not count."""
    file, entries = folder / HISTORY, []
    for line in file.read_text(encoding="utf-8").split("\n") if file.exists() else []:
        with suppress(json.JSONDecodeError):
            entries.append(json.loads(line))
    return entries


def cut_history(folder: Path, update: int) -> None:
    """Drop entries after an update: those that a resumed run will write again."""
    kept = [entry for entry in read_history(folder) if entry["update"] <= update]
    with replacing(folder / HISTORY) as partial:
        partial.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")
