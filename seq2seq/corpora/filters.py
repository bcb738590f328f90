"""Filters that leave pairs out of a training corpus, and count what they drop."""

import hashlib
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from seq2seq.config import FilterConfig
from seq2seq.corpora.readers import SentencePair

# Below this many characters a ratio says little: "No." against "Auf keinen Fall." is a fine pair.
RATIO_FROM = 20


@dataclass
class FilterReport:
    """How many pairs were read and kept, and how many each filter dropped."""

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.most_common())


def filter_pairs(pairs: Iterable[SentencePair], filters: FilterConfig, report: FilterReport) -> Iterator[SentencePair]:
    """Yield the pairs that pass every filter, in order, and count the others in `report`.

    A pair that fails several filters counts for the first: empty, too long, length ratio, duplicate.
    Duplicates are found by a 64-bit hash of the pair, in 13 to 32 bytes of memory a kept pair. Of 10^9 different pairs
    the chance that any two are taken for one is 3 in 100, of 10^7 it is 3 in a million.
    """
    seen = Hashes()
    for pair in pairs:
        report.read += 1
        source, target = clean(pair.source, pair.target, filters)
        reason = reason_to_drop(source, target, filters)
        if reason is None and filters.duplicates and not seen.add(pair_hash(source, target)):
            reason = "duplicate"
        if reason:
            report.dropped[reason] += 1
        else:
            report.kept += 1
            yield SentencePair(source, target, pair.origin)


def clean(source: str, target: str, filters: FilterConfig) -> tuple[str, str]:
    """A pair as the filters see it and leave it."""
    if not filters.nfc:
        return source, target
    return unicodedata.normalize("NFC", source), unicodedata.normalize("NFC", target)


def reason_to_drop(source: str, target: str, filters: FilterConfig) -> str | None:
    """Why a pair is dropped for what it is; None: it is kept, if it is no duplicate."""
    shorter, longer = sorted((len(source.strip()), len(target.strip())))
    if filters.empty and shorter == 0:
        return "empty side"
    if filters.max_characters is not None and longer > filters.max_characters:
        return f"over {filters.max_characters} characters"
    if filters.max_ratio is not None and longer >= RATIO_FROM and longer > filters.max_ratio * shorter:
        return f"length ratio over {filters.max_ratio:g}"
    return None


def pair_hash(source: str, target: str) -> int:
    """64 bits that equal pairs share."""
    # surrogatepass: a text file cannot hold a lone surrogate, but a corpus made in Python can.
    text = f"{source}\n{target}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


class Hashes:
    """A set of 64-bit hashes, by linear probing in one array: a fraction of what a `set` of them takes."""

    def __init__(self) -> None:
        self.places = array("Q", [0]) * 1024  # 0 in empty ones
        self.count = 0

    def add(self, key: int) -> bool:
        """Whether it is new."""
        key = key or 1
        places, last = self.places, len(self.places) - 1
        place = key & last
        while found := places[place]:
            if found == key:
                return False
            place = (place + 1) & last
        places[place] = key
        self.count += 1
        if self.count > 0.6 * len(places):
            self._grow()
        return True

    def _grow(self) -> None:
        old = self.places
        self.places, self.count = array("Q", [0]) * (2 * len(old)), 0
        for key in filter(None, old):
            self.add(key)
