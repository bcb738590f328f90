"""What a caller hears of work that takes long."""

from collections.abc import Callable

Progress = Callable[[int], None]  # called with the number of things done so far


def unheard(done: int) -> None:
    """A `Progress` that tells nobody."""
