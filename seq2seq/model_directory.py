"""A model on disk: written atomically, checked when read, and never unpickled."""

import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py
import numpy as np
import yaml

from seq2seq.config import Config, Precision, dump_config, parse_config
from seq2seq.errors import ModelDirectoryError
from seq2seq.tokenizer import Tokenizer

if TYPE_CHECKING:  # looking into a directory needs no TensorFlow, only `build_model` does
    import keras

    from seq2seq.model import Seq2Seq

FORMAT_VERSION = 1
CONFIG, METADATA, WEIGHTS, HISTORY = "config.yaml", "metadata.json", "model.weights.h5", "history.jsonl"
TOKENIZERS = ("joint.spm", "source.spm", "target.spm")
PACKAGES = ("seq2seq", "tensorflow", "keras", "sentencepiece", "sacrebleu", "numpy", "h5py")


class Tokenizers(NamedTuple):
    """The source's and the target's tokenizer; one and the same object when they are joint."""

    source: Tokenizer
    target: Tokenizer

    def files(self) -> dict[str, Tokenizer]:
        """File names in a model directory."""
        joint = self.source is self.target
        return {"joint.spm": self.source} if joint else {"source.spm": self.source, "target.spm": self.target}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that replaces `path` when the block ends well, so that `path` is old or new, never half."""
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        with partial.open("r+b") as handle:
            os.fsync(handle.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any] | None = None) -> None:
    """Write named arrays and a JSON-able mapping to one HDF5 file with a checksum over both, atomically."""
    text = json.dumps(dict(about or {}), sort_keys=True)
    with replacing(path) as partial, h5py.File(partial, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
        file.attrs["about"] = text
        file.attrs["sha256"] = _digest(arrays, text)


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save_arrays` wrote.

    Raises:
        ModelDirectoryError: The file is missing, is no HDF5, or its contents do not match its checksum.
    """
    arrays: dict[str, np.ndarray] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with _reading(path) as file:
        file.visititems(collect)
        text, expected = str(file.attrs["about"]), str(file.attrs["sha256"])
    if _digest(arrays, text) != expected:
        raise ModelDirectoryError(f"{path}: contents do not match their checksum. Restore the file from a copy.")
    return arrays, json.loads(text)


def load_about(path: Path) -> dict[str, Any]:
    """The mapping alone that `save_arrays` wrote; the arrays stay unread and unchecked.

    Raises:
        ModelDirectoryError: The file is missing or is no HDF5.
    """
    with _reading(path) as file:
        return json.loads(str(file.attrs["about"]))


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError:
        raise ModelDirectoryError(f"{path}: no such file. Is {path.parent} a model directory?") from None
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise ModelDirectoryError(
            f"{path}: damaged or not written by seq2seq: {error}. Restore it from a copy."
        ) from None


