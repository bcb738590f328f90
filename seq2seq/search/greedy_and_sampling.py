"""Greedy search and sampling: each step extends a hypothesis by its likeliest token or by a random draw."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from seq2seq.arguments import check_arguments
from seq2seq.search.loop import run_search
from seq2seq.search.step import NEG_INF, SearchConstraints, SearchResult, StepFunction

# Maps the number t of a step, the indices (B',) of sentences and their scores (B', N, C), `NEG_INF` for excluded
# tokens, to the indices (B', N) int64 of the chosen tokens among C.
Choose = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


@check_arguments()
def greedy_search(
    step: StepFunction, state: Any, memory: Any, constraints: SearchConstraints, *, keep_attention: bool = True
) -> SearchResult:
    """Choose the likeliest token at each step, until EOS.

    Args:
        step: Step function of the decoder, called with K = 1.
        state: Its initial state, tensors (B, 1, ...).
        memory: Passed on to `step`, a nest of (B, ...).
        constraints: Constraints of the search; their penalties change only the reported scores.
        keep_attention: False returns attention weights with S = 0; their sum, the coverage, is always returned.

    Returns:
        `SearchResult` with N = 1. A finished sentence is frozen, independently of the rest of its batch.
    """

    def likeliest(t: tf.Tensor, rows: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        return tf.argmax(scores, axis=-1)

    return extend_until_eos(step, state, memory, constraints, likeliest, hypotheses=1, keep_attention=keep_attention)


@check_arguments()
def sample(
    step: StepFunction,
    state: Any,
    memory: Any,
    constraints: SearchConstraints,
    uniforms: tf.Tensor,
    *,
    temperature: float | tf.Tensor = 1.0,
    top_k: int | tf.Tensor | None = None,
    top_p: float | tf.Tensor = 1.0,
    keep_attention: bool = True,
) -> SearchResult:
    """Draw N translations of each sentence, token by token; they may contain duplicates.

    The distribution of a step is softmax(scores / temperature), restricted to the `top_k` most likely tokens, then to
    the smallest set of most likely tokens whose probability, renormalised, reaches `top_p`; ties are kept. The drawn
    token is the first, in the order of ids, whose cumulative probability exceeds a uniform random number.

    Args:
        step: See `greedy_search`; called with K = N.
        state: See `greedy_search`.
        memory: See `greedy_search`.
        constraints: Constraints of the search; their penalties decide the order of the draws.
        uniforms: (B, N, L) float32 in [0, 1), one number per token of each draw; N is static, and L is at least the
            maximum of `constraints.max_lengths`. See `sampling_uniforms`.
        temperature: From 0.001 to 1000; below 1, it sharpens the distribution. This and the next two may be scalar
            tensors.
        top_k: At least 1; None: all tokens.
        top_p: Above 0 and at most 1.
        keep_attention: See `greedy_search`.

    Returns:
        `SearchResult`, the draw with the best score first. Log-probabilities are the step's own, at temperature 1 and
        over all its tokens.

    Source:
        Fan, Lewis and Dauphin (2018) for `top_k`; Holtzman et al. (2020), section 3.1, for `top_p`.
    """

    def draw(t: tf.Tensor, rows: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        cumulative = tf.cumsum(sampling_distribution(scores, temperature, top_k, top_p), axis=-1)
        total = cumulative[:, :, -1:]
        # The second condition is for rounding, by which a number close to 1 may reach even the total.
        uniform = tf.gather(uniforms[:, :, t], rows)[:, :, None]
        passed = (uniform * total >= cumulative) & (cumulative < total)
        return tf.math.count_nonzero(passed, axis=-1)

    draws = uniforms.shape[1]
    result = extend_until_eos(step, state, memory, constraints, draw, hypotheses=draws, keep_attention=keep_attention)
    order = tf.argsort(result.scores, axis=-1, direction="DESCENDING", stable=True)
    return SearchResult(*(tf.gather(part, order, batch_dims=1) for part in result))


def sampling_distribution(
    scores: tf.Tensor, temperature: float | tf.Tensor, top_k: int | tf.Tensor | None, top_p: float | tf.Tensor
) -> tf.Tensor:
    """Probabilities (B, N, C) with which `sample` draws a token, given a step's scores."""
    scores = scores / temperature
    if top_k is not None or tf.is_tensor(top_p) or top_p != 1.0:
        size = tf.shape(scores)[-1]
        best, _ = tf.math.top_k(scores, size if top_k is None else tf.minimum(top_k, size))
        kept = tf.cumsum(tf.nn.softmax(best), axis=-1, exclusive=True) < top_p
        least = tf.reduce_min(tf.where(kept, best, best[:, :, :1]), axis=-1, keepdims=True)
        scores = tf.where(scores < least, NEG_INF, scores)
    return tf.nn.softmax(scores)


