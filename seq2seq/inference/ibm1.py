"""IBM model 1: probabilities of target words given source words, learnt from sentence pairs; links between words."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

ITERATIONS = 5
MAX_LINKS = 10_000_000  # pairs of a source and a target word in one sentence pair; further text is not read
EMPTY_WORD = 0  # id of the source word that generates target words without a counterpart

Ids = Sequence[int]


class TranslationTable(NamedTuple):
    """Lexical translation probabilities t(target word | source word), of the P pairs that occur together.

    Attributes:
        keys: (P,) int64, source word * Vt + target word, ascending; `EMPTY_WORD` is a source word.
        probabilities: (P,) float64, which sum to 1 for each source word.
        counts: (Vt,) int64 occurrences of each target word.
    """

    keys: np.ndarray
    probabilities: np.ndarray
    counts: np.ndarray

    def lookup(self, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Probabilities (...) float64 of pairs of words; 0 of those that never occurred together."""
        asked = sources * len(self.counts) + targets
        if not len(self.keys):
            return np.zeros(asked.shape)
        place = np.minimum(np.searchsorted(self.keys, asked), len(self.keys) - 1)
        return np.where(self.keys[place] == asked, self.probabilities[place], 0.0)

    def link(self, source: Ids, target: Ids) -> list[int | None]:
        """The position of the most likely source word of each target word; None: the empty word, or unknown words.

        Of equally likely positions, such as those of a repeated word, the one closest to the diagonal is taken.
        """
        if not source or not target:
            return [None] * len(target)
        s, t = np.asarray(source, np.int64), np.asarray(target, np.int64)
        likely = self.lookup(s[None, :], t[:, None])
        empty = self.lookup(np.full(len(t), EMPTY_WORD), t)
        distance = np.abs((np.arange(len(s)) + 0.5) / len(s) - (np.arange(len(t))[:, None] + 0.5) / len(t))
        best = likely.max(axis=1)
        place = np.where(likely == best[:, None], distance, np.inf).argmin(axis=1)
        return [int(p) if b > 0 and b >= e else None for p, b, e in zip(place, best, empty, strict=True)]


def learn_translation_table(pairs: Iterable[tuple[Ids, Ids]], source_size: int, target_size: int) -> TranslationTable:
    """Learn a table by expectation maximisation, from sentence pairs given as ids of words, `EMPTY_WORD` not included.

    Args:
        pairs: Sentence pairs; those after the first `MAX_LINKS` pairs of words are not read.
        source_size: Number of source words, Vs, the empty word included.
        target_size: Number of target words, Vt.

    Source:
        Brown et al. (1993), section 4.2 (IBM model 1 with the empty word).
    """
    keys, positions, counts, start = [], [], np.zeros(target_size, np.int64), 0
    links = 0
    for source, target in pairs:
        s, t = np.array([EMPTY_WORD, *source], np.int64), np.asarray(target, np.int64)
        keys.append((s[:, None] * target_size + t).ravel())
        positions.append(np.tile(np.arange(start, start + len(t)), len(s)))
        np.add.at(counts, t, 1)
        start += len(t)
        links += len(s) * len(t)
        if links > MAX_LINKS:
            break
    pair, place = np.unique(np.concatenate(keys or [np.zeros(0, np.int64)]), return_inverse=True)
    word = pair // target_size
    position = np.concatenate(positions or [np.zeros(0, np.int64)])
    probability = np.ones(len(pair))
    for _ in range(ITERATIONS):
        link = probability[place]
        link /= np.bincount(position, link, start)[position]
        probability = np.bincount(place, link, len(pair)).astype(np.float64)
        probability /= np.bincount(word, probability, source_size)[word]
    return TranslationTable(pair, probability, counts)
