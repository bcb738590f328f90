"""Filters that leave pairs out of a training corpus, and count what they drop."""

import hashlib
import unicodedata
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

    def drop(self, reason: str) -> None:
        """Take back a pair that was kept, for a later reason."""
        self.kept -= 1
        self.dropped[reason] += 1

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.most_common())


def filter_pairs(pairs: Iterable[SentencePair], filters: FilterConfig, report: FilterReport) -> Iterator[SentencePair]:
    """Yield the pairs that pass every filter, in order, and count the others in `report`.

    A pair that fails several filters counts for the first: empty, too long, length ratio, duplicate.
    Duplicates are found by a 16-byte hash of the pair, so memory grows by about 100 bytes a kept pair.
    """
    seen: set[bytes] = set()
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


def _reason_to_drop(pair: SentencePair, filters: FilterConfig, seen: set[bytes]) -> str | None:
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
        key = hashlib.blake2b(text, digest_size=16).digest()
        if key in seen:
            return "duplicate"
        seen.add(key)
    return None
