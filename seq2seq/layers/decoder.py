"""The default decoder: whole-sequence recurrences in training, one batched attention after the bottom one."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from seq2seq.layers.attention import Attention, AttentionMemory
from seq2seq.layers.cells import CELLS
from seq2seq.layers.dropout import Dropout, RandomStream
from seq2seq.layers.recurrence import Recurrence

# A tensor of (B, K, U) for each state of each layer's cell; K hypotheses a sentence.
DecoderState = tuple[tuple[tf.Tensor, ...], ...]
RunLayer = Callable[[int, tf.Tensor, tuple[tf.Tensor, ...]], tuple[tf.Tensor, Sequence[tf.Tensor]]]


class Decoder(keras.layers.Layer):
    """A stack of recurrent layers over the embedded target, attending after the bottom one.

    h_t = bottom(y_{t-1}, h_{t-1});  c_t = attend(h_t);  each layer above reads [below_t; c_t];
    readout_t = tanh(W [top_t; c_t]). No step needs the attention of the step before (there is no input
    feeding), so training runs each recurrence over the whole target at once.

    Args:
        cell: `gru` or `lstm`.
        layers: Depth.
        units: Width U of every layer.
        attention: Compares the bottom layer's outputs with the memory.
        readout_size: Width R of what the output layer reads.
        residual: Add a layer's input to its output, from the second layer on.
        dropout: Rate on every layer's output and on the readout.
        stream: Where dropout's seeds come from.

    Shapes: B batch, T target length, K hypotheses, E embedding width, S source length, M memory width.
        embedded  (B, T, E) or, a step, (B, K, E)  compute dtype
        readout   (B, T, R) or (B, K, R)           compute dtype
        weights   (B, T, S) or (B, K, S)           float32
        state     `DecoderState`

    Source: Luong, Pham and Manning (2015), section 3 (global attention); stack of Wu et al. (2016), section 3.
    Departure from Wu et al.: the context is that of the same step, and the bottom layer does not read it.
    """

    def __init__(
        self,
        *,
        cell: str,
        layers: int,
        units: int,
        attention: Attention,
        readout_size: int,
        residual: bool,
        dropout: float,
        stream: RandomStream,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.units, self.residual, self.attention = units, residual, attention
        self.recurrences = [
            Recurrence(CELLS[cell](units, dtype=policy, name="cell"), dtype=policy, name=f"layer_{i}")
            for i in range(layers)
        ]
        self.dropouts = [Dropout(dropout, stream, f"decoder/{i}", dtype=policy) for i in range(layers)]
        self.readout = keras.layers.Dense(readout_size, activation="tanh", dtype=policy, name="readout")
        self.readout_dropout = Dropout(dropout, stream, "decoder/readout", dtype=policy)
        self.bridges = [
            [
                keras.layers.Dense(units, activation="tanh", dtype=policy, name=f"bridge_{i}_{j}")
                for j in range(len(recurrence.cell.state_size))
            ]
            for i, recurrence in enumerate(self.recurrences)
        ]

    def build(self, embedding_size: int, memory_size: int, summary_size: int) -> None:
        for i, recurrence in enumerate(self.recurrences):
            recurrence.build((None, None, embedding_size if i == 0 else self.units + memory_size))
        self.attention.build(self.units, memory_size)
        self.readout.build((None, None, self.units + memory_size))
        for bridge in self.bridges:
            for layer in bridge:
                layer.build((None, summary_size))

    def start(self, summary: tf.Tensor) -> DecoderState:
        """The state before the first token, by a learnt bridge: summary (B, ·) -> tensors of (B, 1, U)."""
        return tuple(tuple(layer(summary)[:, None] for layer in bridge) for bridge in self.bridges)

    def call(
        self,
        embedded: tf.Tensor,
        lengths: tf.Tensor,
        state: DecoderState,
        memory: AttentionMemory,
        training: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Readouts and weights for whole targets (teacher forcing)."""

        def run(layer: int, inputs: tf.Tensor, states: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, Sequence[tf.Tensor]]:
            return self.recurrences[layer](inputs, lengths, [value[:, 0] for value in states])

        readout, _, weights = self._run(run, embedded, state, memory, training)
        return readout, weights

    def step(
        self, embedded: tf.Tensor, state: DecoderState, memory: AttentionMemory
    ) -> tuple[tf.Tensor, DecoderState, tf.Tensor]:
        """Readouts, next state and weights for one token of each of K hypotheses a sentence."""
        rows, hypotheses = tf.shape(embedded)[0], tf.shape(embedded)[1]

        def run(layer: int, inputs: tf.Tensor, states: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, Sequence[tf.Tensor]]:
            flat = [tf.reshape(value, [-1, value.shape[-1]]) for value in (inputs, *states)]
            output, new = self.recurrences[layer].cell(flat[0], flat[1:])
            output, *new = [tf.reshape(value, [rows, hypotheses, self.units]) for value in (output, *new)]
            return output, new

        return self._run(run, embedded, state, memory, training=False)

    def _run(
        self, run: RunLayer, embedded: tf.Tensor, state: DecoderState, memory: AttentionMemory, training: bool
    ) -> tuple[tf.Tensor, DecoderState, tf.Tensor]:
        x, context, weights, new_state = embedded, None, None, []
        for i, states in enumerate(state):
            outputs, new = run(i, x if i == 0 else tf.concat([x, context], axis=-1), states)
            x = self.dropouts[i](outputs + x if i and self.residual else outputs, training=training)
            if i == 0:
                context, weights = self.attention.attend(x, memory)
            new_state.append(tuple(new))
        readout = self.readout(tf.concat([x, context], axis=-1))
        return self.readout_dropout(readout, training=training), tuple(new_state), weights
