"""Several encoded corpora read as one, and the number of sentences that each of them contributes to an epoch."""

import hashlib
import math
from collections.abc import Sequence
from copy import copy
from fractions import Fraction

import numpy as np

from seq2seq.data.encoded import EncodedCorpus, EncodedPairs, EncodedSide


class ConcatenatedSide:
    """One side of several corpora; indices of sentences continue from part to part, and token ids are not copied."""

    def __init__(self, parts: Sequence[EncodedSide]) -> None:
        self.parts = parts
        self.lengths = np.concatenate([part.lengths for part in parts]) if len(parts) > 1 else parts[0].lengths
        self._ends = np.cumsum([len(part.lengths) for part in parts])

    def ids(self, indices: np.ndarray) -> np.ndarray:
        """Concatenated ids of the sentences `indices`, EOS included, (sum of their lengths,) int32."""
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
        weights: Shares of an epoch, relative to each other; by default from size and temperature.
        temperature: Temperature of sampling: the share of a part is proportional to size ** (1 / temperature).

    Attributes:
        parts: The corpora, as they are stored.
        counts: (len(parts),) int64, number of sentences of an epoch from each part; the sum is `len(self)`.

    Source: Arivazhagan et al. (2019), section 3.2 (temperature).
    """

    def __init__(
        self,
        parts: Sequence[EncodedCorpus],
        weights: Sequence[float] | np.ndarray | None = None,
        temperature: float = 1.0,
    ) -> None:
        self.parts = parts
        self.source: EncodedSide = ConcatenatedSide([part.source for part in parts])
        self.target: EncodedSide = ConcatenatedSide([part.target for part in parts])
        self.sizes = np.array([len(part) for part in parts])
        if weights is None:
            # Relative to the largest, so that no power overflows.
            weights = (self.sizes / self.sizes.max()) ** (1.0 / temperature)
        self.counts = apportion(weights, len(self))

    def with_sides(self, source: EncodedSide, target: EncodedSide) -> "EncodedMixture":
        """The same sentences with other token ids."""
        changed = copy(self)
        changed.source, changed.target = source, target
        return changed

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the text, the filters and the tokenizers of all parts, and of their order."""
        fingerprints = [part.fingerprint for part in self.parts]
        if len(fingerprints) == 1:
            return fingerprints[0]
        return hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()

    def epoch_indices(self, seed: int, epoch: int) -> np.ndarray | None:
        """Indices of the sentences of an epoch, in arbitrary order, (len(self),) int64; None if each occurs once.

        A pure function of its arguments. Beyond whole passes over a part, its sentences are sampled without
        replacement, with a new sample in every epoch.
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
    """Divide `total` in proportion to `weights`, into whole numbers of at least 1 that add up to it.

    Each part gets its quota rounded down, and the parts with the largest remainders get one more; then each part that
    has none gets one from the largest part.

    Returns:
        (len(weights),) int64.
    """
    # Exact decimals: 0.1 is a tenth, so that remainders which are equal on paper are equal here.
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
