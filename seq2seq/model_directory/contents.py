"""The complete contents of a model directory, read and written together."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.config import Config
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.errors import ModelDirectoryError
from seq2seq.model_directory.directory import (
    create_model_directory,
    load_model_config,
    load_tokenizers,
    load_weights,
    read_metadata,
    save_weights,
    verify_directory,
    write_metadata,
)
from seq2seq.storage.files import atomic_folder


@dataclass(frozen=True)
class ModelContents:
    """The contents of a model directory.

    Attributes:
        config: Recipe.
        tokenizers: Tokenizers of source and target.
        weights: Arrays by the names of `named_weights`.
        metadata: Facts about the weights: at least `precision` and `scores`, see `save_weights`, and optionally
            `weights_dtype` for storage (default: float32); for a model that is written again, all of `metadata.json`.
    """

    config: Config
    tokenizers: Tokenizers
    weights: Mapping[str, np.ndarray]
    metadata: Mapping[str, Any]


def read_contents(folder: Path) -> ModelContents:
    """Read and verify a model directory.

    Raises:
        ModelDirectoryError: Something is missing, damaged, edited, or of a later format version.
    """
    metadata = verify_directory(folder)
    return ModelContents(load_model_config(folder), load_tokenizers(folder), load_weights(folder), metadata)


@contextmanager
def new_model_directory(folder: Path, contents: ModelContents) -> Iterator[Path]:
    """Write a model directory atomically; yield it under a temporary name, so that further files can be added.

    Raises:
        ModelDirectoryError: `folder` exists and is not an empty directory; or a weight is too large for the type in
            which the weights are stored.
        StorageError: The directory cannot be written.
    """
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelDirectoryError(f"{folder}: not an empty directory. Give another one.")
    with atomic_folder(folder) as partial:
        create_model_directory(partial, contents.config, contents.tokenizers)
        about = contents.metadata
        save_weights(
            partial,
            contents.weights,
            about["precision"],
            about["scores"],
            about.get("corpus"),
            about.get("tokenizers"),
            about.get("weights_dtype", "float32"),
        )
        written = read_metadata(partial)
        # Other facts are kept, except checksums and derived files, which are not copied.
        write_metadata(partial, {**written, **about, **{key: written[key] for key in ("sha256", "derived")}})
        yield partial
