"""Filters that leave pairs out of a training corpus, and count what they drop."""

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress, islice
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np

from seq2seq.config.data import FilterConfig, SentenceFilterConfig
from seq2seq.corpora.readers import Mixture, SentencePair, chunks, left_out
from seq2seq.plurals import pluralize
from seq2seq.storage.deduplication import Deduplicator, hash_texts
from seq2seq.text.cleaning import clean

CHUNK_SIZE = 10_000  # pairs that are filtered at once
MEASURED_CHUNKS = 4  # from the beginning of a corpus, for its usual length ratio
# Below this many characters a ratio says little: "No." against "Auf keinen Fall." is a fine pair.
MIN_RATIO_CHARACTERS = 20
LENGTH_RATIO = "length ratio"
ASSUMED_PAIRS = 3  # of ratio 1, beside those that are measured: one or two pairs alone do not say what is usual
RATIO_METHOD = f"ratio to the median of {MEASURED_CHUNKS * CHUNK_SIZE} pairs and {ASSUMED_PAIRS} of 1"

PairT = TypeVar("PairT", bound=tuple[str, ...])


@dataclass
class FilterReport:
    """How many pairs were read and kept, and how many each filter dropped.

    length_ratios  usual ratio of target to source characters, of each part of the corpus; [] where none is needed
    """

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    length_ratios: list[float] = field(default_factory=list)

    def describe(self, unit: str) -> str:
        """What is kept, and why the rest was dropped: `9 of 10 pairs (dropped: 1 duplicate)`; `unit` is one of them."""
        dropped = f" (dropped: {self})" if self.dropped else ""
        return f"{self.kept:,} of {pluralize(self.read, unit)}{dropped}"

    def count_left_out(self, corpus: object) -> None:
        """Count what the reader of a corpus has left out, see `left_out`."""
        dropped = left_out(corpus)
        self.read += dropped.total()
        self.dropped.update(dropped)

    def __str__(self) -> str:
        usual = " and ".join(f"{ratio:.2f}" for ratio in dict.fromkeys(self.length_ratios))
        more = f" (usual: {usual} target characters per source character)"
        return ", ".join(
            f"{count:,} {reason}{more if reason.startswith(LENGTH_RATIO) else ''}"
            for reason, count in self.dropped.most_common()
        )


@runtime_checkable
class MeasuredCorpus(Protocol):
    """A part of a corpus, judged by the whole.

    length_ratio  that of the corpus, see `usual_length_ratio`
    """

    length_ratio: float


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
    for chunk, ratio in measured_chunks(pairs, filters, report):
        left, screening = prefilter(chunk, filters, ratio)
        yield from (SentencePair(*pair) for pair in compress(left, selection.keep(screening)))
    report.count_left_out(pairs)


def measured_chunks(
    pairs: Iterable[PairT], filters: SentenceFilterConfig, report: FilterReport, width: int | None = None
) -> Iterator[tuple[list[PairT], float]]:
    """Chunks of at most `CHUNK_SIZE` pairs, each with the usual length ratio of its corpus, which is put into `report`.

    The ratio is measured on the first `MEASURED_CHUNKS` chunks; of a mixture, on those of each part. It is 1 if
    `filters` do not ask for it. With a `width`, no more than as many elements of each pair are kept.
    """
    needed = isinstance(filters, FilterConfig) and filters.max_ratio is not None
    parts: Sequence[Iterable[Any]] = pairs.parts if isinstance(pairs, Mixture) and needed else [pairs]
    for part in parts:
        rest = chunks(part if width is None else (pair[:width] for pair in part), CHUNK_SIZE)
        ratio, first = 1.0, deque[list[PairT]]()
        if needed and isinstance(part, MeasuredCorpus):
            ratio = part.length_ratio
        elif needed:
            first.extend(islice(rest, MEASURED_CHUNKS))
            ratio = usual_length_ratio(chain(*first))
        report.length_ratios += [ratio] * needed
        while first:
            yield first.popleft(), ratio
        yield from ((chunk, ratio) for chunk in rest)


def measure_length_ratio(corpus: Iterable[tuple[str, ...]]) -> float:
    """The usual length ratio of a corpus, as `measured_chunks` measures it."""
    return usual_length_ratio(islice(corpus, MEASURED_CHUNKS * CHUNK_SIZE))


def usual_length_ratio(pairs: Iterable[tuple[str, ...]]) -> float:
    """Target characters per source character that are usual for pairs: the median, which bad pairs hardly change.

    Chinese has a third of the characters of English. Pairs in which both sides are shorter than `MIN_RATIO_CHARACTERS`,
    or one is blank, do not count; `ASSUMED_PAIRS` of ratio 1 do, so that a few pairs do not justify themselves.
    """
    lengths = _lengths(list(pairs))
    measured = lengths[:, (lengths.min(axis=0) > 0) & (lengths.max(axis=0) >= MIN_RATIO_CHARACTERS)]
    logs = np.log(measured[1] / measured[0])
    return float(f"{np.exp(np.median(np.append(logs, [0.0] * ASSUMED_PAIRS))):.3g}")


def _lengths(pairs: Sequence[tuple[str, ...]]) -> np.ndarray:
    """Characters of sources and targets without outer white space, (2, N) int64."""
    sides = ([pair[side] for pair in pairs] for side in (0, 1))
    return np.stack([np.fromiter(map(len, map(str.strip, texts)), np.int64, len(pairs)) for texts in sides])


def prefilter(
    pairs: Iterable[tuple[str, ...]], filters: SentenceFilterConfig, length_ratio: float = 1.0
) -> tuple[list[tuple[str, ...]], PrefilterResult]:
    """Clean pairs and leave out those that are dropped for what they are, whatever other pairs there are.

    Args:
        pairs: Source, target and whatever else is to stay with them.
        filters: What to drop.
        length_ratio: The usual one of their corpus, see `usual_length_ratio`.
    """
    cleaned = [(clean(pair[0]), clean(pair[1]), *pair[2:]) for pair in pairs]
    dropped, kept = Counter[str](), np.ones(len(cleaned), bool)
    for reason, rows in _drop_reasons(_lengths(cleaned), filters, length_ratio):
        if count := int((rows & kept).sum()):
            dropped[reason] += count
            kept &= ~rows
    left = list(compress(cleaned, kept))
    return left, PrefilterResult(len(cleaned), dropped, hash_texts(f"{pair[0]}\n{pair[1]}" for pair in left))


def _drop_reasons(
    lengths: np.ndarray, filters: SentenceFilterConfig, length_ratio: float
) -> Iterator[tuple[str, np.ndarray]]:
    """Reasons to drop pairs of some `lengths`, each with the pairs it holds for, (N,) bool."""
    if filters.drop_empty:
        yield "empty side", lengths.min(axis=0) == 0
    if filters.max_characters is not None:
        characters = pluralize(filters.max_characters, "character")
        yield f"over {characters}", lengths.max(axis=0) > filters.max_characters
    if isinstance(filters, FilterConfig) and filters.max_ratio is not None:
        # In characters halfway between those of the two languages, so that it is the same for both directions.
        scale = math.sqrt(length_ratio)
        halfway = lengths * [[scale], [1 / scale]]
        shorter, longer = halfway.min(axis=0), halfway.max(axis=0)
        unequal = (longer >= MIN_RATIO_CHARACTERS) & (longer > filters.max_ratio * shorter)
        yield f"{LENGTH_RATIO} over {filters.max_ratio:g}", unequal
