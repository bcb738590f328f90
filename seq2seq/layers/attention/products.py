"""Attentions that score by a product of query and key."""

import tensorflow as tf

from seq2seq.layers.attention.base import Attention
from seq2seq.layers.time_loop import product


class DotAttention(Attention):
    """e_s = q . m_s. With one head, query and memory must be equally wide.

    Source: Luong, Pham and Manning (2015), section 3.1, "dot".
    """

    def build_scores(self, query_size: int, memory_size: int) -> None:
        if query_size != memory_size:
            raise ValueError(f"dot attention needs equal widths, found query {query_size} and memory {memory_size}")

    def scores(self, query: tf.Tensor, keys: tf.Tensor, coverage: tf.Tensor | None = None) -> tf.Tensor:
        return tf.matmul(query, keys, transpose_b=True)


class ScaledDotAttention(DotAttention):
    """e_s = q . m_s / sqrt(Q). With one head, query and memory must be equally wide.

    Source: Vaswani et al. (2017), section 3.2.1.
    """

    def queries(self, query: tf.Tensor) -> tf.Tensor:
        return query * tf.cast(query.shape[-1] ** -0.5, query.dtype)


class GeneralAttention(DotAttention):
    """e_s = q . (W m_s); with several heads, whose projections have a W already, e_s = q . m_s.

    Source: Luong, Pham and Manning (2015), section 3.1, "general".
    """

    def build_scores(self, query_size: int, memory_size: int) -> None:
        if self.heads == 1:
            self.key = self.dense(query_size, "key", memory_size)

    def keys(self, states: tf.Tensor) -> tf.Tensor:
        return product(states, self.key.kernel) if self.heads == 1 else states
