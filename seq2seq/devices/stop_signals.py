"""Signals that ask a process to stop: Ctrl-C, `kill`, and a closed terminal."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

# Windows has no SIGHUP.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


@contextmanager
def on_stop_signals(react: Callable[[], None]) -> Iterator[None]:
    """Context that calls `react` on each of `STOP_SIGNALS`, which only the main thread receives.

    Under nohup, a closed terminal remains without effect.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        react()

    previous = {}
    with suppress(ValueError):  # off the main thread
        for number in STOP_SIGNALS:
            if number in (signal.SIGINT, signal.SIGTERM) or signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
