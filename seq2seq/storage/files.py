"""Atomic file writes, and paths given by users, with errors that say what to do."""

import errno
import hashlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from uuid import uuid4

from rich.filesize import decimal

from seq2seq.errors import CorpusError, ModelDirectoryError, StorageError

STDIN, STDOUT, STDERR = (Path("/dev") / name for name in ("stdin", "stdout", "stderr"))
STANDARD_STREAMS = (STDIN, STDOUT, STDERR)  # by descriptor
DESCRIPTOR_PATH = re.compile(r"/(?:dev|proc/(?:self|thread-self|(\d+)))/fd/(\d+)")
MAX_LINKS = 40
MAX_NAME = 40  # characters of a file's name that its temporary file repeats; file systems allow 255 bytes


@contextmanager
def atomic_write(path: Path, needed: int | None = None, *, keep: bool = False) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` when the block succeeds; `path` is old or new, never half-written.

    The temporary path is unique, so if two processes write the same file, the last one wins.

    Args:
        path: File to write.
        needed: Size of the file in bytes, if known, for the error message.
        keep: Keep the temporary file as `PATH.partial` if the block fails.

    Raises:
        StorageError: The file cannot be written.
    """
    partial, kept = _temporary(path), path.with_name(f"{path.name}.partial")
    with wrap_storage_errors(path, needed, partial):
        try:
            yield partial
            with partial.open("r+b") as handle:
                os.fsync(handle.fileno())
            _replace(partial, path)
            if keep:
                kept.unlink(missing_ok=True)
        except BaseException:
            if keep and partial.exists() and partial.stat().st_size:
                partial.replace(kept)
            raise
        finally:
            partial.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    """A unique path beside `path`; temporary files left by killed processes of this machine are removed."""
    begin = f"{path.name[:MAX_NAME]}.{platform.node()[:MAX_NAME]}"
    for left in path.parent.glob(f"{escape(begin)}.*.partial"):
        number = left.name.split(".")[-3]
        if number.isdecimal() and not is_running(int(number)):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
    return path.with_name(f"{begin}.{os.getpid()}.{uuid4().hex[:8]}.partial")


def is_running(process: int) -> bool:
    """Whether a process of this machine is running; True if that is unknown."""
    if sys.platform == "win32":  # signal 0 is Ctrl-C there
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _replace(partial: Path, path: Path) -> None:
    try:
        partial.replace(path)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        shutil.copyfile(partial, path)  # a single mounted file, as in containers, cannot be replaced


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `folder` when the block succeeds.

    The old folder is removed before the new one is renamed; a crash in between can leave neither.

    Raises:
        StorageError: The folder cannot be written; errors inside the block pass through unchanged.
    """
    if not folder.name or folder.is_symlink():  # e.g. the working directory, beside which the new folder is written
        folder = folder.resolve()
    partial = _temporary(folder)
    with wrap_storage_errors(folder, None, partial):
        partial.mkdir(parents=True)
    try:
        yield partial
        with wrap_storage_errors(folder, None, partial):
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def wrap_storage_errors(path: Path, needed: int | None = None, temporary: Path | None = None) -> Iterator[None]:
    """Convert an OSError about `path`, or about its `temporary` file, to a StorageError; others pass through.

    Raises:
        StorageError: The file cannot be written; the message gives the reason and, for a full disk, the space needed
            and free.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None and str(error.filename) not in (str(path), str(temporary)):
            raise  # about another file
        raise StorageError(f"{path}: {_reason(error, path, needed)}") from None


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits; the file is read in blocks.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def check_regular_file(path: Path) -> Path:
    """Check that `path` is a regular file in its own folder, and return it.

    Raises:
        ModelDirectoryError: The file is missing, a folder or a device, or a link to another folder.
    """
    try:
        real, folder = path.resolve(strict=True), path.parent.resolve(strict=True)
    except FileNotFoundError:
        raise ModelDirectoryError(f"{path}: no such file. Is {path.parent} a model directory?") from None
    except (OSError, RuntimeError) as error:  # Python 3.12 raises a RuntimeError for a link to itself
        reason = getattr(error, "strerror", None) or error
        raise ModelDirectoryError(f"{path}: cannot be read: {reason}.") from None
    if not real.is_relative_to(folder):
        raise ModelDirectoryError(
            f"{path}: is a link that leads out of {path.parent}, to {real}. Replace it by a copy of the file if you "
            "trust the source of the directory."
        )
    if not real.is_file():
        what = "a folder" if real.is_dir() else "a device or a pipe"
        raise ModelDirectoryError(f"{path}: expected a file, found {what}. Restore the file from a copy.")
    return path


def descriptor(path: Path) -> int | None:
    """The open descriptor of this process that a path or link refers to; None for any other path.

    Opening such a path instead would be wrong: output redirected to a file would start from the file's beginning, and
    sockets cannot be opened at all.
    """
    path = path.absolute()
    for _ in range(MAX_LINKS):
        if path in STANDARD_STREAMS:
            return STANDARD_STREAMS.index(path)
        found = DESCRIPTOR_PATH.fullmatch(path.as_posix())
        if found and found[1] in (None, str(os.getpid())):
            return int(found[2])
        try:
            path = path.parent / path.readlink()
        except OSError:
            return None
    return None


def place_name(path: Path) -> str:
    """The name of an input or output in messages: that of a standard stream, or else the path."""
    number = descriptor(path)
    return str(path) if number is None or number >= len(STANDARD_STREAMS) else STANDARD_STREAMS[number].name


def resolve_file(path: str) -> Path:
    """Expand a path by `expand_path`, and check that it is a regular file, which can be read repeatedly.

    Raises:
        CorpusError: See `expand_path`; or the file is missing, or something else.
    """
    file = expand_path(path)
    if file.is_dir():
        raise CorpusError(f"{file}: expected a file, found a folder.")
    if is_stream(file):
        raise CorpusError(
            f"{place_name(file)}: expected a file, found a pipe or device, which cannot be read again. Save its text "
            "as a file first."
        )
    if not file.exists():
        raise CorpusError(missing(file))
    return file


def is_stream(path: Path) -> bool:
    """Whether a path is an open descriptor, a pipe or a device, not a file or folder."""
    return descriptor(path) is not None or (path.exists() and not path.is_file() and not path.is_dir())


def unreadable(path: Path, error: OSError) -> str:
    """The error message for a file that cannot be read."""
    return missing(path) if isinstance(error, FileNotFoundError) else f"{path}: cannot be read: {error.strerror}."


def missing(path: Path) -> str:
    """The error message for a missing file."""
    return f"{path}: no such file{looked_in(path)}."


def looked_in(path: Path) -> str:
    """The folder in which a relative path was looked up, as ` in /home/me/project`; "" for an absolute path."""
    if not path.is_absolute():
        with suppress(OSError):  # the working directory was removed
            return f" in {Path.cwd()}"
    return ""


def expand_path(path: str) -> Path:
    """Expand `~` and environment variables in a path.

    Raises:
        CorpusError: A variable is not set.
    """
    expanded = os.path.expandvars(path)
    unset = re.search(r"\$\{?(\w+)", expanded)
    if unset and not Path(expanded).exists():
        raise CorpusError(
            f"{path}: the environment variable {unset[1]} is not set. "
            f"Set it to the folder (export {unset[1]}=...), or write the folder into the path."
        )
    return Path(expanded).expanduser()


def _reason(error: OSError, path: Path, needed: int | None) -> str:
    size = "" if needed is None else f"{decimal(needed)} needed, "
    again = "and run the same command again."
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        what = "no space left" if error.errno == errno.ENOSPC else "the disk quota is used up"
        folder = next(folder for folder in path.absolute().parents if folder.is_dir())
        return f"{what}: {size}{decimal(shutil.disk_usage(folder).free)} free. Free some space {again}"
    if error.errno == errno.EFBIG:
        return f"the file would be too large: {size}{_largest()}. Raise the limit {again}"
    return f"cannot be written: {error.strerror or error}."


def _largest() -> str:
    if sys.platform != "win32":
        import resource

        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY:
            return f"the limit is {decimal(limit)} (ulimit -f)"
    return "the file system's limit is reached"
