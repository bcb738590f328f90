"""Filters that leave pairs out of a training corpus, and count what they drop."""

import hashlib
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from seq2seq.config import FilterConfig
from seq2seq.corpora.pairs import SentencePair

# Below this many characters a ratio says little: "No." against "Auf keinen Fall." is a fine pair.
RATIO_FROM = 20


@dataclass
class FilterReport:
    """How many pairs were read and kept, and how many each filter dropped."""

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def drop(self, reason: str, pairs: int = 1) -> None:
        """Take back pairs that were kept, for a later reason."""
        if pairs:
            self.kept -= pairs
            self.dropped[reason] += pairs

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.most_common())


def filter_pairs(pairs: Iterable[SentencePair], filters: FilterConfig, report: FilterReport) -> Iterator[SentencePair]:
    """Yield the pairs that pass every filter, in order, and count the others in `report`.

    A pair that fails several filters counts for the first: empty, too long, length ratio, duplicate.
    Duplicates are found by a 64-bit hash of the pair, in 13 to 32 bytes of memory a kept pair. Of 10^9 different pairs
    the chance that any two are taken for one is 3 in 100, of 10^7 it is 3 in a million.
    """
    seen = _Hashes()
    for pair in pairs:
        report.read += 1
        if filters.nfc:
            pair = SentencePair(  # noqa: PLW2901
                unicodedata.normalize("NFC", pair.source),
                unicodedata.normalize("NFC", pair.target),
                pair.origin,
            )
        reason = _reason_to_drop(pair, filters, seen)
        if reason:
            report.dropped[reason] += 1
        else:
            report.kept += 1
            yield pair


def _reason_to_drop(pair: SentencePair, filters: FilterConfig, seen: "_Hashes") -> str | None:
    shorter, longer = sorted((len(pair.source.strip()), len(pair.target.strip())))
    if filters.empty and shorter == 0:
        return "empty side"
    if filters.max_characters is not None and longer > filters.max_characters:
        return f"over {filters.max_characters} characters"
    if filters.max_ratio is not None and longer >= RATIO_FROM and longer > filters.max_ratio * shorter:
        return f"length ratio over {filters.max_ratio:g}"
    if filters.duplicates:
        # surrogatepass: a text file cannot hold a lone surrogate, but a corpus made in Python can.
        text = f"{pair.source}\n{pair.target}".encode("utf-8", "surrogatepass")
        key = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
        if not seen.add(key):
            return "duplicate"
    return None


class _Hashes:
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
