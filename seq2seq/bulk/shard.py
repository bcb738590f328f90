"""Part I of N of a file's lines."""

import re
from dataclasses import dataclass

from seq2seq.errors import BulkError


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count`, from 1 on."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `I/N`.

        Raises:
            BulkError: It is something else.
        """
        match = re.fullmatch(r"([0-9]{1,5})/([0-9]{1,5})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise BulkError(f"--shard {text}: expected I/N, with N up to 99999 and I from 1 to N, such as 1/8 or 8/8.")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def lines(self, total: int, chunk: int) -> range:
        """The numbers of its lines, of `total`; a chunk is never divided, so that batches are those of a single run."""
        chunks = -(-total // chunk)
        start, stop = (chunks * before // self.count * chunk for before in (self.number - 1, self.number))
        return range(min(start, total) + 1, min(stop, total) + 1)
