"""What joins a layer of a stack with the one below it."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from seq2seq.layers.configurable import ConfigurableLayer
from seq2seq.layers.initialization import UNSEEDED, Initializers
from seq2seq.layers.normalization import LayerNorm
from seq2seq.layers.recurrent_scan import deferred_matmul


class ResidualConnection(ConfigurableLayer):
    """Combine a layer's outputs with its inputs, then normalise.

    residual   outputs + inputs
    highway    g * outputs + (1 - g) * inputs,  g = sigmoid(W inputs + b), b starting at -1

    Args:
        residual: True, `highway`, or False, for outputs alone: the bottom layer has no inputs of its own width.
        layer_norm: Normalise the result.
        initializers: Source of the initial weights.

    Shapes: inputs, outputs and the result (..., U), compute dtype; without `residual` inputs are not read.

    Source: Wu et al. (2016), section 3.1, for stacks with residual connections; Srivastava, Greff and
    Schmidhuber (2015), equation 3, for highways; Ba, Kiros and Hinton (2016) for the norm.
    """

    def __init__(
        self,
        residual: bool | Literal["highway"],
        layer_norm: bool,
        initializers: Initializers = UNSEEDED,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.residual, self.initializers = residual, initializers
        self.norm = LayerNorm(dtype=policy, name="norm") if layer_norm else None

    def build(self, input_shape: Sequence[int | None]) -> None:
        units = input_shape[-1]
        if self.residual == "highway":
            # A gate that starts nearly closed lets a new stack learn as if it were shallow.
            closed = keras.initializers.Constant(-1.0)
            self.gate = keras.layers.Dense(
                units,
                kernel_initializer=self.initializers.glorot_uniform(),
                bias_initializer=closed,
                dtype=self.dtype_policy,
                name="gate",
            )
            self.gate.build((None, units))
        if self.norm is not None:
            self.norm.build((None, units))

    def call(self, outputs: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        if self.residual == "highway":
            opened = tf.sigmoid(deferred_matmul(inputs, self.gate.kernel) + tf.cast(self.gate.bias, inputs.dtype))
            outputs = inputs + opened * (outputs - inputs)
        elif self.residual:
            outputs += inputs
        return outputs if self.norm is None else self.norm(outputs)
