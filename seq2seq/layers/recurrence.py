"""One layer that runs any cell over time under a right-padded mask, by the fastest path there is."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from seq2seq.layers.cells import GRUCell, LSTMCell
from seq2seq.layers.sequence_kernels import cudnn_gru, cudnn_lstm, gru_sequence, lstm_sequence

Implementation = Literal["auto", "plain", "fast", "cudnn"]


class Recurrence(keras.layers.Layer):
    """Run a cell over the time axis.

    Padding stands at the right, so the steps before it never see it: the loop runs unmasked, outputs at
    padded positions are then set to zero, and last states are read at each row's length. A backward
    recurrence reverses each row within its length.

    Args:
        cell: Any layer with Keras's cell contract.
        reverse: Read from the last token to the first; outputs stand at their tokens.
        implementation: `plain`: the cell's own `call` in a loop, differentiated by TensorFlow. `fast`: GRU and
            LSTM with the input product hoisted out of the loop and the weights' gradient taken after it.
            `cudnn`: GRU and LSTM on a GPU. `auto`: cudnn where there is a GPU, else fast, else plain. All agree
            to 1e-5 in float32. A graph traced with cudnn does not load on a CPU: use `fast` before an export.

    Shapes: B batch, T steps (at least 1), I input width, U units.
        inputs   (B, T, I)  compute dtype
        lengths  (B,)       int32, 1 to T
        initial  the cell's states, each (B, U); zeros by default
        outputs  (B, T, U)  compute dtype, zero at padded positions
        states   the cell's states after each row's last token, each (B, U)

    Raises:
        ValueError: `implementation` is `fast` or `cudnn` and the cell is neither a GRUCell nor an LSTMCell.
    """

    def __init__(
        self,
        cell: keras.layers.Layer,
        reverse: bool = False,
        implementation: Implementation = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if implementation in ("fast", "cudnn") and not isinstance(cell, GRUCell | LSTMCell):
            raise ValueError(
                f"implementation {implementation!r} runs a GRUCell or an LSTMCell, found a {type(cell).__name__}"
            )
        self.cell, self.reverse, self.implementation = cell, reverse, implementation

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.cell.build((None, input_shape[-1]))

    def call(
        self, inputs: tf.Tensor, lengths: tf.Tensor, initial: Sequence[tf.Tensor] | None = None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        if initial is None:
            rows = tf.shape(inputs)[0]
            initial = [tf.zeros([rows, size], inputs.dtype) for size in self.cell.state_size]
        if self.reverse:
            inputs = tf.reverse_sequence(inputs, lengths, seq_axis=1)
        run = {"plain": self._plain, "fast": self._fast, "cudnn": self._cudnn}[self._chosen()]
        outputs, states = run(inputs, lengths, list(initial))
        real = tf.sequence_mask(lengths, tf.shape(inputs)[1], outputs.dtype)
        outputs *= real[:, :, None]
        if self.reverse:
            outputs = tf.reverse_sequence(outputs, lengths, seq_axis=1)
        return outputs, states

    def _chosen(self) -> Implementation:
        if self.implementation != "auto":
            return self.implementation
        if not isinstance(self.cell, GRUCell | LSTMCell):
            return "plain"
        return "cudnn" if tf.config.list_logical_devices("GPU") else "fast"

    def _plain(
        self, inputs: tf.Tensor, lengths: tf.Tensor, initial: list[tf.Tensor]
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        steps = tf.shape(inputs)[1]
        time_major = tf.transpose(inputs, [1, 0, 2])

        def arrays() -> list[tf.TensorArray]:
            sizes = [self.cell.output_size, *self.cell.state_size]
            return [tf.TensorArray(inputs.dtype, steps, element_shape=[None, size]) for size in sizes]

        def body(t: tf.Tensor, states: list[tf.Tensor], out: list[tf.TensorArray]) -> tuple:
            output, states = self.cell.call(time_major[t], states)
            written = [array.write(t, value) for array, value in zip(out, [output, *states], strict=True)]
            return t + 1, states, written

        _, _, out = tf.while_loop(lambda t, *_: t < steps, body, (0, initial, arrays()))
        outputs, *states = [array.stack() for array in out]
        return tf.transpose(outputs, [1, 0, 2]), [_at_end(state, lengths) for state in states]

    def _fast(
        self, inputs: tf.Tensor, lengths: tf.Tensor, initial: list[tf.Tensor]
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        cell = self.cell
        projected = cell.project(tf.transpose(inputs, [1, 0, 2]))
        if isinstance(cell, GRUCell):
            bias = tf.convert_to_tensor(cell.bias)
            sequences = [gru_sequence(projected, tf.convert_to_tensor(cell.recurrent_kernel), bias[1], initial[0])]
        else:
            sequences = list(lstm_sequence(projected, tf.convert_to_tensor(cell.recurrent_kernel), *initial))
        outputs = tf.transpose(sequences[0], [1, 0, 2])
        return outputs, [_at_end(sequence, lengths) for sequence in sequences]

    def _cudnn(
        self, inputs: tf.Tensor, lengths: tf.Tensor, initial: list[tf.Tensor]
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        kernel, recurrent, bias = map(
            tf.convert_to_tensor, (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias)
        )
        if isinstance(self.cell, GRUCell):
            outputs, hidden = cudnn_gru(inputs, kernel, recurrent, bias, initial[0], lengths)
            return outputs, [hidden]
        outputs, states = cudnn_lstm(inputs, kernel, recurrent, bias, (initial[0], initial[1]), lengths)
        return outputs, list(states)


def _at_end(sequence: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Of a time-major sequence (T, B, U), each row's state after its last token, (B, U)."""
    return tf.gather_nd(sequence, tf.stack([lengths - 1, tf.range(tf.shape(lengths)[0])], axis=1))
