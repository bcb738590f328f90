"""Callbacks that report the progress of long work."""

from collections.abc import Callable

ProgressCallback = Callable[[int], None]  # called with the number of items done so far


def no_progress(done: int) -> None:
    """A `ProgressCallback` that does nothing."""
