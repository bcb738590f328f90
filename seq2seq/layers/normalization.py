"""Layer normalisation, computed in float32."""

from collections.abc import Sequence

import tensorflow as tf

from seq2seq.layers.configurable import ConfigurableLayer

# Keras's `layer_normalization` takes as long, but multiplies in another order and rounds to 16 bits after the scale:
# about half of its results have other last digits, and a training would end elsewhere.
EPSILON = 1e-5


def normalize(x: tf.Tensor) -> tf.Tensor:
    """Shift and scale the last axis to mean 0 and variance 1."""
    wide = tf.cast(x, tf.float32)
    mean, variance = tf.nn.moments(wide, axes=-1, keepdims=True)
    return tf.cast((wide - mean) * tf.math.rsqrt(variance + EPSILON), x.dtype)


class LayerNorm(ConfigurableLayer):
    """Normalise the last axis, then scale and shift it by learnt vectors.

    Shapes: any (..., U), compute dtype; the result has the same.

    Source: Ba, Kiros and Hinton (2016), equation 4 with the gain and bias of section 3.1.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")
        self.shift = self.add_weight(name="shift", shape=(input_shape[-1],), initializer="zeros")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return normalize(inputs) * tf.cast(self.scale, inputs.dtype) + tf.cast(self.shift, inputs.dtype)
