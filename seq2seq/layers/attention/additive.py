"""Additive attention, scored in blocks of queries where a whole target is at hand."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from seq2seq.layers.attention.base import Attention
from seq2seq.layers.time_loop import product, run_steps

# Most elements (B, n, S, U) that additive attention holds at once when it scores a whole target.
BLOCK_ELEMENTS = 2**22


class AdditiveAttention(Attention):
    """Score each source state with a one-hidden-layer network.

    e_s = v . tanh(W_q q + W_m m_s + w_c a_s), where a_s, for `coverage` only, is the attention that the source
    position got in the steps before. With several heads e_s = v^h . tanh(q + m_s): their projections have the matrices.

    Args:
        units: Width U of the scoring network, of all heads together, at least 1.

    Raises:
        ValueError: `units` is below 1.

    A whole target is scored in blocks of time steps that are computed again in the backward pass, so that no
    (B, T, S, U) tensor is ever held; with coverage, step by step.

    Source: Bahdanau, Cho and Bengio (2015), appendix A.1.2; coverage of See, Liu and Manning (2017), equation 11.
    Departure: no bias terms.
    """

    can_see_coverage = True

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        if units < 1:
            raise ValueError(f"units is {units}, expected at least 1")

    def build_scores(self, query_size: int, memory_size: int) -> None:
        if self.heads > 1:
            self.score_kernel = self.matrix("score_kernel", self.heads, query_size)
            return
        self.query = self.dense(self.units, "query", query_size)
        self.key = self.dense(self.units, "key", memory_size)
        self.score = self.dense(1, "score", self.units)
        if self.sees_coverage:
            self.coverage = self.dense(self.units, "coverage", 1)

    @property
    def score_variables(self) -> list[keras.Variable]:
        if self.heads > 1:
            return [self.score_kernel]
        return [*self.score.variables, *(self.coverage.variables if self.sees_coverage else [])]

    def queries(self, query: tf.Tensor) -> tf.Tensor:
        return product(query, self.query.kernel) if self.heads == 1 else query

    def keys(self, states: tf.Tensor) -> tf.Tensor:
        return product(states, self.key.kernel) if self.heads == 1 else states

    def scores(self, query: tf.Tensor, keys: tf.Tensor, coverage: tf.Tensor | None = None) -> tf.Tensor:
        hidden = query[..., None, :] + keys[..., None, :, :]  # (B, N, S, U) or (B, H, N, S, U / H)
        if self.heads > 1:
            return tf.reduce_sum(tf.tanh(hidden) * tf.cast(self.score_kernel, hidden.dtype)[:, None, None], axis=-1)
        if coverage is not None:
            # An outer product: as a matrix product of width 1 it would be slower.
            hidden += tf.cast(coverage, hidden.dtype)[..., None] * tf.cast(self.coverage.kernel[0], hidden.dtype)
        # Not by `product`: it would keep every step's (B, N, S, U) for a gradient of U numbers.
        kernel = tf.cast(tf.convert_to_tensor(self.score.kernel), hidden.dtype)
        flat = tf.matmul(tf.reshape(tf.tanh(hidden), [-1, self.units]), kernel)
        return tf.reshape(flat, tf.shape(hidden)[:-1])

    def scores_all(self, query: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return in_blocks(self.scores, query, keys, self.score_variables)


def in_blocks(
    compare: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    query: tf.Tensor,
    keys: tf.Tensor,
    variables: Sequence[keras.Variable],
) -> tf.Tensor:
    """`compare(query, keys)` in equal blocks of queries that are computed again in the backward pass.

    Args:
        compare: (..., n, A) and (..., S, A) -> (..., n, S); it holds a tensor (..., n, S, A), to choose n by.
        query: (..., T, A).
        keys: (..., S, A).
        variables: What `compare` reads.
    """
    rank, shape, width = len(query.shape), tf.shape(query), query.shape[-1]
    steps, batches = shape[-2], tf.reduce_prod(shape[:-2])
    size = tf.clip_by_value(BLOCK_ELEMENTS // (batches * tf.shape(keys)[-2] * width), 1, steps)
    count = -(-steps // size)
    padded = tf.pad(query, [[0, 0]] * (rank - 2) + [[0, count * size - steps], [0, 0]])
    apart = tf.reshape(padded, tf.concat([shape[:-2], [count, size, width]], axis=0))
    first = [rank - 2, *range(rank - 2), rank - 1, rank]  # the block's number to the front

    def step(x: Any, _: Any, constants: Any) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        return [compare(x[0], constants[0])], []

    (scores,), _ = run_steps(
        step,
        [tf.transpose(apart, first)],
        [],
        constants=[keys],
        variables=variables,
        output_dtypes=[query.dtype],
    )
    back = tf.transpose(scores, [*range(1, rank - 1), 0, rank - 1, rank])
    joined = tf.reshape(back, tf.concat([shape[:-2], [count * size, tf.shape(keys)[-2]]], axis=0))
    return joined[..., :steps, :]
