"""A model and its directory: saved with what was measured, loaded whatever precision and device it was trained in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.config import LanguageModelConfig, Precision, TranslationConfig
from seq2seq.config.recipe import RecipeT
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.errors import ModelDirectoryError
from seq2seq.model_directory.directory import (
    WEIGHTS,
    check_directory,
    load_recipe,
    load_tokenizers,
    load_weights,
    save_weights,
)
from seq2seq.model_directory.metadata import CONFIG
from seq2seq.models.base import DecoderModel, assign_weights, named_weights
from seq2seq.models.build import LANGUAGE_MODELING, TRANSLATION, ModelT, Task
from seq2seq.models.language_model import LanguageModel
from seq2seq.models.translation import Seq2Seq


def save_model(
    folder: Path, model: DecoderModel, scores: Mapping[str, Any], corpus: Mapping[str, Any] | None = None
) -> None:
    """Write the weights that translate, and the metadata that describes them.

    Args:
        folder: A directory that `create_model_directory` began.
        model: Its weights are written.
        scores: What was measured with them; JSON-able.
        corpus: What they were trained on: of `train`, a list of corpora, and of `valid`: `name`; pairs `read` and
            `kept`, and `dropped` by reason; `source_tokens` and `target_tokens`; of `train` also the `share`.
    """
    save_weights(folder, named_weights(model), model.precision, scores, corpus)


def load_model(folder: Path, precision: Precision = "float32") -> tuple[Seq2Seq, Tokenizers, TranslationConfig]:
    """Read the directory of a translator, whatever precision and device it was trained in.

    Raises:
        ModelDirectoryError: See `check_directory`; or the weights are damaged or do not fit the recipe; or it is
            a language model.
    """
    return _load(folder, precision, TRANSLATION)


def load_language_model(
    folder: Path, precision: Precision = "float32"
) -> tuple[LanguageModel, Tokenizer, LanguageModelConfig]:
    """`load_model` of a language model."""
    model, tokenizers, config = _load(folder, precision, LANGUAGE_MODELING)
    return model, tokenizers.target, config


def _load(folder: Path, precision: Precision, task: Task[RecipeT, ModelT]) -> tuple[ModelT, Tokenizers, RecipeT]:
    check_directory(folder)
    config = load_recipe(folder, task.recipe)
    tokenizers, weights = load_tokenizers(folder), load_weights(folder)
    least = config.min_parameters(*(tokenizer.vocabulary_size for tokenizer in tokenizers))
    _check_size(least, weights, folder / WEIGHTS)
    model = task.build(config, tokenizers, precision)
    assign_weights(model, weights, folder / WEIGHTS)
    return model, tokenizers, config


def _check_size(parts: Mapping[str, int], weights: Mapping[str, np.ndarray], origin: Path) -> None:
    """See that a recipe asks for no more than the weights can fill, before it takes terabytes of memory.

    Raises:
        ModelDirectoryError: It does.
    """
    held = sum(array.size for array in weights.values())
    for part, least in parts.items():
        if least > held:
            raise ModelDirectoryError(
                f"{origin}: weights do not fit the model of {CONFIG}: '{part}' needs {least:,} parameters or more, and "
                f"the file has {held:,}. Do the two files belong together?"
            )
