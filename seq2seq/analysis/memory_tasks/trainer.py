"""Training of small recurrent networks on memory tasks, to measure their memory span.

Cells are compared at equal numbers of weights, with the same updates, learning rate and sequences for all. The result
is what a cell learns within that budget, which is less than what it could represent.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.polynomial import Polynomial

from seq2seq.analysis.gradients import Loss
from seq2seq.analysis.memory_tasks.tasks import MemoryBatch, MemoryTask
from seq2seq.arguments import check_arguments
from seq2seq.layers import Initializers, Recurrence
from seq2seq.layers.cells import CELLS, make_cell
from seq2seq.models.update import GradientUpdate

MAX_UNITS = 2**16


@dataclass(frozen=True)
class Budget:
    """Size and training budget of a network. Training ends early once the task is solved.

    Attributes:
        parameters: Approximate number of weights of the cell, without those of the output layer.
        max_updates: Maximum number of updates.
        batch_size: Number of sequences per update, which are new each time.
        learning_rate: Learning rate of the optimizer.
        clip_norm: Maximum norm of a gradient (Pascanu et al. 2013); None: no clipping.
        eval_every: Number of updates between measurements of the score.
        eval_sequences: Number of sequences on which a score is measured, other than those trained on.
        target_score: Minimum share of correct answers, 0 to 1, at which a task counts as solved.
    """

    parameters: int = 2000
    max_updates: int = 400
    batch_size: int = 32
    learning_rate: float = 1e-2
    clip_norm: float | None = 1.0
    eval_every: int = 50
    eval_sequences: int = 500
    target_score: float = 0.9


class TrainingRun(NamedTuple):
    """Result of one training run.

    Attributes:
        score: Share of correct answers at the end of training, 0 to 1, on the same sequences that decided when to stop.
            If the task was solved, it is at least the budget's `target_score` and, as the best of several measurements,
            slightly optimistic.
        updates: Number of updates.
        seconds: Duration, without building the network and its graph.
        losses: (updates,), loss of each update's batch: nats per answer, or the mean squared error of a number.
        gradient_norms: (updates,), norm of each gradient before clipping.
    """

    score: float
    updates: int
    seconds: float
    losses: np.ndarray
    gradient_norms: np.ndarray


class MemoryNetwork(keras.layers.Layer):
    """Recurrent layer with a cell of `CELLS`, and a dense layer on its outputs at the last steps.

    Of outputs [h; c], the dense layer reads h.

    Shapes: B sequences, T steps, I input width, A scored steps.
        inputs   (B, T, I)
        outputs  (B, A, outputs)
    """

    def __init__(self, cell: str, units: int, task: MemoryTask, seed: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_length = task.target_length
        initializers = Initializers(seed)
        self.recurrence = Recurrence(make_cell(cell, units, initializers=initializers, name="cell"), name="recurrence")
        first = initializers.glorot_uniform()
        self.output_layer = keras.layers.Dense(task.output_size, kernel_initializer=first, name="reader")
        self.recurrence.build((None, None, task.input_size))
        self.output_layer.build((None, None, units))
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        rows, steps = tf.unstack(tf.shape(inputs)[:2])
        outputs, _ = self.recurrence(inputs, tf.fill([rows], steps))
        return self.predict(outputs)

    def predict(self, outputs: tf.Tensor) -> tf.Tensor:
        """Answers (B, A, outputs), given the cell's outputs at all steps (B, T, O)."""
        return self.output_layer(outputs[:, -self.target_length :, : self.recurrence.cell.units])


