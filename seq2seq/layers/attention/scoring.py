"""Scoring functions that compare a query with source positions, each with its equation and paper."""

from typing import Any

import keras
import tensorflow as tf

from seq2seq.layers.attention.base import Attention
from seq2seq.layers.recurrent_scan import deferred_matmul


class DotAttention(Attention):
    """Dot-product attention; with one head, query and memory must be equally wide.

        e_s = q . m_s

    Source:
        Luong, Pham and Manning (2015), section 3.1, "dot".
    """

    def build_scores(self, query_size: int, memory_size: int) -> None:
        if query_size != memory_size:
            raise ValueError(f"dot attention needs equal widths, found query {query_size} and memory {memory_size}")

    def scores(self, query: tf.Tensor, keys: tf.Tensor, coverage: tf.Tensor | None = None) -> tf.Tensor:
        return tf.matmul(query, keys, transpose_b=True)


class ScaledDotAttention(DotAttention):
    """Scaled dot-product attention; with one head, query and memory must be equally wide.

        e_s = q . m_s / sqrt(Q)

    Source:
        Vaswani et al. (2017), section 3.2.1.
    """

    def project_queries(self, query: tf.Tensor) -> tf.Tensor:
        return query * tf.cast(query.shape[-1] ** -0.5, query.dtype)


class GeneralAttention(DotAttention):
    """Bilinear attention.

        e_s = q . (W m_s)

    With several heads, whose projections already include a W, e_s = q . m_s.

    Source:
        Luong, Pham and Manning (2015), section 3.1, "general".
    """

    def build_scores(self, query_size: int, memory_size: int) -> None:
        if self.heads == 1:
            self.key = self.add_dense(query_size, "key", memory_size)

    def project_keys(self, states: tf.Tensor) -> tf.Tensor:
        return deferred_matmul(states, self.key.kernel) if self.heads == 1 else states


class AdditiveAttention(Attention):
    """Additive attention: score each source state with a network of one hidden layer.

        e_s = v . tanh(W_q q + W_m m_s + w_c a_s)

    The term w_c a_s is there only with `coverage`: a_s is the sum of the attention that the source position received in
    the previous steps. With several heads, whose projections already include the matrices, e_s = v^h . tanh(q + m_s).

    A whole target is scored in blocks of time steps, which are recomputed in the backward pass, so that no
    (B, T, S, U) tensor is ever held; with coverage, it is scored step by step.

    Args:
        units: Width U of the scoring network, in total over the heads, at least 1.
        kwargs: See `Attention`.

    Raises:
        ValueError: `units` is below 1.

    Source:
        Bahdanau, Cho and Bengio (2015), appendix A.1.2; See, Liu and Manning (2017), equation 11 (coverage).

    Departure:
        No bias terms.
    """

    supports_coverage = compute_in_blocks = True

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        if units < 1:
            raise ValueError(f"units is {units}, expected at least 1")

    def build_scores(self, query_size: int, memory_size: int) -> None:
        if self.heads > 1:
            self.score_kernel = self.add_matrix("score_kernel", self.heads, query_size)
            return
        self.query = self.add_dense(self.units, "query", query_size)
        self.key = self.add_dense(self.units, "key", memory_size)
        self.score = self.add_dense(1, "score", self.units)
        if self.uses_coverage:
            self.coverage = self.add_dense(self.units, "coverage", 1)

    @property
    def score_variables(self) -> list[keras.Variable]:
        if self.heads > 1:
            return [self.score_kernel]
        return [*self.score.variables, *(self.coverage.variables if self.uses_coverage else [])]

    def project_queries(self, query: tf.Tensor) -> tf.Tensor:
        return deferred_matmul(query, self.query.kernel) if self.heads == 1 else query

    def project_keys(self, states: tf.Tensor) -> tf.Tensor:
        return deferred_matmul(states, self.key.kernel) if self.heads == 1 else states

    def scores(self, query: tf.Tensor, keys: tf.Tensor, coverage: tf.Tensor | None = None) -> tf.Tensor:
        hidden = query[..., None, :] + keys[..., None, :, :]  # (B, N, S, U) or (B, H, N, S, U / H)
        if self.heads > 1:
            return tf.reduce_sum(tf.tanh(hidden) * tf.cast(self.score_kernel, hidden.dtype)[:, None, None], axis=-1)
        if coverage is not None:
            # An outer product, which would be slower as a matrix product of width 1.
            hidden += tf.cast(coverage, hidden.dtype)[..., None] * tf.cast(self.coverage.kernel[0], hidden.dtype)
        # Not `deferred_matmul`, which would keep every step's (B, N, S, U) for a gradient of U numbers.
        kernel = tf.cast(tf.convert_to_tensor(self.score.kernel), hidden.dtype)
        flat = tf.matmul(tf.reshape(tf.tanh(hidden), [-1, self.units]), kernel)
        return tf.reshape(flat, tf.shape(hidden)[:-1])
