"""One process a directory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from seq2seq.errors import TrainingError
from seq2seq.files import stored_file, writing

# Beside the checkpoints, which are no part of the model that is handed on.
LOCK, OWNER = "checkpoints/train.lock", "checkpoints/train.pid"


@contextmanager
def only_run(directory: Path) -> Iterator[None]:
    """Keep a directory to this process; the system gives it free when the process ends, however it ends.

    Raises:
        TrainingError: Another process trains into it.
        ModelDirectoryError: A link leads out of it.
    """
    lock, owner = FileLock(directory / LOCK), directory / OWNER
    owner.parent.mkdir(parents=True, exist_ok=True)
    for path in (directory / LOCK, owner):
        if os.path.lexists(path):
            stored_file(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        process = "unknown"
        with suppress(OSError):
            process = owner.read_text(encoding="utf-8").strip() or process
        raise TrainingError(
            f"{directory}: process {process} is training into it. Wait for it or end it, or give another --output."
        ) from None
    try:
        with writing(owner):
            owner.write_text(f"{os.getpid()}\n", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
