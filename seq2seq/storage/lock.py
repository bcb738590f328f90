"""One process at a time, on one machine or on several that share a file system."""

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from seq2seq.storage.files import regular_file, storage_errors


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
    held, owner = FileLock(lock), pid_file(lock)
    for path in (lock, owner):
        if path.is_symlink():
            regular_file(path)  # a link to another file would be written through
    try:
        # A moment, and not at once: the file may have been removed between opening and locking it.
        held.acquire(timeout=1)
    except Timeout:
        process = "unknown"
        with suppress(OSError):
            process = owner.read_text(encoding="utf-8").strip() or process
        raise error(process) from None
    try:
        with storage_errors(owner):
            owner.write_text(f"{os.getpid()} on {platform.node()}\n", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        held.release()
