"""Several attentions side by side, and the choice of an attention by its name."""

from typing import Any

import keras
import tensorflow as tf

from seq2seq.layers.attention import (
    MASKED,
    AdditiveAttention,
    Attention,
    AttentionMemory,
    DotAttention,
    GeneralAttention,
    ScaledDotAttention,
    in_blocks,
)
from seq2seq.layers.time_loop import product


class MultiHeadAttention(Attention):
    """Several attentions side by side, each on projections of its own.

    Head h compares W_q^h q with W_k^h m_s and reads W_v^h m_s; the heads' contexts are concatenated and multiplied
    by an output matrix, so a context is as wide as the memory.

    Args:
        kind: `general`, products of the projections; `scaled_dot`, the same by the root of a head's width;
            `additive`, e_s = v^h . tanh(W_q^h q + W_k^h m_s).
        heads: H, divides `units`.
        units: Width of all heads together.

    The weights that are handed out are the heads' mean; a dropout mask is (B, H, N, S).

    Raises:
        ValueError: `heads` does not divide `units`.

    Source: Vaswani et al. (2017), section 3.2.2; on recurrent states as in Chen et al. (2018), section 3.1.
    """

    def __init__(self, kind: str, heads: int, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units % heads:
            raise ValueError(f"heads is {heads} and does not divide units {units}")
        self.kind, self.heads, self.units = kind, heads, units

    def build(self, query_size: int, memory_size: int) -> None:
        def matrix(name: str, rows: int, columns: int) -> keras.Variable:
            return self.add_weight(name=name, shape=(rows, columns), initializer=self.initializers.glorot_uniform())

        self.query_kernel = matrix("query_kernel", query_size, self.units)
        self.key_kernel = matrix("key_kernel", memory_size, self.units)
        self.value_kernel = matrix("value_kernel", memory_size, self.units)
        self.output_kernel = matrix("output_kernel", self.units, memory_size)
        if self.kind == "additive":
            self.score_kernel = matrix("score_kernel", self.heads, self.units // self.heads)

    def project_memory(self, states: tf.Tensor, mask: tf.Tensor) -> AttentionMemory:
        values = self._split(states, self.value_kernel)
        return AttentionMemory(values, self._split(states, self.key_kernel), mask)

    def attend(
        self,
        query: tf.Tensor,
        memory: AttentionMemory,
        coverage: tf.Tensor | None = None,
        drop: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._gather(self._compare(self._projected(query), memory.keys), memory, drop)

    def attend_all(
        self, query: tf.Tensor, memory: AttentionMemory, drop: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if self.kind != "additive":
            return self.attend(query, memory, drop=drop)
        projected = self._projected(query)
        scores = in_blocks(self._compare, projected, memory.keys, [self.score_kernel], self.units)
        return self._gather(scores, memory, drop)

    def weights_of_heads(self, query: tf.Tensor, memory: AttentionMemory) -> tf.Tensor:
        """The weights of each head, (B, H, N, S) float32; `attend` hands out their mean."""
        return self._weights(self._compare(self._projected(query), memory.keys), memory)

    def drop_shape(self, queries: tf.Tensor, memory: AttentionMemory) -> list[tf.Tensor]:
        rows, count, positions = super().drop_shape(queries, memory)
        return [rows, tf.constant(self.heads), count, positions]

    def _weights(self, scores: tf.Tensor, memory: AttentionMemory) -> tf.Tensor:
        return tf.nn.softmax(tf.where(memory.mask[:, None, None], tf.cast(scores, tf.float32), MASKED))

    def _gather(
        self, scores: tf.Tensor, memory: AttentionMemory, drop: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        contexts, weights = self._read(scores, memory, drop)  # (B, H, N, d), (B, H, N, S)
        joined = tf.transpose(contexts, [0, 2, 1, 3])
        joined = tf.reshape(joined, tf.concat([tf.shape(joined)[:2], [self.units]], axis=0))
        return product(joined, self.output_kernel), tf.reduce_mean(weights, axis=1)

    def _projected(self, query: tf.Tensor) -> tf.Tensor:
        return self._split(query, self.query_kernel)

    def _split(self, inputs: tf.Tensor, kernel: keras.Variable) -> tf.Tensor:
        """(B, N, ·) times a kernel (·, units) -> (B, H, N, units / H)."""
        shape = tf.concat([tf.shape(inputs)[:2], [self.heads, self.units // self.heads]], axis=0)
        return tf.transpose(tf.reshape(product(inputs, kernel), shape), [0, 2, 1, 3])

    def _compare(self, query: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        if self.kind == "additive":
            hidden = tf.tanh(query[:, :, :, None] + keys[:, :, None])  # (B, H, N, S, d)
            return tf.reduce_sum(hidden * tf.cast(self.score_kernel, hidden.dtype)[:, None, None], axis=-1)
        if self.kind == "scaled_dot":
            query *= tf.cast((self.units // self.heads) ** -0.5, query.dtype)
        return tf.matmul(query, keys, transpose_b=True)


def make_attention(kind: str, units: int, *, heads: int = 1, coverage: bool = False, **kwargs: Any) -> Attention | None:
    """An attention by its name in a recipe; `none` is None.

    `units` is the width of `additive`'s network, and of all heads together where there are several.
    """
    if kind == "none":
        return None
    if heads > 1:
        return MultiHeadAttention(kind, heads, units, **kwargs)
    if kind == "additive":
        return AdditiveAttention(units, coverage, **kwargs)
    return {"dot": DotAttention, "scaled_dot": ScaledDotAttention, "general": GeneralAttention}[kind](**kwargs)
