"""What all attentions share. What depends on the source alone is computed once, by `project_memory`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from seq2seq.layers.configurable import ConfigurableLayer
from seq2seq.layers.initialization import UNSEEDED, Initializers
from seq2seq.layers.time_loop import product, run_steps

# Added to the scores of padded positions; exp(-1e9) is 0 in float32.
MASKED = -1e9


class AttentionMemory(NamedTuple):
    """The source as attention reads it; with H heads, states and keys are (B, H, S, ·).

    states  (B, S, M)  compute dtype, what a context is made of
    keys    (B, S, A)  compute dtype, what queries are compared with
    mask    (B, S)     bool, True on real tokens
    """

    states: tf.Tensor
    keys: tf.Tensor
    mask: tf.Tensor


class _Watched(threading.local):
    """Lists of those who look on in this thread, innermost last."""

    def __init__(self) -> None:
        self.lists: list[list[tf.Tensor]] = []


_watched = _Watched()


@contextmanager
def watched_heads() -> Iterator[list[tf.Tensor]]:
    """Within this block attentions leave the weights (B, H, N, S) of their H heads in the list, float32.

    Where a decoder asks step by step, there is one entry a step, in the order of steps.
    """
    _watched.lists.append([])
    try:
        yield _watched.lists[-1]
    finally:
        _watched.lists.pop()


class Attention(ConfigurableLayer):
    """Weigh the source states for each query, with one head or several.

    A new attention writes `scores`, and what it needs of the rest:
        build_scores  makes its weights, by `dense`, `matrix` or Keras's `add_weight`
        queries, keys  what is computed once a query, and once a source position
        scores  compares the two
        __init__, if it has options; `can_see_coverage = True`, if it reads the third argument of `scores`
    Tensors have one batch axis, and with several heads a second one, so whatever takes any number of batch axes runs
    in heads as it is, with weights that the heads share.

    With several heads, head h compares W_q^h q with W_k^h m_s and reads W_v^h m_s; the heads' contexts are concatenated
    and multiplied by an output matrix, so a context is as wide as the memory.

    Decoders drive an attention by `build`, `project_memory` and then `attend` or `attend_all`; it has no `call`.

    Args:
        units: Width of all heads together; with one head, of the scoring network of an attention that has one; 0 where
            there is neither.
        heads: H, divides `units`.
        coverage: See the sum of the weights so far.
        initializers: Source of the initial weights.

    Raises:
        ValueError: `heads` does not divide `units`, or `coverage` is asked of several heads or of an attention that
            does not know it.

    Shapes: B batch, N queries a sentence, S source length, Q query width, M memory width, A key width.
        query    (B, N, Q)  compute dtype; N is T in training, K in beam search, 1 in a step
        drop     (B, N, S)  dropout mask, times the weights that make the context; by default none; with several heads
                            (B, H, N, S)
        context  (B, N, M)  compute dtype
        weights  (B, N, S)  float32, before dropout, each row sums to 1, padded positions get 0; the heads' mean

    Source: of heads, Vaswani et al. (2017), section 3.2.2; on recurrent states as in Chen et al. (2018), section 3.1.
    """

    can_see_coverage = False

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
        if coverage and (heads > 1 or not self.can_see_coverage):
            kind = type(self).__name__
            raise ValueError(f"coverage is for additive attention with one head, found {kind} with {heads} heads")
        self.units, self.heads, self.sees_coverage, self.initializers = units, heads, coverage, initializers

    def build(self, query_size: int, memory_size: int) -> None:
        """Widths Q and M."""
        if self.heads > 1:
            self.query_kernel = self.matrix("query_kernel", query_size, self.units)
            self.key_kernel = self.matrix("key_kernel", memory_size, self.units)
            self.value_kernel = self.matrix("value_kernel", memory_size, self.units)
            self.output_kernel = self.matrix("output_kernel", self.units, memory_size)
            query_size = memory_size = self.units // self.heads
        self.build_scores(query_size, memory_size)

    def build_scores(self, query_size: int, memory_size: int) -> None:
        """Make the weights that `queries`, `keys` and `scores` read, for what they get: widths Q and M of a head."""

    def queries(self, query: tf.Tensor) -> tf.Tensor:
        """(..., N, Q) -> (..., N, A)."""
        return query

    def keys(self, states: tf.Tensor) -> tf.Tensor:
        """(..., S, M) -> (..., S, A)."""
        return states

    def scores(self, query: tf.Tensor, keys: tf.Tensor, coverage: tf.Tensor | None = None) -> tf.Tensor:
        """Compare (..., N, A) with (..., S, A): (..., N, S). `coverage`, (B, N, S), comes where it is seen."""
        raise NotImplementedError

    def scores_all(self, query: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """As `scores`, for all queries of a target, in bounded memory."""
        return self.scores(query, keys)

    @property
    def score_variables(self) -> list[keras.Variable]:
        """What `scores` reads."""
        return self.variables

    def project_memory(self, states: tf.Tensor, mask: tf.Tensor) -> AttentionMemory:
        """Prepare encoder states (B, S, M) and their mask (B, S) for many queries."""
        if self.heads == 1:
            return AttentionMemory(states, self.keys(states), mask)
        values = self._split(states, self.value_kernel)
        return AttentionMemory(values, self.keys(self._split(states, self.key_kernel)), mask)

    def attend(
        self,
        query: tf.Tensor,
        memory: AttentionMemory,
        coverage: tf.Tensor | None = None,
        drop: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Contexts and weights of queries.

        `coverage` (B, N, S) float32, the sum of a hypothesis's weights so far, counts where `sees_coverage`.
        """
        seen = coverage if self.sees_coverage else None
        return self._read(self._weights(self.scores(self._queries(query), memory.keys, seen), memory), memory, drop)

    def attend_all(
        self, query: tf.Tensor, memory: AttentionMemory, drop: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """As `attend`, for all T queries of a target in their order, in bounded memory."""
        projected = self._queries(query)
        if self.sees_coverage:
            weights = self._step_by_step(projected, memory)
        else:
            weights = self._weights(self.scores_all(projected, memory.keys), memory)
        return self._read(weights, memory, drop)

    def drop_shape(self, queries: tf.Tensor, memory: AttentionMemory) -> list[tf.Tensor]:
        """Of a dropout mask for queries (B, N, Q)."""
        *batch, positions, _ = tf.unstack(tf.shape(memory.keys))
        return [*batch, tf.shape(queries)[1], positions]

    def dense(self, units: int, name: str, width: int) -> keras.layers.Dense:
        """A built layer without bias: (..., width) -> (..., units)."""
        first = self.initializers.glorot_uniform()
        layer = keras.layers.Dense(units, use_bias=False, kernel_initializer=first, dtype=self.dtype_policy, name=name)
        layer.build((None, width))
        return layer

    def matrix(self, name: str, rows: int, columns: int) -> keras.Variable:
        """A weight (rows, columns)."""
        return self.add_weight(name=name, shape=(rows, columns), initializer=self.initializers.glorot_uniform())

    def _queries(self, query: tf.Tensor) -> tf.Tensor:
        return self.queries(query if self.heads == 1 else self._split(query, self.query_kernel))

    def _split(self, inputs: tf.Tensor, kernel: keras.Variable) -> tf.Tensor:
        """(B, N, ·) times a kernel (·, units) -> (B, H, N, units / H)."""
        shape = tf.concat([tf.shape(inputs)[:2], [self.heads, self.units // self.heads]], axis=0)
        return tf.transpose(tf.reshape(product(inputs, kernel), shape), [0, 2, 1, 3])

    def _weights(self, scores: tf.Tensor, memory: AttentionMemory) -> tf.Tensor:
        mask = memory.mask[:, None] if self.heads == 1 else memory.mask[:, None, None]
        weights = tf.nn.softmax(tf.where(mask, tf.cast(scores, tf.float32), MASKED))
        if _watched.lists:
            _watched.lists[-1].append(weights[:, None] if self.heads == 1 else weights)
        return weights

    def _read(self, weights: tf.Tensor, memory: AttentionMemory, drop: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        kept = tf.cast(weights, memory.states.dtype)
        contexts = tf.matmul(kept if drop is None else kept * drop, memory.states)
        if self.heads == 1:
            return contexts, weights
        joined = tf.transpose(contexts, [0, 2, 1, 3])
        joined = tf.reshape(joined, tf.concat([tf.shape(joined)[:2], [self.units]], axis=0))
        return product(joined, self.output_kernel), tf.reduce_mean(weights, axis=1)

    def _step_by_step(self, projected: tf.Tensor, memory: AttentionMemory) -> tf.Tensor:
        """Weights (B, T, S), where those of a step are compared with the sum of those before."""

        def step(x: Any, state: Any, constants: Any) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            weights = self._weights(self.scores(x[0], constants[0], state[0]), memory)
            return [weights], [state[0] + weights]

        (weights,), _ = run_steps(
            step,
            [tf.transpose(projected, [1, 0, 2])[:, :, None]],
            [tf.zeros(self.drop_shape(projected[:, :1], memory))],
            constants=[memory.keys],
            variables=self.score_variables,
            output_dtypes=[tf.float32],
        )
        return tf.transpose(weights[:, :, 0], [1, 0, 2])
