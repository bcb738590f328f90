"""A shard: part I of N of the lines of a file."""

import re
from dataclasses import dataclass

from seq2seq.errors import BulkError


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count`, counted from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `I/N`.

        Raises:
            BulkError: The text has a different form, or I is not between 1 and N.
        """
        match = re.fullmatch(r"([0-9]{1,5})/([0-9]{1,5})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise BulkError(f"--shard {text}: expected I/N, with N up to 99999 and I from 1 to N, e.g. 1/8 or 8/8.")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def lines(self, total: int, chunk: int) -> range:
        """The line numbers of the shard, of `total` lines. Chunks are never split, so batches equal a single run's."""
        chunks = -(-total // chunk)
        start, stop = (chunks * before // self.count * chunk for before in (self.number - 1, self.number))
        return range(min(start, total) + 1, min(stop, total) + 1)
