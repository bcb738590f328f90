"""One process at a time, on one machine or on several that share a file system."""

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from seq2seq.storage.files import stored_file, writing


def owner_of(lock: Path) -> Path:
    """File that names the lock's holder."""
    return lock.with_name(f"{lock.name.removesuffix('.lock')}.pid")


@contextmanager
def hold(lock: Path, refused: Callable[[str], Exception]) -> Iterator[None]:
    """Hold a lock file `NAME.lock`; the OS releases it when the process ends, however it ends.

    Args:
        lock: The file, which stays when the lock is released; its folder is made if it is missing.
        refused: Returns the error if another process holds it, given the holder, e.g. `1234 on node7`.
    """
    held, owner = FileLock(lock), owner_of(lock)
    for path in (lock, owner):
        if path.is_symlink():
            stored_file(path)  # a link to another file would be written through
    try:
        # A moment, and not at once: the file may have been removed between opening and locking it.
        held.acquire(timeout=1)
    except Timeout:
        process = "unknown"
        with suppress(OSError):
            process = owner.read_text(encoding="utf-8").strip() or process
        raise refused(process) from None
    try:
        with writing(owner):
            owner.write_text(f"{os.getpid()} on {platform.node()}\n", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        held.release()
