"""Synthetic long-range memory tasks, which show what a recurrent network can keep, independently of any language.

A task draws sequences as arrays, on which `MemoryTrainer` trains networks. Answers are due at the last steps, and
nothing in between helps, so a network that forgets can only guess.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from seq2seq.arguments import check_arguments


class MemoryBatch(NamedTuple):
    """Sequences and the targets of their last A steps.

    Attributes:
        inputs: (B, T, I) float32.
        targets: (B, A) int32 classes, or float32 numbers.
    """

    inputs: np.ndarray
    targets: np.ndarray


@dataclass(eq=False)
class MemoryTask(ABC):
    """Base class of tasks of any distance; subclasses define the distance."""

    name: ClassVar[str]  # name in tables
    input_size: int  # I, the width of an input
    output_size: int  # width of a network's output: a score for each class, or one number
    target_length: int  # A, the number of last steps that are scored
    min_distance: int  # shortest distance
    chance_accuracy: float  # share of correct answers of the best guess, 0 to 1

    def sample(self, distance: int, batch_size: int, rng: np.random.Generator) -> MemoryBatch:
        """Draw `batch_size` sequences.

        Raises:
            ValueError: `distance` is below the task's shortest one, or `batch_size` below 1.
        """
        if distance < self.min_distance:
            raise ValueError(f"distance is {distance}, expected at least {self.min_distance} for task {self.name!r}")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1")
        return self._draw(distance, batch_size, rng)

    @abstractmethod
    def _draw(self, distance: int, rows: int, generator: np.random.Generator) -> MemoryBatch: ...

    def is_correct(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Whether outputs (B, A, outputs) are correct, (B, A) bool."""
        return outputs.argmax(-1) == targets


class CopyTask(MemoryTask):
    """Copy task: reproduce the first symbols, in order, after a mark.

    A sequence has `length` symbols, then blanks, then a mark, then as many blanks as there were symbols, at which the
    symbols are to be reproduced. The distance is the number of steps between reading and reproducing a symbol, the same
    for all of them.

    Args:
        num_symbols: Number of different symbols, not counting the blank and the mark.
        length: Number of symbols to copy.

    Source:
        Arjovsky, Shah and Bengio (2016), section 4.1, after Hochreiter and Schmidhuber (1997).

    Departure:
        Only the copied symbols are scored, not the blanks before them.
    """

    name = "copy"

    @check_arguments()
    def __init__(self, num_symbols: int = 8, length: int = 10) -> None:
        super().__init__(num_symbols + 2, num_symbols, length, min_distance=length + 1, chance_accuracy=1 / num_symbols)
        self.num_symbols, self.length = num_symbols, length

    def _draw(self, distance: int, rows: int, generator: np.random.Generator) -> MemoryBatch:
        blank, mark = self.num_symbols, self.num_symbols + 1
        answers = generator.integers(self.num_symbols, size=(rows, self.length), dtype=np.int32)
        read = np.full((rows, distance + self.length), blank)
        read[:, : self.length] = answers
        read[:, distance - 1] = mark
        return MemoryBatch(_one_hot(read, self.input_size), answers)


class AddingTask(MemoryTask):
    """Adding task: add the two marked numbers.

    Each step has a number between 0 and 1 and a mark, which is 1 at one step of the first half and at one of the second
    half, and 0 elsewhere. The distance is the number of steps; the first marked number is in the first half, so it has
    to be kept for at least half of them.

    Args:
        tolerance: Error below which an answer is correct, 0 to 1.

    Source:
        Le, Jaitly and Hinton (2015), section 4.1, after Hochreiter and Schmidhuber (1997), experiment 4.

    Departure:
        Answers are scored one by one, with a wider tolerance than the 0.04 of Hochreiter and Schmidhuber.
    """

    name = "adding"

    @check_arguments()
    def __init__(self, tolerance: float = 0.1) -> None:
        # The best guess is 1: the sum of two uniform numbers has a density that falls by 1 per unit on both sides.
        super().__init__(2, 1, 1, min_distance=2, chance_accuracy=2 * tolerance - tolerance**2)
        self.tolerance = tolerance

    def _draw(self, distance: int, rows: int, generator: np.random.Generator) -> MemoryBatch:
        inputs = np.zeros((rows, distance, 2), dtype=np.float32)
        inputs[:, :, 0] = generator.random((rows, distance))
        half = distance // 2
        places = np.stack([generator.integers(half, size=rows), generator.integers(half, distance, size=rows)], axis=1)
        row = np.arange(rows)[:, None]
        inputs[row, places, 1] = 1.0
        return MemoryBatch(inputs, inputs[row, places, 0].sum(1, keepdims=True))

    def is_correct(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return abs(outputs[:, :, 0] - targets) < self.tolerance


class TemporalOrderTask(MemoryTask):
    """Temporal order task: identify the order of two symbols, XX, XY, YX or YY.

    Among irrelevant symbols there is an X or Y between a tenth and a fifth of the way, and another between a half and
    three fifths. A sequence has a symbol for its start and one for its end, at which the answer is due. The distance is
    the number of steps; the first of the two symbols is 0.8 to 0.9 of them back.

    Source:
        Hochreiter and Schmidhuber (1997), experiment 6a, whose positions are these at 100 steps.

    Departure:
        The number of steps is fixed.
    """

    name = "temporal order"

    def __init__(self) -> None:
        super().__init__(8, 4, 1, min_distance=10, chance_accuracy=1 / 4)

    def _draw(self, distance: int, rows: int, generator: np.random.Generator) -> MemoryBatch:
        x, start, end = 4, 6, 7  # after a, b, c, d; Y is x + 1
        read = generator.integers(4, size=(rows, distance))
        read[:, 0], read[:, -1] = start, end
        which = generator.integers(2, size=(rows, 2))
        for symbol, (low, high) in enumerate(((1, 2), (5, 6))):
            places = generator.integers(low * distance // 10, high * distance // 10 + 1, size=rows)
            read[np.arange(rows), places] = x + which[:, symbol]
        answers = (2 * which[:, :1] + which[:, 1:]).astype(np.int32)
        return MemoryBatch(_one_hot(read, self.input_size), answers)


def _one_hot(symbols: np.ndarray, width: int) -> np.ndarray:
    return np.eye(width, dtype=np.float32)[symbols]
