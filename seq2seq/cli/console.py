"""Input and output of commands: incoming text, messages and progress on stderr, results on stdout."""

import io
import json
import os
import signal
import stat
import sys
import tempfile
import threading
import warnings
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from types import FrameType
from typing import IO, Any, TypeVar

from rich.console import Console
from rich.control import Control
from rich.markup import escape
from rich.progress import Progress
from rich.segment import ControlType

from seq2seq.corpora.chunks import chunks
from seq2seq.corpora.lines import decode_lines, text_stream, wrap_reading_errors
from seq2seq.errors import Seq2SeqWarning
from seq2seq.storage.files import STDIN, STDOUT, place_name
from seq2seq.storage.streams import open_input, open_output

stderr = Console(stderr=True)
_interrupted = threading.Event()  # by Ctrl-C, in the command that is running
EXIT_INTERRUPTED = 130
READ_BYTES = 2**16  # bytes read at once from a pipe or a terminal
ERASE_LINE = Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))
PAUSE = 0.02  # seconds without input after which the lines so far are processed

T = TypeVar("T")


def input_place(text: str) -> Path:
    """Convert an argument that names an input to a path; `-` is stdin."""
    return STDIN if text == "-" else Path(text)


def output_place(text: str) -> Path:
    """Convert an argument that names an output to a path; `-` is stdout."""
    return STDOUT if text == "-" else Path(text)


def warn(message: str) -> None:
    """Print a warning to stderr."""
    print_stderr(f"warning: {message}")


def print_stderr(message: str) -> None:
    """Print a line to stderr unchanged; a full disk behind it does not end the command."""
    with suppress(OSError):
        stderr.print(message, markup=False, highlight=False, soft_wrap=True)


def print_stdout(text: str) -> None:
    """Print lines to stdout unchanged."""
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


def write_json(values: Any) -> None:
    """Print values to stdout as JSON, for `--json`."""
    with open_output(STDOUT) as handle:
        print(json.dumps(values, indent=2, ensure_ascii=False), file=handle)


def show_anything() -> None:
    """Make stdout and stderr accept every character, so that none ends a command with an error.

    Files and pipes are written in UTF-8. A terminal keeps its encoding and shows escapes for missing characters.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # notebooks have other streams
            if stream.isatty():
                stream.reconfigure(errors="backslashreplace")
            else:
                stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")


def show_own_warnings() -> None:
    """Print this package's warnings with `warn`, without Python's file and line, until `catch_warnings` ends."""
    others = warnings.showwarning

    def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, Seq2SeqWarning):
            warn(str(message))
        else:
            others(message, category, *where, **more)

    warnings.showwarning = show
    warnings.simplefilter("always", Seq2SeqWarning)  # regardless of PYTHONWARNINGS


@contextmanager
def report_interruption() -> Iterator[None]:
    """End a command that Ctrl-C interrupts with one line and exit code 130.

    Libraries may turn the KeyboardInterrupt into errors of their own, e.g. TensorFlow during its import. Notes of the
    error are added to the line.
    """
    _interrupted.clear()

    def interrupt(number: int, frame: FrameType | None) -> None:
        _interrupted.set()
        raise KeyboardInterrupt

    ours = threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else ignored, or a program's own
    if ours:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except BaseException as error:
        if not _is_interruption(error):
            raise
        with suppress(OSError):
            print("; ".join(["interrupted", *getattr(error, "__notes__", ())]), file=sys.stderr)
        raise SystemExit(EXIT_INTERRUPTED) from None
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_interruption(error: BaseException) -> bool:
    return _interrupted.is_set() or isinstance(error, KeyboardInterrupt)


@contextmanager
def progress_bar(description: str, total: int | None, hidden: bool = False) -> Iterator[Any]:
    """Show a progress bar if stderr is a terminal; yield a function to call with the number done so far."""
    with Progress(console=stderr, transient=True, disable=hidden or not stderr.is_terminal) as bar:
        task = bar.add_task(escape(description), total=total)
        yield lambda done: bar.update(task, completed=done)


def import_tensorflow() -> None:
    """Import TensorFlow and initialise its devices without its start-up messages on stderr.

    If that fails, the messages are printed. A GPU that cannot be used is reported as a warning. This takes
    seconds, so a line at a terminal says in the meantime what is happening.
    """
    if stderr.is_terminal:
        stderr.print("loading TensorFlow ...", end="\r", highlight=False)
    sys.stderr.flush()
    real = os.dup(2)
    with _scratch_file() as captured, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # printed below, since stderr is captured now
        os.dup2(captured.fileno(), 2)
        try:
            from seq2seq.devices.device import DeviceWarning, set_up_device

            set_up_device()
        except BaseException as error:
            if _is_interruption(error):
                error.add_note("nothing has been done or saved yet: the same command starts again")
            else:
                captured.seek(0)
                os.write(real, captured.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)
            stderr.control(ERASE_LINE)  # at a terminal
    for warning in caught:
        if issubclass(warning.category, DeviceWarning):
            warn(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _scratch_file() -> IO[bytes]:
    """A private file, in memory if possible, since there may be no folder for temporary files."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("stderr"), "r+b")
    return tempfile.TemporaryFile()


