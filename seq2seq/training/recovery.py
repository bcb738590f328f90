"""What a run does when its gradients or its loss stop being numbers: skip, go back, and say what it saw."""

import math
from collections import deque
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from seq2seq.config import RecoveryConfig
from seq2seq.data.batching import BatchPlan
from seq2seq.models.base import DecoderModel
from seq2seq.training.preparation import Prepared
from seq2seq.training.progress import Progress

LOOK_EVERY = 10  # batches: to look is to wait for the device
WORSE_THAN_GUESSING = 2.0  # times the loss of a model that holds all tokens for equally likely
SHOWN = 80  # characters of a sentence
LAST_BATCHES = 5  # that a diagnosis names


class DivergedError(Exception):
    """A run has gone wrong; the message says how.

    by_validation  whether it is the model that is found wrong, not the last updates
    """

    def __init__(self, message: str, by_validation: bool = False) -> None:
        super().__init__(message)
        self.by_validation = by_validation


class Seen(NamedTuple):
    """A batch, by number from 1, with the sentences it holds and the gradient norm after it."""

    epoch: int
    batch: int
    rows: np.ndarray
    norm: tf.Tensor


class Watch:
    """Notices a run that has gone wrong, and remembers what came last.

    Args:
        config: When it has.
        model: That is trained.
        data: For the text of sentences.
    """

    def __init__(self, config: RecoveryConfig, model: DecoderModel, data: Prepared) -> None:
        self.config, self.model, self.data = config, model, data
        self.seen: deque[Seen] = deque(maxlen=config.after)

    def note(self, progress: Progress, plan: BatchPlan, norm: tf.Tensor) -> None:
        """Remember the batch that has just been done."""
        rows = plan.batch(progress.batch - 1)
        self.seen.append(Seen(progress.epoch, progress.batch, rows, norm))

    @property
    def skipped(self) -> int:
        """Updates in a row that were skipped just now."""
        return int(self.model.update.skipped_in_a_row)

    def look_at_updates(self) -> None:
        """See that not too many updates in a row were skipped.

        Raises:
            DivergedError: They were.
        """
        if (skipped := self.skipped) >= self.config.after:
            raise DivergedError(f"{skipped} updates in a row were skipped, their gradients not finite or exploding")

    def look_at_validation(self, loss: float) -> None:
        """See that a validation's loss is a number, and not far above that of guessing.

        Raises:
            DivergedError: It is none, or is.
        """
        guessing = math.log(self.model.output_embedding.vocabulary_size)
        if not loss <= WORSE_THAN_GUESSING * guessing:  # a NaN is not either
            raise DivergedError(
                f"the validation loss is {loss:.4g}, and a model that guesses has {guessing:.4g}", by_validation=True
            )

    def diagnosis(self) -> str:
        """The last batches with their gradient norms, and the largest sentence of what was seen since all was well."""
        if not self.seen:
            return ""
        last = list(self.seen)[-LAST_BATCHES:]
        batches = ", ".join(f"{seen.epoch}/{seen.batch} ({float(seen.norm):.3g})" for seen in last)
        rows = np.concatenate([seen.rows for seen in self.seen])
        train = self.data.train
        largest = rows[np.argmax(train.source.lengths[rows] + train.target.lengths[rows])]
        source, target = train.batch(np.array([largest]))
        texts = [
            tokenizer.decode(ids[0].tolist())
            for tokenizer, ids in zip(self.data.tokenizers, (source, target), strict=True)
        ]
        shown = " ||| ".join(text if len(text) <= SHOWN else text[:SHOWN] + "..." for text in texts if text)
        return (
            f"Last batches as epoch/batch (gradient norm): {batches}. The largest sentence of the last "
            f"{len(self.seen)} has {self.data.size(source.shape[1], target.shape[1])}: {shown}"
        )
