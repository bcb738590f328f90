"""Filters that leave pairs out of a training corpus, and count what they drop."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import compress
from typing import NamedTuple

import numpy as np

from seq2seq.config.data import FilterConfig, SentenceFilterConfig
from seq2seq.corpora.readers import SentencePair, chunks, left_out
from seq2seq.plurals import pluralize
from seq2seq.storage.deduplication import Deduplicator, hash_texts
from seq2seq.text.cleaning import clean

CHUNK_SIZE = 10_000  # pairs that are filtered at once
# Below this many characters a ratio says little: "No." against "Auf keinen Fall." is a fine pair.
MIN_RATIO_CHARACTERS = 20


@dataclass
class FilterReport:
    """How many pairs were read and kept, and how many each filter dropped."""

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def count_left_out(self, corpus: object) -> None:
        """Count what the reader of a corpus has left out, see `left_out`."""
        dropped = left_out(corpus)
        self.read += dropped.total()
        self.dropped.update(dropped)

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.most_common())


class PrefilterResult(NamedTuple):
    """What `prefilter` found of some pairs.

    read     number of pairs
    dropped  number of those that are dropped, by reason
    hashes   of the others, (read - dropped,) uint64, by which duplicates are found
    """

    read: int
    dropped: Counter[str]
    hashes: np.ndarray


class DuplicateFilter:
    """The pairs that are kept of those that `prefilter` leaves: all but duplicates, which one process has to find.

    Args:
        filters: What to drop.
        report: Counts what is read, kept and dropped.
    """

    def __init__(self, filters: SentenceFilterConfig, report: FilterReport) -> None:
        self.report = report
        self._seen = Deduplicator() if filters.drop_duplicates else None

    def keep(self, screening: PrefilterResult, reasons: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Which of the pairs that were left are kept, (N,) bool.

        Args:
            screening: Of pairs that follow those of the last call.
            reasons: More reasons to drop, after duplicates: for each the pairs it holds for, (N,) bool. A pair with
                several counts for the first.
        """
        report, dropped = self.report, screening.dropped.copy()
        duplicate = {} if self._seen is None else {"duplicate": ~self._seen.add(screening.hashes)}
        kept = np.ones(len(screening.hashes), bool)
        for reason, rows in (duplicate | dict(reasons or {})).items():
            if count := int((rows & kept).sum()):
                dropped[reason] += count
                kept &= ~rows
        report.read += screening.read
        report.kept += int(kept.sum())
        report.dropped.update(dropped)
        return kept


def filter_pairs(
    pairs: Iterable[SentencePair], filters: SentenceFilterConfig, report: FilterReport
) -> Iterator[SentencePair]:
    """Yield the pairs that pass every filter, in order, and count all of them in `report`, `CHUNK_SIZE` at a time.

    What the reader of a corpus leaves out is counted at the end.

    A pair that fails several filters counts for the first: empty, too long, length ratio, duplicate.
    Duplicates are found by hashes, which take 8 bytes of memory a kept pair; see `hash_texts`.
    """
    selection = DuplicateFilter(filters, report)
    for chunk in chunks(pairs, CHUNK_SIZE):
        left, screening = prefilter(chunk, filters)
        yield from (SentencePair(*pair) for pair in compress(left, selection.keep(screening)))
    report.count_left_out(pairs)


def prefilter(
    pairs: Iterable[tuple[str, ...]], filters: SentenceFilterConfig
) -> tuple[list[tuple[str, ...]], PrefilterResult]:
    """Clean pairs and leave out those that are dropped for what they are, whatever other pairs there are.

    Args:
        pairs: Source, target and whatever else is to stay with them.
        filters: What to drop.
    """
    left, dropped, read = [], Counter[str](), 0
    for pair in pairs:
        read += 1
        source, target, *more = pair
        source, target = clean(source), clean(target)
        reason = drop_reason(source, target, filters)
        if reason is None:
            left.append((source, target, *more))
        else:
            dropped[reason] += 1
    return left, PrefilterResult(read, dropped, hash_texts(f"{pair[0]}\n{pair[1]}" for pair in left))


def drop_reason(source: str, target: str, filters: SentenceFilterConfig) -> str | None:
    """Why a pair of clean texts is dropped for what it is; None: it is kept, if it is no duplicate."""
    shorter, longer = sorted((len(source.strip()), len(target.strip())))
    if filters.drop_empty and shorter == 0:
        return "empty side"
    if filters.max_characters is not None and longer > filters.max_characters:
        return f"over {pluralize(filters.max_characters, 'character')}"
    most = filters.max_ratio if isinstance(filters, FilterConfig) else None
    if most is not None and longer >= MIN_RATIO_CHARACTERS and longer > most * shorter:
        return f"length ratio over {most:g}"
    return None
