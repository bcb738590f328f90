"""Files that are whole or not there, held by one process at a time, or named by people; errors say what to do."""

import errno
import hashlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.filesize import decimal

from seq2seq.errors import CorpusError, ModelDirectoryError, StorageError


@contextmanager
def atomic_write(path: Path, needed: int | None = None, *, keep: bool = False) -> Iterator[Path]:
    """A temporary path that replaces `path` when the block succeeds, so that `path` is old or new, never half.

    Args:
        path: The file.
        needed: Its bytes, where they are known, for the error.
        keep: Leave the temporary file, `PATH.partial`, if the block does not succeed.

    Raises:
        StorageError: It cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    with wrap_storage_errors(path, needed):
        partial.unlink(missing_ok=True)  # it may be a link to another file, which would be written
        try:
            yield partial
            with partial.open("r+b") as handle:
                os.fsync(handle.fileno())
            partial.replace(path)
        finally:
            if not keep:
                partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that then replaces `folder`; a crash in between can leave neither.

    The old folder is removed before the new one, `FOLDER.partial`, gets its name.

    Raises:
        StorageError: It cannot be written; errors inside the block stay as they are.
    """
    if not folder.name or folder.is_symlink():  # as of the working directory, whose neighbour is written first
        folder = folder.resolve()
    partial = folder.with_name(folder.name + ".partial")
    with wrap_storage_errors(folder):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    try:
        yield partial
        with wrap_storage_errors(folder):
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def wrap_storage_errors(path: Path, needed: int | None = None) -> Iterator[None]:
    """Convert an OSError for `path` to a StorageError; those that name another file pass through.

    Raises:
        StorageError: It cannot be written; says why, and of a full disk how much is needed and free.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None and str(error.filename) not in (str(path), f"{path}.partial"):
            raise  # of another file
        raise StorageError(f"{path}: {_reason(error, path, needed)}") from None


def pid_file(lock: Path) -> Path:
    """File that names the lock's holder."""
    return lock.with_name(f"{lock.name.removesuffix('.lock')}.pid")


@contextmanager
def file_lock(lock: Path, error: Callable[[str], Exception]) -> Iterator[None]:
    """Hold a lock file `NAME.lock`; the OS releases it when the process ends, however it ends.

    Args:
        lock: The file, which stays when the lock is released; its folder is made if it is missing.
        error: Returns the error if another process holds it, given the holder, e.g. `1234 on node7`.
    """
    from filelock import FileLock, Timeout  # slow to import, and most commands lock nothing

    held, owner = FileLock(lock), pid_file(lock)
    for path in (lock, owner):
        if path.is_symlink():
            check_regular_file(path)  # a link to another file would be written through
    try:
        # A moment, and not at once: the file may have been removed between opening and locking it.
        held.acquire(timeout=1)
    except Timeout:
        process = "unknown"
        with suppress(OSError):
            process = owner.read_text(encoding="utf-8").strip() or process
        raise error(process) from None
    try:
        with wrap_storage_errors(owner):
            owner.write_text(f"{os.getpid()} on {platform.node()}\n", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        held.release()


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


def resolve_file(path: str) -> Path:
    """`expand_path` a path and check that a file is there; that there is none is a `CorpusError` too."""
    file = expand_path(path)
    if not file.is_file():
        found = "found a folder" if file.is_dir() else "found a pipe or device, which cannot be read again"
        raise CorpusError(f"{file}: {f'expected a file, {found}' if file.exists() else 'no such file'}.")
    return file


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
