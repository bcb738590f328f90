"""Divergence and running out of memory: detect them, and say what was found and what to change."""

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from seq2seq.config import RecoveryConfig
from seq2seq.data.batching import BatchPlan
from seq2seq.devices.out_of_memory import describe_out_of_memory
from seq2seq.errors import TrainingError
from seq2seq.models.base import DecoderModel
from seq2seq.plurals import pluralize
from seq2seq.training.preparation import TrainingData, describe_batch
from seq2seq.training.run_state import RunState

CHECK_INTERVAL = 10  # batches between checks, each of which waits for the device
MAX_LOSS_RATIO = 2.0  # multiple of the loss of a uniform distribution over the vocabulary
MAX_SHOWN_CHARACTERS = 80  # characters of a sentence that a diagnosis shows
MAX_DIAGNOSED_BATCHES = 5  # batches that a diagnosis lists


class DivergenceError(Exception):
    """Divergence of a run, described by the message.

    Attributes:
        found_in_validation: Whether the model itself was found to be bad, not only the last updates.
    """

    def __init__(self, message: str, found_in_validation: bool = False) -> None:
        super().__init__(message)
        self.found_in_validation = found_in_validation


class BatchRecord(NamedTuple):
    """A batch, counted from 1 in its epoch, with the indices of its sentences and the gradient norm after it."""

    epoch: int
    batch: int
    indices: np.ndarray
    gradient_norm: tf.Tensor


@dataclass
class DivergenceMonitor:
    """Detect divergence, and keep the last batches for a diagnosis."""

    config: RecoveryConfig
    model: DecoderModel
    data: TrainingData

    def __post_init__(self) -> None:
        self.recent_batches: deque[BatchRecord] = deque(maxlen=self.config.max_skipped_updates)

    def record(self, run_state: RunState, plan: BatchPlan, norm: tf.Tensor) -> None:
        """Record the last batch."""
        rows = plan.batch(run_state.batch - 1)
        self.recent_batches.append(BatchRecord(run_state.epoch, run_state.batch, rows, norm))

    @property
    def skipped(self) -> int:
        """Number of the last consecutive updates that were skipped."""
        return int(self.model.update.consecutive_skips)

    def check_skipped_updates(self) -> None:
        """Check the number of consecutive updates that were skipped.

        Raises:
            DivergenceError: It is `max_skipped_updates` or more.
        """
        if (skipped := self.skipped) >= self.config.max_skipped_updates:
            raise DivergenceError(f"{pluralize(skipped, 'update')} skipped in a row: gradients not finite or exploding")

    def check_validation(self, loss: float) -> None:
        """Check that a validation loss is a number, and not far above that of a uniform guess.

        Raises:
            DivergenceError: The loss is NaN, or above `MAX_LOSS_RATIO` times that of a uniform guess.
        """
        guessing = math.log(self.model.vocabulary_sizes[1])
        if not loss <= MAX_LOSS_RATIO * guessing:  # NaN fails this comparison too
            raise DivergenceError(
                f"the validation loss is {loss:.4g}, and that of a uniform guess {guessing:.4g}",
                found_in_validation=True,
            )

    def diagnosis(self) -> str:
        """Describe the last batches with their gradient norms, and the longest recorded sentence; "" if none are."""
        if not self.recent_batches:
            return ""
        last = list(self.recent_batches)[-MAX_DIAGNOSED_BATCHES:]
        batches = ", ".join(f"{seen.epoch}/{seen.batch} ({float(seen.gradient_norm):.3g})" for seen in last)
        rows = np.concatenate([seen.indices for seen in self.recent_batches])
        train = self.data.train
        largest = rows[np.argmax(train.source.lengths[rows] + train.target.lengths[rows])]
        source, target = train.batch(np.array([largest]))
        texts = [
            tokenizer.decode(ids[0].tolist())
            for tokenizer, ids in zip(self.data.tokenizers, (source, target), strict=True)
        ]
        shown = " ||| ".join(
            text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + "..." for text in texts if text
        )
        return (
            f"Last batches as epoch/batch (gradient norm): {batches}. The longest sentence of the last "
            f"{pluralize(len(self.recent_batches), 'batch')} has "
            f"{self.data.describe_token_counts(source.shape[1], target.shape[1])}: {shown}"
        )


@contextmanager
def explain_out_of_memory(data: TrainingData, plan: BatchPlan, index: int, replicas: int = 1) -> Iterator[None]:
    """Turn any out-of-memory error of a batch into one that says what to change.

    Raises:
        TrainingError: The batch does not fit into memory.
    """
    try:
        yield
    except (tf.errors.OpError, MemoryError) as error:
        if (shortage := describe_out_of_memory(error)) is None:
            raise
        shared = f", shared by {replicas} replicas" if replicas > 1 else ""
        raise TrainingError(
            f"{shortage} at a batch of {describe_batch(data, plan, index)}{shared}. Lower batching.max_tokens or "
            "data.filters.max_tokens, and raise training.accumulation_steps so that updates keep their size."
        ) from error
