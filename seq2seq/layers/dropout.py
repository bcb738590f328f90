"""Dropout whose masks are a function of (seed, draw, purpose), so that a resumed run draws what it would have."""

import zlib
from typing import Any

import keras
import tensorflow as tf


class RandomStream:
    """Seeds for stateless random operations.

    `draw` counts training steps; it is the only state, so saving it is enough to go on exactly.

    Args:
        seed: The experiment's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.draw = tf.Variable(0, dtype=tf.int32, trainable=False, name="draw")

    def seed_for(self, purpose: str) -> tf.Tensor:
        """The seed of one purpose in the current step, int32 of shape (2,)."""
        return tf.stack([tf.constant(self.seed ^ (zlib.crc32(purpose.encode()) >> 1), tf.int32), self.draw.value()])


class Dropout(keras.layers.Layer):
    """Zero a share of the inputs and scale up the rest, in training only.

    Args:
        rate: Share that is zeroed, 0 to below 1.
        stream: Where the seeds come from.
        purpose: Tells this draw from the others of the same step; unique in a model.

    Source: Srivastava et al. (2014).
    """

    def __init__(self, rate: float, stream: RandomStream, purpose: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate, self.stream, self.purpose = rate, stream, purpose
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training or not self.rate:
            return inputs
        # Drawn in float32: in bfloat16 a uniform number has 8 bits, and the rate would be off.
        uniform = tf.random.stateless_uniform(tf.shape(inputs), self.stream.seed_for(self.purpose))
        scale = tf.cast(1.0 / (1.0 - self.rate), inputs.dtype)
        return tf.where(uniform >= self.rate, inputs * scale, tf.zeros((), inputs.dtype))