@check_arguments()
def sampling_uniforms(
    seed: int, sentences: Sequence[Sequence[int]], samples: int, lengths: Sequence[int]
) -> np.ndarray:
    """Random numbers for `sample`, which depend only on the seed, the sentence and the number of the draw.

    Args:
        seed: At least 0 and below 2**63.
        sentences: Source token ids of each of B sentences.
        samples: Number N of draws.
        lengths: Maximum number of tokens to draw for each sentence.

    Returns:
        (B, N, L) float32 in [0, 1), where L is the maximum of `lengths`; 0 beyond the length of a sentence.
    """
    uniforms = np.zeros((len(sentences), samples, max(lengths)), np.float32)
    for row, (ids, length) in enumerate(zip(sentences, lengths, strict=True)):
        for draw in range(samples):
            name = np.array([seed, draw, *ids], "<i8").tobytes()
            key = int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "little")
            uniforms[row, draw, :length] = np.random.Generator(np.random.Philox(key=key)).random(length, np.float32)
    return uniforms


def extend_until_eos(
    step: StepFunction,
    state: Any,
    memory: Any,
    constraints: SearchConstraints,
    choose: Choose,
    *,
    hypotheses: int,
    keep_attention: bool,
) -> SearchResult:
    """Extend N hypotheses of each sentence by one chosen token per step, each until its own EOS.

    Returns:
        `SearchResult` in the order of the hypotheses, not of their scores.
    """

    def body(t: tf.Tensor, rows: tf.Tensor, outcome: Any, carried: Any, memory: Any) -> tuple[Any, ...]:
        (done, covered), (tokens, state) = outcome, carried
        its = constraints.select(rows)
        output = step(tokens, state, memory)
        chosen = choose(t, rows, its.mask_scores(output, t))
        log_probs = tf.gather(output.scores, chosen, batch_dims=2)
        weights = tf.where(done[:, :, None], 0.0, output.attention)
        tokens = tf.where(done, tf.constant(constraints.pad_id, tf.int64), output.token_ids(chosen))
        record = (tokens, tf.where(done, 0.0, log_probs), weights)
        return (
            (done | (tokens == constraints.eos_id), its.update_coverage(covered, weights)),
            (tokens, output.state),
            record,
        )

    def is_done(t: tf.Tensor, rows: tf.Tensor, outcome: Any) -> tf.Tensor:
        # By its last step, a hypothesis has its EOS, unless its scores are NaN.
        return tf.reduce_all(outcome[0], axis=1) | constraints.select(rows).at_max_length(t)

    constraints = constraints.with_int64_limits()
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
    scores = constraints.score_hypotheses(tf.reduce_sum(log_probs, axis=-1), lengths, covered)
    coverage, kept = tf.reduce_sum(weights, axis=0), weights if keep_attention else weights[..., :0]
    attention = tf.transpose(kept, [1, 2, 0, 3])
    return SearchResult(tf.cast(tokens, tf.int32), lengths, scores, log_probs, attention, coverage)
