"""Selection among the one-token extensions of the hypotheses in a beam."""

from typing import NamedTuple

import tensorflow as tf

from seq2seq.search.step import BLOCKED, NEG_INF, Requirements

BLOCK_SIZE = 32  # neighbouring values in a block of `top_k`
MISSING_COST = 2.0  # estimated cost of a missing token, nats, which decides between extensions of equal rank
TIE_WEIGHT = 1e-4  # of that estimate


class Extensions(NamedTuple):
    """Extensions of the hypotheses of each sentence by one token, each field (B, N), best first."""

    scores: tf.Tensor  # float32, summed log-probabilities; `NEG_INF` or less if there are fewer than N
    parents: tf.Tensor  # int64, the hypothesis that is extended, of K
    places: tf.Tensor  # int64, index of the token among the candidates of the step
    log_probs: tf.Tensor  # float32, of the token


def best_extensions(
    sums: tf.Tensor, scores: tf.Tensor, requirements: Requirements | None, penalties: tf.Tensor | None = None
) -> Extensions:
    """The best 2K extensions of K hypotheses of each sentence, or all if there are fewer.

    Without requirements, these are the extensions with the highest scores. With requirements, an extension dominates
    another if its score is higher and no more is missing: the least dominated ones are the best. So each hypothesis
    that has made more progress than all better ones stays in the beam, and requirements are met where this costs least,
    neither always at once nor always at the end.

    Args:
        sums: (B, K) float32, summed log-probabilities of the hypotheses.
        scores: (B, K, C) float32, of the candidates of the step.
        requirements: What is required of them.
        penalties: (B, C) float32, subtracted from the scores by which extensions are ranked.

    Source:
        Post and Vilar (2018), section 3.2, for the extensions that are considered with requirements.

    Departure:
        Post and Vilar share the beam evenly among groups of hypotheses that meet the same number of requirements.
    """
    number = 2 * sums.shape[1]
    ranked = scores if penalties is None else scores - penalties[:, None]
    # Only the best 2K extensions of each hypothesis can matter.
    best, places = top_k(ranked, number)
    if requirements is not None:
        best, places = _append(best, places, ranked, requirements.advance)
    log_probs = best if penalties is None else tf.gather(scores, places, batch_dims=2)
    totals = flat(sums[:, :, None] + best)
    if requirements is None:
        totals, order = native_top_k(totals, tf.minimum(number, tf.shape(totals)[1]))
    else:
        missing = tf.gather(requirements.missing, places, batch_dims=2)
        order = _least_dominated(totals, flat(missing), number)
        totals = tf.gather(totals, order, batch_dims=1)
    parents = order // tf.cast(tf.shape(best)[2], tf.int64)
    chosen, chosen_log_probs = (tf.gather(flat(values), order, batch_dims=1) for values in (places, log_probs))
    if penalties is not None:
        totals = tf.gather(sums, parents, batch_dims=1) + chosen_log_probs
    return Extensions(totals, parents, chosen, chosen_log_probs)


def _append(best: tf.Tensor, places: tf.Tensor, scores: tf.Tensor, more: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Append candidates at the indices `more` (B, K, A) to those at `places`, with `NEG_INF` if they are repeated."""
    values = tf.gather(scores, more, batch_dims=2)
    joined = tf.concat([places, more], axis=2)
    is_equal = more[:, :, :, None] == joined[:, :, None]
    first = tf.argmax(tf.cast(is_equal, tf.float32), axis=3)
    own = tf.range(tf.shape(more, tf.int64)[2]) + tf.shape(places, tf.int64)[2]
    return tf.concat([best, tf.where(first == own, values, NEG_INF)], axis=2), joined


def _least_dominated(totals: tf.Tensor, missing: tf.Tensor, number: int) -> tf.Tensor:
    """Indices (B, number) of the extensions to keep, best first, see `best_extensions`."""
    size = tf.shape(totals)[1]
    totals, by_score = native_top_k(totals, size)
    is_possible = totals > NEG_INF / 2
    missing = tf.round(tf.gather(missing, by_score, batch_dims=1))
    most = tf.reduce_max(tf.where(missing < BLOCKED / 2, missing, 0.0)) + 1
    missing = tf.minimum(missing, most)  # `most` is that of hypotheses which end without what they need
    counts = tf.range(most + 1)
    is_ahead = is_possible[:, :, None] & (missing[:, :, None] <= counts)
    ahead = tf.cumsum(tf.cast(is_ahead, tf.float32), axis=1, exclusive=True)
    ahead = tf.gather(ahead, tf.cast(missing, tf.int64), batch_dims=2)
    tie_break = TIE_WEIGHT * tf.maximum(totals - MISSING_COST * missing, -1.0 / TIE_WEIGHT)
    _, order = native_top_k(tf.where(is_possible, tie_break - ahead, -BLOCKED), tf.minimum(number, size))
    return tf.gather(by_score, order, batch_dims=1)


def flat(values: tf.Tensor) -> tf.Tensor:
    return tf.reshape(values, [tf.shape(values)[0], -1])


def native_top_k(values: tf.Tensor, k: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """`tf.math.top_k` with indices in int64, which TensorFlow computes on a GPU; it computes int32 on the host."""
    values, places = tf.math.top_k(values, k)
    return values, tf.cast(places, tf.int64)


def top_k(values: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The k largest values of each row, largest first, and their indices; of equal values, the first.

    Faster than `tf.math.top_k` for long rows and small k: the k largest values are in the k blocks of neighbours with
    the largest maxima, so only the values of these blocks are ranked.

    Args:
        values: (B, K, V) float32.
        k: At least 1. If k > V, V values are returned.

    Returns:
        Values (B, K, min(k, V)) and their indices into V, int64.
    """
    rows, hypotheses, size = tf.unstack(tf.shape(values))
    padded = values
    if values.shape[-1] is None or values.shape[-1] % BLOCK_SIZE:
        padded = tf.pad(values, [[0, 0], [0, 0], [0, -size % BLOCK_SIZE]], constant_values=values.dtype.min)
    blocks = tf.reshape(padded, [rows, hypotheses, -1, BLOCK_SIZE])
    _, chosen = native_top_k(tf.reduce_max(blocks, axis=-1), tf.minimum(k, tf.shape(blocks)[2]))
    chosen = tf.sort(chosen)  # so that the first of equal values is found first
    candidates = tf.reshape(tf.gather(blocks, chosen, batch_dims=2), [rows, hypotheses, -1])
    found, order = native_top_k(candidates, tf.minimum(k, size))
    return found, BLOCK_SIZE * tf.gather(chosen, order // BLOCK_SIZE, batch_dims=2) + order % BLOCK_SIZE
