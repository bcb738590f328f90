"""Layer that runs any cell over right-padded sequences, with the fastest available implementation."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
import tensorflow as tf

from seq2seq.layers.base import ConfigurableLayer
from seq2seq.layers.cells import GRUCell, LinearCell, LSTMCell
from seq2seq.layers.cudnn import CuDNNWeights, run_cudnn
from seq2seq.layers.linear_scan import linear_scan
from seq2seq.layers.recurrent_scan import recurrent_scan
from seq2seq.layers.sequence_kernels import gru_sequence, lstm_sequence

Implementation = Literal["auto", "reference", "hoisted", "scan", "fused", "cudnn"]


class Recurrence(ConfigurableLayer):
    """Run a cell over the time axis.

    Padding is on the right, so earlier steps never see it: the loop runs unmasked, outputs at padded positions
    are then set to zero, and last states are read at each row's length. A reversed recurrence reverses each row
    within its length.

    Args:
        cell: Any layer that follows Keras's cell contract.
        reverse: Read from the last token to the first; each output stays at the position of its token.
        implementation: `reference`: the cell's own `call` in a loop, differentiated by TensorFlow. `hoisted`: any
            cell with `project` and `step`; the input product and the weight gradients are computed outside the loop.
            `scan`: any `LinearCell`, by a parallel scan instead of a loop. `fused`: as `hoisted`, for GRU and LSTM,
            with gradients written by hand. `cudnn`: GRU and LSTM on a GPU, without a recurrent mask. `auto`: the last
            of these that applies. All agree to 1e-5 in float32. A graph traced with `cudnn` does not load on a CPU: use
            `fused` before exporting.

    Shapes: B batch, T steps (at least 1), I input width, U units.
        inputs      (B, T, I)  compute dtype
        lengths     (B,)       int32, 1 to T
        initial     the cell's states, each (B, U); zeros by default
        state_mask  (B, U)     compute dtype, multiplies the state that enters the recurrent product; none by default
        outputs     (B, T, U)  compute dtype, zero at padded positions
        states      the cell's states after each row's last token, each (B, U)

    Raises:
        ValueError: `implementation` is unknown; it is `fused` or `cudnn` and the cell is neither a GRUCell nor an
            LSTMCell; it is `scan` and the cell is no LinearCell; or there is a recurrent mask and the implementation
            does not support one.
    """

    def __init__(
        self,
        cell: keras.layers.Layer,
        reverse: bool = False,
        implementation: Implementation = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if implementation not in get_args(Implementation):
            raise ValueError(
                f"implementation is {implementation!r}, expected one of {', '.join(get_args(Implementation))}"
            )
        if implementation in ("fused", "cudnn") and type(cell) not in (GRUCell, LSTMCell):
            raise ValueError(
                f"implementation {implementation!r} needs a GRUCell or an LSTMCell, found a {type(cell).__name__}"
            )
        if implementation == "scan" and not isinstance(cell, LinearCell):
            raise ValueError(f"implementation 'scan' needs a LinearCell, found a {type(cell).__name__}")
        self.cell, self.reverse, self.implementation = cell, reverse, implementation

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.cell.build((None, input_shape[-1]))

    def call(
        self,
        inputs: tf.Tensor,
        lengths: tf.Tensor,
        initial_state: Sequence[tf.Tensor] | None = None,
        state_mask: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        initial = self.zero_state(inputs) if initial_state is None else list(initial_state)
        if self.reverse:
            inputs = tf.reverse_sequence(inputs, lengths, seq_axis=1)
        implementation = self.choose_implementation(state_mask)
        if implementation == "cudnn":
            outputs, (states,) = run_cudnn(_mode(self.cell), inputs, lengths, [_weights(self.cell)], [initial])
        else:
            run = getattr(self, f"_{implementation}")
            outputs, *sequences = run(tf.transpose(inputs, [1, 0, 2]), initial, state_mask)
            outputs, states = tf.transpose(outputs, [1, 0, 2]), [_at_end(sequence, lengths) for sequence in sequences]
        outputs = _without_padding(outputs, lengths)
        if self.reverse:
            outputs = tf.reverse_sequence(outputs, lengths, seq_axis=1)
        return outputs, states

    def zero_state(self, inputs: tf.Tensor) -> list[tf.Tensor]:
        """Initial states of zeros for inputs (B, T, I), each (B, U)."""
        return [tf.zeros([tf.shape(inputs)[0], size], inputs.dtype) for size in self.cell.state_size]

    def choose_implementation(self, mask: tf.Tensor | None = None) -> Implementation:
        """The implementation that runs with a recurrent mask (B, U), or without one."""
        chosen = self._fastest(mask) if self.implementation == "auto" else self.implementation
        if mask is not None and chosen in ("reference", "scan", "cudnn"):
            raise ValueError(f"implementation {chosen!r} takes no recurrent mask")
        return chosen

    def _fastest(self, mask: tf.Tensor | None) -> Implementation:
        if type(self.cell) in (GRUCell, LSTMCell):
            return "cudnn" if mask is None and tf.config.list_logical_devices("GPU") else "fused"
        if isinstance(self.cell, LinearCell):
            return "scan"
        return "hoisted" if hasattr(self.cell, "step") else "reference"

    # These read inputs (T, B, I) and return outputs and each state after every step, (T, B, U).

    def _reference(self, inputs: tf.Tensor, initial: list[tf.Tensor], _: None) -> list[tf.Tensor]:
        steps = tf.shape(inputs)[0]

        sizes = [self.cell.output_size, *self.cell.state_size]
        arrays = [tf.TensorArray(inputs.dtype, steps, element_shape=[None, size]) for size in sizes]

        def body(t: tf.Tensor, states: list[tf.Tensor], out: list[tf.TensorArray]) -> tuple:
            output, states = self.cell.call(inputs[t], states)
            written = [array.write(t, value) for array, value in zip(out, [output, *states], strict=True)]
            return t + 1, states, written

        _, _, out = tf.while_loop(lambda t, *_: t < steps, body, (0, initial, arrays))
        return [array.stack() for array in out]

    def _hoisted(self, inputs: tf.Tensor, initial: list[tf.Tensor], mask: tf.Tensor | None) -> list[tf.Tensor]:
        def step(x: Sequence[tf.Tensor], states: Sequence[tf.Tensor], _: Any) -> tuple[list, list]:
            output, states = self.cell.step(x[0], states, mask)
            return [output], list(states)

        outputs, states = recurrent_scan(
            step,
            [self.cell.project(inputs)],
            initial,
            variables=self.cell.variables,
            output_dtypes=[inputs.dtype],
        )
        return [*outputs, *states]

    def _scan(self, inputs: tf.Tensor, initial: list[tf.Tensor], _: None) -> list[tf.Tensor]:
        decay, inflow = self.cell.coefficients(self.cell.project(inputs))
        states = linear_scan(decay, inflow, initial[0])
        return [states, states]

    def _fused(self, inputs: tf.Tensor, initial: list[tf.Tensor], mask: tf.Tensor | None) -> list[tf.Tensor]:
        projected, kernel = self.cell.project(inputs), tf.convert_to_tensor(self.cell.recurrent_kernel)
        if isinstance(self.cell, GRUCell):
            bias = tf.convert_to_tensor(self.cell.bias)
            sequences = [gru_sequence(projected, kernel, bias[1], initial[0], mask)]
        else:
            sequences = list(lstm_sequence(projected, kernel, initial[0], initial[1], mask))
        return [sequences[0], *sequences]


def run_bidirectional(
    recurrences: Sequence[Recurrence],
    inputs: tf.Tensor,
    lengths: tf.Tensor,
    state_masks: Sequence[tf.Tensor | None] = (None, None),
) -> list[tuple[tf.Tensor, list[tf.Tensor]]]:
    """Run a forward and a reversed recurrence of one kind and width on the same inputs.

    cuDNN runs both in one call and reverses rows itself; otherwise one runs after the other. Initial states are zeros.
    Arguments and results are those of `Recurrence.call`, with the results of the forward recurrence first.
    """
    pairs = list(zip(recurrences, state_masks, strict=True))
    if any(recurrence.choose_implementation(mask) != "cudnn" for recurrence, mask in pairs):
        return [recurrence(inputs, lengths, state_mask=mask) for recurrence, mask in pairs]
    weights = [_weights(recurrence.cell) for recurrence in recurrences]
    zeros = [recurrence.zero_state(inputs) for recurrence in recurrences]
    outputs, states = run_cudnn(_mode(recurrences[0].cell), inputs, lengths, weights, zeros)
    return list(zip(tf.split(_without_padding(outputs, lengths), 2, axis=-1), states, strict=True))


def _without_padding(outputs: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Outputs (B, T, U), zero at padded positions."""
    return outputs * tf.sequence_mask(lengths, tf.shape(outputs)[1], outputs.dtype)[:, :, None]


def _mode(cell: GRUCell | LSTMCell) -> Literal["gru", "lstm"]:
    return "gru" if isinstance(cell, GRUCell) else "lstm"


def _weights(cell: GRUCell | LSTMCell) -> CuDNNWeights:
    return CuDNNWeights(*map(tf.convert_to_tensor, (cell.kernel, cell.recurrent_kernel, cell.bias)))


def _at_end(sequence: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Each row's state after its last token, (B, U), from a time-major sequence (T, B, U)."""
    # Gathered from T * B flattened states: with deterministic operations, the gradient of `gather_nd` would leave the
    # GPU, and that of `gather` does not.
    rows = tf.shape(lengths)[0]
    return tf.gather(tf.reshape(sequence, [-1, sequence.shape[2]]), (lengths - 1) * rows + tf.range(rows))
