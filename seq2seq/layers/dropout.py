"""Dropout whose masks are a function of (seed, draw, purpose, replica): a resumed run draws what it would have."""

import zlib
from collections.abc import Sequence
from typing import Any, Self

import keras
import tensorflow as tf

from seq2seq.devices.replicas import replica_id
from seq2seq.layers.configurable import ConfigurableLayer


@keras.saving.register_keras_serializable(package="seq2seq")
class RandomStream:
    """Seeds for stateless random operations.

    `step` counts training steps; it is the only state, so saving it is enough to go on exactly.

    Args:
        seed: The experiment's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.step = tf.Variable(0, dtype=tf.int32, trainable=False, name="step")

    def get_config(self) -> dict[str, int]:
        return {"seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, int]) -> Self:
        return cls(**config)

    def seed_for(self, purpose: str) -> tf.Tensor:
        """The seed of one purpose in the current step and on this replica, int32 of shape (2,)."""
        replica = replica_id()
        name = zlib.crc32((f"{purpose}/{replica}" if replica else purpose).encode())
        return tf.stack([tf.constant(self.seed ^ (name >> 1), tf.int32), self.step.value()])


class Dropout(ConfigurableLayer):
    """Zero a share of the inputs and scale up the rest, in training only.

    Args:
        rate: Share that is zeroed, 0 to below 1.
        stream: Where the seeds come from.
        purpose: Tells this draw from the others of the same step; unique in a model.
        shared_axes: Axes along which all positions share one draw: 1 for one mask over all time steps of (B, T, U)
            (variational), -1 for whole tokens (word dropout).

    Source: Srivastava et al. (2014); Gal and Ghahramani (2016) for shared masks.
    """

    def __init__(
        self, rate: float, stream: RandomStream, purpose: str, shared_axes: tuple[int, ...] = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rate, self.stream, self.purpose, self.shared_axes = rate, stream, purpose, shared_axes
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        mask = self.mask(tf.unstack(tf.shape(inputs)), inputs.dtype, training)
        return inputs if mask is None else inputs * mask

    def mask(self, shape: Sequence[tf.Tensor | int], dtype: tf.DType, training: bool) -> tf.Tensor | None:
        """0 where inputs of a shape are dropped, 1 / (1 - rate) elsewhere; None where nothing ever is.

        The mask has size 1 along the shared axes.
        """
        if not training or not self.rate:
            return None
        sizes = list(shape)
        for axis in self.shared_axes:
            sizes[axis] = 1
        # Drawn in float32: in bfloat16 a uniform number has 8 bits, and the rate would be off.
        uniform = tf.random.stateless_uniform(sizes, self.stream.seed_for(self.purpose))
        return tf.cast(tf.where(uniform >= self.rate, 1.0 / (1.0 - self.rate), 0.0), dtype)
