"""Before the first update: weights that come from another model, and weights that are not trained."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from seq2seq.data.tokenizer import Tokenizers
from seq2seq.errors import TrainingError, did_you_mean
from seq2seq.model_directory.directory import load_tokenizers, load_weights
from seq2seq.models.base import DecoderModel, weight_name
from seq2seq.training.display import Display

MAX_LISTED = 12  # weights in a message


def warm_start(model: DecoderModel, tokenizers: Tokenizers, folder: Path, display: Display) -> None:
    """Take over the weights of a model directory where name and shape are equal, and say which were not.

    Raises:
        TrainingError: There is no such weight.
        ModelDirectoryError, TokenizerError: The directory lacks something, or it is damaged.
    """
    theirs = load_weights(folder)
    ours = {weight_name(weight): weight for weight in model.weights}
    shared = sorted(ours.keys() & theirs.keys())
    same = [name for name in shared if tuple(ours[name].shape) == theirs[name].shape]
    if not same:
        raise TrainingError(
            f"training.warm_start: none of the {len(theirs)} weights in {folder} has the name and shape of one of "
            f"this model's {len(ours)}. Take embeddings, encoder and decoder from {folder / 'config.yaml'}."
        )
    for name in same:
        ours[name].assign(theirs[name])
    taken = sum(theirs[name].size for name in same)
    share = taken / model.count_params()
    rows = {"from": str(folder), "weights": f"{len(same)} of {len(ours)}, {share:.1%} of the parameters"}
    reshaped = [
        f"{name} {theirs[name].shape} there, {tuple(ours[name].shape)} here" for name in shared if name not in same
    ]
    for what, names in (
        ("not there", sorted(ours.keys() - theirs.keys())),
        ("of another shape", reshaped),
        ("left there", sorted(theirs.keys() - ours.keys())),
    ):
        if names:
            rows[what] = "\n".join(names)
    # A language model has no source embedding to take over or to give, and a joint one is the target's.
    sides = ["source", "target"] if any(name.startswith("source_embedding/") for name in shared) else ["target"]
    stored = load_tokenizers(folder)
    if any(getattr(tokenizers, side).fingerprint() != getattr(stored, side).fingerprint() for side in sides):
        rows["note"] = "its tokenizers are others than this run's, so its embeddings may stand for other tokens"
    display.table("Warm start", rows)


def freeze(model: DecoderModel, patterns: Sequence[str]) -> None:
    """Leave weights out of training: those whose name (`weight_name`) matches one of the patterns of `fnmatch`.

    For a model that is not compiled yet.

    Raises:
        TrainingError: A pattern matches no weight, or nothing is left to train.
    """
    weights = {weight_name(weight): weight for weight in model.trainable_variables}
    frozen: set[str] = set()
    for pattern in patterns:
        matches = {name for name in weights if fnmatchcase(name, pattern)}
        if not matches:
            raise TrainingError(
                f"training.freeze: '{pattern}' matches no weight.{did_you_mean(pattern, _patterns(weights))} "
                f"{len(weights)} weights, among them: {', '.join(list(weights)[:MAX_LISTED])}."
            )
        frozen |= matches
    if frozen == weights.keys():
        raise TrainingError(
            f"training.freeze: {', '.join(patterns)} matches all {len(weights)} weights, and nothing is left to train."
        )
    for name in frozen:
        weights[name].trainable = False


def count_trainable(model: DecoderModel) -> int:
    """How many numbers training moves."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)


def _patterns(names: Iterable[str]) -> list[str]:
    """What one may have meant: a weight, or all below a part of the model."""
    found: dict[str, None] = {}
    for name in names:
        parts = name.split("/")
        found |= {"/".join([*parts[:depth], "*"]): None for depth in range(1, len(parts))} | {name: None}
    return list(found)
