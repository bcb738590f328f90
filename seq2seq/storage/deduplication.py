"""Detection of duplicate texts by 8-byte hashes."""

import hashlib
from collections.abc import Iterable

import numpy as np


def hash_texts(texts: Iterable[str]) -> np.ndarray:
    """Hash N texts to 64 bits of their BLAKE2b hash, (N,) uint64.

    The probability that any two of 10^9 different texts share a hash is 3 in 100; for 10^7 texts, 3 in a million.
    """
    # surrogatepass: a text file cannot contain a lone surrogate, but a corpus made in Python can.
    encoded = (text.encode("utf-8", "surrogatepass") for text in texts)
    return np.frombuffer(b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in encoded), "<u8")


class Deduplicator:
    """A set of 64-bit hashes in sorted arrays: 8 bytes per hash, and up to 20 while arrays are merged.

    Each array is more than twice as long as the next one, so there are few arrays to search, and each hash is merged
    only a few times.
    """

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []

    def add(self, hashes: np.ndarray) -> np.ndarray:
        """Add hashes, and return which of them are new.

        Args:
            hashes: (N,) uint64; batches of a few thousand are fastest.

        Returns:
            (N,) bool: False for those that were added before or occur earlier in `hashes`.
        """
        unique, first = np.unique(hashes, return_index=True)
        new = np.ones(len(unique), bool)
        for run in self._runs:
            new &= run[np.minimum(run.searchsorted(unique), len(run) - 1)] != unique
        merged = unique[new]
        while self._runs and len(self._runs[-1]) <= 2 * len(merged):
            merged = np.concatenate([self._runs.pop(), merged])
            merged.sort(kind="stable")  # a merge, since both parts are sorted
        if len(merged):
            self._runs.append(merged)
        answer = np.zeros(len(hashes), bool)
        answer[first[new]] = True
        return answer
