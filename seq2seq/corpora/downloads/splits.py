"""Splits for a corpus that has none: by source sentence, so that no sentence is in two splits."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any

from seq2seq.corpora.chunks import chunks
from seq2seq.corpora.lines import strip_line_end
from seq2seq.errors import CorpusError
from seq2seq.plurals import pluralize
from seq2seq.storage.files import atomic_write
from seq2seq.text.cleaning import is_blank, plain_form

SPLITS = ("train", "valid", "test")
CHUNK_SIZE = 10_000  # pairs that are assigned at once


@dataclass
class SplitReport:
    """Numbers of lines of a table, by their outcome.

    Attributes:
        read: Number of lines read, the sum of all the others.
        duplicates: Number of repeated pairs.
        malformed: Number of lines without a pair.
        first_malformed: The first of these, as `file:line: reason`; None if there are none.
        pairs: Number of pairs of each split.
    """

    read: int = 0
    duplicates: int = 0
    malformed: int = 0
    first_malformed: str | None = None
    pairs: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"pairs": {split: self.pairs[split] for split in SPLITS}}


def assign_split(source: str, seed: int, held_out: float) -> str:
    """The split of a source sentence, which depends on nothing but its text and the seed.

    Therefore every sentence stays in its split when the corpus grows.
    """
    text = f"{seed}\n{plain_form(source)}".encode("utf-8", "surrogatepass")
    place = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") / 2**64
    if place < held_out:
        return "test"
    return "valid" if place < 2 * held_out else "train"


def write_splits(
    lines: Iterable[bytes], name: str, folder: Path, columns: tuple[int, int], seed: int, held_out: float
) -> SplitReport:
    """Write `train.tsv`, `valid.tsv` and `test.tsv`, in the order of the table.

    Exact repetitions of a pair are dropped, as are lines without text in both columns or not in UTF-8; both are
    counted. Memory grows by 8 bytes per pair; see `hash_texts`.

    Args:
        lines: Lines of tab-separated columns.
        name: Name of the table, for errors.
        folder: Output folder.
        columns: Columns of source and target, counted from 1.
        seed: Seed of the splits.
        held_out: Share of the distinct source sentences in valid, and again in test; above 0, below 0.5.

    Raises:
        CorpusError: A split would be empty.
        StorageError: A file cannot be written.
    """
    from seq2seq.storage.deduplication import Deduplicator, hash_texts

    report, seen = SplitReport(), Deduplicator()
    with ExitStack() as stack:
        partial = {split: stack.enter_context(atomic_write(folder / f"{split}.tsv")) for split in SPLITS}
        handles = {split: stack.enter_context(path.open("wb")) for split, path in partial.items()}
        for chunk in chunks(_pairs(lines, name, columns, report), CHUNK_SIZE):
            new = seen.add(hash_texts(f"{plain_form(source)}\t{plain_form(target)}" for source, target in chunk))
            report.duplicates += len(chunk) - int(new.sum())
            for source, target in compress(chunk, new):
                split = assign_split(source, seed, held_out)
                report.pairs[split] += 1
                handles[split].write(f"{source}\t{target}\n".encode())
        empty = [split for split in SPLITS if not report.pairs[split]]
        if empty:
            found = f" {pluralize(report.malformed, 'malformed line')}; the first: {report.first_malformed}."
            raise CorpusError(
                f"{name}: '{empty[0]}' gets none of {pluralize(report.pairs.total(), 'pair')} at --held-out-fraction "
                f"{held_out:g}. Raise --held-out-fraction, or take a larger corpus.{found if report.malformed else ''}"
            )
    return report


def _pairs(
    lines: Iterable[bytes], name: str, columns: tuple[int, int], report: SplitReport
) -> Iterator[tuple[str, str]]:
    """Yield the pairs of the well-formed lines; count the lines read, and the malformed ones."""
    for number, raw in enumerate(lines, start=1):
        report.read += 1
        try:
            yield _columns(strip_line_end(raw, number), columns)
        except ValueError as error:
            report.malformed += 1
            report.first_malformed = report.first_malformed or f"{name}:{number}: {error}"


def _columns(line: bytes, columns: tuple[int, int]) -> tuple[str, str]:
    """The two columns of a line.

    Raises:
        ValueError: A column is missing or blank, or the line is not UTF-8.
    """
    cells = line.decode("utf-8").split("\t")
    if len(cells) < max(columns):
        raise ValueError(f"expected at least {max(columns)} tab-separated columns, found {len(cells)}")
    source, target = (cells[column - 1] for column in columns)
    if is_blank(source) or is_blank(target):
        raise ValueError("expected text in both columns, found a blank one")
    return source, target
