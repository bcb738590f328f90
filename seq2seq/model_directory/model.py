"""A model and its directory: saved with what was measured, loaded whatever precision and device it was trained in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from seq2seq.config import Config, Precision
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.errors import ModelDirectoryError
from seq2seq.model_directory.directory import (
    WEIGHTS,
    check_directory,
    check_task,
    load_config_of,
    load_tokenizers,
    load_weights,
    save_weights,
)
from seq2seq.model_directory.metadata import CONFIG
from seq2seq.models.base import DecoderModel, assign_weights, weights_of
from seq2seq.models.build import build_model, least_parameters
from seq2seq.models.language_model import LanguageModel
from seq2seq.models.translation import Seq2Seq


def save_model(
    folder: Path, model: DecoderModel, scores: Mapping[str, Any], corpus: Mapping[str, Any] | None = None
) -> None:
    """Write the weights that translate, and the metadata that describes them.

    Args:
        folder: A directory that `start_directory` began.
        model: Its weights are written.
        scores: What was measured with them; JSON-able.
        corpus: What they were trained on: of `train`, a list of corpora, and of `valid`: `name`; pairs `read` and
            `kept`, and `dropped` by reason; `source_tokens` and `target_tokens`; of `train` also the `share`.
    """
    save_weights(folder, weights_of(model), model.precision, scores, corpus)


def load_model(folder: Path, precision: Precision = "float32") -> tuple[Seq2Seq, Tokenizers, Config]:
    """Read the directory of a translator, whatever precision and device it was trained in.

    Raises:
        ModelDirectoryError: See `check_directory`; or the weights are damaged or do not fit the recipe; or it is
            a language model.
    """
    model, tokenizers, config = _load(folder, precision, "translation")
    return cast(Seq2Seq, model), tokenizers, config


def load_language_model(folder: Path, precision: Precision = "float32") -> tuple[LanguageModel, Tokenizer, Config]:
    """`load_model` of a language model."""
    model, tokenizers, config = _load(folder, precision, "language_model")
    return cast(LanguageModel, model), tokenizers.target, config


def _load(folder: Path, precision: Precision, task: str) -> tuple[DecoderModel, Tokenizers, Config]:
    check_directory(folder)
    config = load_config_of(folder)
    check_task(folder, config, task)
    tokenizers, weights = load_tokenizers(folder), load_weights(folder)
    _check_size(config, tokenizers, weights, folder / WEIGHTS)
    model = build_model(config, tokenizers, precision)
    assign_weights(model, weights, folder / WEIGHTS)
    return model, tokenizers, config


def _check_size(config: Config, tokenizers: Tokenizers, weights: Mapping[str, np.ndarray], origin: Path) -> None:
    """See that a recipe asks for no more than the weights can fill, before it takes terabytes of memory.

    Raises:
        ModelDirectoryError: It does.
    """
    held = sum(array.size for array in weights.values())
    for part, least in least_parameters(config, tokenizers).items():
        if least > held:
            raise ModelDirectoryError(
                f"{origin}: weights do not fit the model of {CONFIG}: '{part}' needs {least:,} parameters or more, and "
                f"the file has {held:,}. Do the two files belong together?"
            )
