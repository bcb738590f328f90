"""The loop of every search: finished sentences leave once at least half of the batch is finished.

Numbers of sentences, tokens and places are int64 within a search: on a GPU, TensorFlow computes with int32 on the host,
and would copy each of them there and back at every step.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

# From a step's number t (int32, on the host), the loop's sentences `rows` (B',) int64, and tensors of theirs (B', ...),
# each a nest: outcome, carried, memory. To the outcome and what is carried after the step, and what to record of it.
SearchStep = Callable[[tf.Tensor, tf.Tensor, Any, Any, Any], tuple[Any, Any, Sequence[tf.Tensor]]]
# From t, rows and outcome: which of these sentences are done, (B',) bool.
IsDone = Callable[[tf.Tensor, tf.Tensor, Any], tf.Tensor]


def run_search(
    step: SearchStep, is_done: IsDone, outcome: Any, carried: Any, memory: Any, dtypes: Sequence[tf.DType]
) -> tuple[tf.Tensor, Any, list[tf.TensorArray]]:
    """Take steps until all of B sentences are done.

    When no more than half of the sentences in the loop are unfinished, these are gathered into a smaller batch and the
    loop is entered again with it; the same graph runs all sizes. Of four sentences a, b, c, d, for example:

        segment       first        second       third      the steps between two gatherings
        step          1 2 3        4 5          6
        a             o o o        o o          o          o  takes the step
        b             o o -                                -  is done, and takes it until enough others are
        c             o o o        o o
        d             o o o
        rows          0 1 2 3      0 2          0          which of the B sentences are in the loop
        unfinished    0 2          0                       which of `rows` stay in it
        places        0 1 2 3      0 3 1 5      0 2 3 4

    `places` puts outcomes back into the order of the B sentences: where each of them stands in the loop's outcomes with
    those of all B before the segment behind them.

    Args:
        step, is_done: See above. What a step does for a sentence does not depend on the others.
        outcome: What the search is for, tensors (B, ...); a sentence's is kept when it is removed.
        carried: What else changes from step to step, tensors (B, ...).
        memory: What does not change, tensors (B, ...).
        dtypes: Data types of what steps record.

    Returns:
        The number of steps; the outcome, in the order of the B sentences; and of each recorded tensor an array
        with (B, ...) of each step, 0 for sentences that had been removed.
    """
    batch = tf.shape(tf.nest.flatten(carried)[0])[0]
    arrays = [tf.TensorArray(dtype, 0, dynamic_size=True, clear_after_read=False) for dtype in dtypes]

    def segment(t: tf.Tensor, rows: tf.Tensor, whole: Any, live: Any, arrays: list[tf.TensorArray]) -> tuple[Any, ...]:
        memory, size = live[2], tf.size(rows)
        # Of each of the B sentences, its place in the loop; of those removed, its place behind them.
        here, all_rows = tf.cast(size, tf.int64), tf.range(tf.cast(batch, tf.int64))
        places = tf.tensor_scatter_nd_update(here + all_rows, rows[:, None], tf.range(here))
        shown = tf.minimum(places, here)

        def crowded(t: tf.Tensor, outcome: Any, *_: Any) -> tf.Tensor:
            return 2 * tf.math.count_nonzero(~is_done(t, rows, outcome), dtype=tf.int32) > size

        def body(t: tf.Tensor, outcome: Any, carried: Any, arrays: list[tf.TensorArray]) -> tuple[Any, ...]:
            outcome, carried, record = step(t, rows, outcome, carried, memory)
            arrays = [array.write(t, for_all(value)) for array, value in zip(arrays, record, strict=True)]
            return t + 1, outcome, carried, arrays

        def for_all(value: tf.Tensor) -> tf.Tensor:
            return tf.gather(tf.concat([value, tf.zeros_like(value[:1])], axis=0), shown)

        t, outcome, carried, arrays = tf.while_loop(crowded, body, (t, *live[:2], arrays))
        whole = tf.nest.map_structure(
            lambda part, before: tf.gather(tf.concat([part, before], axis=0), places), outcome, whole
        )
        unfinished = tf.where(~is_done(t, rows, outcome))[:, 0]
        rows, *live = tf.nest.map_structure(lambda part: tf.gather(part, unfinished), [rows, outcome, carried, memory])
        return t, rows, whole, live, arrays

    values = (tf.constant(0), tf.range(tf.cast(batch, tf.int64)), outcome, [outcome, carried, memory], arrays)
    steps, _, whole, _, arrays = tf.while_loop(
        lambda t, rows, *_: tf.size(rows) > 0,
        segment,
        values,
        shape_invariants=tf.nest.map_structure(_any_rows, values),
    )
    return steps, whole, arrays


def _any_rows(value: tf.Tensor | tf.TensorArray) -> tf.TensorShape:
    if isinstance(value, tf.TensorArray):
        return tf.TensorShape(None)
    return tf.TensorShape([None, *value.shape[1:]]) if value.shape.rank else value.shape
