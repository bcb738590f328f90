"""What goes in and out of a command: text from and to files, stdin and stdout; messages and a bar on stderr."""

import io
import json
import os
import stat
import sys
import tempfile
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from select import select
from typing import IO, Any, cast

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from seq2seq.corpora.compression import find_compression
from seq2seq.corpora.lines import check_text, decode_lines, open_text, text_stream, wrap_reading_errors
from seq2seq.errors import CorpusError
from seq2seq.storage.files import atomic_write, wrap_storage_errors

stderr = Console(stderr=True)
READ_BYTES = 2**16  # at once, of a pipe or a terminal
PAUSE = 0.02  # seconds without input after which the lines so far are processed


def warn(message: str) -> None:
    """Print a warning to stderr."""
    print_stderr(f"warning: {message}")


def print_stderr(message: str) -> None:
    """Print a line to stderr, as it is."""
    stderr.print(message, markup=False, highlight=False, soft_wrap=True)


def print_stdout(text: str) -> None:
    """Print lines to stdout, as they are."""
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


def write_json(values: Any) -> None:
    """Print values to stdout as JSON, as `--json` does."""
    print(json.dumps(values, indent=2, ensure_ascii=False))


@contextmanager
def progress_bar(description: str, total: int | None, hidden: bool = False) -> Iterator[Any]:
    """A bar on stderr where that is a terminal; yields a function that takes the number done so far."""
    with Progress(console=stderr, transient=True, disable=hidden or not stderr.is_terminal) as bar:
        task = bar.add_task(escape(description), total=total)
        yield lambda done: bar.update(task, completed=done)


def import_tensorflow() -> None:
    """Import TensorFlow and wake its devices without the lines that it writes to stderr at that moment.

    Nothing is lost when it fails: what it wrote is printed then. That a GPU is there and not used is a warning.
    """
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as captured, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # shown below: stderr is captured now
        os.dup2(captured.fileno(), 2)
        try:
            from seq2seq.devices.device import DeviceWarning, set_up_device

            set_up_device()
        except BaseException:
            captured.seek(0)
            os.write(real, captured.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)
    for warning in caught:
        if issubclass(warning.category, DeviceWarning):
            warn(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


class InputLines:
    """The lines of a file or of stdin, with a warning of invalid UTF-8 in them; `typed` is whether a person types them.

    Args:
        raw: Lines with their ends.
        name: Of the file, in warnings and errors.
        typed: Whether they come from a terminal.
    """

    def __init__(self, raw: Iterable[bytes], name: str, typed: bool = False) -> None:
        self.typed = typed
        self._raw = raw
        self._lines = decode_lines(raw, name, warn)

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def chunks(self, most: int) -> Iterator[list[str]]:
        """Yield up to `most` lines at once; fewer if no more have arrived, since the sender may wait for an answer."""
        chunk = []
        for line in self._lines:
            chunk.append(line)
            waiting = self._raw.has_more() if isinstance(self._raw, _ArrivingLines) else not self.typed
            if len(chunk) == most or not waiting:
                yield chunk
                chunk = []
        if chunk:
            yield chunk


class _ArrivingLines:
    """The lines of a pipe or a terminal, which tell whether more of them have arrived.

    Args:
        descriptor: Where they arrive.
        typed: Whether a person types them; otherwise what arrives first is looked at, as in a file.
    """

    def __init__(self, descriptor: int, typed: bool = False) -> None:
        self._descriptor, self._typed = descriptor, typed
        self._compressed = False
        self._read: deque[bytes] = deque()

    def __iter__(self) -> Iterator[bytes]:
        block = os.read(self._descriptor, READ_BYTES)
        if not self._typed and find_compression(block):
            self._compressed = True
            yield from text_stream(io.BufferedReader(_Rest(block, self._descriptor)), "stdin", lenient=True)
            return
        if not self._typed:
            check_text(block, "stdin", lenient=True)
        begun: list[bytes] = []  # of a line whose end has not been read yet
        while block:
            first, *others = block.split(b"\n")
            begun.append(first)
            for other in others:
                self._read.append(b"".join(begun) + b"\n")
                begun = [other]
            while self._read:
                yield self._read.popleft()
            block = os.read(self._descriptor, READ_BYTES)
        if rest := b"".join(begun):
            yield rest

    def has_more(self) -> bool:
        """Whether a line has been read already, or there is something to read within `PAUSE`."""
        return self._compressed or bool(self._read) or bool(select([self._descriptor], [], [], PAUSE)[0])


class _Rest(io.RawIOBase):
    """What arrives, with the block that was read of it already."""

    def __init__(self, block: bytes, descriptor: int) -> None:
        self._block, self._descriptor = block, descriptor

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._block[: len(buffer)] or os.read(self._descriptor, len(buffer))
        self._block = self._block[len(buffer) :]
        buffer[: len(block)] = block
        return len(block)


@contextmanager
def input_lines(path: Path | None, prompt: str) -> Iterator[InputLines]:
    """Yield the lines of a file or of stdin, compressed or not; `prompt` tells a person at a terminal what to type."""
    if path is None:
        typed = sys.stdin.isatty()
        if typed:
            end = "Ctrl-Z and Enter" if sys.platform == "win32" else "Ctrl-D"
            print_stderr(f"{prompt}; {end} to finish.")
        yield InputLines(_stdin(typed), "stdin", typed)
        return
    with open_text(path, lenient=True) as handle:
        yield InputLines(handle, str(path))


def _stdin(typed: bool) -> Iterable[bytes]:
    """Lines of stdin: as they arrive, unless it is a file or the system cannot wait for a pipe."""
    try:
        descriptor = sys.stdin.fileno()
    except OSError:  # not a file of the system
        return text_stream(io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer)), "stdin", lenient=True)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode) and sys.platform != "win32":
        return _ArrivingLines(descriptor, typed)
    if typed:
        return sys.stdin.buffer
    with wrap_reading_errors("stdin"):
        return text_stream(cast(io.BufferedReader, sys.stdin.buffer), "stdin", lenient=True)


def check_writable(path: Path, inputs: Path | None = None) -> None:
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
        CorpusError: See `check_writable`.
        StorageError: It cannot be written.
    """
    if path is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        yield sys.stdout
        sys.stdout.flush()
        return
    check_writable(path, inputs)
    path = path.resolve()  # a link stays one
    whole = atomic_write(path, keep=True) if path.is_file() or not path.exists() else nullcontext(path)
    with wrap_storage_errors(path), whole as partial, partial.open("w", encoding="utf-8", newline="\n") as handle:
        yield handle
