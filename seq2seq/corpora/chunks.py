"""Items that are read one by one, in chunks that are processed at once."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def chunks(
    items: Iterable[T],
    most: int,
    *,
    size: Callable[[T], int] = lambda item: 1,
    is_complete: Callable[[], bool] = lambda: False,
) -> Iterator[list[T]]:
    """Yield consecutive items in lists; the last list has the rest.

    If reading an item raises an error, the items before it are yielded first, so that none of them is lost.

    Args:
        items: The items.
        most: Size at which a list is complete.
        size: Size of an item; by default, a list has `most` items.
        is_complete: Called after each item: whether to yield a smaller list now.
    """
    chunk: list[T] = []
    total = 0
    try:
        for item in items:
            chunk.append(item)
            total += size(item)
            if total >= most or is_complete():
                yield chunk
                chunk, total = [], 0
    except Exception:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk
