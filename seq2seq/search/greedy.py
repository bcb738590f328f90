"""Greedy search: the likeliest token at each step; and the loop that it shares with sampling."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from seq2seq.search.step import Rules, SearchResult, StepFunction

# From a step's number t and its logits (B, N, V), `IMPOSSIBLE` where a token must not come: tokens (B, N) int32.
Choose = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def greedy_search(
    step: StepFunction, state: Any, memory: Any, rules: Rules, *, keep_weights: bool = True
) -> SearchResult:
    """Take the likeliest token until EOS.

    Args:
        step: The decoder, called with K = 1.
        state: Its first state, tensors of (B, 1, ...).
        memory: Passed on to `step`.
        rules: Their penalties change the reported scores; they decide nothing here.
        keep_weights: False returns weights with S = 0 and spends no memory on them.

    Returns:
        `SearchResult` with N = 1. A finished sentence is frozen: what the rest of its batch does changes nothing.
    """

    def likeliest(t: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return tf.argmax(logits, axis=-1, output_type=tf.int32)

    return extend_until_eos(step, state, memory, rules, likeliest, hypotheses=1, keep_weights=keep_weights)


def extend_until_eos(
    step: StepFunction, state: Any, memory: Any, rules: Rules, choose: Choose, *, hypotheses: int, keep_weights: bool
) -> SearchResult:
    """Let N hypotheses of each sentence grow, one chosen token a step, each until its own EOS.

    Returns:
        `SearchResult` in the order of the hypotheses, not of their scores.
    """
    state = tf.nest.map_structure(lambda tensor: tf.repeat(tensor, hypotheses, axis=1), state)

    def body(
        t: tf.Tensor, tokens: tf.Tensor, done: tf.Tensor, covered: tf.Tensor, state: Any, out: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        logits, state, weights = step(tokens, state, memory)
        chosen = choose(t, rules.choosable(logits, t))
        log_probs = tf.gather(logits, chosen, batch_dims=2) - tf.reduce_logsumexp(logits, axis=-1)
        weights = tf.where(done[:, :, None], 0.0, weights)
        tokens = tf.where(done, rules.pad_id, chosen)
        values = (tokens, tf.where(done, 0.0, log_probs), weights if keep_weights else weights[:, :, :0])
        out = tuple(array.write(t, value) for array, value in zip(out, values, strict=True))
        return t + 1, tokens, done | (tokens == rules.eos_id), rules.cover(covered, weights), state, out

    covered = rules.nothing_covered(hypotheses)
    begun = tf.fill(tf.shape(covered)[:2], rules.bos_id)
    arrays = tuple(tf.TensorArray(dtype, 0, dynamic_size=True) for dtype in (tf.int32, tf.float32, tf.float32))
    *_, covered, _, out = tf.while_loop(
        # By its last step a hypothesis has its EOS, unless its logits are no numbers.
        lambda t, tokens, done, *_: ~tf.reduce_all(done | (t >= rules.max_lengths)[:, None]),
        body,
        (tf.constant(0), begun, tf.zeros_like(begun, tf.bool), covered, state, arrays),
    )
    tokens, log_probs, weights = (array.stack() for array in out)
    tokens, log_probs = tf.transpose(tokens, [1, 2, 0]), tf.transpose(log_probs, [1, 2, 0])
    lengths = tf.reduce_sum(tf.cast(tokens != rules.pad_id, tf.int32), axis=-1)
    scores = rules.scores(tf.reduce_sum(log_probs, axis=-1), lengths, covered)
    return SearchResult(tokens, lengths, scores, log_probs, tf.transpose(weights, [1, 2, 0, 3]))
