"""The best of many: `tf.math.top_k` for a long last axis and a small k."""

import tensorflow as tf

BLOCK_SIZE = 32


def native_top_k(values: tf.Tensor, k: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """`tf.math.top_k` with places in int64, with which a GPU computes; with int32, TensorFlow computes on the host."""
    values, places = tf.math.top_k(values, k)
    return values, tf.cast(places, tf.int64)


def top_k(values: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The k largest values of each row, best first, and their places; of equal ones the first.

    A block of neighbours without one of the k largest block maxima has none of the k largest values, so ranking the
    values of k blocks is enough: one pass over all values finds the maxima.

    Args:
        values: (B, K, V) float32.
        k: At least 1. If k > V, V values are returned.

    Returns:
        Values (B, K, min(k, V)) and places in V, int64.
    """
    rows, hypotheses, size = tf.unstack(tf.shape(values))
    padded = values
    if values.shape[-1] is None or values.shape[-1] % BLOCK_SIZE:
        padded = tf.pad(values, [[0, 0], [0, 0], [0, -size % BLOCK_SIZE]], constant_values=values.dtype.min)
    blocks = tf.reshape(padded, [rows, hypotheses, -1, BLOCK_SIZE])
    _, chosen = native_top_k(tf.reduce_max(blocks, axis=-1), tf.minimum(k, tf.shape(blocks)[2]))
    chosen = tf.sort(chosen)  # so that of equal values the first is found first
    candidates = tf.reshape(tf.gather(blocks, chosen, batch_dims=2), [rows, hypotheses, -1])
    found, order = native_top_k(candidates, tf.minimum(k, size))
    return found, BLOCK_SIZE * tf.gather(chosen, order // BLOCK_SIZE, batch_dims=2) + order % BLOCK_SIZE
