"""What the output layer reads."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from seq2seq.layers.configurable import ConfigurableLayer
from seq2seq.layers.dropout import Dropout
from seq2seq.layers.initialization import UNSEEDED, Initializers
from seq2seq.layers.recurrent_scan import deferred_matmul


class Readout(ConfigurableLayer):
    """tanh(W x + b), and dropout.

    Args:
        units: Width R of the readout.
        dropout: Applied to it in training.
        initializers: Source of the initial weights.

    Shapes: x (..., I) and the readout (..., R), compute dtype.
    """

    def __init__(self, units: int, dropout: Dropout, initializers: Initializers = UNSEEDED, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.dropout = units, dropout
        self.kernel_initializer = initializers.glorot_uniform()

    def build(self, input_shape: Sequence[int | None]) -> None:
        shape = (input_shape[-1], self.units)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer)
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        products = deferred_matmul(inputs, self.kernel)
        return self.dropout(tf.tanh(products + tf.cast(self.bias, products.dtype)), training=training)
