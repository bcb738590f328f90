"""The files of a model directory: written atomically, checked when read, and never unpickled."""

import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from seq2seq.config import Config, dump_config, read_config
from seq2seq.config.recipe import RecipeT
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.errors import ModelDirectoryError, Seq2SeqError
from seq2seq.extras import DISTRIBUTION
from seq2seq.model_directory.metadata import CONFIG, FORMAT_VERSION, METADATA, read_metadata, write_metadata
from seq2seq.storage.arrays import load_arrays, load_checksum, save_arrays
from seq2seq.storage.files import atomic_write, regular_file, sha256
from seq2seq.storage.paths import expand_path

WEIGHTS = "model.safetensors"
TOKENIZERS = ("joint.spm", "source.spm", "target.spm")
RECORDED_PACKAGES = (DISTRIBUTION, "tensorflow", "keras", "sentencepiece", "sacrebleu", "numpy", "safetensors")


def create_model_directory(folder: Path, config: Config, tokenizers: Tokenizers) -> None:
    """Write the resolved recipe and the tokenizers; a model that lies there already stays readable."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / CONFIG) as partial:
        partial.write_text(dump_config(config), encoding="utf-8")
    for name in TOKENIZERS:
        if name not in tokenizers.files():
            (folder / name).unlink(missing_ok=True)
    for name, tokenizer in tokenizers.files().items():
        tokenizer.save(folder / name)
    if (folder / METADATA).exists():
        write_metadata(folder, read_metadata(folder) | {"sha256": _checksums(folder, (CONFIG, *TOKENIZERS))})


def save_weights(
    folder: Path,
    weights: Mapping[str, np.ndarray],
    precision: str,
    scores: Mapping[str, Any],
    corpus: Mapping[str, Any] | None = None,
) -> None:
    """Write the weights that translate, and the metadata that describes them.

    Args:
        folder: A directory that `create_model_directory` began.
        weights: As `named_weights` gives them.
        precision: That they were trained in.
        scores: What was measured with them; JSON-able.
        corpus: What they were trained on: of `train`, a list of corpora, and of `valid`: `name`; pairs `read` and
            `kept`, and `dropped` by reason; `source_tokens` and `target_tokens`; of `train` also the `share`.

    The weights carry their own checksum, and that of the tokenizers they go with, and `metadata.json` has those of the
    other files, which stay the same throughout a run. The two files cannot be replaced in one step: if the process is
    killed between them, new weights lie beside the old metadata, and must load.
    """
    before = read_metadata(folder) if os.path.lexists(folder / METADATA) else {}
    save_arrays(folder / WEIGHTS, weights, {"tokenizers": _checksums(folder, TOKENIZERS)})
    values = {
        "format_version": FORMAT_VERSION,
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in RECORDED_PACKAGES},
        "parameters": sum(array.size for array in weights.values()),
        "precision": precision,
        "scores": dict(scores),
        "sha256": _checksums(folder, (CONFIG, *TOKENIZERS)),
        "tokenizers": _tokenizer_kinds(folder),
        "derived": before.get("derived", {}),
    }
    write_metadata(folder, values if corpus is None else values | {"corpus": dict(corpus)})


def _tokenizer_kinds(folder: Path) -> dict[str, str | None]:
    """The kind of each tokenizer by its file: from the recipe that trains it, or from the model that it is taken from.

    None: unknown, since SentencePiece does not tell the kind of a file that a recipe names.
    """
    config = load_model_config(folder)
    options = config.tokenizer
    names = [name for name in TOKENIZERS if os.path.lexists(folder / name)]
    if options.from_model is None:
        given = config.data is None or any(part.file for part in options.parts())  # without corpora none is trained
        return dict.fromkeys(names, None if given else options.model_type)
    known: dict[str, str | None] = {}
    with suppress(Seq2SeqError):  # it may have been moved since
        known = read_metadata(expand_path(options.from_model))["tokenizers"]
    # A language model's only one may be the target's of two.
    return {name: known.get(name, known.get("target.spm")) for name in names}


def _checksums(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of those of the files that are there."""
    files = [folder / name for name in names if os.path.lexists(folder / name)]
    return {file.name: sha256(regular_file(file)) for file in files}


