"""Inputs and outputs of text: files, standard streams, open descriptors, pipes and devices."""

import errno
import io
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from seq2seq.errors import CorpusError, StorageError
from seq2seq.storage.files import STANDARD_STREAMS, atomic_write, descriptor, place_name, unreadable

BUFFER_BYTES = 2**18


def replace_closed_streams() -> None:
    """Connect closed standard streams to the null device; otherwise, the next opened files get their descriptors."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if number and getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


def is_closed(number: int) -> bool:
    """Whether a standard stream was closed when this process began; see `replace_closed_streams`."""
    stream = (sys.stdin, sys.stdout, sys.stderr)[number]
    return stream is None or getattr(stream, "name", None) == os.devnull


def open_input(path: Path) -> "io.BufferedReader[Any]":
    """Open an input for reading.

    Raises:
        CorpusError: The input is missing, a folder, closed or not readable.
    """
    number = descriptor(path)
    try:
        if number is None:
            return io.BufferedReader(path.open("rb", buffering=0), BUFFER_BYTES)
        if number > 0:
            return io.BufferedReader(os.fdopen(os.dup(number), "rb", 0), BUFFER_BYTES)
    except OSError as error:
        raise CorpusError(unreadable(path, error)) from None
    if is_closed(0):
        raise CorpusError("stdin: cannot be read: it is closed. Use a file or a pipe.")
    try:
        return io.BufferedReader(os.fdopen(sys.stdin.fileno(), "rb", 0, closefd=False), BUFFER_BYTES)
    except io.UnsupportedOperation:  # a program has replaced stdin
        return io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer))


def check_inputs(paths: Sequence[Path]) -> None:
    """Check that all inputs can be read, without reading them yet.

    Raises:
        CorpusError: See `open_input`; or two are the same stream, which can be read only once.
    """
    streams: dict[Any, Path] = {}
    for path in paths:
        number, about = descriptor(path), _status(path)
        is_pipe = about is not None and stat.S_ISFIFO(about.st_mode)
        if number is None and path.is_dir():
            raise CorpusError(f"{path}: cannot be read: it is a folder.")
        if is_closed(0) if number == 0 else not is_pipe:  # opening a pipe would wait for its writer
            open_input(path).close()
        stream = (about.st_dev, about.st_ino) if about is not None and is_pipe else number
        if stream is not None and stream in streams:
            names = dict.fromkeys(map(place_name, (streams[stream], path)))
            raise CorpusError(f"{' and '.join(names)}: given twice, but can be read only once. Give files instead.")
        streams[stream] = path


def check_output(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Check that an output can be written, without writing it yet.

    Raises:
        CorpusError: The output is one of the `inputs`, a folder, closed or not writable, or its folder does not exist.
    """
    number, about = descriptor(path), _status(path)
    if any(_is_same_file(about, _status(other)) for other in inputs):
        raise CorpusError(f"{place_name(path)}: is also the input, which would be lost. Give another --output.")
    if number is not None:
        if is_closed(number) if number < len(STANDARD_STREAMS) else about is None:
            raise CorpusError(f"{place_name(path)}: cannot be written: it is closed. Use a file or a pipe.")
    elif path.is_dir():
        raise CorpusError(f"{path}: cannot be written: it is a folder.")
    elif not path.parent.is_dir():
        raise CorpusError(f"{path}: cannot be written: there is no folder {path.parent}.")
    elif _is_loop(path):
        raise CorpusError(f"{path}: cannot be written: it is a link to itself.")
    elif not os.access(path if about else path.resolve().parent, os.W_OK):
        what = "it is read-only" if about else f"no file can be created in {path.resolve().parent}"
        raise CorpusError(f"{path}: cannot be written: {what}.")


@contextmanager
def open_output(path: Path, inputs: Iterable[Path] = ()) -> Iterator[Any]:
    """Open an output for writing text in UTF-8 with `\\n` line endings, or bytes through its `buffer`.

    A file is written under a temporary name until it is complete; after a failure, the part is kept as `PATH.partial`.
    Streams, pipes and devices are written directly.

    Args:
        path: The output.
        inputs: Inputs that are read at the same time; the output must not be one of them.

    Raises:
        CorpusError: See `check_output`.
        StorageError: The output cannot be written. A pipe that has lost its reader raises an OSError.
    """
    check_output(path, inputs)
    number, target = descriptor(path), path.resolve()  # a link remains a link
    text: dict[str, Any] = {"encoding": "utf-8", "newline": "\n"}
    is_file = number is None and (path.is_file() or not path.exists())
    if is_file and os.access(target.parent, os.W_OK):
        with atomic_write(target, keep=True) as partial, partial.open("w", **text) as handle:
            yield handle
        return
    with _name_stream_errors(path):
        if number in (1, 2):
            stream = sys.stdout if number == 1 else sys.stderr
            yield stream
            stream.flush()
        else:
            with path.open("w", **text) if number is None else os.fdopen(os.dup(number), "w", **text) as handle:
                yield handle


@contextmanager
def _name_stream_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE or (error.filename is not None and str(error.filename) != str(path)):
            raise
        raise StorageError(f"{place_name(path)}: cannot be written: {error.strerror}.") from None


def _is_loop(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def _status(path: Path) -> os.stat_result | None:
    number = descriptor(path)
    try:
        if number is None:
            return path.stat()
        standard = (sys.stdin, sys.stdout, sys.stderr)
        return os.fstat(standard[number].fileno() if number < len(standard) else number)
    except (OSError, AttributeError):  # missing, closed, or replaced by a program
        return None


def _is_same_file(about: os.stat_result | None, other: os.stat_result | None) -> bool:
    return about is not None and other is not None and stat.S_ISREG(about.st_mode) and os.path.samestat(about, other)
