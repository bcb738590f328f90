"""What a run is asked for from outside, so that it ends between two batches and never inside one."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event
from types import FrameType
from typing import NamedTuple


class RunRequests(NamedTuple):
    """What a run is asked for.

    interrupt  by a signal: to save and stop, and to be resumed later
    end        by a callback: to end as if its epochs were done
    save       by the clock: to write a checkpoint
    """

    interrupt: bool = False
    end: bool = False
    save: bool = False


@contextmanager
def stop_on_signals(request: Event, print_line: Callable[[str], None]) -> Iterator[None]:
    """Set `request` at the first SIGINT or SIGTERM; a second one raises KeyboardInterrupt.

    Off the main thread, which alone gets signals, it is never set.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if request.is_set():
            raise KeyboardInterrupt
        request.set()
        print_line("stopping after this batch or validation; press Ctrl-C again to stop without saving")

    previous = {}
    with suppress(ValueError):  # off the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
