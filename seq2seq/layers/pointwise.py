"""Position-wise layers: dropout, embedding, normalisation, residual connection and readout."""

import zlib
from collections.abc import Sequence
from typing import Any, Literal, Self

import keras
import tensorflow as tf

from seq2seq.arguments import check_arguments
from seq2seq.devices.replicas import replica_id
from seq2seq.layers.base import UNSEEDED, ConfigurableLayer, Initializers, one_for_all
from seq2seq.layers.recurrent_scan import deferred_matmul

# Keras's `layer_normalization` takes as long, but multiplies in another order and rounds to 16 bits after the scale:
# about half of its results differ in their last digits, so training would end with other weights.
EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="seq2seq")
class RandomStream:
    """Seeds for stateless random operations.

    `step` counts training steps; it is the only state, so saving it is enough to resume exactly.

    Args:
        seed: Seed of the experiment.
    """

    @check_arguments()
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.step = tf.Variable(0, dtype=tf.int32, trainable=False, name="step")

    def get_config(self) -> dict[str, int]:
        return {"seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, int]) -> Self:
        return one_for_all(cls, config)

    def seed_for(self, purpose: str) -> tf.Tensor:
        """Seed for one purpose, at the current step and on this replica, (2,) int32."""
        replica = replica_id()
        name = zlib.crc32((f"{purpose}/{replica}" if replica else purpose).encode())
        return tf.stack([tf.constant(self.seed ^ (name >> 1), tf.int32), self.step.value()])


class Dropout(ConfigurableLayer):
    """Zero a share of the inputs and scale up the rest, in training only.

    Args:
        rate: Share of the inputs that is zeroed, at least 0 and below 1.
        stream: Source of the seeds.
        purpose: Name that distinguishes this draw from others of the same step; unique in a model.
        shared_axes: Axes along which all positions share one draw: 1 for one mask over all time steps of (B, T, U)
            (variational dropout), -1 for whole tokens (word dropout).

    Source:
        Srivastava et al. (2014); Gal and Ghahramani (2016) for shared masks.
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
        """Mask for inputs of a shape: 0 where they are dropped, 1 / (1 - rate) elsewhere; None if nothing is dropped.

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


class Embedding(ConfigurableLayer):
    """Table of token vectors.

    Under a mixed policy, the gathered rows are cast, and not the whole table as in Keras's own layer.

    Args:
        vocabulary_size: Number of rows V of the table.
        size: Width E of a vector.
        initializers: Source of the initial weights.

    Shapes:
        tokens   (...)     int32 or int64
        vectors  (..., E)  compute dtype
    """

    def __init__(self, vocabulary_size: int, size: int, initializers: Initializers = UNSEEDED, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size, self.size, self.initializers = vocabulary_size, size, initializers

    def build(self, input_shape: Any = None) -> None:
        # Rows of norm about 1: with norm sqrt(E), that is, standard deviation 1, a tied softmax would start saturated.
        start = self.initializers.normal(self.size**-0.5)
        self.table = self.add_weight(
            name="table", shape=(self.vocabulary_size, self.size), initializer=start, autocast=False
        )

    def call(self, tokens: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.gather(self.table.value, tokens), self.compute_dtype)


def normalize(x: tf.Tensor) -> tf.Tensor:
    """Shift and scale the last axis to mean 0 and variance 1."""
    wide = tf.cast(x, tf.float32)
    mean, variance = tf.nn.moments(wide, axes=-1, keepdims=True)
    return tf.cast((wide - mean) * tf.math.rsqrt(variance + EPSILON), x.dtype)


class LayerNorm(ConfigurableLayer):
    """Normalise the last axis, then scale and shift it by learnt vectors.

    Shapes:
        Inputs and result are (..., U), compute dtype.

    Source:
        Ba, Kiros and Hinton (2016), equation 4 with the gain and bias of section 3.1.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")
        self.shift = self.add_weight(name="shift", shape=(input_shape[-1],), initializer="zeros")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return normalize(inputs) * tf.cast(self.scale, inputs.dtype) + tf.cast(self.shift, inputs.dtype)


class ResidualConnection(ConfigurableLayer):
    """Combine a layer's outputs with its inputs, then normalise.

        residual  outputs + inputs
        highway   g * outputs + (1 - g) * inputs,  g = sigmoid(W inputs + b), b starting at -1

    Args:
        residual: True, `highway`, or False for the outputs alone, as in the bottom layer, whose inputs may have a
            different width.
        layer_norm: Normalise the result.
        initializers: Source of the initial weights.

    Raises:
        ValueError: `residual` is something else.

    Shapes:
        Inputs, outputs and result are (..., U), compute dtype; if `residual` is False, the inputs are not read.

    Source:
        Wu et al. (2016), section 3.1, for stacks with residual connections; Srivastava, Greff and Schmidhuber (2015),
        equation 3, for highways; Ba, Kiros and Hinton (2016) for the norm.
    """

    def __init__(
        self,
        residual: bool | Literal["highway"],
        layer_norm: bool,
        initializers: Initializers = UNSEEDED,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if residual not in (True, False, "highway"):
            raise ValueError(f"residual is {residual!r}, expected True, False or 'highway'")
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


class Readout(ConfigurableLayer):
    """Readout tanh(W x + b), followed by dropout.

    Args:
        units: Width R of the readout.
        dropout: Dropout on the readout, in training.
        initializers: Source of the initial weights.

    Shapes:
        Inputs are (..., I), the readout is (..., R); both compute dtype.
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
