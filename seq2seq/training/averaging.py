"""Checkpoint averaging: weights kept at validations, and their mean, which often translates better than any of them."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ValidationError

from seq2seq.errors import ModelDirectoryError, TrainingError
from seq2seq.model_directory.contents import ModelContents, new_model_directory
from seq2seq.model_directory.directory import load_model_config, load_tokenizers, verify_directory
from seq2seq.model_directory.history import read_history
from seq2seq.models.base import DecoderModel, named_weights
from seq2seq.plurals import pluralize
from seq2seq.storage.arrays import load_arrays, load_metadata, save_arrays

KEPT_WEIGHTS_FILE = "checkpoints/update-{:08d}.safetensors"


class _Kept(BaseModel):
    """Metadata of kept weights: the validation that measured them."""

    update: int
    epoch: int
    metric: Literal["loss", "bleu"]
    value: float
    loss: float
    bleu: float | None


def save_kept_weights(folder: Path, model: DecoderModel, entry: Mapping[str, Any], metric: str) -> None:
    """Write the weights that a validation measured into a model directory, with the validation's history entry.

    `metric`, `loss` or `bleu`, decides which weights are best.
    """
    values = {"loss": entry["valid_loss"], "bleu": entry["bleu"]}
    about = {"update": entry["update"], "epoch": entry["epoch"], "metric": metric, "value": values[metric], **values}
    save_arrays(folder / KEPT_WEIGHTS_FILE.format(entry["update"]), named_weights(model), about)


def list_kept_weights(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Files of kept weights in a model directory, ordered by update, each with the metadata of its validation.

    The metadata are `update` and `epoch`; `metric`, `loss` or `bleu`, which decides what is best, and its `value`;
    `loss` (nats per target token) and `bleu` (None if it was not measured). `load_arrays` reads the weights, named as
    by `named_weights`.

    Raises:
        ModelDirectoryError: A file is damaged.
    """
    kept = [(file, load_metadata(file)) for file in folder.glob(KEPT_WEIGHTS_FILE.replace("{:08d}", "*"))]
    for file, about in kept:
        try:
            _Kept.model_validate(about, strict=True)
        except ValidationError:
            raise ModelDirectoryError(f"{file}: has arrays, but no weights kept for averaging. Delete it.") from None
    return sorted(kept, key=lambda kept: kept[1]["update"])


def rank(metric: str, value: float, loss: float) -> tuple[float, float]:
    """Sort key of a validation, lower for a better one: by the metric and, for equal BLEU, by the loss."""
    return (-value if metric == "bleu" else value, loss)


def rank_by_metric(kept: list[tuple[Any, dict[str, Any]]]) -> list[tuple[Any, dict[str, Any]]]:
    """Sort the result of `list_kept_weights` from best to worst, without NaN values; ties keep their order."""
    numbers = [pair for pair in kept if not math.isnan(pair[1]["value"])]
    return sorted(numbers, key=lambda pair: rank(*(pair[1][name] for name in ("metric", "value", "loss"))))


def prune_kept(folder: Path, keep_last: int, keep_best: int) -> None:
    """Delete kept weights that are neither among the newest nor among the best."""
    kept = list_kept_weights(folder)
    wanted = kept[max(len(kept) - keep_last, 0) :] + rank_by_metric(kept)[:keep_best]
    for file in {file for file, _ in kept} - {file for file, _ in wanted}:
        file.unlink()


def truncate_kept(folder: Path, update: int) -> None:
    """Delete weights kept after an update: those that a resumed run will write again."""
    for file, about in list_kept_weights(folder):
        if about["update"] > update:
            file.unlink()


def average_checkpoints(
    directory: str | Path, output: str | Path, *, last: int | None = None, best: int | None = None
) -> list[dict[str, Any]]:
    """Average weights that training kept, and write a model directory that translates with the mean.

    The mean is taken in float64 and stored in float32; only one file at a time is in memory. Recipe and tokenizers are
    copied; `scores` in the metadata names the averaged updates.

    Args:
        directory: A model directory.
        output: A new or empty directory. It is written completely or not at all.
        last: Number of latest validations to average; give either this or `best`.
        best: Number of best validations to average, by the validation metric of the recipe.

    Returns:
        Metadata of each averaged validation, last or best first: `update`, `epoch`, `metric`, `value`, `loss`, `bleu`.

    Raises:
        TrainingError: Not exactly one of `last` and `best` is given, or the weights of a validation were not kept.
        ModelDirectoryError: A file is damaged, the files are from different models, or `output` is in use.

    Source: Junczys-Dowmunt, Dwojak and Sennrich (2016); Vaswani et al. (2017), section 6.1.
    """
    directory, output = Path(directory), Path(output)
    described = verify_directory(directory)
    chosen = _choose(directory, last, best)
    mean = _mean([file for file, _ in chosen])
    validations = [about for _, about in chosen]
    scores = {
        "averaged": [about["update"] for about in validations],
        "by": "last" if best is None else f"best {load_model_config(directory).validation.metric_name}",
        "validations": validations,
    }
    known = {name: described[name] for name in ("precision", "tokenizers", "corpus") if name in described}
    contents = ModelContents(load_model_config(directory), load_tokenizers(directory), mean, known | {"scores": scores})
    with new_model_directory(output, contents):
        pass
    return validations


def _choose(directory: Path, last: int | None, best: int | None) -> list[tuple[Path, dict[str, Any]]]:
    if (last is None) == (best is None):
        raise TrainingError("give either 'last' or 'best', the number of validations to average.")
    number, which = (last, "last") if last is not None else (best, "best")
    assert number is not None
    if number < 1:
        raise TrainingError(f"'{which}' is {number}: at least one validation is needed.")
    # Chosen from the history: the kept files may have gaps, e.g. if a resumed run keeps more than before.
    config = load_model_config(directory)
    metric = config.validation.metric
    value = "bleu" if metric == "bleu" else "valid_loss"
    history = [
        (entry["update"], {"metric": metric, "value": entry[value], "loss": entry["valid_loss"]})
        for entry in read_history(directory)
    ]
    ordered = rank_by_metric(history) if which == "best" else history[::-1]
    amount = pluralize(number, "validation")
    if number > len(ordered):
        raise TrainingError(
            f"{directory}: the {which} {amount} cannot be averaged: the run has {len(ordered)}. Lower '{which}'."
        )
    kept = {about["update"]: (file, about) for file, about in list_kept_weights(directory)}
    wanted = [update for update, _ in ordered[:number]]
    missing = ", ".join(f"{update:,}" for update in wanted if update not in kept)
    if missing:
        raise TrainingError(
            f"{directory}: the {which} {amount} cannot be averaged: the weights of update {missing} "
            f"were not kept. Lower '{which}', or train with a higher training.keep_{which}, which is "
            f"{getattr(config.training, f'keep_{which}')} here."
        )
    return [kept[update] for update in wanted]


def _mean(files: Sequence[Path]) -> dict[str, np.ndarray]:
    total: dict[str, np.ndarray] = {}
    for file in files:
        weights, _ = load_arrays(file)
        if not total:
            total = {name: np.zeros(array.shape, np.float64) for name, array in weights.items()}
        if {name: array.shape for name, array in weights.items()} != {name: sum_.shape for name, sum_ in total.items()}:
            raise ModelDirectoryError(f"{file}: has different weights from {files[0]}. Are both from the same model?")
        for name, array in weights.items():
            total[name] += array
    return {name: (array / len(files)).astype(np.float32) for name, array in total.items()}
