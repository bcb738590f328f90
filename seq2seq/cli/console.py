"""What goes in and out of a command: text from and to files, stdin and stdout; messages and a bar on stderr."""

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from seq2seq.corpora.readers import decode_lines, open_bytes
from seq2seq.errors import CorpusError
from seq2seq.storage.files import atomic_write, wrap_storage_errors

stderr = Console(stderr=True)


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
def progress_bar(description: str, total: int | None) -> Iterator[Any]:
    """A bar on stderr where that is a terminal; yields a function that takes the number done so far."""
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
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


@contextmanager
def input_lines(path: Path | None) -> Iterator[Iterator[str]]:
    """Yield the lines of a file, plain or gzip, or of stdin; of invalid UTF-8 in them the user is warned."""
    try:
        handle = nullcontext(sys.stdin.buffer) if path is None else open_bytes(path)
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}.") from None
    with handle as lines:
        yield decode_lines(lines, str(path or "stdin"), warn)


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