def _digest(arrays: Mapping[str, np.ndarray], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def weights_of(model: "Seq2Seq") -> dict[str, np.ndarray]:
    """A model's weights by their paths, without the outer name."""
    return {inner_path(weight): np.asarray(weight) for weight in model.weights}


def assign_weights(model: "Seq2Seq", arrays: Mapping[str, np.ndarray], origin: Path) -> None:
    """Set a model's weights.

    Raises:
        ModelDirectoryError: Names or shapes differ from the model's.
    """
    expected = {inner_path(weight): tuple(weight.shape) for weight in model.weights}
    found = {name: array.shape for name, array in arrays.items()}
    if expected != found:
        differ = sorted(set(expected.items()) ^ set(found.items()))
        name = differ[0][0]
        raise ModelDirectoryError(
            f"{origin}: weights do not fit the model of {CONFIG}: {name} has shape {found.get(name, 'none')}, "
            f"expected {expected.get(name, 'none')}; {len({name for name, _ in differ})} weights differ. "
            "Do the two files belong together?"
        )
    for weight in model.weights:
        weight.assign(arrays[inner_path(weight)])


def inner_path(variable: "keras.Variable") -> str:
    """A variable's path without the name of the model or optimizer that holds it."""
    return variable.path.partition("/")[2]


def build_model(config: Config, tokenizers: Tokenizers, precision: Precision = "float32") -> "Seq2Seq":
    """A fresh model of a recipe's sizes."""
    from seq2seq.model import Seq2Seq

    return Seq2Seq(
        tokenizers.source.vocabulary_size,
        tokenizers.target.vocabulary_size,
        config.embeddings,
        config.encoder,
        config.decoder,
        seed=config.seed,
        precision=precision,
    )


def start_directory(folder: Path, config: Config, tokenizers: Tokenizers) -> None:
    """Write the resolved recipe and the tokenizers; a model that lies there already stays readable."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / CONFIG) as partial:
        partial.write_text(dump_config(config), encoding="utf-8")
    for name in TOKENIZERS:
        if name not in tokenizers.files():
            (folder / name).unlink(missing_ok=True)
    for name, tokenizer in tokenizers.files().items():
        with replacing(folder / name) as partial:
            tokenizer.save(partial)
    if (folder / METADATA).exists():
        _write_metadata(folder, _read_metadata(folder) | {"sha256": _checksums(folder)})


def save_model(
    folder: Path, model: "Seq2Seq", scores: Mapping[str, Any], corpus: Mapping[str, Any] | None = None
) -> None:
    """Write the weights that translate, and the metadata that describes them.

    Args:
        folder: A directory that `start_directory` began.
        model: Its weights are written.
        scores: What was measured with them; JSON-able.
        corpus: What they were trained on: of `train`, a list of corpora, and of `valid`: `name`; pairs `read` and
            `kept`, and `dropped` by reason; `source_tokens` and `target_tokens`; of `train` also the `share`.
    """
    save_weights(folder, weights_of(model), model.dtype_policy.name, scores, corpus)


def save_weights(
    folder: Path,
    weights: Mapping[str, np.ndarray],
    precision: str,
    scores: Mapping[str, Any],
    corpus: Mapping[str, Any] | None = None,
) -> None:
    """`save_model` of weights by the names of `weights_of`, trained in `precision`."""
    save_arrays(folder / WEIGHTS, weights)
    values = {
        "format_version": FORMAT_VERSION,
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES},
        "parameters": sum(array.size for array in weights.values()),
        "precision": precision,
        "scores": dict(scores),
        "sha256": _checksums(folder),
    }
    _write_metadata(folder, values if corpus is None else values | {"corpus": dict(corpus)})


def _checksums(folder: Path) -> dict[str, str]:
    files = [folder / name for name in (CONFIG, *TOKENIZERS)]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.exists()}


def _write_metadata(folder: Path, values: Mapping[str, Any]) -> None:
    with replacing(folder / METADATA) as partial:
        partial.write_text(json.dumps(dict(values), indent=2) + "\n", encoding="utf-8")


def _read_metadata(folder: Path) -> dict[str, Any]:
    path = folder / METADATA
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = int(values["format_version"])
    except FileNotFoundError:
        what = "training has not saved a model there yet" if (folder / CONFIG).exists() else "not a model directory"
        raise ModelDirectoryError(f"{path}: no such file: {what}.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelDirectoryError(f"{path}: damaged: {error}. Restore it from a copy.") from None
    if version > FORMAT_VERSION:
        raise ModelDirectoryError(
            f"{path}: format version {version}, this seq2seq reads up to {FORMAT_VERSION}. Install a later seq2seq."
        )
    return values


def load_config_of(folder: Path) -> Config:
    """The resolved recipe of a model directory."""
    path = folder / CONFIG
    try:
        return parse_config(yaml.safe_load(path.read_text(encoding="utf-8")), origin=str(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelDirectoryError(f"{path}: cannot be read: {error}. Is {folder} a model directory?") from None


def load_tokenizers(folder: Path) -> Tokenizers:
    """The tokenizers of a model directory."""
    if (folder / "joint.spm").exists():
        joint = Tokenizer.load(folder / "joint.spm")
        return Tokenizers(joint, joint)
    return Tokenizers(Tokenizer.load(folder / "source.spm"), Tokenizer.load(folder / "target.spm"))


def read_history(folder: Path) -> list[dict[str, Any]]:
    """All validations of a run, in order; [] before the first. A half-written last line does not count."""
    file, entries = folder / HISTORY, []
    for line in file.read_text(encoding="utf-8").split("\n") if file.exists() else []:
        with suppress(json.JSONDecodeError):
            entries.append(json.loads(line))
    return entries


def check_directory(folder: Path) -> dict[str, Any]:
    """The metadata of a model directory, once its recipe and tokenizers are known to be those it was saved with.

    Raises:
        ModelDirectoryError: Something is missing, damaged, edited, or of a later format version.
    """
    values, found = _read_metadata(folder), _checksums(folder)
    expected = values.get("sha256")
    if not isinstance(expected, dict) or CONFIG not in expected:
        raise ModelDirectoryError(f"{folder / METADATA}: damaged: no checksums. Restore it from a copy.")
    for name in sorted(expected | found):
        if name not in found:
            raise ModelDirectoryError(f"{folder / name}: no such file, and the model was saved with it.")
        if found[name] != expected.get(name):
            raise ModelDirectoryError(f"{folder / name}: changed since the model was saved (SHA-256 differs).")
    return values


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of everything that a model translates with: its recipe and tokenizers as files, its weights by content.

    Raises:
        ModelDirectoryError: See `check_directory`; or there are no weights.
    """
    with _reading(folder / WEIGHTS) as file:
        weights = str(file.attrs["sha256"])
    return {**check_directory(folder)["sha256"], WEIGHTS: weights}


def load_model(folder: Path, precision: Precision = "float32") -> tuple["Seq2Seq", Tokenizers, Config]:
    """Read a model directory, whatever precision and device it was trained in.

    Raises:
        ModelDirectoryError: See `check_directory`; or the weights are damaged or do not fit the recipe.
    """
    check_directory(folder)
    config, tokenizers = load_config_of(folder), load_tokenizers(folder)
    model = build_model(config, tokenizers, precision)
    assign_weights(model, load_arrays(folder / WEIGHTS)[0], folder / WEIGHTS)
    return model, tokenizers, config
