"""Wall-clock time between two moments of a run."""

import time


class Timer:
    """Seconds since it was made or restarted."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._since

    def restart(self) -> float:
        """Count from now on; returns the seconds so far."""
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        return seconds


class Throughput(Timer):
    """Tokens per second since it was made or restarted; `tokens` are counted from outside."""

    tokens = 0

    def restart(self) -> float:
        """Count from now on; returns the seconds so far."""
        self.tokens = 0
        return super().restart()

    def per_second(self) -> float:
        """Mean speed so far."""
        return self.tokens / max(self.seconds(), 1e-9)
