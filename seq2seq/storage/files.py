"""Files that are whole or not there, or named by people; errors say what to do."""

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
MAX_NAME = 40  # characters of a file's name in that of its temporary file, which may have 255 bytes


@contextmanager
def atomic_write(path: Path, needed: int | None = None, *, keep: bool = False) -> Iterator[Path]:
    """A temporary path that replaces `path` when the block succeeds, so that `path` is old or new, never half.

    No other process has the same one, so that of two that write one file the last wins.

    Args:
        path: The file.
        needed: Its bytes, where they are known, for the error.
        keep: Leave the temporary file, as `PATH.partial`, if the block does not succeed.

    Raises:
        StorageError: It cannot be written.
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
    """A path beside `path` that nobody else uses; those that killed processes of this machine left are removed."""
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
    """Whether a process of this machine lives; True where that is not known."""
    if sys.platform == "win32":  # where signal 0 is Ctrl-C
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
        shutil.copyfile(partial, path)  # a file that is mounted by itself, as containers do, cannot be replaced


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that then replaces `folder`; a crash in between can leave neither.

    The old folder is removed before the new one gets its name.

    Raises:
        StorageError: It cannot be written; errors inside the block stay as they are.
    """
    if not folder.name or folder.is_symlink():  # as of the working directory, whose neighbour is written first
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
    """Convert an OSError for `path`, or the `temporary` one in its place, to a StorageError; others pass through.

    Raises:
        StorageError: It cannot be written; says why, and of a full disk how much is needed and free.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None and str(error.filename) not in (str(path), str(temporary)):
            raise  # of another file
        raise StorageError(f"{path}: {_reason(error, path, needed)}") from None


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits, read a block at a time.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def check_regular_file(path: Path) -> Path:
    """Check that `path` is a regular file in its own folder, and return it.

    Raises:
        ModelDirectoryError: It is missing, a folder or a device, or a link that leads elsewhere.
    """
    try:
        real, folder = path.resolve(strict=True), path.parent.resolve(strict=True)
    except FileNotFoundError:
        raise ModelDirectoryError(f"{path}: no such file. Is {path.parent} a model directory?") from None
    except (OSError, RuntimeError) as error:  # of a link to itself, Python 3.12 raises a RuntimeError
        reason = getattr(error, "strerror", None) or error
        raise ModelDirectoryError(f"{path}: cannot be read: {reason}.") from None
    if not real.is_relative_to(folder):
        raise ModelDirectoryError(
            f"{path}: is a link that leads out of {path.parent}, to {real}. Put a copy of the file in its place, "
            "if you trust where the directory came from."
        )
    if not real.is_file():
        what = "a folder" if real.is_dir() else "a device or a pipe"
        raise ModelDirectoryError(f"{path}: expected a file, found {what}. Restore the file from a copy.")
    return path


def descriptor(path: Path) -> int | None:
    """The open descriptor of this process that a path stands for, itself or as a link; None for any other path.

    To open such a path would not do: what is redirected to a file would be written from its beginning, and sockets
    cannot be opened at all.
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
    """What to call a place in messages: a standard stream by its name, all others by their paths."""
    number = descriptor(path)
    return str(path) if number is None or number >= len(STANDARD_STREAMS) else STANDARD_STREAMS[number].name


def resolve_file(path: str) -> Path:
    """`expand_path` a path and check that a file is there, which can be read again and again.

    Raises:
        CorpusError: See `expand_path`; or there is none, or something else.
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
    """Whether a path is an open descriptor, a pipe or a device: no file, and no folder."""
    return descriptor(path) is not None or (path.exists() and not path.is_file() and not path.is_dir())


def unreadable(path: Path, error: OSError) -> str:
    """The error about a file that cannot be read."""
    return missing(path) if isinstance(error, FileNotFoundError) else f"{path}: cannot be read: {error.strerror}."


def missing(path: Path) -> str:
    """The error about a file that is not there."""
    return f"{path}: no such file{looked_in(path)}."


def looked_in(path: Path) -> str:
    """Where a path was looked for, if it is relative: ` in /home/me/project`."""
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
            f"Set it to the folder (export {unset[1]}=...), or give the path itself."
        )
    return Path(expanded).expanduser()


def _reason(error: OSError, path: Path, needed: int | None) -> str:
    size = "" if needed is None else f"{decimal(needed)} needed, "
    again = "and run the same command again."
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        what = "no space left" if error.errno == errno.ENOSPC else "the disk quota is used up"
        folder = next(folder for folder in path.absolute().parents if folder.is_dir())
        return f"{what}: {size}{decimal(shutil.disk_usage(folder).free)} free. Free some {again}"
    if error.errno == errno.EFBIG:
        return f"larger than files may be here: {size}{_largest()}. Raise the limit {again}"
    return f"cannot be written: {error.strerror or error}."


def _largest() -> str:
    if sys.platform != "win32":
        import resource

        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY:
            return f"the limit is {decimal(limit)} (ulimit -f)"
    return "the file system's limit is reached"
