"""Text in and out: files, stdin and stdout."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

from seq2seq.corpora.readers import open_bytes
from seq2seq.errors import CorpusError
from seq2seq.storage.files import atomic_write, storage_errors


@contextmanager
def open_input(path: Path | None) -> Iterator[IO[bytes]]:
    """A file, plain or gzip, or stdin."""
    if path is None:
        yield sys.stdin.buffer
        return
    try:
        handle = open_bytes(path)
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}.") from None
    with handle:
        yield handle


def check_output(path: Path, inputs: Path | None = None) -> None:
    """See that a file can be written, without writing it yet.

    Raises:
        CorpusError: It is the input `inputs` or a folder, or there is no folder for it.
    """
    if inputs is not None and path.exists() and path.samefile(inputs):
        raise CorpusError(f"{path}: is the input too, and would be lost. Give another --output.")
    if path.is_dir():
        raise CorpusError(f"{path}: cannot be written: it is a folder.")
    if not path.parent.is_dir():
        raise CorpusError(f"{path}: cannot be written: there is no folder {path.parent}.")


@contextmanager
def open_output(path: Path | None, inputs: Path | None = None) -> Iterator[IO[str]]:
    """A UTF-8 file, or stdout; lines end with `\\n` on every system.

    A file is `PATH.partial` until it is whole, and stays so where it does not get whole.

    Args:
        path: A file, a device or a pipe; None is stdout.
        inputs: The input, which it must not be.

    Raises:
        CorpusError: See `check_output`.
        StorageError: It cannot be written.
    """
    if path is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        yield sys.stdout
        sys.stdout.flush()
        return
    check_output(path, inputs)
    path = path.resolve()  # a link stays one
    whole = atomic_write(path, keep=True) if path.is_file() or not path.exists() else nullcontext(path)
    with storage_errors(path), whole as partial, partial.open("w", encoding="utf-8", newline="\n") as handle:
        yield handle
