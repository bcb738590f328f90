"""The recurrent encoder."""

from typing import Any

import keras
import tensorflow as tf

from seq2seq.layers.cells import CELLS
from seq2seq.layers.dropout import Dropout, RandomStream
from seq2seq.layers.recurrence import Recurrence


class Encoder(keras.layers.Layer):
    """A stack of recurrent layers over the embedded source.

    The bottom layer may read both ways and concatenate; the others read forwards. From the second layer on
    a layer's input can be added to its output.

    Args:
        cell: `gru` or `lstm`.
        layers: Depth.
        units: Width of every layer's output; with `bidirectional`, `units / 2` a direction.
        dropout: Rate on every layer's output, the top one included.
        stream: Where dropout's seeds come from.

    Shapes: B batch, S source length, E embedding width, L layers.
        embedded  (B, S, E)      compute dtype
        lengths   (B,)           int32, 1 to S
        states    (B, S, units)  compute dtype, zero at padded positions
        summary   (B, L * units) compute dtype, the last hidden states of all layers

    Source: Bahdanau, Cho and Bengio (2015), section 3.2; residual stack of Wu et al. (2016), section 3.1.
    """

    def __init__(
        self,
        *,
        cell: str,
        layers: int,
        units: int,
        bidirectional: bool,
        residual: bool,
        dropout: float,
        stream: RandomStream,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units, self.residual, self.bidirectional = units, residual, bidirectional
        self.summary_size = layers * units

        def recurrence(name: str, width: int, reverse: bool = False) -> Recurrence:
            inner = CELLS[cell](width, dtype=self.dtype_policy, name="cell")
            return Recurrence(inner, reverse=reverse, dtype=self.dtype_policy, name=name)

        if bidirectional:
            self.backward = recurrence("layer_0_backward", units // 2, reverse=True)
        self.recurrences = [
            recurrence(f"layer_{i}", units // 2 if bidirectional and i == 0 else units) for i in range(layers)
        ]
        self.dropouts = [Dropout(dropout, stream, f"encoder/{i}", dtype=self.dtype_policy) for i in range(layers)]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        for i, recurrence in enumerate(self.recurrences):
            recurrence.build(input_shape if i == 0 else (None, None, self.units))
        if self.bidirectional:
            self.backward.build(input_shape)

    def call(self, embedded: tf.Tensor, lengths: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        x, summary = embedded, []
        for i, (recurrence, dropout) in enumerate(zip(self.recurrences, self.dropouts, strict=True)):
            outputs, states = recurrence(x, lengths)
            last = states[0]
            if i == 0 and self.bidirectional:
                backward, backward_states = self.backward(x, lengths)
                outputs = tf.concat([outputs, backward], axis=-1)
                last = tf.concat([last, backward_states[0]], axis=-1)
            x = dropout(outputs + x if i and self.residual else outputs, training=training)
            summary.append(last)
        return x, tf.concat(summary, axis=-1)
