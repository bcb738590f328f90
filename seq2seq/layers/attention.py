"""Attention over encoder states. What depends on the source alone is computed once, by `project_memory`."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

# Added to the scores of padded positions; exp(-1e9) is 0 in float32.
MASKED = -1e9


class AttentionMemory(NamedTuple):
    """The source as attention reads it.

    states  (B, S, M)  compute dtype, what a context is made of
    keys    (B, S, A)  compute dtype, what queries are compared with
    mask    (B, S)     bool, True on real tokens
    """

    states: tf.Tensor
    keys: tf.Tensor
    mask: tf.Tensor


class Attention(keras.layers.Layer):
    """Weigh the source states for each query. Subclasses give `keys` and `scores`.

    Shapes: B batch, N queries a sentence, S source length, Q query width, M memory width, A key width.
        query    (B, N, Q)  compute dtype; N is T in training, K in beam search, 1 in a step
        context  (B, N, M)  compute dtype
        weights  (B, N, S)  float32, each row sums to 1, padded positions get 0
    """

    def project_memory(self, states: tf.Tensor, mask: tf.Tensor) -> AttentionMemory:
        """Prepare encoder states (B, S, M) and their mask (B, S) for many queries."""
        return AttentionMemory(states, self.keys(states), mask)

    def attend(self, query: tf.Tensor, memory: AttentionMemory) -> tuple[tf.Tensor, tf.Tensor]:
        """Contexts and weights of queries."""
        scores = tf.cast(self.scores(query, memory.keys), tf.float32)
        weights = tf.nn.softmax(tf.where(memory.mask[:, None, :], scores, MASKED))
        return tf.matmul(tf.cast(weights, memory.states.dtype), memory.states), weights

    def keys(self, states: tf.Tensor) -> tf.Tensor:
        """(B, S, M) -> (B, S, A)."""
        raise NotImplementedError

    def scores(self, query: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """Compare (B, N, Q) with (B, S, A): (B, N, S)."""
        raise NotImplementedError


class DotAttention(Attention):
    """e_s = q . m_s. Query and memory must be equally wide.

    Source: Luong, Pham and Manning (2015), section 3.1, "dot".
    """

    def build(self, query_size: int, memory_size: int) -> None:
        if query_size != memory_size:
            raise ValueError(f"dot attention needs equal widths, found query {query_size} and memory {memory_size}")

    def keys(self, states: tf.Tensor) -> tf.Tensor:
        return states

    def scores(self, query: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return tf.matmul(query, keys, transpose_b=True)


class ScaledDotAttention(DotAttention):
    """e_s = q . m_s / sqrt(Q). Query and memory must be equally wide.

    Source: Vaswani et al. (2017), section 3.2.1.
    """

    def scores(self, query: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return super().scores(query * tf.cast(query.shape[-1] ** -0.5, query.dtype), keys)


class GeneralAttention(Attention):
    """e_s = q . (W m_s).

    Source: Luong, Pham and Manning (2015), section 3.1, "general".
    """

    def build(self, query_size: int, memory_size: int) -> None:
        self.key = keras.layers.Dense(query_size, use_bias=False, dtype=self.dtype_policy, name="key")
        self.key.build((None, memory_size))

    def keys(self, states: tf.Tensor) -> tf.Tensor:
        return self.key(states)

    def scores(self, query: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return tf.matmul(query, keys, transpose_b=True)


class AdditiveAttention(Attention):
    """Score each source state with a one-hidden-layer network.

    e_s = v . tanh(W_q q + W_m m_s).

    Args:
        units: Width U of the scoring network, at least 1.

    Raises:
        ValueError: `units` is below 1.

    Source: Bahdanau, Cho and Bengio (2015), appendix A.1.2.
    Departure: no bias terms.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units is {units}, expected at least 1")
        self.units = units

    def build(self, query_size: int, memory_size: int) -> None:
        def dense(units: int, name: str, width: int) -> keras.layers.Dense:
            layer = keras.layers.Dense(units, use_bias=False, dtype=self.dtype_policy, name=name)
            layer.build((None, width))
            return layer

        self.query = dense(self.units, "query", query_size)
        self.key = dense(self.units, "key", memory_size)
        self.score = dense(1, "score", self.units)

    def keys(self, states: tf.Tensor) -> tf.Tensor:
        return self.key(states)

    def scores(self, query: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        hidden = tf.tanh(self.query(query)[:, :, None] + keys[:, None])  # (B, N, S, U)
        return tf.squeeze(self.score(hidden), axis=-1)


def make_attention(kind: str, units: int, **kwargs: Any) -> Attention:
    """An attention by its name in a recipe; `units` is the width of `additive`'s network."""
    if kind == "additive":
        return AdditiveAttention(units, **kwargs)
    return {"dot": DotAttention, "scaled_dot": ScaledDotAttention, "general": GeneralAttention}[kind](**kwargs)