class MemoryTrainer:
    """Train a cell on a task, at any distance and with any seed, with one graph for all of them.

    Args:
        cell: Name of the cell, see `CELLS`.
        task: Task to learn.
        budget: Budget of each training run.
        optimizer: Function from the budget's learning rate to an optimizer without clip arguments; by default Adam
            (Kingma and Ba 2015).

    Attributes:
        network: The network as the last call of `train` left it.

    Raises:
        ValueError: There is no such cell.
    """

    @check_arguments()
    def __init__(
        self,
        cell: str,
        task: MemoryTask,
        budget: Budget | None = None,
        optimizer: Callable[[float], keras.optimizers.Optimizer] = keras.optimizers.Adam,
    ) -> None:
        self.cell, self.task, self.budget = cell, task, budget or Budget()
        self.units = units_for_parameters(cell, self.budget.parameters, task.input_size)
        self.network = MemoryNetwork(cell, self.units, task)
        self._optimizer = optimizer(self.budget.learning_rate)
        variables = self.network.trainable_variables
        self._update = GradientUpdate(
            self._optimizer, variables, self.budget.clip_norm, accumulation_steps=1, scale_loss=False
        )
        self._state = [*self._optimizer.variables, *self._update.state_variables().values()]
        self._at_first = [np.array(variable) for variable in self._state]
        answer = tf.float32 if task.output_size == 1 else tf.int32
        signature = [
            tf.TensorSpec([None, None, task.input_size], tf.float32),
            tf.TensorSpec([None, task.target_length], answer),
        ]
        self._learn = tf.function(self._learn_from, input_signature=signature, autograph=False)
        self._answer = tf.function(self.network.call, input_signature=signature[:1], autograph=False)

    @property
    def num_parameters(self) -> int:
        """Number of weights of the cell."""
        return self.network.recurrence.cell.count_params()

    @check_arguments()
    def train(self, distance: int, seed: int = 1) -> TrainingRun:
        """Train the network from new weights. Weights and sequences depend only on the seed.

        Raises:
            ValueError: `distance` is below the task's shortest one.
        """
        self.reset(seed)
        test = self.task.sample(distance, self.budget.eval_sequences, np.random.default_rng([seed, 1]))
        started, score = time.perf_counter(), 0.0
        losses, norms = [], []
        generator = np.random.default_rng([seed, 0])
        for update in range(1, self.budget.max_updates + 1):
            loss, norm = self._learn(*self.task.sample(distance, self.budget.batch_size, generator))
            losses.append(float(loss))
            norms.append(float(norm))
            if update % self.budget.eval_every == 0 or update == self.budget.max_updates:
                score = self.score(test)
                if score >= self.budget.target_score:
                    break
        return TrainingRun(score, len(losses), time.perf_counter() - started, np.array(losses), np.array(norms))

    @check_arguments()
    def reset(self, seed: int = 1) -> None:
        """Give the network the initial weights of a seed, as before training."""
        fresh = MemoryNetwork(self.cell, self.units, self.task, seed)
        for variable, value in zip(self.network.weights, fresh.weights, strict=True):
            variable.assign(value)
        for variable, value in zip(self._state, self._at_first, strict=True):
            variable.assign(value)

    def score(self, batch: MemoryBatch) -> float:
        """Share of correct answers, 0 to 1."""
        return float(self.task.is_correct(np.asarray(self._answer(batch.inputs)), batch.targets).mean())

    def loss_function(self, batch: MemoryBatch) -> Loss:
        """The training loss, a mean over a batch, as a function of the cell's outputs (B, T, O)."""
        return lambda outputs: _loss(self.network.predict(outputs), tf.convert_to_tensor(batch.targets))

    def _learn_from(self, inputs: tf.Tensor, answers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        variables = [variable.value for variable in self._update.variables]
        with tf.GradientTape() as tape:
            loss = _loss(self.network(inputs), answers)
        gradients = self._update.densify(tape.gradient(loss, variables))
        return loss, self._update.add(gradients, tf.constant(1.0))


def _loss(outputs: tf.Tensor, answers: tf.Tensor) -> tf.Tensor:
    """Mean squared error of numbers (B, A), or cross-entropy of classes, given outputs (B, A, outputs)."""
    if answers.dtype.is_floating:
        return tf.reduce_mean(tf.square(outputs[:, :, 0] - answers))
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(answers, outputs))


@check_arguments()
def units_for_parameters(cell: str, parameters: int, input_size: int) -> int:
    """Width at which a cell has about a given number of weights.

    Args:
        cell: Name of the cell, see `CELLS`.
        parameters: Desired number of weights of the cell, including biases.
        input_size: Width I of the inputs.

    Returns:
        The width accepted by the cell whose number of weights is closest; of two such widths, the smaller.

    Raises:
        ValueError: There is no such cell, or `parameters` or `input_size` is below 1.
    """
    if cell not in CELLS:
        raise ValueError(f"there is no cell {cell!r}. Accepted: {', '.join(sorted(CELLS))}.")
    if parameters < 1 or input_size < 1:
        raise ValueError(f"parameters is {parameters} and input_size {input_size}, expected at least 1 of each")
    counts: dict[int, int] = {}  # of three widths, which determine all: they are a quadratic function of the units
    for units in range(1, 65):
        with suppress(ValueError):  # a clockwork's units are multiples of its groups
            built = make_cell(cell, units, initializers=Initializers(0))
            built.build((None, input_size))
            counts[units] = built.count_params()
        if len(counts) == 3:
            break
    accepted = np.arange(min(counts), MAX_UNITS, min(counts))
    expected = Polynomial.fit(list(counts), list(counts.values()), 2)(accepted)
    return int(accepted[abs(expected.round() - parameters).argmin()])
