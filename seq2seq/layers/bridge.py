"""Bridge from the encoder to the initial decoder state."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
import tensorflow as tf

from seq2seq.layers.base import UNSEEDED, ConfigurableLayer, Initializers

BridgeKind = Literal["dense", "copy", "mean", "max", "zero"]


class Bridge(ConfigurableLayer):
    """Initial decoder state, and one vector that summarises the source.

        dense      tanh(W [last hidden states of all encoder layers] + b), with a W and a b for each state
        copy       the encoder's last states, layer by layer
        mean, max  tanh(W m + b), where m is the mean or maximum of the top layer's states over the sentence
        zero       zeros, for a decoder without a source; the vector is then the first state of the memory

    Args:
        kind: One of these kinds.
        sizes: For each decoder layer, the widths of the cell states to make.
        context_size: Width C of the vector if the decoder reads it at every step, else None. With `dense`, a tanh layer
            of this width then makes the vector, and the initial states are made from it. In all other cases the
            vector is what W multiplies (with `copy`, the top layer's last hidden state), and its width follows from
            the encoder.
        initializers: Source of the initial weights.

    Shapes: B batch, S source length, M memory width, U units.
        final_states  a list over encoder layers of the cell's last states, each (B, U)
        states        (B, S, M)  the top layer's states
        mask          (B, S)     bool, True on real tokens
        initial       a list over decoder layers of lists of (B, U)
        vector        (B, C)

    Raises:
        ValueError: `kind` is unknown.

    Source:
        Cho et al. (2014), appendix A.1.1 (dense); Sutskever, Vinyals and Le (2014), section 2 (copy); Sennrich et al.
        (2017), section 3.1 (mean).
    """

    def __init__(
        self,
        kind: BridgeKind,
        sizes: Sequence[Sequence[int]],
        context_size: int | None = None,
        initializers: Initializers = UNSEEDED,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if kind not in get_args(BridgeKind):
            raise ValueError(f"kind is {kind!r}, expected one of {', '.join(get_args(BridgeKind))}")

        def dense(units: int, name: str) -> keras.layers.Dense:
            first, policy = initializers.glorot_uniform(), self.dtype_policy
            return keras.layers.Dense(units, activation="tanh", kernel_initializer=first, dtype=policy, name=name)

        self.sizes, self.kind, self.context_size = sizes, kind, context_size
        self.context_layer = dense(context_size, "vector") if context_size is not None and kind == "dense" else None
        self.layers = [
            [dense(units, f"bridge_{i}_{j}") for j, units in enumerate(states)]
            for i, states in enumerate(sizes if kind not in ("copy", "zero") else ())
        ]

    def build(self, memory_size: int, final_size: int) -> None:
        """Create all weights, for a memory of width `memory_size` and last hidden states of `final_size` in total."""
        size = final_size if self.kind == "dense" else memory_size
        if self.context_layer is not None:
            self.context_layer.build((None, size))
            size = self.context_layer.units
        self.width = size  # C
        for layer in (layer for states in self.layers for layer in states):
            layer.build((None, size))
        self.built = True

    def call(
        self, final_states: Sequence[Sequence[tf.Tensor]], states: tf.Tensor, mask: tf.Tensor
    ) -> tuple[list[list[tf.Tensor]], tf.Tensor]:
        if self.kind == "copy":
            pairs = zip(final_states, self.sizes, strict=True)
            return [list(layer[: len(sizes)]) for layer, sizes in pairs], final_states[-1][0]
        if self.kind == "zero":
            rows = tf.shape(states)[0]
            return [[tf.zeros([rows, units], states.dtype) for units in sizes] for sizes in self.sizes], states[:, 0]
        if self.kind == "dense":
            vector = tf.concat([layer[0] for layer in final_states], axis=-1)
        elif self.kind == "mean":
            count = tf.reduce_sum(tf.cast(mask, tf.float32), axis=1, keepdims=True)
            total = tf.reduce_sum(tf.where(mask[:, :, None], tf.cast(states, tf.float32), 0.0), axis=1)
            vector = tf.cast(total / count, states.dtype)
        else:
            vector = tf.reduce_max(tf.where(mask[:, :, None], states, states.dtype.min), axis=1)
        if self.context_layer is not None:
            vector = self.context_layer(vector)
        return [[layer(vector) for layer in layers] for layers in self.layers], vector
