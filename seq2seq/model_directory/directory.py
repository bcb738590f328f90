"""The files of a model directory: written atomically, verified when read, and never unpickled."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from seq2seq.arguments import check_arguments
from seq2seq.config import Config, Precision, dump_config, parse_config_text
from seq2seq.config.recipe import RecipeT
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.errors import ModelDirectoryError, Seq2SeqError, suggest_similar
from seq2seq.extras import DISTRIBUTION_NAME
from seq2seq.model_directory import STAGES, TEACHERS, WeightsDtype
from seq2seq.model_directory.nearby import nearby_models
from seq2seq.model_directory.pretrained import find_other_model, pretrained_names, short_name
from seq2seq.storage.arrays import load_arrays, load_checksum, save_arrays
from seq2seq.storage.files import atomic_write, check_regular_file, looked_in, sha256

FORMAT_VERSION = 1
CONFIG, METADATA, WEIGHTS_FILE = "config.yaml", "metadata.json", "model.safetensors"
TOKENIZER_FILES = ("joint.spm", "source.spm", "target.spm")
RECORDED_PACKAGES = (DISTRIBUTION_NAME, "tensorflow", "keras", "sentencepiece", "sacrebleu", "numpy", "safetensors")


class _SourceLines(BaseModel):
    max_tokens: int
    usual_tokens: int
    usual_sentences: int
    several_sentences: float


class _Facts(BaseModel):
    train: list[dict[str, Any]]
    valid: dict[str, Any]
    source_lines: _SourceLines | None = None


class _Metadata(BaseModel):
    """The keys of `metadata.json` that its readers need; there may be more."""

    format_version: int
    versions: dict[str, str]
    precision: Precision
    weights_dtype: WeightsDtype = "float32"
    scores: dict[str, Any]
    sha256: dict[str, str]
    tokenizers: dict[str, str | None]
    derived: dict[str, dict[str, str]] = {}
    corpus: _Facts | None = None


def software_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide what a model computes, by name."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in RECORDED_PACKAGES}


def create_model_directory(folder: Path, config: Config, tokenizers: Tokenizers) -> None:
    """Write the resolved recipe and the tokenizers; a model that exists there remains readable.

    The checksums in its metadata are updated after the recipe. If a run that resumes with a changed recipe is killed in
    between, the model is rejected until the same command runs again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / CONFIG) as partial:
        partial.write_text(dump_config(config), encoding="utf-8")
    for name in TOKENIZER_FILES:
        if name not in tokenizers.files():
            (folder / name).unlink(missing_ok=True)
    for name, tokenizer in tokenizers.files().items():
        tokenizer.save(folder / name)
    if (folder / METADATA).exists():
        write_metadata(folder, read_metadata(folder) | {"sha256": _checksums(folder, (CONFIG, *TOKENIZER_FILES))})


def save_weights(
    folder: Path,
    weights: Mapping[str, np.ndarray],
    precision: str,
    scores: Mapping[str, Any],
    corpus: Mapping[str, Any] | None = None,
    tokenizer_kinds: Mapping[str, str | None] | None = None,
    dtype: WeightsDtype = "float32",
) -> None:
    """Write the weights of a model, and the metadata that describes them.

    Args:
        folder: A directory that `create_model_directory` has written.
        weights: Arrays by the names of `named_weights`.
        precision: Precision in which the weights were trained.
        scores: JSON-able scores of the weights.
        corpus: Facts about the training data: for each corpus in the list `train`, and for `valid`, its `name`; the
            pairs `read` and `kept`, and `dropped` by reason; `source_tokens` and `target_tokens`; for `train` also the
            `share` of an epoch. For a translator, `source_lines` describes the lengths of source lines.
        tokenizer_kinds: Subword algorithms by tokenizer file; by default as in the recipe.
        dtype: Type in which to store the weights.

    Raises:
        ModelDirectoryError: A weight is too large for `dtype`.
        StorageError: A file cannot be written.

    The weights file contains their checksum and that of their tokenizers; `metadata.json` contains the checksums of
    the other files, which do not change during a run. The two files cannot be replaced in one step: if the process is
    killed in between, there are new weights with old metadata, and these must load.
    """
    stored = {name: _convert(name, array, dtype) for name, array in weights.items()}
    save_arrays(folder / WEIGHTS_FILE, stored, {"tokenizers": _checksums(folder, TOKENIZER_FILES)})
    values = {
        "format_version": FORMAT_VERSION,
        "versions": software_versions(),
        "parameters": sum(array.size for array in weights.values()),
        "precision": precision,
        "weights_dtype": dtype,
        "scores": dict(scores),
        "sha256": _checksums(folder, (CONFIG, *TOKENIZER_FILES)),
        "tokenizers": _tokenizer_kinds(folder) if tokenizer_kinds is None else dict(tokenizer_kinds),
    }
    if corpus is not None:
        values["corpus"] = dict(corpus)
    # Read last, since other commands may record derived files during a run.
    before = read_metadata(folder) if os.path.lexists(folder / METADATA) else {}
    write_metadata(folder, values | {"derived": before.get("derived", {})})


