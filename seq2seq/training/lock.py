"""One process a directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seq2seq.errors import TrainingError
from seq2seq.storage.lock import hold

# Beside the checkpoints, which are no part of the model that is handed on.
LOCK, OWNER = "checkpoints/train.lock", "checkpoints/train.pid"


@contextmanager
def only_run(directory: Path) -> Iterator[None]:
    """Keep a directory to this process; the system gives it free when the process ends, however it ends.

    Raises:
        TrainingError: Another process trains into it.
    """

    def refused(process: str) -> TrainingError:
        return TrainingError(
            f"{directory}: process {process} is training into it. Wait for it or end it, or give another --output."
        )

    (directory / LOCK).parent.mkdir(parents=True, exist_ok=True)
    with hold(directory / LOCK, refused):
        yield
