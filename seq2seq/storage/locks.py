"""File locks, held by one process at a time."""

import os
import platform
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from seq2seq.errors import Seq2SeqWarning
from seq2seq.storage.files import check_regular_file, is_running, wrap_storage_errors

ACQUIRE_SECONDS = 1.0  # seconds; the lock file may be removed between its opening and its locking


class LockWarning(Seq2SeqWarning):
    """A file system does not support locks."""


def pid_file(lock: Path) -> Path:
    """The path of the file that names the lock's holder."""
    return lock.with_name(f"{lock.name.removesuffix('.lock')}.pid")


@contextmanager
def file_lock(lock: Path, error: Callable[[str], Exception]) -> Iterator[None]:
    """Hold a lock file `NAME.lock`; the operating system releases the lock when the process ends, in whatever way.

    Args:
        lock: Lock file. It remains after the lock is released; a missing folder is created.
        error: Returns the error to raise if another process holds the lock, given the holder, e.g. `1234 on node7`.
    """
    owner = pid_file(lock)
    for path in (lock, owner):
        if path.is_symlink():
            check_regular_file(path)  # writing through a link would change another file
    with _held(lock, ACQUIRE_SECONDS) as is_held:
        holder = _read_holder(owner)
        if is_held is False or (is_held is None and _lives_here(holder)):
            raise error(holder)
        try:
            with wrap_storage_errors(owner):
                owner.write_text(f"{os.getpid()} on {platform.node()}\n", encoding="utf-8")
            yield
        finally:
            owner.unlink(missing_ok=True)


@contextmanager
def wait_for_lock(lock: Path) -> Iterator[None]:
    """Wait until no other process holds a lock file, then hold it."""
    with _held(lock, -1):
        yield


def is_locked(lock: Path) -> bool:
    """Whether another process holds a lock file, which need not exist."""
    if not lock.exists():
        return False
    with _held(lock, 0) as is_held:
        return is_held is False or (is_held is None and _lives_here(_read_holder(pid_file(lock))))


@contextmanager
def _held(lock: Path, seconds: float) -> Iterator[bool | None]:
    """Yield whether the lock was acquired within `seconds` (negative: no limit); None if locks are not supported."""
    from filelock import FileLock, Timeout  # slow to import, and most commands need no lock

    held = FileLock(lock)
    got: bool | None = True
    try:
        with warnings.catch_warnings():
            # On systems without `flock`, the existence of the file is the lock.
            warnings.filterwarnings("ignore", "flock not supported")
            held.acquire(timeout=seconds)
    except Timeout:
        got = False
    except OSError as error:
        if error.filename is not None:
            raise
        got = None
        warnings.warn(
            f"{lock}: this file system does not support locks ({error.strerror}): do not let two machines write into "
            f"{lock.parent} at once",
            LockWarning,
            stacklevel=2,
        )
    try:
        yield got
    finally:
        held.release()


def _read_holder(owner: Path) -> str:
    with suppress(OSError):
        return owner.read_text(encoding="utf-8", errors="replace").strip() or "unknown"
    return "unknown"


def _lives_here(holder: str) -> bool:
    """Whether the holder named in `pid_file` is another, running process of this machine."""
    number, _, node = holder.partition(" on ")
    here = number.isdecimal() and node == platform.node() and int(number) != os.getpid()
    return here and is_running(int(number))