def _convert(name: str, weight: np.ndarray, dtype: WeightsDtype) -> np.ndarray:
    """Convert a weight to `dtype`; integers are unchanged."""
    if weight.dtype.kind != "f" or weight.dtype == dtype:
        return weight
    largest, limit = float(np.abs(weight).max(initial=0)), float(np.finfo(dtype).max)
    if largest > limit:
        raise ModelDirectoryError(
            f"'{name}' has the value {largest:,.0f}, but the maximum of {dtype} is {limit:,.0f}. Store this model as "
            "float32."
        )
    return weight.astype(dtype)


def _tokenizer_kinds(folder: Path) -> dict[str, str | None]:
    """The subword algorithm of each tokenizer file: from the recipe, or from the model that it was taken from.

    None: unknown, since SentencePiece does not report the algorithm of a given file.
    """
    config = load_model_config(folder)
    options = config.tokenizer
    names = [name for name in TOKENIZER_FILES if os.path.lexists(folder / name)]
    if options.from_model is None:
        given = config.data is None or any(part.file for part in options.parts())  # without corpora none is trained
        return dict.fromkeys(names, None if given else options.model_type)
    known: dict[str, str | None] = {}
    # The other model may have been moved since this one was saved first.
    for model in (folder, find_other_model(options.from_model)):
        with suppress(Seq2SeqError):
            known = known or read_metadata(model)["tokenizers"]
    # The single tokenizer of a language model may be the target tokenizer of a pair.
    return {name: known.get(name, known.get("target.spm")) for name in names}


