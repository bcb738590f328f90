"""Named arrays in a safetensors file in which a checksum covers every bit."""

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

    The file's header contains three texts: `metadata` is the mapping, `arrays` the checksum of all names, types, shapes
    and numbers, and `sha256` the checksum of these two.

    Raises:
        StorageError: The file cannot be written.
        ValueError: An array does not consist of numbers.
    """
    values = {name: np.asarray(array, array.dtype.newbyteorder("<"), order="C") for name, array in arrays.items()}
    header = {"metadata": json.dumps(dict(metadata or {}), sort_keys=True), "arrays": digest(values)}
    contents = save(values, header | {"sha256": _seal(header)})
    with atomic_write(path, len(contents)) as partial:
        partial.write_bytes(contents)


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a file written by `save_arrays`: the arrays and the mapping.

    Raises:
        ModelDirectoryError: The file is missing, damaged, or was not written by `save_arrays`.
    """
    with _reading(path) as (file, header):
        arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
        if digest(arrays) != header["arrays"]:
            raise ValueError("its arrays do not match the checksum")
        return arrays, dict(json.loads(header["metadata"]))


def load_metadata(path: Path) -> dict[str, Any]:
    """Read only the mapping of a file written by `save_arrays`; arrays are neither read nor verified."""
    with _reading(path) as (_, header):
        return dict(json.loads(header["metadata"]))


def load_digest(path: Path) -> str:
    """Read the recorded `digest` of the arrays in a file written by `save_arrays`; arrays are not verified."""
    with _reading(path) as (_, header):
        return header["arrays"]


def load_checksum(path: Path) -> str:
    """Read the recorded SHA-256 of arrays and mapping in a file written by `save_arrays`; arrays are not verified."""
    with _reading(path) as (_, header):
        return header["sha256"]


@contextmanager
def _reading(path: Path) -> Iterator[tuple[Any, dict[str, str]]]:
    """Open a file and verify its metadata. The library checks shapes and offsets against the size of the file."""
    try:
        with safe_open(check_regular_file(path), "numpy") as file:
            header = file.metadata() or {}
            if header.get("sha256") != _seal({name: header.get(name, "") for name in ("metadata", "arrays")}):
                raise ValueError("its metadata does not match the checksum")
            yield file, header
    except (ModelDirectoryError, MemoryError):
        raise
    except Exception as error:  # of the library, NumPy or the system
        raise ModelDirectoryError(
            f"{path}: damaged or not written by this version of seq2seq: {error}. Restore it from a copy "
            "that you trust."
        ) from None


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the names, types, shapes and numbers of arrays."""
    found = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        if array.dtype.kind not in "biuf":
            raise ValueError(f"'{name}' is {array.dtype}, expected numbers")
        found.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _seal(header: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()
