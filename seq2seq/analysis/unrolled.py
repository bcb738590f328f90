"""A cell run over a sequence step by step, so that every state on the way can be looked at and differentiated."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

Loss = Callable[[tf.Tensor], tf.Tensor]  # from outputs (B, T, O) to a scalar


class Unrolled(NamedTuple):
    """What a cell went through.

    projected  (T, B, G)  inputs as the steps read them
    states     a list over the cell's states of T + 1 tensors (B, U), the first states first
    outputs    T tensors (B, O)
    """

    projected: tf.Tensor
    states: list[list[tf.Tensor]]
    outputs: list[tf.Tensor]

    def stacked_outputs(self) -> tf.Tensor:
        """The outputs, (B, T, O)."""
        return tf.stack(self.outputs, axis=1)


def unroll(
    cell: keras.layers.Layer,
    inputs: np.ndarray | tf.Tensor,
    initial: Sequence[np.ndarray | tf.Tensor] | None = None,
    truncate_every: Callable[[int], bool] = lambda step: False,
) -> Unrolled:
    """Run a cell over inputs as they are, without padding.

    Args:
        cell: Built, with Keras's contract and a `step`, as all of `CELLS`.
        inputs: (B, T, I), T at least 1; read in the cell's compute dtype. Of a cell that reads the state of the layer
            below, I counts that state too, see `DepthGatedLSTMCell`.
        initial: The cell's states, each (B, U); zeros by default.
        truncate_every: Whether no gradient goes back from step t, counted from 0, to the step before it.

    Raises:
        ValueError: The inputs have another rank or width, or no step; or there are fewer or more first states than
            the cell has.
    """
    dtype = cell.compute_dtype
    inputs = tf.cast(tf.convert_to_tensor(inputs), dtype)
    width = cell.input_width
    if inputs.shape.rank != 3 or inputs.shape[-1] != width or not inputs.shape[1]:
        raise ValueError(f"inputs have the shape {tuple(inputs.shape)}, expected (batch, steps, {width})")
    if initial is None:
        initial = [tf.zeros([inputs.shape[0], size], dtype) for size in cell.state_size]
    if len(initial) != len(cell.state_size):
        raise ValueError(f"found {len(initial)} first states, expected {len(cell.state_size)} for this cell")
    now = [tf.cast(tf.convert_to_tensor(state), dtype) for state in initial]
    projected = cell.project(tf.transpose(inputs, [1, 0, 2]))
    history, outputs = [[state] for state in now], []
    for step in range(inputs.shape[1]):
        if truncate_every(step):
            now = [tf.stop_gradient(state) for state in now]
        output, now = cell.step(projected[step], now)
        outputs.append(output)
        for states, state in zip(history, now, strict=True):
            states.append(state)
    return Unrolled(projected, history, outputs)


def flatten_steps(run: Unrolled) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """What each step read, as if all steps stood in one batch: projected inputs (T * B, G), and states (T * B, U)."""
    flat = tf.reshape(run.projected, [-1, run.projected.shape[-1]])
    return flat, [tf.concat(states[:-1], axis=0) for states in run.states]
