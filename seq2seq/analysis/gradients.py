"""Gradients through time: how a state depends on those before it, and what is left of a loss on its way back.

All of it is exact, by automatic differentiation. The state of a cell is all that a step hands to the next: h alone in
most cells, c alone in an SRU, y in a Jordan network, [h, c] in an LSTM. A part of it is one of the slices of
`state_slices`: `hidden, cell_state = state_slices(lstm)`. A clockwork's clock has no gradient and is left out.

A step's Jacobian has the new state's numbers as rows and the old state's as columns. Products of them say how the last
state moves when an earlier one is moved: for the h of an LSTM, how the last h moves when an earlier h is moved *and
the c beside it stays*, by whatever way, through later c as well. That is a block of the product, not a product of
blocks.

In all functions `cell` is built, as all of `CELLS`, `inputs` are (B, T, I) without padding, and `initial` are the first
states, zeros by default; for errors see `unroll`. A `loss` is made of TensorFlow operations.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from seq2seq.arguments import Dims, check_arguments
from seq2seq.extras import require_extra

with require_extra("analysis", needed_by=__name__):
    import pandas as pd

Jacobians = Annotated[np.ndarray, Dims(4, 4)]
Loss = Callable[[tf.Tensor], tf.Tensor]  # from outputs (B, T, O) to a scalar


class UnrolledSequence(NamedTuple):
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


@check_arguments()
def unroll(
    cell: keras.layers.Layer,
    inputs: np.ndarray | tf.Tensor,
    initial: Sequence[np.ndarray | tf.Tensor] | None = None,
    truncate_every: Callable[[int], bool] = lambda step: False,
) -> UnrolledSequence:
    """Run a cell over inputs as they are, without padding.

    Args:
        cell: Built, with Keras's contract and a `step`, as all of `CELLS`.
        inputs: (B, T, I), T at least 1; read in the cell's compute dtype. Of a cell that reads the memory of the layer
            below, I counts that memory too, see `DepthGatedLSTMCell`.
        initial: The cell's states, each (B, U); zeros by default.
        truncate_every: Whether no gradient goes back from step t, counted from 0, to the step before it.

    Raises:
        ValueError: The inputs have another rank or width, or no step; or there are fewer or more first states than
            the cell has.
    """
    dtype = cell.compute_dtype
    inputs = tf.cast(tf.convert_to_tensor(inputs), dtype)
    width = cell.input_size
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
    return UnrolledSequence(projected, history, outputs)


@check_arguments()
def flatten_steps(run: UnrolledSequence) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """What each step read, as if all steps stood in one batch: projected inputs (T * B, G), and states (T * B, U)."""
    flat = tf.reshape(run.projected, [-1, run.projected.shape[-1]])
    return flat, [tf.concat(states[:-1], axis=0) for states in run.states]


@check_arguments()
def state_slices(cell: keras.layers.Layer) -> list[slice]:
    """Where each state stands in the whole one, without a clock."""
    sizes = cell.state_size[: cell.num_states]
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


@check_arguments()
def step_jacobians(
    cell: keras.layers.Layer, inputs: np.ndarray | tf.Tensor, initial: Sequence[np.ndarray] | None = None
) -> np.ndarray:
    """The derivative of each state by the one before it: (B, T, S, S), compute dtype, S the width of the whole state.

    A step needs its state only, so once these are known all steps are differentiated as one batch, of B T S rows.
    """
    run = unroll(cell, inputs, initial)
    projected, states = flatten_steps(run)
    size = sum(cell.state_size)
    # Every row stands there once for each number of its new state: a pass back then gives all rows of all Jacobians.
    projected, whole = (tf.repeat(rows, size, axis=0) for rows in (projected, tf.concat(states, axis=-1)))
    with tf.GradientTape() as tape:
        tape.watch(whole)
        _, new = cell.step(projected, tf.split(whole, cell.state_size, axis=-1))
        after = tf.concat(new, axis=-1)
    steps, rows = run.projected.shape[:2]
    which = tf.tile(tf.eye(size, dtype=after.dtype), [steps * rows, 1])
    jacobians = np.asarray(tape.gradient(after, whole, output_gradients=which))
    ends = state_slices(cell)[-1].stop
    return jacobians.reshape(steps, rows, size, size).swapaxes(0, 1)[..., :ends, :ends]


@check_arguments()
def jacobian_products(jacobians: Jacobians) -> np.ndarray:
    """The derivative of the last state by the one d steps before it, d from 0 to T: (B, T + 1, S, S), float64.

    Each product is the one before it times one more Jacobian.
    """
    rows, steps, size, _ = jacobians.shape
    products = np.empty((rows, steps + 1, size, size))
    products[:, 0] = np.eye(size)
    for distance in range(1, steps + 1):
        products[:, distance] = products[:, distance - 1] @ jacobians[:, steps - distance]
    return products


@check_arguments()
def sensitivity(jacobians: Jacobians, part: slice = slice(None)) -> pd.DataFrame:
    """How much the last state depends on the one d steps before it.

    Args:
        jacobians: (B, T, S, S), of `step_jacobians`.
        part: One of `state_slices`; the whole state by default.

    Returns:
        One row for each sequence and distance: sequence, distance (steps, 0 to T), `spectral` (the largest singular
        value: how long the longest reply to a nudge of length 1 is) and `frobenius` (root of the sum of squares, of all
        singular values: where every direction of U units is kept, the root of U).
    """
    products = jacobian_products(jacobians)[..., part, part]
    rows, distances = products.shape[:2]
    return pd.DataFrame(
        {
            "sequence": np.repeat(np.arange(rows), distances),
            "distance": np.tile(np.arange(distances), rows),
            "spectral": np.linalg.norm(products, 2, axis=(2, 3)).ravel(),
            "frobenius": np.linalg.norm(products, axis=(2, 3)).ravel(),
        }
    )


@check_arguments()
def state_gradients(
    cell: keras.layers.Layer,
    inputs: np.ndarray | tf.Tensor,
    loss: Loss,
    initial: Sequence[np.ndarray] | None = None,
) -> list[np.ndarray]:
    """The derivative of a loss by every state on the way, all in one pass back.

    An LSTM's c counts with the h that is made of it in the same step, as in its backward pass by hand (Hochreiter and
    Schmidhuber 1997, appendix A.1).

    Returns:
        For each state an array (B, T + 1, U), compute dtype: place 0 is the first state, place t that after step t.
    """
    with tf.GradientTape() as tape:
        if initial is None:
            initial = [tf.zeros([len(inputs), size], cell.compute_dtype) for size in cell.state_size]
        initial = [tf.cast(tf.convert_to_tensor(state), cell.compute_dtype) for state in initial]
        tape.watch(initial)
        run = unroll(cell, inputs, initial)
        value = loss(run.stacked_outputs())
    found = tape.gradient(value, run.states[: cell.num_states], unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [np.stack([np.asarray(gradient) for gradient in of_state], axis=1) for of_state in found]


@check_arguments()
def weight_gradients(
    cell: keras.layers.Layer,
    inputs: np.ndarray | tf.Tensor,
    loss: Loss,
    chunk: int | None = None,
    initial: Sequence[np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """The derivative of a loss by each weight, through all of time or cut: by the weight's path, in its shape.

    Args:
        chunk: Truncated back-propagation through time: the sequence is cut into pieces of so many steps, counted from
            its end, and nothing goes back from one piece to the one before. What is lost on the last step's output is
            then traced back through `chunk` steps. None: all the way.

    Raises:
        ValueError: `chunk` is below 1.

    Source: Williams and Peng (1990), with as many steps between cuts as a cut is long.
    """
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk is {chunk}, expected at least 1 step")
    steps = inputs.shape[1]
    weights = cell.trainable_weights
    with tf.GradientTape() as tape:
        run = unroll(cell, inputs, initial, truncate_every=lambda t: chunk is not None and (steps - t) % chunk == 0)
        value = loss(run.stacked_outputs())
    found = tape.gradient(
        value, [weight.value for weight in weights], unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return {weight.path: np.asarray(gradient) for weight, gradient in zip(weights, found, strict=True)}


@check_arguments()
def truncation_effect(
    cell: keras.layers.Layer,
    inputs: np.ndarray | tf.Tensor,
    loss: Loss,
    chunks: Sequence[int],
    initial: Sequence[np.ndarray] | None = None,
) -> pd.DataFrame:
    """What truncated back-propagation leaves of each weight's gradient; see `weight_gradients`.

    Returns:
        One row for each chunk and weight, and for all weights together (`all`): chunk (steps), weight, `norm_ratio`
        (length of the cut gradient by that of the full one) and `cosine` (of the angle between them; NaN where one is
        zero).
    """
    full = _with_all(weight_gradients(cell, inputs, loss, initial=initial))
    rows = []
    for chunk in chunks:
        cut = _with_all(weight_gradients(cell, inputs, loss, chunk, initial))
        for name, whole in full.items():
            lengths = np.linalg.norm(cut[name]), np.linalg.norm(whole)
            with np.errstate(invalid="ignore", divide="ignore"):
                ratio, cosine = lengths[0] / lengths[1], np.vdot(cut[name], whole) / np.prod(lengths)
            rows.append({"chunk": chunk, "weight": name, "norm_ratio": ratio, "cosine": cosine})
    return pd.DataFrame(rows)


def _with_all(gradients: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    flat = {name: gradient.astype(np.float64).ravel() for name, gradient in gradients.items()}
    return {**flat, "all": np.concatenate(list(flat.values()))}
