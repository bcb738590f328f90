"""Named arrays in one safetensors file, every bit of it under a checksum.

Such a file is the length of its header, the header, which is JSON, and the arrays' bytes; the format's library verifies
that they fit together. Here the header begins with a checksum of the rest of the header, which has one of the arrays:
it is known to be whole without reading them, and its checksum stands for all that the file holds.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from seq2seq.errors import ModelDirectoryError
from seq2seq.storage.files import replacing, stored_file

METADATA = "__metadata__"  # of the file, among the names of its arrays
START = b'{"__metadata__":{"sha256":"'
BEFORE = 8 + len(START) + 64  # bytes: the header's length, and the header up to the end of its checksum
CODES = {np.dtype(bool): "BOOL"} | {
    np.dtype(f"<{code}"): f"{code[0].upper()}{8 * int(code[1])}"
    for code in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
}


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any] | None = None) -> None:
    """Write named arrays and a JSON-able mapping to one safetensors file with checksums of both, atomically.

    Raises:
        StorageError: It cannot be written.
        ValueError: The format has no place for such an array or name.
    """
    data = hashlib.sha256()
    parts = [arrays[name].reshape(-1).view(np.uint8).data for name in _in_order(arrays)]
    for part in parts:
        data.update(part)
    header = _header(arrays, json.dumps(dict(about or {}), sort_keys=True), data.hexdigest())
    with replacing(path, len(header) + sum(len(part) for part in parts)) as partial, partial.open("wb") as file:
        file.writelines([header, *parts])


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save_arrays` wrote.

    Raises:
        ModelDirectoryError: The file is missing, damaged, or holds what `save_arrays` does not write.
    """
    with _reading(path) as (file, contents, header):
        about, expected = (contents.metadata()[key] for key in ("about", "data"))
        if hashlib.file_digest(file, "sha256").hexdigest() != expected:
            raise ModelDirectoryError(f"{path}: contents do not match their checksum. Restore the file from a copy.")
        arrays = {name: contents.get_tensor(name) for name in sorted(contents.keys())}
        # A stranger's checksums may be right: the library takes more than `save_arrays` writes, such as a name twice.
        if _header(arrays, about, expected) != header:
            raise ValueError("its header is another than its arrays would have")
        return arrays, dict(json.loads(about))


def load_about(path: Path) -> dict[str, Any]:
    """Only the mapping that `save_arrays` wrote; the arrays are neither read nor checked.

    Raises:
        ModelDirectoryError: The file is missing or damaged.
    """
    with _reading(path) as (_, contents, _):
        return dict(json.loads(contents.metadata()["about"]))


def load_checksum(path: Path) -> str:
    """SHA-256 of the header, which tells files of different contents apart; the arrays are neither read nor checked.

    Raises:
        ModelDirectoryError: The file is missing or damaged.
    """
    with _reading(path) as (_, contents, _):
        return str(contents.metadata()["sha256"])


@contextmanager
def _reading(path: Path) -> Iterator[tuple[BufferedReader, Any, bytes]]:
    """The file behind its header, its safetensors reader, and its header."""
    try:
        # The reader maps the file into memory and compares lengths, shapes and offsets with its size.
        with stored_file(path).open("rb") as file, safe_open(path, "numpy") as contents:
            length = file.read(8)
            header = length + file.read(int.from_bytes(length, "little"))
            if header != _sealed(header[BEFORE:]):
                raise ValueError("it does not begin with its checksum")
            yield file, contents, header
    except ModelDirectoryError:
        raise
    except Exception as error:  # the reader has many, as numpy has for shapes and types that it lacks
        raise ModelDirectoryError(
            f"{path}: damaged or not written by this version of seq2seq: {error}. Restore it from a copy "
            "that you trust."
        ) from None


def _in_order(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Names in the order of a file, which aligns every array: the widest numbers come first."""
    return sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))


def _header(arrays: Mapping[str, np.ndarray], about: str, data: str) -> bytes:
    """The one header of arrays with the checksum `data`.

    Raises:
        ValueError: The format has no place for such an array or name.
    """
    end = 0
    described: dict[str, dict[str, Any]] = {METADATA: {"sha256": "0" * 64, "about": about, "data": data}}
    for name in _in_order(arrays):
        array, start = arrays[name], end
        if name == METADATA or array.dtype not in CODES:
            types = ", ".join(map(str, CODES))
            raise ValueError(f"'{name}' is {array.dtype}; an array is {types}, and not named '{METADATA}'")
        end += array.nbytes
        described[name] = {"dtype": CODES[array.dtype], "shape": array.shape, "data_offsets": (start, end)}
    text = json.dumps(described, separators=(",", ":")).encode()
    return _sealed(text[BEFORE - 8 :] + b" " * (-len(text) % 8))  # so that the arrays are aligned


def _sealed(rest: bytes) -> bytes:
    """The beginning of a file whose header ends with `rest`: its length, and the checksum of `rest` before that."""
    size = BEFORE - 8 + len(rest)
    return size.to_bytes(8, "little") + START + hashlib.sha256(rest).hexdigest().encode() + rest
