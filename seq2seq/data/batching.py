"""Plan batches of a maximum number of tokens from a seed, and load them with tf.data."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import tensorflow as tf

from seq2seq.arguments import AtLeastOne, Dims, NonNegative, check_arguments
from seq2seq.data.encoded import EncodedPairs
from seq2seq.data.tokenizer import EOS_ID, PAD_ID
from seq2seq.errors import ArgumentError

Lengths = Annotated[np.ndarray, Dims(1, 1, "iu")]


@dataclass(frozen=True)
class BatchPlan:
    """Batches of an epoch: batch i has the sentences `indices[bounds[i]:bounds[i + 1]]`."""

    indices: np.ndarray
    bounds: np.ndarray
    source_lengths: np.ndarray
    target_lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def batch(self, index: int) -> np.ndarray:
        """Indices of the sentences of a batch."""
        return self.indices[self.bounds[index] : self.bounds[index + 1]]

    def shapes(self) -> np.ndarray:
        """Sentences, source length and target length of every batch, (len(self), 3) int64."""
        sides = (lengths[self.indices] for lengths in (self.source_lengths, self.target_lengths))
        longest = (np.maximum.reduceat(side, self.bounds[:-1]) for side in sides)
        return np.column_stack([np.diff(self.bounds), *longest])

    def padding_ratio(self) -> float:
        """Share of source and target positions that are padding, 0 to 1."""
        shapes = self.shapes()
        positions = int((shapes[:, 0] * (shapes[:, 1] + shapes[:, 2])).sum())
        real = int(self.source_lengths[self.indices].sum() + self.target_lengths[self.indices].sum())
        return 1.0 - real / positions

    def largest_batches(self) -> list[int]:
        """Indices of the batches that need the most memory, by three measures, without repetition.

        The outputs of layers grow with the number of positions, attention with that of source-target pairs of
        positions, and the logits and probabilities of the output layer with that of real target tokens.
        """
        sentences, source, target = self.shapes().T
        tokens = np.add.reduceat(self.target_lengths[self.indices], self.bounds[:-1])
        measures = sentences * (source + target), sentences * source * target, tokens
        return sorted({int(np.argmax(measure)) for measure in measures})


@check_arguments()
def plan_batches(
    source_lengths: Lengths,
    target_lengths: Lengths,
    *,
    max_tokens: AtLeastOne,
    shuffle_buffer: AtLeastOne,
    seed: NonNegative,
    epoch: NonNegative,
    indices: Lengths | None = None,
) -> BatchPlan:
    """Group sentences of similar length into batches; a pure function of its arguments.

    Sentences are shuffled, divided into buffers, sorted by length within each buffer and divided into batches with at
    most `max_tokens` real tokens on either side; then the batches are shuffled. A sentence longer than `max_tokens` is
    a batch of its own.

    Args:
        source_lengths: (N,) number of tokens of each source sentence, EOS included, N at least 1.
        target_lengths: (N,) number of tokens of each target sentence, EOS included.
        max_tokens: Maximum number of tokens of a batch on either side.
        shuffle_buffer: Number of sentences in a buffer. Larger buffers need less padding, but vary the batches less.
        seed: Seed of the order.
        epoch: Number of the epoch, which also determines the order.
        indices: Indices of the epoch's sentences, at least one; by default each of the N once.

    Raises:
        ArgumentError: The sides have different numbers of sentences or none, or `indices` are out of range.
    """
    size = len(source_lengths)
    if not 0 < size == len(target_lengths):
        raise ArgumentError(
            f"plan_batches: expected as many source as target lengths, found {size} and {len(target_lengths)}."
        )
    if indices is not None and not (len(indices) and 0 <= indices.min() <= indices.max() < size):
        raise ArgumentError(f"plan_batches: indices: expected at least one sentence number, from 0 to {size - 1}.")
    generator = np.random.default_rng([seed, epoch])
    indices = generator.permutation(len(source_lengths) if indices is None else indices)
    bounds = [0]
    for start in range(0, len(indices), shuffle_buffer):
        part = indices[start : start + shuffle_buffer]
        part = part[np.lexsort((source_lengths[part], target_lengths[part]))]
        indices[start : start + shuffle_buffer] = part
        source_ends, target_ends = np.cumsum(source_lengths[part]), np.cumsum(target_lengths[part])
        end = 0
        while end < len(part):
            used_source, used_target = (source_ends[end - 1], target_ends[end - 1]) if end else (0, 0)
            fitting = min(
                int(np.searchsorted(source_ends, used_source + max_tokens, side="right")),
                int(np.searchsorted(target_ends, used_target + max_tokens, side="right")),
            )
            end = max(fitting, end + 1)
            bounds.append(start + end)
    batches = [indices[bounds[i] : bounds[i + 1]] for i in generator.permutation(len(bounds) - 1)]
    return BatchPlan(np.concatenate(batches), np.cumsum([0, *map(len, batches)]), source_lengths, target_lengths)


def replica_batches(
    corpus: EncodedPairs, indices: np.ndarray, local_replicas: range, num_replicas: int
) -> tuple[np.ndarray, ...]:
    """Shares of a batch for `local_replicas` of `num_replicas`: source (B, S) and target (B, T) of each in turn.

    Replica r gets every `num_replicas`-th sentence from index r on: a batch is sorted by length, so all shares are
    about equal. A replica without a sentence gets an empty source sentence and no target, which has no gradient.
    `indices` are the sentences of the batch.
    """
    shares: list[np.ndarray] = []
    for replica in local_replicas:
        mine = indices[replica::num_replicas]
        shares += corpus.batch(mine) if len(mine) else (np.array([[EOS_ID]], np.int32), np.array([[PAD_ID]], np.int32))
    return tuple(shares)


@check_arguments(corpus="encode_corpus makes one.", plan="plan_batches makes one.")
def batch_dataset(
    corpus: EncodedPairs, plan: BatchPlan, start: int = 0, local_replicas: range = range(1), num_replicas: int = 1
) -> tf.data.Dataset:
    """The batches of a plan from index `start` on, prefetched.

    Each element is one batch: `(source, target)`, int32 of shapes (B, S) and (B, T), right-padded with 0, EOS included.
    `model.fit` takes the dataset as it is. On several replicas, an element is the result of `replica_batches`.
    """

    def gather(index: np.int64) -> tuple[np.ndarray, ...]:
        return replica_batches(corpus, plan.batch(int(index)), local_replicas, num_replicas)

    @tf.autograph.experimental.do_not_convert
    def load(index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        shares = tf.numpy_function(gather, [index], (tf.int32,) * 2 * len(local_replicas))
        return tuple(tf.ensure_shape(share, [None, None]) for share in shares)

    return tf.data.Dataset.range(start, len(plan)).map(load).prefetch(4)
