"""Padding of sequences of unequal lengths, and batches of similar lengths."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np

from seq2seq.data.tokenizer import PAD_ID


def pad(sequences: Sequence[Sequence[int]]) -> np.ndarray:
    """Right-pad B lists of ids to the length L of the longest one, (B, L) int32; (0, 0) if there are none."""
    return pad_concatenated(list(chain.from_iterable(sequences)), list(map(len, sequences)))


def pad_concatenated(ids: np.ndarray | Sequence[int], lengths: np.ndarray | Sequence[int]) -> np.ndarray:
    """Pad sequences that are concatenated in one array; see `pad`.

    Args:
        ids: (sum of `lengths`,) ids.
        lengths: (B,) lengths of the sequences.

    Raises:
        ValueError: The number of `ids` is not the sum of `lengths`.
    """
    lengths = np.asarray(lengths, np.int64)
    real = np.arange(lengths.max(initial=0)) < lengths[:, None]
    padded = np.full(real.shape, PAD_ID, np.int32)
    padded[real] = np.asarray(ids, np.int32)
    return padded


def batches_by_length(lengths: Sequence[int] | np.ndarray, size: Callable[[int], int]) -> Iterator[list[int]]:
    """Yield the indices of sequences in batches of decreasing length; equal lengths keep their order.

    Args:
        lengths: Lengths of the sequences. Sequences of length 0 are left out.
        size: Function from the length of the longest sequence of a batch to the number of its sequences, at least 1.
    """
    order = sorted((index for index, length in enumerate(lengths) if length), key=lambda index: -lengths[index])
    while order:
        end = max(1, size(int(lengths[order[0]])))
        yield order[:end]
        order = order[end:]
