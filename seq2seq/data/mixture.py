"""Several encoded corpora read as one, and how many sentences of an epoch come from each of them."""

import hashlib
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from seq2seq.data.encoded import EncodedCorpus, EncodedPairs, EncodedSide


class ConcatenatedSide:
    """One side of several corpora; sentence numbers run on from part to part, token ids stay where they are."""

    def __init__(self, parts: Sequence[EncodedSide]) -> None:
        self.parts = parts
        self.lengths = np.concatenate([part.lengths for part in parts]) if len(parts) > 1 else parts[0].lengths
        self._ends = np.cumsum([len(part.lengths) for part in parts])

    def ids(self, indices: np.ndarray) -> np.ndarray:
        """Ids of some sentences one after the other, EOS included, (sum of their lengths,) int32."""
        owners, lengths = np.searchsorted(self._ends, indices, side="right"), self.lengths[indices]
        ids = np.empty(lengths.sum(), np.int32)
        for owner in np.unique(owners):
            part, mine = self.parts[owner], owners == owner
            ids[np.repeat(mine, lengths)] = part.ids(indices[mine] - (self._ends[owner] - len(part.lengths)))
        return ids


class EncodedMixture(EncodedPairs):
    """One or several encoded corpora, read as one.

    Args:
        parts: The corpora, none of them empty.
        weights: Their shares of an epoch, relative to each other; None: by size and temperature.
        temperature: A part's share is proportional to size ** (1 / temperature).

    parts   the corpora
    counts  (len(parts),) int64, sentences of an epoch from each part; they add up to `len(self)`

    Source: Arivazhagan et al. (2019), section 3.2 (temperature).
    """

    def __init__(
        self,
        parts: Sequence[EncodedCorpus],
        weights: Sequence[float] | np.ndarray | None = None,
        temperature: float = 1.0,
    ) -> None:
        self.parts = parts
        self.source = ConcatenatedSide([part.source for part in parts])
        self.target = ConcatenatedSide([part.target for part in parts])
        self.sizes = np.array([len(part) for part in parts])
        if weights is None:
            # Relative to the largest, so that no power overflows.
            weights = (self.sizes / self.sizes.max()) ** (1.0 / temperature)
        self.counts = apportion(weights, len(self))

    @property
    def fingerprint(self) -> str:
        """Changes with the text, the filters and the tokenizers of any part, and with their order."""
        fingerprints = [part.fingerprint for part in self.parts]
        if len(fingerprints) == 1:
            return fingerprints[0]
        return hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()

    def epoch_indices(self, seed: int, epoch: int) -> np.ndarray | None:
        """Numbers of an epoch's sentences in no order that matters, (len(self),) int64; None: each of them once.

        A pure function of its arguments. What a part gives beyond whole passes over it is a sample without
        replacement, another one in every epoch.
        """
        if np.array_equal(self.counts, self.sizes):
            return None
        drawn, start = [], 0
        for part, (size, count) in enumerate(zip(self.sizes, self.counts, strict=True), start=1):
            generator = np.random.default_rng([seed, epoch, part])
            passes, rest = divmod(count, size)
            drawn.append(start + np.tile(np.arange(size), passes))
            drawn.append(start + generator.choice(size, rest, replace=False, shuffle=False))
            start += size
        return np.concatenate(drawn)


def apportion(weights: Sequence[float] | np.ndarray, total: int) -> np.ndarray:
    """Divide `total` in proportion to `weights`, in whole numbers of at least 1 that add up to it.

    Each part gets its quota rounded down, and those with the largest remainders one more; then the largest part
    pays for those that have none.

    Returns:
        (len(weights),) int64.
    """
    # As they are written: 0.1 is a tenth, so that remainders which are equal on paper are equal here.
    exact = [Fraction(str(float(weight))) for weight in weights]
    whole = sum(exact)
    quotas = [total * weight / whole for weight in exact]
    counts = np.array([math.floor(quota) for quota in quotas], np.int64)
    by_remainder = sorted(range(len(quotas)), key=lambda part: quotas[part] % 1, reverse=True)
    counts[by_remainder[: total - counts.sum()]] += 1
    for part in np.flatnonzero(counts == 0):
        counts[np.argmax(counts)] -= 1
        counts[part] = 1
    return counts
