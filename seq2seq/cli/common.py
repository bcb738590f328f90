"""What several commands share: TensorFlow's noisy start, text in and out, search options."""

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from seq2seq.config import SearchOptions, Section
from seq2seq.errors import ConfigError, CorpusError
from seq2seq.storage.files import writing

AnySection = TypeVar("AnySection", bound=Section)

errors = Console(stderr=True)


def load_tensorflow() -> None:
    """Import TensorFlow and wake its devices without the lines that it writes to stderr at that moment.

    Nothing is lost when it fails: what it wrote is printed then. That a GPU is there and not used is a warning.
    """
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as captured, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # shown below: stderr is captured now
        os.dup2(captured.fileno(), 2)
        try:
            from seq2seq.devices.device import DeviceWarning, find_device

            find_device()
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


def search_options(base: SearchOptions, **given: Any) -> SearchOptions:
    """`base` with the options that were given on the command line (not None); one translation unless asked.

    Raises:
        ConfigError: A value is not accepted.
    """
    values = base.model_dump() | {"n_best": 1} | {key: value for key, value in given.items() if value is not None}
    if given.get("sample") is False:  # how the recipe samples means nothing then
        for key in ("temperature", "top_k", "top_p"):
            values[key] = SearchOptions.model_fields[key].default if given.get(key) is None else given[key]
    return from_flags(SearchOptions, values)


def from_flags(section: type[AnySection], values: dict[str, Any]) -> AnySection:
    """A section of a recipe from flags; `--beam-size` is `beam_size`.

    Raises:
        ConfigError: A value is not accepted; names the flag.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        key = problem["loc"][0] if problem["loc"] else None
        flag = f"--{str(key).replace('_', '-')} {values[str(key)]}: " if key else ""
        raise ConfigError(f"{flag}{problem['msg'].removeprefix('Value error, ')}.") from None


@contextmanager
def open_input(path: Path | None) -> Iterator[IO[bytes]]:
    """A file, plain or gzip, or stdin."""
    if path is None:
        yield sys.stdin.buffer
        return
    from seq2seq.corpora.readers import open_bytes

    try:
        handle = open_bytes(path)
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}.") from None
    with handle:
        yield handle


def check_output(path: Path, reads: Path | None = None) -> None:
    """See that a file can be written, without writing it yet.

    Raises:
        CorpusError: It is the input `reads` or a folder, or there is no folder for it.
    """
    if reads is not None and path.exists() and path.samefile(reads):
        raise CorpusError(f"{path}: is the input too, and would be lost. Give another --output.")
    if path.is_dir():
        raise CorpusError(f"{path}: cannot be written: it is a folder.")
    if not path.parent.is_dir():
        raise CorpusError(f"{path}: cannot be written: there is no folder {path.parent}.")


@contextmanager
def open_output(path: Path | None, reads: Path | None = None) -> Iterator[IO[str]]:
    """A UTF-8 file, or stdout; lines end with `\\n` on every system.

    A file is `PATH.partial` until it is whole, and stays so where it does not get whole.

    Args:
        path: A file, a device or a pipe; None is stdout.
        reads: The input, which it must not be.

    Raises:
        CorpusError: See `check_output`.
        StorageError: It cannot be written.
    """
    if path is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        yield sys.stdout
        sys.stdout.flush()
        return
    check_output(path, reads)
    path = path.resolve()  # a link stays one
    is_file = path.is_file() or not path.exists()
    partial = path.with_name(f"{path.name}.partial") if is_file else path
    with writing(path):
        if is_file:
            partial.unlink(missing_ok=True)
        with partial.open("w", encoding="utf-8", newline="\n") as handle:
            yield handle
        if is_file:
            partial.replace(path)


def lenient_lines(handle: IO[bytes], name: str) -> Iterator[str]:
    """`corpora.readers.lenient_lines`, with its warnings on stderr."""
    from seq2seq.corpora import readers

    return readers.lenient_lines(handle, name, warn)


def warn(message: str) -> None:
    """Print a warning to stderr."""
    say(f"warning: {message}")


def say(message: str) -> None:
    """Print a line to stderr, as it is."""
    errors.print(message, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(what: str, total: int | None) -> Iterator[Any]:
    """A bar on stderr where that is a terminal; yields a function that takes the number done so far."""
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task(escape(what), total=total)
        yield lambda done: bar.update(task, completed=done)
