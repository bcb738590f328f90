"""Named arrays in one safetensors file, every bit of it under a checksum."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from seq2seq.errors import ModelDirectoryError
from seq2seq.storage.files import atomic_write, check_regular_file


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any] | None = None) -> None:
    """Write named arrays of numbers and a JSON-able mapping to one safetensors file with checksums, atomically.

    The file's header has three texts: `metadata` is the mapping, `arrays` the checksum of all names, types, shapes
    and numbers, and `sha256` that of these two.

    Raises:
        StorageError: It cannot be written.
        ValueError: An array does not consist of numbers.
    """
    values = {name: np.asarray(array, array.dtype.newbyteorder("<"), order="C") for name, array in arrays.items()}
    header = {"metadata": json.dumps(dict(metadata or {}), sort_keys=True), "arrays": digest(values)}
    contents = save(values, header | {"sha256": _seal(header)})
    with atomic_write(path, len(contents)) as partial:
        partial.write_bytes(contents)


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save_arrays` wrote.

    Raises:
        ModelDirectoryError: The file is missing, damaged, or holds what `save_arrays` does not write.
    """
    with _reading(path) as (file, header):
        arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
        if digest(arrays) != header["arrays"]:
            raise ValueError("its arrays do not match their checksum")
        return arrays, dict(json.loads(header["metadata"]))


def load_metadata(path: Path) -> dict[str, Any]:
    """Only the mapping that `save_arrays` wrote, see `load_arrays`; the arrays are neither read nor checked."""
    with _reading(path) as (_, header):
        return dict(json.loads(header["metadata"]))


def load_digest(path: Path) -> str:
    """The `digest` of the arrays that `save_arrays` wrote, see `load_arrays`; no array is read or checked."""
    with _reading(path) as (_, header):
        return header["arrays"]


def load_checksum(path: Path) -> str:
    """SHA-256 of arrays and mapping as `save_arrays` wrote it, see `load_arrays`; no array is read or checked."""
    with _reading(path) as (_, header):
        return header["sha256"]


@contextmanager
def _reading(path: Path) -> Iterator[tuple[Any, dict[str, str]]]:
    """The file and its metadata, verified. The library checks shapes and offsets against the size of the file."""
    try:
        with safe_open(check_regular_file(path), "numpy") as file:
            header = file.metadata() or {}
            if header.get("sha256") != _seal({name: header.get(name, "") for name in ("metadata", "arrays")}):
                raise ValueError("its metadata do not match their checksum")
            yield file, header
    except (ModelDirectoryError, MemoryError):
        raise
    except Exception as error:  # the library has its own, and lets NumPy's and the system's through
        raise ModelDirectoryError(
            f"{path}: damaged or not written by this version of seq2seq: {error}. Restore it from a copy "
            "that you trust."
        ) from None


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names, types, shapes and numbers."""
    found = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        if array.dtype.kind not in "biuf":
            raise ValueError(f"'{name}' is {array.dtype}, expected numbers")
        found.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _seal(header: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()
