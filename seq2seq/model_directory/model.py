"""Saving models to directories, and loading them in any precision and on any device."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.arguments import check_arguments
from seq2seq.config import Config, GenerationOptions, LanguageModelConfig, Precision, SearchOptions, TranslationConfig
from seq2seq.config.recipe import RecipeT
from seq2seq.config.search import TextSearchOptions
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.errors import ArgumentError, ModelDirectoryError
from seq2seq.model_directory.contents import ModelContents, new_model_directory
from seq2seq.model_directory.directory import (
    CONFIG,
    WEIGHTS_FILE,
    load_model_config,
    load_recipe,
    load_tokenizers,
    load_weights,
    verify_directory,
)
from seq2seq.models.base import DecoderModel, assign_weights, check_tokenizers, named_weights
from seq2seq.models.build import LANGUAGE_MODELING, TRANSLATION, ModelT, Task, recipe_from_model
from seq2seq.models.language_model import LanguageModel
from seq2seq.models.translation import Seq2Seq
from seq2seq.storage.arrays import digest, load_digest


class Origin(NamedTuple):
    """The directory from which a model was loaded: recipe, metadata, and the `digest` of the loaded weights."""

    config: Config
    metadata: Mapping[str, Any]
    digest: str


def read_origin(folder: Path) -> Origin:
    """The origin of the model in a directory, as it is now.

    Raises:
        ModelDirectoryError: Something is missing, damaged, edited, or of a later format version.
    """
    metadata = verify_directory(folder)
    stored_as_loaded = metadata.get("weights_dtype", "float32") == "float32"
    read = load_digest(folder / WEIGHTS_FILE) if stored_as_loaded else digest(load_weights(folder))
    return Origin(load_model_config(folder), metadata, read)


@check_arguments()
def save_model(
    model: DecoderModel,
    tokenizers: Tokenizers | Tokenizer,
    directory: str | Path,
    search: SearchOptions | GenerationOptions | None = None,
) -> Path:
    """Save a model that was trained with Keras's `fit`, for `Translator.load` or `TextGenerator.load`.

    The recipe in the directory contains the model's sections and seed, but no corpora. `Translator.save` does the same
    for a translator, and keeps the metadata of a loaded model.

    Args:
        model: Model to save with its current weights; to save their moving average, call this function within
            `model.update.averaged_weights()`.
        tokenizers: The tokenizers of its token ids; a single one for both sides, or for a language model.
        directory: A new or empty directory. It is written completely or not at all.
        search: Default options after loading: `SearchOptions`, or `GenerationOptions` for a language model.

    Returns:
        `directory`.

    Raises:
        ArgumentError: A tokenizer's vocabulary size differs from the model's; or `search` is for another task.
        ModelDirectoryError: The directory is not empty.
        StorageError: The directory cannot be written.
    """
    if isinstance(tokenizers, Tokenizer):
        tokenizers = Tokenizers(tokenizers, tokenizers)
    directory = Path(directory)
    with saved_model(directory, model, tokenizers, search):
        return directory


@contextmanager
def saved_model(
    folder: Path,
    model: DecoderModel,
    tokenizers: Tokenizers,
    search: TextSearchOptions | None = None,
    origin: Origin | None = None,
) -> Iterator[Path]:
    """Save a model like `save_model`, but yield the directory under a temporary name, so that files can be added.

    Args:
        folder: Model directory.
        model: Model to save.
        tokenizers: Tokenizers of source and target.
        search: Default options after loading.
        origin: Origin of a loaded model. If its weights are unchanged, recipe and metadata are taken from there.
    """
    check_tokenizers(model, tokenizers)
    weights = named_weights(model)
    if origin is not None and digest(weights) == origin.digest:
        config, metadata = origin.config, origin.metadata
    else:
        config, metadata = recipe_from_model(model, tokenizers), {"precision": model.precision, "scores": {}}
    if search is not None:
        if not isinstance(search, expected := type(config.search)):
            raise ArgumentError(f"search: expected {expected.__name__}, found {type(search).__name__}.")
        config = config.model_copy(update={"search": search})
    with new_model_directory(folder, ModelContents(config, tokenizers, weights, metadata)) as partial:
        yield partial


@check_arguments()
def load_model(folder: Path, precision: Precision = "float32") -> tuple[Seq2Seq, Tokenizers, TranslationConfig]:
    """Load the directory of a translator, in any precision and on any device.

    Raises:
        ModelDirectoryError: See `verify_directory`; or the weights are damaged or do not fit the recipe; or the model
            is a language model.
    """
    return _load(folder, precision, TRANSLATION)


@check_arguments()
def load_language_model(
    folder: Path, precision: Precision = "float32"
) -> tuple[LanguageModel, Tokenizer, LanguageModelConfig]:
    """Load the directory of a language model, like `load_model`."""
    model, tokenizers, config = _load(folder, precision, LANGUAGE_MODELING)
    return model, tokenizers.target, config


def _load(folder: Path, precision: Precision, task: Task[RecipeT, ModelT]) -> tuple[ModelT, Tokenizers, RecipeT]:
    verify_directory(folder)
    config = load_recipe(folder, task.recipe)
    tokenizers, weights = load_tokenizers(folder), load_weights(folder)
    # Reject a damaged recipe that describes a larger model than the weights, before building it takes terabytes.
    held = sum(array.size for array in weights.values())
    for part, least in config.min_parameters(*(tokenizer.vocabulary_size for tokenizer in tokenizers)).items():
        if least > held:
            raise ModelDirectoryError(
                f"{folder / WEIGHTS_FILE}: the weights do not fit the model of {CONFIG}: '{part}' needs at least "
                f"{least:,} parameters, but the file has {held:,}. Do the two files belong together?"
            )
    model = task.build(config, tokenizers, precision)
    assign_weights(model, weights, folder / WEIGHTS_FILE)
    return model, tokenizers, config
