"""Named arrays in one HDF5 file, behind a block with checksums that are compared before HDF5 opens the file.

HDF5 hangs on some damaged files. A file from an untrusted source may have correct checksums, and yet name other files
to be read in its place, or an array of terabytes: what `save_arrays` does not write is refused. The block in front is
HDF5's own user block, so that h5py and h5dump read the file as it is.
"""

import hashlib
import io
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from seq2seq.errors import ModelDirectoryError
from seq2seq.storage.files import replacing, stored_file

LONGEST_LINE = 2**20  # bytes


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any] | None = None) -> None:
    """Write named arrays and a JSON-able mapping to one HDF5 file with checksums of both, atomically.

    Raises:
        StorageError: It cannot be written.
    """
    values = dict(about or {})
    place = _block(_head(values, "0" * 64))
    with replacing(path, sum(array.nbytes for array in arrays.values())) as partial, _Output(partial, "w+") as output:
        try:
            with h5py.File(output, "w", userblock_size=place) as file:
                for name, array in arrays.items():
                    file.create_dataset(name, data=array)
        except Exception:
            if output.failure is None:
                raise
        if output.failure is not None:
            raise output.failure
        output.seek(place)
        head = _head(values, hashlib.file_digest(output, "sha256").hexdigest())
        output.seek(0)
        output.write(head)
        if output.failure is not None:
            raise output.failure


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save_arrays` wrote.

    Raises:
        ModelDirectoryError: The file is missing, damaged, or holds what `save_arrays` does not write.
    """
    with _reading(path) as file:
        about, expected, place = _read_head(file, path)
        file.seek(place)
        if hashlib.file_digest(file, "sha256").hexdigest() != expected:  # type: ignore[arg-type]
            raise ModelDirectoryError(f"{path}: contents do not match their checksum. Restore the file from a copy.")
        with h5py.File(path, "r") as contents:
            return _read_arrays(contents, path), about


def load_about(path: Path) -> dict[str, Any]:
    """Only the mapping that `save_arrays` wrote; the arrays are neither read nor checked.

    Raises:
        ModelDirectoryError: The file is missing or damaged.
    """
    with _reading(path) as file:
        return _read_head(file, path)[0]


def load_checksum(path: Path) -> str:
    """SHA-256 of the arrays, as `save_arrays` wrote it; they are neither read nor checked.

    Raises:
        ModelDirectoryError: The file is missing or damaged.
    """
    with _reading(path) as file:
        return _read_head(file, path)[1]


class _Output(io.FileIO):
    """File that HDF5 writes to. HDF5 is not told of write errors, which it handles badly: see `failure`."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while len(rest) and self.failure is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size) if self.failure is None else 0
        except OSError as error:
            self.failure = error
            return 0


@contextmanager
def _reading(path: Path) -> Iterator[IO[bytes]]:
    try:
        with stored_file(path).open("rb") as file:
            yield file
    except ModelDirectoryError:
        raise
    except Exception as error:  # h5py has many, with no base of their own
        raise ModelDirectoryError(f"{path}: cannot be read: {error}. Restore it from a copy.") from None


def _head(about: Mapping[str, Any], sha256: str) -> bytes:
    """A line of JSON, and a line with its own checksum."""
    line = json.dumps({"sha256": sha256, "about": about}, sort_keys=True).encode()
    return b"%s\n%s\n" % (line, hashlib.sha256(line).hexdigest().encode())


def _block(head: bytes) -> int:
    """Where HDF5's part begins: it looks at 0, 512, 1024, 2048, ..."""
    return max(512, 1 << (len(head) - 1).bit_length())


def _read_head(file: IO[bytes], path: Path) -> tuple[dict[str, Any], str, int]:
    line, checksum = (file.readline(LONGEST_LINE).removesuffix(b"\n") for _ in range(2))
    if hashlib.sha256(line).hexdigest().encode() != checksum:
        raise ModelDirectoryError(
            f"{path}: damaged or not written by this version of seq2seq: it does not begin with its checksum. "
            "Restore it from a copy."
        )
    head = json.loads(line)
    return dict(head["about"]), str(head["sha256"]), _block(b"%s\n%s\n" % (line, checksum))


def _read_arrays(file: Any, path: Path) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    left = path.stat().st_size

    def refuse(name: str, what: str) -> None:
        raise ModelDirectoryError(
            f"{path}: '{name}' is {what}, which seq2seq does not write. Do not trust where the file came from."
        )

    def collect(name: str, item: Any) -> None:
        nonlocal left
        if isinstance(item, h5py.Group):
            return
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "biuf" or item.shape is None:
            refuse(name, "no array of numbers")
        if item.is_virtual or item.external or item.chunks:
            refuse(name, "an array that lies in other files, or in pieces")
        left -= math.prod(item.shape) * item.dtype.itemsize
        if left < 0:
            refuse(name, f"an array of shape {item.shape}, larger than the file")
        arrays[name] = item[()]

    # What is not None ends the visit.
    linked = file.visititems_links(lambda name, link: None if isinstance(link, h5py.HardLink) else name)
    if linked is not None:
        refuse(linked, "a link")
    file.visititems(collect)
    return arrays
