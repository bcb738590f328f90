"""What a caller hears of work that takes long."""

from collections.abc import Callable

ProgressCallback = Callable[[int], None]  # called with the number of things done so far


def no_progress(done: int) -> None:
    """A `ProgressCallback` that tells nobody."""
