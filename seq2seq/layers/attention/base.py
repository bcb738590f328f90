"""Base class of all attentions; what depends only on the source is computed once, by `project_memory`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from seq2seq.layers.base import UNSEEDED, ConfigurableLayer, Initializers
from seq2seq.layers.recurrent_scan import deferred_matmul, recurrent_scan

# Added to the scores of padded positions; exp(-1e9) is 0 in float32.
MASK_VALUE = -1e9
# Maximum number of elements (B, n, S, A) of a block, where whole targets are scored in blocks of n queries.
BLOCK_ELEMENTS = 2**22


class AttentionMemory(NamedTuple):
    """Source representation that attention reads; with H heads, states and keys are (B, H, S, ·).

    Attributes:
        states: (B, S, M) compute dtype, whose weighted sums are the contexts.
        keys: (B, S, A) compute dtype, with which queries are compared.
        mask: (B, S) bool, True on real tokens.
    """

    states: tf.Tensor
    keys: tf.Tensor
    mask: tf.Tensor


_watched: ContextVar[list[tf.Tensor] | None] = ContextVar("watched", default=None)


@contextmanager
def record_head_weights() -> Iterator[list[tf.Tensor]]:
    """Scope that records the weights of all heads in a list of (B, H, N, S) float32.

    A decoder that attends step by step adds one entry per step, in order.
    """
    found: list[tf.Tensor] = []
    before = _watched.set(found)
    try:
        yield found
    finally:
        _watched.reset(before)


class Attention(ConfigurableLayer):
    """Weigh the source states for each query, with one or several heads.

    A subclass defines `scores` and, where it needs them, the other methods:

        build_scores     create weights, with `add_dense`, `add_matrix` or Keras's `add_weight`
        project_queries  compute what is needed once per query
        project_keys     compute what is needed once per source position
        scores           compare the two; with `supports_coverage`, also given the attention so far; with
                         `compute_in_blocks`, in blocks of the target's steps, which bounds a tensor (..., N, S, A)

    Options go into `__init__`. Tensors have one batch axis, and with several heads a second one. Methods that accept
    any number of batch axes work with heads unchanged, with weights that the heads share.

    With several heads, head h compares W_q^h q with W_k^h m_s and averages W_v^h m_s; the heads' contexts are
    concatenated and multiplied by an output matrix, so a context is as wide as the memory.

    A decoder calls `build`, `project_memory` and then `attend` or `attend_sequence`; there is no `call`.

    Args:
        units: Total width of the heads; with one head, width of the scoring network if there is one, otherwise 0.
        heads: Number of heads H, a divisor of `units`.
        coverage: Let scores depend on the sum of the attention weights so far.
        initializers: Source of the initial weights.

    Raises:
        ValueError: `heads` does not divide `units`, or `coverage` is set with several heads or for an attention that
            does not support it.

    Shapes: B batch, N queries per sentence, S source length, Q query width, M memory width, A key width.
        query         (B, N, Q)  compute dtype; N is T in training, K in beam search, 1 in a step
        dropout_mask  (B, N, S)  multiplies the weights that make the context; (B, H, N, S) with several heads; none
                                 by default
        context       (B, N, M)  compute dtype
        weights       (B, N, S)  float32, before dropout; each row sums to 1, padded positions get 0; the mean of
                                 several heads

    Source:
        Vaswani et al. (2017), section 3.2.2 (heads); Chen et al. (2018), section 3.1 (heads on recurrent states).
    """

    supports_coverage = False
    compute_in_blocks = False

    def __init__(
        self,
        units: int = 0,
        heads: int = 1,
        coverage: bool = False,
        initializers: Initializers = UNSEEDED,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if heads < 1 or (heads > 1 and (units < 1 or units % heads)):
            raise ValueError(f"heads is {heads} and does not divide units {units}")
        if coverage and (heads > 1 or not self.supports_coverage):
            found = f"{type(self).__name__} with heads {heads}"
            raise ValueError(f"{found} does not support coverage: use additive attention with one head")
        self.units, self.heads, self.uses_coverage, self.initializers = units, heads, coverage, initializers

    def build(self, query_size: int, memory_size: int) -> None:
        """Create all weights for queries of width Q and a memory of width M."""
        if self.heads > 1:
            self.query_kernel = self.add_matrix("query_kernel", query_size, self.units)
            self.key_kernel = self.add_matrix("key_kernel", memory_size, self.units)
            self.value_kernel = self.add_matrix("value_kernel", memory_size, self.units)
            self.output_kernel = self.add_matrix("output_kernel", self.units, memory_size)
            query_size = memory_size = self.units // self.heads
        self.build_scores(query_size, memory_size)

    def build_scores(self, query_size: int, memory_size: int) -> None:
        """Create the weights of `project_queries`, `project_keys` and `scores`, given the widths Q and M of a head."""

    def project_queries(self, query: tf.Tensor) -> tf.Tensor:
        """(..., N, Q) -> (..., N, A)."""
        return query

    def project_keys(self, states: tf.Tensor) -> tf.Tensor:
        """(..., S, M) -> (..., S, A)."""
        return states

    def scores(self, query: tf.Tensor, keys: tf.Tensor, coverage: tf.Tensor | None = None) -> tf.Tensor:
        """Scores (..., N, S) of queries (..., N, A) and keys (..., S, A), with coverage (B, N, S) if it is used."""
        raise NotImplementedError

    @property
    def score_variables(self) -> list[keras.Variable]:
        """Variables that `scores` reads."""
        return self.variables

    def project_memory(self, states: tf.Tensor, mask: tf.Tensor) -> AttentionMemory:
        """Prepare encoder states (B, S, M) and their mask (B, S) for many queries."""
        if self.heads == 1:
            return AttentionMemory(states, self.project_keys(states), mask)
        values = self._split(states, self.value_kernel)
        return AttentionMemory(values, self.project_keys(self._split(states, self.key_kernel)), mask)

    def attend(
        self,
        query: tf.Tensor,
        memory: AttentionMemory,
        coverage: tf.Tensor | None = None,
        dropout_mask: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Contexts and weights of queries.

        `coverage` (B, N, S) float32, the sum of each hypothesis's weights so far, is read only if `uses_coverage`.
        """
        seen = coverage if self.uses_coverage else None
        weights = self._weights(self.scores(self._queries(query), memory.keys, seen), memory)
        return self._read(weights, memory, dropout_mask)

    def attend_sequence(
        self, query: tf.Tensor, memory: AttentionMemory, dropout_mask: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Contexts and weights of all T queries of a target in order, in bounded memory; see `attend`."""
        projected = self._queries(query)
        if self.uses_coverage:
            return self._read(self._step_by_step(projected, memory), memory, dropout_mask)
        if self.compute_in_blocks:
            scores = blockwise_scores(self.scores, projected, memory.keys, self.score_variables)
        else:
            scores = self.scores(projected, memory.keys)
        return self._read(self._weights(scores, memory), memory, dropout_mask)

    def dropout_mask_shape(self, queries: tf.Tensor, memory: AttentionMemory) -> list[tf.Tensor]:
        """Shape of a dropout mask for queries (B, N, Q)."""
        *batch, positions, _ = tf.unstack(tf.shape(memory.keys))
        return [*batch, tf.shape(queries)[1], positions]

    def add_dense(self, units: int, name: str, width: int) -> keras.layers.Dense:
        """A built dense layer without bias: (..., width) -> (..., units)."""
        first = self.initializers.glorot_uniform()
        layer = keras.layers.Dense(units, use_bias=False, kernel_initializer=first, dtype=self.dtype_policy, name=name)
        layer.build((None, width))
        return layer

    def add_matrix(self, name: str, rows: int, columns: int) -> keras.Variable:
        """A weight (rows, columns)."""
        return self.add_weight(name=name, shape=(rows, columns), initializer=self.initializers.glorot_uniform())

    def _queries(self, query: tf.Tensor) -> tf.Tensor:
        return self.project_queries(query if self.heads == 1 else self._split(query, self.query_kernel))

    def _split(self, inputs: tf.Tensor, kernel: keras.Variable) -> tf.Tensor:
        """(B, N, ·) times a kernel (·, units) -> (B, H, N, units / H)."""
        shape = tf.concat([tf.shape(inputs)[:2], [self.heads, self.units // self.heads]], axis=0)
        return tf.transpose(tf.reshape(deferred_matmul(inputs, kernel), shape), [0, 2, 1, 3])

    def _weights(self, scores: tf.Tensor, memory: AttentionMemory) -> tf.Tensor:
        mask = memory.mask[:, None] if self.heads == 1 else memory.mask[:, None, None]
        weights = tf.nn.softmax(tf.where(mask, tf.cast(scores, tf.float32), MASK_VALUE))
        if (watched := _watched.get()) is not None:
            watched.append(weights[:, None] if self.heads == 1 else weights)
        return weights

    def _read(
        self, weights: tf.Tensor, memory: AttentionMemory, dropout_mask: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        kept = tf.cast(weights, memory.states.dtype)
        contexts = tf.matmul(kept if dropout_mask is None else kept * dropout_mask, memory.states)
        if self.heads == 1:
            return contexts, weights
        joined = tf.transpose(contexts, [0, 2, 1, 3])
        joined = tf.reshape(joined, tf.concat([tf.shape(joined)[:2], [self.units]], axis=0))
        return deferred_matmul(joined, self.output_kernel), tf.reduce_mean(weights, axis=1)

    def _step_by_step(self, projected: tf.Tensor, memory: AttentionMemory) -> tf.Tensor:
        """Weights (B, T, S), where the scores of a step depend on the sum of the weights before it."""

        def step(x: Any, state: Any, constants: Any) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            weights = self._weights(self.scores(x[0], constants[0], state[0]), memory)
            return [weights], [state[0] + weights]

        (weights,), _ = recurrent_scan(
            step,
            [tf.transpose(projected, [1, 0, 2])[:, :, None]],
            [tf.zeros(self.dropout_mask_shape(projected[:, :1], memory))],
            constants=[memory.keys],
            variables=self.score_variables,
            output_dtypes=[tf.float32],
        )
        return tf.transpose(weights[:, :, 0], [1, 0, 2])


def blockwise_scores(
    compare: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    query: tf.Tensor,
    keys: tf.Tensor,
    variables: Sequence[keras.Variable],
) -> tf.Tensor:
    """Compute `compare(query, keys)` in equal blocks of n queries, which are recomputed in the backward pass.

    Args:
        compare: Maps (..., n, A) and (..., S, A) to (..., n, S); n bounds the tensor (..., n, S, A) that it holds.
        query: (..., T, A).
        keys: (..., S, A).
        variables: Variables that `compare` reads.
    """
    rank, shape, width = len(query.shape), tf.shape(query), query.shape[-1]
    steps, batches = shape[-2], tf.reduce_prod(shape[:-2])
    size = tf.clip_by_value(BLOCK_ELEMENTS // (batches * tf.shape(keys)[-2] * width), 1, steps)
    count = -(-steps // size)
    padded = tf.pad(query, [[0, 0]] * (rank - 2) + [[0, count * size - steps], [0, 0]])
    apart = tf.reshape(padded, tf.concat([shape[:-2], [count, size, width]], axis=0))
    first = [rank - 2, *range(rank - 2), rank - 1, rank]  # block number first

    def step(x: Any, _: Any, constants: Any) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        return [compare(x[0], constants[0])], []

    (scores,), _ = recurrent_scan(
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