def load_model_config(folder: Path) -> Config:
    """The resolved recipe of a model directory."""
    path = regular_file(folder / CONFIG)
    try:
        return read_config(path.read_bytes(), origin=str(path))
    except OSError as error:
        raise ModelDirectoryError(f"{path}: cannot be read: {error.strerror}.") from None


def load_recipe(folder: Path, kind: type[RecipeT]) -> RecipeT:
    """`load_model_config`, and see that it is of a kind that its reader can use.

    Raises:
        ModelDirectoryError: It holds a model of another task, or no recipe.
    """
    config = load_model_config(folder)
    if isinstance(config, kind):
        return config
    uses = "; ".join(f"{use}: `{command}`" for use, command in config.next_commands(quote(str(folder))).items())
    raise ModelDirectoryError(
        f"{folder}: is of `task: {config.task}`, and a model of `task: {kind.model_fields['task'].default}` is wanted "
        f"here. What this one does: {uses}."
    )


def load_tokenizers(folder: Path) -> Tokenizers:
    """The tokenizers of a model directory, which may be one that training has not saved a model in yet."""
    if os.path.lexists(folder / METADATA):
        check_directory(folder, TOKENIZERS)
    if os.path.lexists(folder / "joint.spm"):
        joint = Tokenizer.load(regular_file(folder / "joint.spm"))
        return Tokenizers(joint, joint)
    source, target = (Tokenizer.load(regular_file(folder / name)) for name in ("source.spm", "target.spm"))
    return Tokenizers(source, target)


def load_weights(folder: Path) -> dict[str, np.ndarray]:
    """The weights of a model directory, by the names of `named_weights`.

    Raises:
        ModelDirectoryError: They are missing, damaged, of a later format version, or of other tokenizers.
    """
    if os.path.lexists(folder / METADATA):
        read_metadata(folder)
    weights, about = load_arrays(folder / WEIGHTS)
    found = _checksums(folder, TOKENIZERS)
    if about.get("tokenizers", found) != found:
        raise ModelDirectoryError(
            f"{folder / WEIGHTS}: weights of a model with other tokenizers than {' and '.join(found)} beside it. "
            "Do the files belong together?"
        )
    return weights


def check_directory(folder: Path, files: Sequence[str] = (CONFIG, *TOKENIZERS)) -> dict[str, Any]:
    """The metadata of a model directory, once its recipe and tokenizers are known to be those it was saved with.

    Raises:
        ModelDirectoryError: Something is missing, damaged, edited, or of a later format version.
    """
    values, found = read_metadata(folder), _checksums(folder, files)
    expected = values["sha256"]
    strange = sorted(expected.keys() - {CONFIG, *TOKENIZERS})
    if strange or CONFIG not in expected:
        what = f"a checksum of {strange[0]!r}, which no model has" if strange else f"no checksum of {CONFIG}"
        raise ModelDirectoryError(f"{folder / METADATA}: damaged: {what}. Restore it from a copy.")
    for name in files:
        if name in expected and name not in found:
            raise ModelDirectoryError(f"{folder / name}: no such file, and the model was saved with it.")
        if found.get(name) != expected.get(name):
            raise ModelDirectoryError(
                f"{folder / name}: changed since the model was saved (SHA-256 differs). Restore it from a copy."
            )
    return values


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of everything that a model translates with: its recipe, its tokenizers and its weights.

    Raises:
        ModelDirectoryError: See `check_directory`; or there are no weights.
    """
    return {**check_directory(folder)["sha256"], WEIGHTS: load_checksum(folder / WEIGHTS)}
