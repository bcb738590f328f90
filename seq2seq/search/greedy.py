"""Greedy search: the likeliest token at each step; and the loop that it shares with sampling."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from seq2seq.search.loop import run_search
from seq2seq.search.step import SearchConstraints, SearchResult, StepFunction

# From a step's number t, sentences (B',) and their scores (B', N, C), `NEG_INF` where a token must not come: the
# places (B', N) int64 of the chosen tokens among C.
Choose = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def greedy_search(
    step: StepFunction, state: Any, memory: Any, constraints: SearchConstraints, *, keep_weights: bool = True
) -> SearchResult:
    """Take the likeliest token until EOS.

    Args:
        step: The decoder, called with K = 1.
        state: Its first state, tensors of (B, 1, ...).
        memory: Passed on to `step`, a nest of (B, ...).
        constraints: Their penalties change the reported scores; they decide nothing here.
        keep_weights: False returns weights with S = 0 and spends no memory on them.

    Returns:
        `SearchResult` with N = 1. A finished sentence is frozen: what the rest of its batch does changes nothing.
    """

    def likeliest(t: tf.Tensor, rows: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        return tf.argmax(scores, axis=-1)

    return extend_until_eos(step, state, memory, constraints, likeliest, hypotheses=1, keep_weights=keep_weights)


def extend_until_eos(
    step: StepFunction,
    state: Any,
    memory: Any,
    constraints: SearchConstraints,
    choose: Choose,
    *,
    hypotheses: int,
    keep_weights: bool,
) -> SearchResult:
    """Let N hypotheses of each sentence grow, one chosen token a step, each until its own EOS.

    Returns:
        `SearchResult` in the order of the hypotheses, not of their scores.
    """

    def body(t: tf.Tensor, rows: tf.Tensor, outcome: Any, carried: Any, memory: Any) -> tuple[Any, ...]:
        (done, covered), (tokens, state) = outcome, carried
        its = constraints.select(rows)
        output = step(tokens, state, memory)
        chosen = choose(t, rows, its.mask_scores(output, t))
        log_probs = tf.gather(output.scores, chosen, batch_dims=2)
        weights = tf.where(done[:, :, None], 0.0, output.weights)
        tokens = tf.where(done, tf.constant(constraints.pad_id, tf.int64), output.token_ids(chosen))
        record = (tokens, tf.where(done, 0.0, log_probs), weights if keep_weights else weights[:, :, :0])
        return (
            (done | (tokens == constraints.eos_id), its.update_coverage(covered, weights)),
            (tokens, output.state),
            record,
        )

    def is_done(t: tf.Tensor, rows: tf.Tensor, outcome: Any) -> tf.Tensor:
        # By its last step a hypothesis has its EOS, unless its scores are not numbers.
        return tf.reduce_all(outcome[0], axis=1) | constraints.select(rows).has_ended(t)

    constraints = constraints.on_device()
    covered = constraints.initial_coverage(hypotheses)
    begun = tf.fill(tf.shape(covered)[:2], tf.constant(constraints.bos_id, tf.int64))
    state = tf.nest.map_structure(lambda tensor: tf.repeat(tensor, hypotheses, axis=1), state)
    _, (_, covered), arrays = run_search(
        body,
        is_done,
        (tf.zeros_like(begun, tf.bool), covered),
        (begun, state),
        memory,
        (tf.int64, tf.float32, tf.float32),
    )
    tokens, log_probs, weights = (array.stack() for array in arrays)
    tokens, log_probs = tf.transpose(tokens, [1, 2, 0]), tf.transpose(log_probs, [1, 2, 0])
    lengths = tf.cast(tf.math.count_nonzero(tokens != constraints.pad_id, axis=-1), tf.int32)
    scores = constraints.scores(tf.reduce_sum(log_probs, axis=-1), lengths, covered)
    return SearchResult(tf.cast(tokens, tf.int32), lengths, scores, log_probs, tf.transpose(weights, [1, 2, 0, 3]))
