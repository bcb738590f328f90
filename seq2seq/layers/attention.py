"""Attention over encoder states. What depends on the source alone is computed once, by `project_memory`."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from seq2seq.layers.configurable import ConfigurableLayer
from seq2seq.layers.initialization import UNSEEDED, Initializers
from seq2seq.layers.time_loop import product, run_steps

# Added to the scores of padded positions; exp(-1e9) is 0 in float32.
MASKED = -1e9
# Most elements (B, n, S, U) that additive attention holds at once when it scores a whole target.
BLOCK_ELEMENTS = 2**22


class AttentionMemory(NamedTuple):
    """The source as attention reads it; with H heads, states and keys are (B, H, S, ·).

    states  (B, S, M)  compute dtype, what a context is made of
    keys    (B, S, A)  compute dtype, what queries are compared with
    mask    (B, S)     bool, True on real tokens
    """

    states: tf.Tensor
    keys: tf.Tensor
    mask: tf.Tensor


class Attention(ConfigurableLayer):
    """Weigh the source states for each query. Subclasses give `keys` and `scores`.

    Args:
        initializers: Source of the initial weights.

    Shapes: B batch, N queries a sentence, S source length, Q query width, M memory width, A key width.
        query    (B, N, Q)  compute dtype; N is T in training, K in beam search, 1 in a step
        drop     (B, N, S)  dropout mask, times the weights that make the context; by default none
        context  (B, N, M)  compute dtype
        weights  (B, N, S)  float32, before dropout, each row sums to 1, padded positions get 0
    """

    sees_coverage = False

    def __init__(self, *, initializers: Initializers = UNSEEDED, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initializers = initializers

    def project_memory(self, states: tf.Tensor, mask: tf.Tensor) -> AttentionMemory:
        """Prepare encoder states (B, S, M) and their mask (B, S) for many queries."""
        return AttentionMemory(states, self.keys(states), mask)

    def attend(
        self,
        query: tf.Tensor,
        memory: AttentionMemory,
        coverage: tf.Tensor | None = None,
        drop: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Contexts and weights of queries.

        `coverage` (B, N, S) float32, the sum of a hypothesis's weights so far, is for attention that sees it.
        """
        return self._read(self.scores(query, memory.keys), memory, drop)

    def attend_all(
        self, query: tf.Tensor, memory: AttentionMemory, drop: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """As `attend`, for all T queries of a target in their order, in bounded memory."""
        return self.attend(query, memory, drop=drop)

    def drop_shape(self, queries: tf.Tensor, memory: AttentionMemory) -> list[tf.Tensor]:
        """Of a dropout mask for queries (B, N, Q)."""
        shape = tf.shape(queries)
        return [shape[0], shape[1], tf.shape(memory.mask)[1]]

    def dense(self, units: int, name: str, width: int) -> keras.layers.Dense:
        """A built layer without bias: (..., width) -> (..., units)."""
        first = self.initializers.glorot_uniform()
        layer = keras.layers.Dense(units, use_bias=False, kernel_initializer=first, dtype=self.dtype_policy, name=name)
        layer.build((None, width))
        return layer

    def keys(self, states: tf.Tensor) -> tf.Tensor:
        """(B, S, M) -> (B, S, A)."""
        raise NotImplementedError

    def scores(self, query: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """Compare (B, N, Q) with (B, S, A): (B, N, S)."""
        raise NotImplementedError

    def _weights(self, scores: tf.Tensor, memory: AttentionMemory) -> tf.Tensor:
        return tf.nn.softmax(tf.where(memory.mask[:, None], tf.cast(scores, tf.float32), MASKED))

    def _read(self, scores: tf.Tensor, memory: AttentionMemory, drop: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        weights = self._weights(scores, memory)
        return tf.matmul(_dropped(weights, drop, memory.states.dtype), memory.states), weights


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
        self.key = self.dense(query_size, "key", memory_size)

    def keys(self, states: tf.Tensor) -> tf.Tensor:
        return product(states, self.key.kernel)

    def scores(self, query: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return tf.matmul(query, keys, transpose_b=True)


class AdditiveAttention(Attention):
    """Score each source state with a one-hidden-layer network.

    e_s = v . tanh(W_q q + W_m m_s + w_c a_s), where a_s, for `coverage` only, is the attention that the source
    position got in the steps before.

    Args:
        units: Width U of the scoring network, at least 1.
        coverage: See the sum of the weights so far.

    Raises:
        ValueError: `units` is below 1.

    A whole target is scored in blocks of time steps that are computed again in the backward pass, so that no
    (B, T, S, U) tensor is ever held; with coverage, step by step.

    Source: Bahdanau, Cho and Bengio (2015), appendix A.1.2; coverage of See, Liu and Manning (2017), equation 11.
    Departure: no bias terms.
    """

    def __init__(self, units: int, coverage: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units is {units}, expected at least 1")
        self.units, self.sees_coverage = units, coverage

    def build(self, query_size: int, memory_size: int) -> None:
        self.query = self.dense(self.units, "query", query_size)
        self.key = self.dense(self.units, "key", memory_size)
        self.score = self.dense(1, "score", self.units)
        if self.sees_coverage:
            self.coverage = self.dense(self.units, "coverage", 1)

    def keys(self, states: tf.Tensor) -> tf.Tensor:
        return product(states, self.key.kernel)

    def scores(self, query: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return self._compare(product(query, self.query.kernel), keys)

    def attend(
        self,
        query: tf.Tensor,
        memory: AttentionMemory,
        coverage: tf.Tensor | None = None,
        drop: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        projected = product(query, self.query.kernel)
        return self._read(self._compare(projected, memory.keys, coverage), memory, drop)

    def attend_all(
        self, query: tf.Tensor, memory: AttentionMemory, drop: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        projected = product(query, self.query.kernel)
        if not self.sees_coverage:
            scores = in_blocks(self._compare, projected, memory.keys, self.score.variables, self.units)
            return self._read(scores, memory, drop)
        weights = self._step_by_step(projected, memory)
        return tf.matmul(_dropped(weights, drop, memory.states.dtype), memory.states), weights

    def _step_by_step(self, projected: tf.Tensor, memory: AttentionMemory) -> tf.Tensor:
        def step(x: Any, state: Any, constants: Any) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            weights = self._weights(self._compare(x[0], constants[0], state[0]), memory)
            return [weights], [state[0] + weights]

        (weights,), _ = run_steps(
            step,
            [tf.transpose(projected, [1, 0, 2])[:, :, None]],
            [tf.zeros(self.drop_shape(projected[:, :1], memory))],
            constants=[memory.keys],
            variables=[*self.score.variables, *self.coverage.variables],
            output_dtypes=[tf.float32],
        )
        return tf.transpose(weights[:, :, 0], [1, 0, 2])

    def _compare(self, projected: tf.Tensor, keys: tf.Tensor, coverage: tf.Tensor | None = None) -> tf.Tensor:
        hidden = projected[:, :, None] + keys[:, None]  # (B, N, S, U)
        if coverage is not None:
            # An outer product: as a matrix product of width 1 it would be slower.
            hidden += tf.cast(coverage, hidden.dtype)[..., None] * tf.cast(self.coverage.kernel[0], hidden.dtype)
        # Not by `product`: it would keep every step's (B, N, S, U) for a gradient of U numbers.
        kernel = tf.cast(tf.convert_to_tensor(self.score.kernel), hidden.dtype)
        flat = tf.matmul(tf.reshape(tf.tanh(hidden), [-1, self.units]), kernel)
        return tf.reshape(flat, tf.shape(hidden)[:-1])


def in_blocks(
    compare: Any, query: tf.Tensor, keys: tf.Tensor, variables: list[keras.Variable], units: int
) -> tf.Tensor:
    """`compare(query, keys)` in equal blocks of queries that are computed again in the backward pass.

    Args:
        compare: (..., n, ·) and (..., S, ·) -> (..., n, S).
        query: (..., T, A).
        keys: (..., S, A).
        variables: What `compare` reads.
        units: Elements that it holds for each of B * n * S, to choose n by.
    """
    rank, shape = len(query.shape), tf.shape(query)
    steps = shape[-2]
    size = tf.clip_by_value(BLOCK_ELEMENTS // (shape[0] * tf.shape(keys)[-2] * units), 1, steps)
    count = -(-steps // size)
    padded = tf.pad(query, [[0, 0]] * (rank - 2) + [[0, count * size - steps], [0, 0]])
    apart = tf.reshape(padded, tf.concat([shape[:-2], [count, size, query.shape[-1]]], axis=0))
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


def _dropped(weights: tf.Tensor, drop: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
    return tf.cast(weights, dtype) if drop is None else tf.cast(weights, dtype) * drop
