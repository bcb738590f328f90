"""What a run is asked for from outside, so that it ends between two batches and never inside one."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple


class StopRequest:
    """True once somebody asked the run to stop."""

    def __init__(self) -> None:
        self.made = False

    def __bool__(self) -> bool:
        return self.made


class Requests(NamedTuple):
    """What a run is asked for.

    interrupt  by a signal: to save and stop, and to be resumed later
    end        by a callback: to end as if its epochs were done
    save       by the clock: to write a checkpoint
    """

    interrupt: bool = False
    end: bool = False
    save: bool = False


@contextmanager
def stopping_on_signals(request: StopRequest, say: Callable[[str], None]) -> Iterator[None]:
    """Make a request of the first SIGINT or SIGTERM; a second one raises KeyboardInterrupt.

    Off the main thread, which alone gets signals, the request is never made.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if request:
            raise KeyboardInterrupt
        request.made = True
        say("stopping after this batch or validation; press Ctrl-C again to stop without saving")

    previous = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, handle)
    except ValueError:
        pass
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
