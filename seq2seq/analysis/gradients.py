"""Gradients through time: how a state depends on earlier ones, and how the gradient of a loss changes on its way back.

All results are exact, by automatic differentiation. The state of a cell is everything that a step passes to the next: h
in most cells, c in an SRU, y in a Jordan network, [h, c] in an LSTM, [h, c, m] in an sLSTM. `state_slices` has the
slices of its parts: `hidden, cell_state = state_slices(lstm)`. The clock of a clockwork RNN has no gradient and is left
out.

The Jacobian of a step has a row for each number of the new state and a column for each number of the old one. Products
of Jacobians tell how the last state changes with an earlier one. For the h of an LSTM, this is how the last h changes
with an earlier h *while the c of the same step is constant*, along all paths, including those through later c. It is a
block of the product, not a product of blocks.

In all functions, `cell` is a built cell of `CELLS` or one like them, `inputs` are (B, T, I) without padding, and
`initial` are the initial states, zeros by default; for errors see `unroll`. A `loss` consists of TensorFlow operations.
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
    """Inputs, states and outputs of a cell over a sequence.

    Attributes:
        projected: (T, B, G), inputs as the steps read them.
        states: For each of the cell's states, T + 1 tensors (B, U), beginning with the initial state.
        outputs: T tensors (B, O).
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
    """Run a cell step by step over inputs without padding.

    Args:
        cell: A built cell with Keras's contract and a `step`, such as those of `CELLS`.
        inputs: (B, T, I), T at least 1; read in the cell's compute dtype. For a cell that reads the cell state of the
            layer below, I includes that state, see `DepthGatedLSTMCell`.
        initial: Initial states of the cell, each (B, U); zeros by default.
        truncate_every: Returns whether gradients are cut between step t, counted from 0, and the step before it.

    Raises:
        ValueError: The inputs have the wrong rank or width, or no steps; or the number of initial states is wrong.
    """
    dtype = cell.compute_dtype
    inputs = tf.cast(tf.convert_to_tensor(inputs), dtype)
    width = cell.input_size
    if inputs.shape.rank != 3 or inputs.shape[-1] != width or not inputs.shape[1]:
        raise ValueError(f"inputs have the shape {tuple(inputs.shape)}, expected (batch, steps, {width})")
    if initial is None:
        initial = [tf.zeros([inputs.shape[0], size], dtype) for size in cell.state_size]
    if len(initial) != len(cell.state_size):
        raise ValueError(f"found {len(initial)} initial states, expected {len(cell.state_size)} for this cell")
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
    """Inputs of all steps as one batch: projected inputs (T * B, G), and states (T * B, U)."""
    flat = tf.reshape(run.projected, [-1, run.projected.shape[-1]])
    return flat, [tf.concat(states[:-1], axis=0) for states in run.states]


@check_arguments()
def state_slices(cell: keras.layers.Layer) -> list[slice]:
    """Slices of the cell's states within its whole state, without a clock."""
    sizes = cell.state_size[: cell.num_states]
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


@check_arguments()
def step_jacobians(
    cell: keras.layers.Layer, inputs: np.ndarray | tf.Tensor, initial: Sequence[np.ndarray] | None = None
) -> np.ndarray:
    """Jacobian of each state with respect to the previous one: (B, T, S, S), compute dtype, S the width of the state.

    A step needs only its own state, so once the states are known, all steps are differentiated as one batch of B T S
    rows.
    """
    run = unroll(cell, inputs, initial)
    projected, states = flatten_steps(run)
    size = sum(cell.state_size)
    # Each row is repeated for each number of its new state, so one backward pass gives all rows of all Jacobians.
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
    """Jacobian of the last state with respect to that d steps before, d from 0 to T: (B, T + 1, S, S), float64.

    Each product is the previous one times one more Jacobian.
    """
    rows, steps, size, _ = jacobians.shape
    products = np.empty((rows, steps + 1, size, size))
    products[:, 0] = np.eye(size)
    for distance in range(1, steps + 1):
        products[:, distance] = products[:, distance - 1] @ jacobians[:, steps - distance]
    return products


@check_arguments()
def sensitivity(jacobians: Jacobians, part: slice = slice(None)) -> pd.DataFrame:
    """Norms of the Jacobian of the last state with respect to the state d steps before.

    Args:
        jacobians: (B, T, S, S), from `step_jacobians`.
        part: One of `state_slices`; the whole state by default.

    Returns:
        One row per sequence and distance: sequence, distance (steps, 0 to T), `spectral` (the largest singular value:
        the length of the largest response to a change of length 1) and `frobenius` (the root of the sum of squares of
        all singular values: if every direction of U units is preserved, the root of U).
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
    """Gradients of a loss with respect to every state, in one backward pass.

    The gradient of an LSTM's c includes the path through the h of the same step, as in the derivation by Hochreiter and
    Schmidhuber (1997), appendix A.1.

    Returns:
        For each state an array (B, T + 1, U), compute dtype: index 0 is the initial state, index t that after step t.
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
    """Gradients of a loss with respect to each weight, full or truncated, by the weight's path.

    Args:
        cell: See `unroll`.
        inputs: See `unroll`.
        loss: Function from outputs (B, T, O) to a scalar.
        chunk: Truncated back-propagation through time: the sequence is cut into chunks of this number of steps, counted
            from its end, and no gradient passes from one chunk to the previous one. A loss on the last output is then
            traced back through `chunk` steps. None: all the way.
        initial: See `unroll`.

    Raises:
        ValueError: `chunk` is below 1.

    Source:
        Williams and Peng (1990), BPTT(h; h') with h = h' = `chunk`.
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
    """Comparison of truncated with full gradients of each weight, for several chunk lengths; see `weight_gradients`.

    Returns:
        One row per chunk length and weight, and for all weights together (`all`): chunk (steps), weight, `norm_ratio`
        (norm of the truncated gradient over that of the full one) and `cosine` (of the angle between them; NaN if one
        of them is zero).
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
