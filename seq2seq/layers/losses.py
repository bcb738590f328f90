"""The training loss, at real positions only and with its own gradient."""

from collections.abc import Callable

import tensorflow as tf


def smoothed_cross_entropy(logits: tf.Tensor, labels: tf.Tensor, smoothing: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross-entropy with a label distribution of (1 - smoothing) on the label and smoothing / V on every token.

    Args:
        logits: (N, V) float32.
        labels: (N,) int32.
        smoothing: 0 to below 1.

    Returns:
        The smoothed loss (N,), which carries the gradient, and the plain negative log-likelihood (N,), which
        does not; both float32, in nats. One tensor of (N, V) is kept for the gradient, never a one-hot.

    Source: Szegedy et al. (2016), section 7.
    """

    @tf.custom_gradient
    def run(x: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable[..., tf.Tensor]]:
        nll, by_logits = tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=x, labels=labels)
        rows, vocabulary = tf.shape(x)[0], tf.shape(x)[1]
        each = smoothing / tf.cast(vocabulary, tf.float32)
        positions = tf.stack([tf.range(rows), tf.cast(labels, tf.int32)], axis=1)
        # nll = log Z - x_label, so log Z - mean(x) = nll + x_label - mean(x).
        spread = tf.gather_nd(x, positions) - tf.reduce_mean(x, axis=1) if smoothing else 0.0

        def gradient(d_loss: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
            by_smoothed = by_logits
            if smoothing:
                by_smoothed = tf.tensor_scatter_nd_add(by_logits - each, positions, tf.fill([rows], smoothing))
            return by_smoothed * d_loss[:, None]

        return (nll + smoothing * spread, tf.stop_gradient(nll)), gradient

    return run(logits)