class InputLines:
    """Lines of text, with a warning about invalid UTF-8.

    Args:
        raw: Lines with their line endings.
        name: Name of the input in warnings and errors.
        typed: Whether the lines are typed at a terminal.
    """

    def __init__(self, raw: Iterable[bytes], name: str, typed: bool = False) -> None:
        self.typed, self.name, self._raw = typed, name, raw
        self._lines = decode_lines(raw, name, warn)

    @classmethod
    def read(cls, handle: "io.BufferedReader[Any]", path: Path, accepts: Collection[str] = ()) -> "InputLines":
        """The lines of an open input, compressed or not.

        Raises:
            CorpusError: The input is not text, see `text_stream`; input from a terminal is not checked.
        """
        typed, name = handle.isatty(), place_name(path)
        text = handle
        if not typed:
            with wrap_reading_errors(name):
                text = text_stream(handle, name, lenient=True, accepts=accepts)
        # Compressed text arrives in blocks, so its sender cannot wait for the answer to a single line.
        return cls(_ArrivingLines(handle) if text is handle and _arrives_slowly(handle) else text, name, typed)

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def chunks(self, most: int, convert: Callable[[str, int], T]) -> Iterator[list[T]]:
        """Yield up to `most` converted lines at a time.

        A chunk is smaller if no more lines have arrived, since the sender may wait for an answer, and before a line
        that cannot be read or converted: those before it are processed before the error is raised.

        Args:
            most: Maximum number of lines.
            convert: Called with each line and its number.
        """
        raw = self._raw
        items = (convert(line, number) for number, line in enumerate(self._lines, start=1))
        waits = (lambda: not raw.has_more()) if isinstance(raw, _ArrivingLines) else lambda: self.typed
        return chunks(items, most, is_complete=waits)


def _arrives_slowly(handle: "io.BufferedReader[Any]") -> bool:
    """Whether an input is a pipe, a terminal or the like, on a system that can wait for its data."""
    try:
        mode = os.fstat(handle.fileno()).st_mode
    except OSError:  # an object without a descriptor
        return False
    return sys.platform != "win32" and not stat.S_ISREG(mode)


class _ArrivingLines:
    """Lines of a pipe or a terminal, and whether more of them have arrived."""

    def __init__(self, handle: "io.BufferedReader[Any]") -> None:
        self._handle = handle
        self._read: deque[bytes] = deque()

    def __iter__(self) -> Iterator[bytes]:
        begun: list[bytes] = []  # parts of a line whose end has not been read yet
        while block := self._handle.read1(READ_BYTES):
            first, *others = block.split(b"\n")
            begun.append(first)
            for other in others:
                self._read.append(b"".join(begun) + b"\n")
                begun = [other]
            while self._read:
                yield self._read.popleft()
        if rest := b"".join(begun):
            yield rest

    def has_more(self) -> bool:
        """Whether another line has been read already, or data arrive within `PAUSE` seconds."""
        return bool(self._read) or bool(select([self._handle], [], [], PAUSE)[0])


@contextmanager
def input_lines(path: Path, prompt: str, accepts: Collection[str] = ()) -> Iterator[InputLines]:
    """Open the lines of an input, compressed or not; at a terminal, `prompt` tells the user what to type.

    `accepts` are kinds of files that are accepted besides lines of text.
    """
    with open_input(path) as handle:
        if handle.isatty():
            end = "Ctrl-Z and Enter" if sys.platform == "win32" else "Ctrl-D"
            print_stderr(f"{prompt}; {end} to finish.")
        yield InputLines.read(handle, path, accepts)
