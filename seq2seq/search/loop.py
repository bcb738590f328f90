"""Loop of every search, which removes finished sentences once at least half of the batch is finished.

Within a search, token ids and the indices of sentences and hypotheses are int64: TensorFlow computes int32 on the host,
even if there is a GPU, and would copy each value there and back at every step.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

# Maps the number t of a step (int32, on the host), the indices `rows` (B',) int64 of the sentences in the loop, and
# three nests of their tensors (B', ...), outcome, carried and memory, to outcome and carried after the step, and to the
# tensors to record.
SearchStep = Callable[[tf.Tensor, tf.Tensor, Any, Any, Any], tuple[Any, Any, Sequence[tf.Tensor]]]
# Maps t, rows and outcome to whether each of these sentences is done, (B',) bool.
IsDone = Callable[[tf.Tensor, tf.Tensor, Any], tf.Tensor]


def run_search(
    step: SearchStep, is_done: IsDone, outcome: Any, carried: Any, memory: Any, dtypes: Sequence[tf.DType]
) -> tuple[tf.Tensor, Any, list[tf.TensorArray]]:
    """Run steps until all B sentences are done.

    When no more than half of the sentences in the loop are unfinished, these are gathered into a smaller batch, with
    which the loop continues; the same graph runs all sizes. For example, with four sentences `a` to `d`:

        segment       first        second       third      the steps between two gatherings
        step          1 2 3        4 5          6
        a             o o o        o o          o          o  in the loop
        b             o o -                                -  done, but in the loop until enough others are done
        c             o o o        o o
        d             o o o
        rows          0 1 2 3      0 2          0          which of the B sentences are in the loop
        unfinished    0 2          0                       which of `rows` stay in it
        places        0 1 2 3      0 3 1 5      0 2 3 4

    `places` restores the order of the B sentences: it has the index of each sentence in the outcomes of the loop
    followed by those of all B sentences before the segment.

    Args:
        step: See `SearchStep`. What it computes for one sentence must not depend on the others.
        is_done: See `IsDone`.
        outcome: Result of the search, tensors (B, ...); a sentence's outcome is kept when it is removed.
        carried: Other tensors (B, ...) that change from step to step.
        memory: Tensors (B, ...) that do not change.
        dtypes: Data types of the tensors that steps record.

    Returns:
        The number of steps; the outcome, in the order of the B sentences; and for each recorded tensor an array with
        one (B, ...) per step, 0 for sentences that were already removed.
    """
    batch = tf.shape(tf.nest.flatten(carried)[0])[0]
    arrays = [tf.TensorArray(dtype, 0, dynamic_size=True, clear_after_read=False) for dtype in dtypes]

    def segment(t: tf.Tensor, rows: tf.Tensor, whole: Any, live: Any, arrays: list[tf.TensorArray]) -> tuple[Any, ...]:
        memory, size = live[2], tf.size(rows)
        # For each of the B sentences its index in the loop or, if it was removed, its index after those.
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
