"""Filters that drop pairs from a training corpus, and count what they drop."""

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress, islice
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np

from seq2seq.config.data import FilterConfig, SentenceFilterConfig
from seq2seq.corpora.chunks import chunks
from seq2seq.corpora.readers import Mixture, SentencePair, left_out
from seq2seq.plurals import pluralize
from seq2seq.storage.deduplication import Deduplicator, hash_texts
from seq2seq.text.cleaning import clean

CHUNK_SIZE = 10_000  # pairs that are filtered at once
MEASURED_CHUNKS = 4  # chunks at the beginning of a corpus on which its usual length ratio is measured
# The ratio of shorter texts says little: "No." and "Auf keinen Fall." are a good pair.
MIN_RATIO_CHARACTERS = 20
LENGTH_RATIO = "length ratio"
ASSUMED_PAIRS = 3  # assumed pairs of ratio 1 in addition to the measured ones: one or two pairs are not conclusive
RATIO_METHOD = f"ratio to the median of {MEASURED_CHUNKS * CHUNK_SIZE} pairs and {ASSUMED_PAIRS} of 1"

PairT = TypeVar("PairT", bound=tuple[str, ...])


@dataclass
class FilterReport:
    """Numbers of pairs that were read, kept, and dropped by each filter.

    Attributes:
        read: Number of pairs read.
        kept: Number of pairs kept.
        dropped: Number of pairs dropped, by reason.
        length_ratios: Usual ratio of target to source characters, per part of the corpus; [] if it is not needed.
    """

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    length_ratios: list[float] = field(default_factory=list)

    def describe(self, unit: str) -> str:
        """Describe what is kept, and why the rest was dropped: `9 of 10 pairs (dropped: 1 duplicate)` for "pair"."""
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
    """A part of a corpus that is filtered by the length ratio of the whole.

    Attributes:
        length_ratio: Length ratio of the whole corpus, see `usual_length_ratio`.
    """

    length_ratio: float


class PrefilterResult(NamedTuple):
    """Result of `prefilter`.

    Attributes:
        read: Number of pairs read.
        dropped: Number of pairs dropped, by reason.
        hashes: Hashes of the remaining pairs, (read - dropped,) uint64, by which duplicates are found.
    """

    read: int
    dropped: Counter[str]
    hashes: np.ndarray


class DuplicateFilter:
    """Drop duplicates among the pairs that `prefilter` leaves, which a single process has to do.

    Args:
        filters: Filters to apply.
        report: Report in which pairs read, kept and dropped are counted.
    """

    def __init__(self, filters: SentenceFilterConfig, report: FilterReport) -> None:
        self.report = report
        self._seen = Deduplicator() if filters.drop_duplicates else None

    def keep(self, screening: PrefilterResult, reasons: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Select the pairs to keep among those that `prefilter` left, (N,) bool.

        Args:
            screening: Result for the pairs after those of the last call.
            reasons: Further reasons to drop, after duplicates, each with the pairs to which it applies, (N,) bool. A
                pair with several reasons counts for the first.
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

    Pairs that the reader of a corpus leaves out are counted at the end.

    A pair that fails several filters counts for the first: empty, too long, length ratio, duplicate.
    Duplicates are found by hashes, which take 8 bytes of memory per kept pair; see `hash_texts`.
    """
    selection = DuplicateFilter(filters, report)
    for chunk, ratio in measured_chunks(pairs, filters, report):
        left, screening = prefilter(chunk, filters, ratio)
        yield from (SentencePair(*pair) for pair in compress(left, selection.keep(screening)))
    report.count_left_out(pairs)


def measured_chunks(
    pairs: Iterable[PairT], filters: SentenceFilterConfig, report: FilterReport, width: int | None = None
) -> Iterator[tuple[list[PairT], float]]:
    """Chunks of at most `CHUNK_SIZE` pairs, each with the usual length ratio of its corpus, which is added to `report`.

    The ratio is measured on the first `MEASURED_CHUNKS` chunks, separately for each part of a mixture. It is 1 if
    `filters` do not need it. With a `width`, only the first `width` elements of each pair are kept.
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
    """Usual number of target characters per source character: the median over pairs, which bad pairs hardly change.

    For example, Chinese has a third of the characters of English. Pairs in which both sides are shorter than
    `MIN_RATIO_CHARACTERS`, or one is blank, are ignored; `ASSUMED_PAIRS` pairs of ratio 1 are added, so that a few
    pairs do not justify themselves.
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
    """Clean pairs, and drop those that fail a filter regardless of other pairs.

    Args:
        pairs: Source, target and any further elements, which stay with them.
        filters: Filters to apply.
        length_ratio: Usual length ratio of the corpus, see `usual_length_ratio`.
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
    """Reasons to drop pairs with these `lengths`, each with the pairs to which it applies, (N,) bool."""
    if filters.drop_empty:
        yield "empty side", lengths.min(axis=0) == 0
    if filters.max_characters is not None:
        characters = pluralize(filters.max_characters, "character")
        yield f"over {characters}", lengths.max(axis=0) > filters.max_characters
    if isinstance(filters, FilterConfig) and filters.max_ratio is not None:
        # In units halfway between the characters of the two languages, so that both directions give the same result.
        scale = math.sqrt(length_ratio)
        halfway = lengths * [[scale], [1 / scale]]
        shorter, longer = halfway.min(axis=0), halfway.max(axis=0)
        unequal = (longer >= MIN_RATIO_CHARACTERS) & (longer > filters.max_ratio * shorter)
        yield f"{LENGTH_RATIO} over {filters.max_ratio:g}", unequal
