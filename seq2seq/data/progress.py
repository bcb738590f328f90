"""Progress of long work: callbacks that report it, and work on a stream, chunk by chunk."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from seq2seq.corpora.chunks import chunks

Item = TypeVar("Item")
Result = TypeVar("Result")
ProgressCallback = Callable[[int], None]  # called with the number of items done so far


def no_progress(done: int) -> None:
    """A `ProgressCallback` that does nothing."""


def run_in_chunks(
    items: Iterable[Item],
    size: int,
    run: Callable[[list[Item], ProgressCallback], Iterable[Result]],
    on_progress: ProgressCallback,
) -> Iterator[Result]:
    """Yield the results of any number of items in order, holding at most `size` items in memory.

    The results of all items before an error of `items` are yielded before it is raised.

    Args:
        items: The items.
        size: Maximum number of items of a chunk.
        run: Function from a chunk to its results; it reports the number of items of the chunk that are done so far.
        on_progress: Called with the number of all items done so far.
    """
    before = 0

    def advance(done: int) -> None:
        on_progress(before + done)

    for chunk in chunks(items, size):
        yield from run(chunk, advance)
        before += len(chunk)