def _checksums(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of the named files that exist."""
    files = [folder / name for name in names if os.path.lexists(folder / name)]
    return {file.name: sha256(check_regular_file(file)) for file in files}


@check_arguments()
def load_model_config(folder: Path) -> Config:
    """The resolved recipe of a model directory."""
    path = check_regular_file(folder / CONFIG)
    try:
        return parse_config_text(path.read_bytes(), origin=str(path))
    except OSError as error:
        raise ModelDirectoryError(f"{path}: cannot be read: {error.strerror}.") from None


def load_recipe(folder: Path, kind: type[RecipeT]) -> RecipeT:
    """Load the recipe of a model, and check that it has the task of `kind`.

    Raises:
        ModelDirectoryError: There is no model, or it has a different task.
    """
    read_metadata(folder)
    config = load_model_config(folder)
    if isinstance(config, kind):
        return config
    uses = "; ".join(f"{use}: `{command}`" for use, command in config.next_commands(quote(short_name(folder))).items())
    raise ModelDirectoryError(
        f"{folder}: expected a model of `task: {kind.model_fields['task'].default}`, found one of `task: "
        f"{config.task}`. Uses of this model: {uses}."
    )


def load_tokenizers(folder: Path) -> Tokenizers:
    """The tokenizers of a model directory, with its tag, even if training has not saved a model in it yet."""
    if os.path.lexists(folder / METADATA):
        verify_directory(folder, TOKENIZER_FILES)
    names = ("joint.spm",) if os.path.lexists(folder / "joint.spm") else ("source.spm", "target.spm")
    made = [Tokenizer.load(check_regular_file(folder / name)) for name in names]
    options = load_model_config(folder).tokenizer if os.path.lexists(folder / CONFIG) else None
    return Tokenizers(made[0].with_tag(getattr(options, "source_tag", None)), made[-1])


def load_weights(folder: Path) -> dict[str, np.ndarray]:
    """The weights of a model directory, by the names of `named_weights`; float32 in whatever type they are stored.

    Raises:
        ModelDirectoryError: They are missing, damaged, of a later format version, or from a model with different
            tokenizers.
    """
    if os.path.lexists(folder / METADATA):
        read_metadata(folder)
    weights, about = load_arrays(folder / WEIGHTS_FILE)
    found = _checksums(folder, TOKENIZER_FILES)
    if about.get("tokenizers", found) != found:
        raise ModelDirectoryError(
            f"{folder / WEIGHTS_FILE}: weights of a model with tokenizers other than {' and '.join(found)} beside it. "
            "Do the files belong together?"
        )
    return {name: _convert(name, array, "float32") for name, array in weights.items()}


def verify_directory(folder: Path, files: Sequence[str] = (CONFIG, *TOKENIZER_FILES)) -> dict[str, Any]:
    """Verify the recipe and the tokenizers of a model directory by their checksums; return its metadata.

    Raises:
        ModelDirectoryError: Something is missing, damaged, edited, or of a later format version.
    """
    values, found = read_metadata(folder), _checksums(folder, files)
    expected = values["sha256"]
    strange = sorted(expected.keys() - {CONFIG, *TOKENIZER_FILES})
    if strange or CONFIG not in expected:
        what = (
            f"a checksum of {strange[0]!r}, which is not a file of a model" if strange else f"no checksum of {CONFIG}"
        )
        raise ModelDirectoryError(f"{folder / METADATA}: damaged: {what}. Restore it from a copy.")
    for name in files:
        if name in expected and name not in found:
            raise ModelDirectoryError(
                f"{folder / name}: no such file, but the model was saved with it. Restore it from a copy."
            )
        if found.get(name) != expected.get(name):
            raise ModelDirectoryError(
                f"{folder / name}: changed since the model was saved (SHA-256 differs). Restore it from a copy."
            )
    return values


def checksums(folder: Path) -> dict[str, str]:
    """Verify a model directory; return the SHA-256 of recipe, tokenizers and weights, by file name."""
    return {**verify_directory(folder)["sha256"], WEIGHTS_FILE: load_checksum(folder / WEIGHTS_FILE)}


def write_metadata(folder: Path, values: Mapping[str, Any]) -> None:
    """Write `metadata.json`."""
    with atomic_write(folder / METADATA) as partial:
        partial.write_text(json.dumps(dict(values), indent=2) + "\n", encoding="utf-8")


def read_metadata(folder: Path) -> dict[str, Any]:
    """Read `metadata.json`.

    Raises:
        ModelDirectoryError: It is missing, damaged, or of a later format version.
    """
    path = folder / METADATA
    if not os.path.lexists(path):
        if any((folder / name).exists() for name in (CONFIG, f"{STAGES}.yaml", f"{TEACHERS}.yaml")):
            raise ModelDirectoryError(f"{path}: no such file: training has not saved a model there yet.")
        models = nearby_models(folder)
        hint = f"models nearby: {', '.join(models)}" if models else "no models nearby; to train one: seq2seq train"
        if os.path.lexists(folder):
            raise ModelDirectoryError(f"{folder}: not a model directory; {hint}.")
        names = pretrained_names()
        raise ModelDirectoryError(
            f"{folder}: no such folder{looked_in(folder)}; {hint}.{suggest_similar(folder.name, names)} "
            f"Pretrained models: {', '.join(names)}."
        )
    try:
        values = json.loads(check_regular_file(path).read_bytes())
        version = values["format_version"]
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise ModelDirectoryError(
                f"{path}: found format version {version}, but this seq2seq reads up to {FORMAT_VERSION}. Install a "
                "later version."
            )
        _Metadata.model_validate(values, strict=True)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelDirectoryError(f"{path}: damaged: {explain_damage(error)}. Restore it from a copy.") from None
    return values


def explain_damage(error: Exception) -> str:
    """What is wrong with a file of JSON, from the error of its reader."""
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        return f"'{'.'.join(map(str, problem['loc']))}': {problem['msg']}"
    return f"no '{error.args[0]}'" if isinstance(error, KeyError) else str(error) or type(error).__name__
