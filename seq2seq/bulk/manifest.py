"""What a shard leaves on disk: its part of the output, a manifest of how far it is, and a lock."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from seq2seq.errors import BulkError
from seq2seq.storage.files import replacing
from seq2seq.storage.lock import owner_of

MOST_SHARDS = 99_999


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
            raise BulkError(
                f"--shard {text}: expected I/N, with N up to {MOST_SHARDS} and I from 1 to N, such as 1/8 or 8/8."
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def lines(self, total: int, chunk: int) -> range:
        """The numbers of its lines, of `total`; a chunk is never divided, so that batches are those of a single run."""
        chunks = -(-total // chunk)
        start, stop = (chunks * before // self.count * chunk for before in (self.number - 1, self.number))
        return range(min(start, total) + 1, min(stop, total) + 1)


class PartFiles:
    """The files of a shard, beside the output `OUT`: `OUT.part-00002-of-00008` with `.json`, `.lock` and `.pid`."""

    def __init__(self, output: Path, shard: Shard) -> None:
        name = f"{output.name}.part-{shard.number:05d}-of-{shard.count:05d}"
        self.text = output.with_name(name)
        self.manifest = output.with_name(f"{name}.json")
        self.lock = output.with_name(f"{name}.lock")

    def remove(self) -> None:
        for path in (self.text, self.manifest, owner_of(self.lock), self.lock):
            path.unlink(missing_ok=True)


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    def write(self, path: Path) -> None:
        """Write it in one step: whoever reads finds the old one or the new one."""
        with replacing(path) as partial:
            partial.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


class Manifest(_Record):
    """How far a shard is.

    job         `Job.identity`, with the number of `shards` and the lines of a `chunk`
    first_line  of the shard in the input, from 1 on
    last_line   the same; one less than the first where the shard is empty
    done_lines  lines of the shard that are translated
    done_bytes  what they take in the part; bytes behind it do not count
    """

    job: dict[str, Any]
    first_line: int
    last_line: int
    done_lines: int = 0
    done_bytes: int = 0

    @property
    def complete(self) -> bool:
        return self.done_lines == self.last_line - self.first_line + 1


class Joined(_Record):
    """What remains when the parts are one file: whoever comes late sees that there is nothing left to do.

    job    as in `Manifest`
    bytes  of the output
    """

    job: dict[str, Any]
    bytes: int


AnyRecord = TypeVar("AnyRecord", bound=_Record)


def read_record(kind: type[AnyRecord], path: Path, remedy: str) -> AnyRecord | None:
    """Read what `write` wrote; None where there is nothing.

    Raises:
        BulkError: It is damaged; says the remedy.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise BulkError(f"{path}: damaged: {where}{': ' if where else ''}{problem['msg']}. {remedy}") from None


def joined_path(output: Path) -> Path:
    """Where `Joined` is kept."""
    return output.with_name(f"{output.name}.manifest.json")


def manifests_beside(output: Path) -> Iterator[Path]:
    """The manifests of all shards of an output, whatever their number."""
    pattern = re.compile(re.escape(output.name) + r"\.part-[0-9]{5}-of-[0-9]{5}\.json")
    return (path for path in sorted(output.parent.iterdir()) if pattern.fullmatch(path.name))
