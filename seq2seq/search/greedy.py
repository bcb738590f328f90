"""Greedy search: the likeliest token at each step."""

from typing import Any, Literal

import tensorflow as tf

from seq2seq.search.step import SearchResult, StepFunction, choosable, normalized


def greedy_search(
    step: StepFunction,
    state: Any,
    memory: Any,
    max_lengths: tf.Tensor,
    *,
    bos_id: int,
    eos_id: int,
    pad_id: int = 0,
    length_penalty: float | Literal["average"] = 0.0,
    keep_weights: bool = True,
) -> SearchResult:
    """Take the likeliest token until EOS.

    Args:
        step: The decoder, called with K = 1.
        state: Its first state, tensors of (B, 1, ...).
        memory: Passed on to `step`.
        max_lengths: (B,) int32, at least 1; the last token a sentence may have is EOS.
        length_penalty: Normalises the reported scores; it decides nothing here.
        keep_weights: False returns weights with S = 0 and spends no memory on them.

    Returns:
        `SearchResult` with N = 1. A finished sentence is frozen: what the rest of its batch does changes nothing.
    """
    rows = tf.shape(max_lengths)[0]

    def body(
        t: tf.Tensor, tokens: tf.Tensor, done: tf.Tensor, state: Any, out: tuple[tf.TensorArray, ...]
    ) -> tuple[Any, ...]:
        logits, state, weights = step(tokens[:, None], state, memory)
        weights = weights if keep_weights else weights[:, :, :0]
        logits = logits[:, 0]
        best = tf.argmax(choosable(logits, (pad_id, bos_id)), axis=-1, output_type=tf.int32)
        token = tf.where(t >= max_lengths - 1, eos_id, best)
        log_prob = tf.gather(logits, token, batch_dims=1) - tf.reduce_logsumexp(logits, axis=-1)
        token = tf.where(done, pad_id, token)
        values = (token, tf.where(done, 0.0, log_prob), tf.where(done[:, None], 0.0, weights[:, 0]))
        written = tuple(array.write(t, value) for array, value in zip(out, values, strict=True))
        return t + 1, token, done | (token == eos_id), state, written

    arrays = tuple(tf.TensorArray(dtype, 0, dynamic_size=True) for dtype in (tf.int32, tf.float32, tf.float32))
    start = (tf.constant(0), tf.fill([rows], bos_id), tf.zeros([rows], tf.bool), state, arrays)
    *_, out = tf.while_loop(lambda t, tokens, done, *_: ~tf.reduce_all(done), body, start)
    tokens, log_probs, weights = (array.stack() for array in out)
    tokens = tf.transpose(tokens)[:, None]
    lengths = tf.reduce_sum(tf.cast(tokens != pad_id, tf.int32), axis=-1)
    log_probs = tf.transpose(log_probs)[:, None]
    scores = normalized(tf.reduce_sum(log_probs, axis=-1), lengths, length_penalty)
    return SearchResult(tokens, lengths, scores, log_probs, tf.transpose(weights, [1, 0, 2])[:, None])
