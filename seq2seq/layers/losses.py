"""Training losses: the output layer fused with its cross-entropy, and losses of logits for what is computed twice."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import tensorflow as tf

from seq2seq.layers.custom_gradient import custom_gradient

Divergence = Literal["kl", "symmetric_kl", "jensen_shannon"]


def output_cross_entropy(
    vectors: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, labels: tf.Tensor, smoothing: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross-entropy of softmax(vectors table^T + bias) with label smoothing.

    The target distribution has 1 - smoothing on the label, plus smoothing / V on every token. The probabilities are the
    only (N, V) tensor that is kept; the gradient reads them in two products and a sum. The label's share is subtracted
    before they are rounded to 16 bits: near 1, the spacing of bfloat16 is 0.004, more than what remains of the gradient
    where the model is confident. The gradient of the smoothing term is added directly to those of `vectors`, `table`
    and `bias`.

    Args:
        vectors: (N, E) compute dtype.
        table: (V, E) float32; multiplied in the dtype of `vectors`.
        bias: (V,) float32.
        labels: (N,) int32.
        smoothing: Label smoothing, at least 0 and below 1.

    Returns:
        The smoothed loss (N,), which carries the gradient, and the plain negative log-likelihood (N,), which
        does not; both float32, in nats.

    Source:
        Szegedy et al. (2016), section 7.
    """
    positions = tf.stack([tf.range(tf.shape(labels)[0]), labels], axis=1)

    @custom_gradient
    def run(h: tf.Tensor, w: tf.Tensor, b: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable[..., tuple]]:
        mean = tf.reduce_mean(w, axis=0)
        logits = tf.nn.bias_add(tf.cast(tf.matmul(h, tf.cast(w, h.dtype), transpose_b=True), tf.float32), b)
        probs = tf.nn.softmax(logits)
        # log Z from the likeliest token, whose probability does not underflow.
        normalizer = tf.reduce_max(logits, axis=1) - tf.math.log(tf.reduce_max(probs, axis=1))
        by_label = tf.gather_nd(logits, positions)
        nll = normalizer - by_label
        # The mean of -log p over all tokens is log Z - mean logit = nll + logit of the label - mean logit.
        spread = by_label - tf.reduce_sum(tf.cast(h, tf.float32) * mean, axis=1) - tf.reduce_mean(b)

        def gradient(d_loss: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            # d logits = d_loss * (probs - smoothing / V - (1 - smoothing) * one-hot label)
            each = smoothing / w.shape[0]
            kept = tf.tensor_scatter_nd_sub(probs, positions, tf.fill(tf.shape(labels), 1.0 - smoothing))
            kept = tf.cast(kept, h.dtype)
            scaled = h * tf.cast(d_loss, h.dtype)[:, None]
            d_h = tf.cast(tf.matmul(kept, tf.cast(w, h.dtype)), tf.float32)
            d_w = tf.cast(tf.matmul(kept, scaled, transpose_a=True), tf.float32)
            d_b = tf.cast(tf.linalg.matvec(kept, tf.cast(d_loss, h.dtype), transpose_a=True), tf.float32)
            if smoothing:
                d_h -= smoothing * mean
                d_w -= each * tf.reduce_sum(tf.cast(scaled, tf.float32), axis=0)
                d_b -= each * tf.reduce_sum(d_loss)
            return tf.cast(d_h * d_loss[:, None], h.dtype), d_w, d_b

        return (nll + smoothing * spread, tf.stop_gradient(nll)), gradient

    return run(vectors, table, bias)


def smoothed_cross_entropy(logits: tf.Tensor, labels: tf.Tensor, smoothing: float) -> tuple[tf.Tensor, tf.Tensor]:
    """`output_cross_entropy` of logits (N, V) float32 that other losses read, too."""
    positions = tf.stack([tf.range(tf.shape(labels)[0]), labels], axis=1)

    @custom_gradient
    def run(z: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable[..., tf.Tensor]]:
        probs = tf.nn.softmax(z)
        normalizer = tf.reduce_max(z, axis=1) - tf.math.log(tf.reduce_max(probs, axis=1))
        by_label = tf.gather_nd(z, positions)
        nll = normalizer - by_label

        def gradient(d_loss: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
            kept = tf.tensor_scatter_nd_sub(probs, positions, tf.fill(tf.shape(labels), 1.0 - smoothing))
            return (kept - smoothing / z.shape[1] if smoothing else kept) * d_loss[:, None]

        loss = nll + smoothing * (by_label - tf.reduce_mean(z, axis=1)) if smoothing else nll
        return (loss, tf.stop_gradient(nll)), gradient

    return run(logits)


def divergence(first: tf.Tensor, second: tf.Tensor, kind: Divergence) -> tf.Tensor:
    """Divergence of the distributions p = softmax(first) and q = softmax(second), with gradients to both.

        kl               KL(p, q) = sum of p * log(p / q)
        symmetric_kl     (KL(p, q) + KL(q, p)) / 2
        jensen_shannon   (KL(p, m) + KL(q, m)) / 2  with m = (p + q) / 2; at most log 2

    Args:
        first: Logits (N, V) float32.
        second: Logits (N, V) float32.
        kind: The divergence.

    Returns:
        (N,) float32, in nats.
    """

    @custom_gradient
    def run(a: tf.Tensor, b: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor, tf.Tensor]]]:
        log_p, log_q = tf.nn.log_softmax(a), tf.nn.log_softmax(b)
        p, q, ratio = tf.exp(log_p), tf.exp(log_q), log_p - log_q
        if kind == "jensen_shannon":  # log(p / m) = log 2 - log(1 + q / p)
            of_p, of_q = (np.log(2.0) - tf.math.softplus(sign * ratio) for sign in (-1.0, 1.0))
        else:
            of_p, of_q = ratio, -ratio
        # Each is the share of its distribution in the sum, and what the gradient is measured from.
        from_p, from_q = (tf.reduce_sum(d * log, axis=1) for d, log in ((p, of_p), (q, of_q)))

        def gradient(outer: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            if kind == "kl":
                return outer[:, None] * p * (ratio - from_p[:, None]), outer[:, None] * (q - p)
            half = 0.5 * outer[:, None]
            d_a, d_b = p * (of_p - from_p[:, None]), q * (of_q - from_q[:, None])
            if kind == "symmetric_kl":  # each distribution is also what the other one is compared with
                d_a, d_b = d_a + p - q, d_b + q - p
            return half * d_a, half * d_b

        return from_p if kind == "kl" else 0.5 * (from_p + from_q), gradient

    return run(first, second)
