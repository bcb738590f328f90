"""Sampling: translations drawn from the model's distribution, each from random numbers of its own."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from seq2seq.search.greedy import extend_until_eos
from seq2seq.search.step import NEG_INF, SearchConstraints, SearchResult, StepFunction


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
    keep_weights: bool = True,
) -> SearchResult:
    """Draw N translations of each sentence, token by token; two of them may be the same.

    The distribution of a step is softmax(scores / temperature), restricted to the `top_k` most likely tokens, then to
    the smallest set of most likely tokens whose probability, renormalised, reaches `top_p`; ties are kept. A uniform
    number picks the token at which the cumulative probability, in the order of ids, passes it.

    Args:
        step: The decoder, called with K = N.
        state: Its first state, tensors of (B, 1, ...).
        memory: Passed on to `step`, a nest of (B, ...).
        constraints: Their penalties decide the order of the draws.
        uniforms: (B, N, L) float32 in [0, 1), a number for each token of each draw; N is static and L is not below
            any of `constraints.max_lengths`. See `uniform_noise`.
        temperature: Between 0.001 and 1000; below 1 sharpens the distribution. This and the next two may be scalar
            tensors.
        top_k: At least 1; None: all tokens.
        top_p: Above 0 and at most 1.
        keep_weights: False returns weights with S = 0 and spends no memory on them.

    Returns:
        `SearchResult`, draws with the best score first. Log-probabilities are the step's own, at temperature 1 and
        over all its tokens.

    Source: Fan, Lewis and Dauphin (2018) for `top_k`; Holtzman et al. (2020), section 3.1, for `top_p`.
    """

    def draw(t: tf.Tensor, rows: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        cumulative = tf.cumsum(sampling_distribution(scores, temperature, top_k, top_p), axis=-1)
        total = cumulative[:, :, -1:]
        # The second half is for rounding, which may let a number close to 1 pass even the total.
        uniform = tf.gather(uniforms[:, :, t], rows)[:, :, None]
        passed = (uniform * total >= cumulative) & (cumulative < total)
        return tf.math.count_nonzero(passed, axis=-1)

    draws = uniforms.shape[1]
    result = extend_until_eos(step, state, memory, constraints, draw, hypotheses=draws, keep_weights=keep_weights)
    order = tf.argsort(result.scores, axis=-1, direction="DESCENDING", stable=True)
    return SearchResult(*(tf.gather(part, order, batch_dims=1) for part in result))


def sampling_distribution(
    scores: tf.Tensor, temperature: float | tf.Tensor, top_k: int | tf.Tensor | None, top_p: float | tf.Tensor
) -> tf.Tensor:
    """The probabilities (B, N, C) that `sample` draws a token with, from a step's scores."""
    return tf.nn.softmax(_cut(scores / temperature, top_k, top_p))


def _cut(scores: tf.Tensor, top_k: int | tf.Tensor | None, top_p: float | tf.Tensor) -> tf.Tensor:
    """Scores (B, N, C), `NEG_INF` outside the `top_k` and `top_p` likeliest."""
    if top_k is None and not tf.is_tensor(top_p) and top_p == 1.0:
        return scores
    size = tf.shape(scores)[-1]
    best, _ = tf.math.top_k(scores, size if top_k is None else tf.minimum(top_k, size))
    kept = tf.cumsum(tf.nn.softmax(best), axis=-1, exclusive=True) < top_p
    least = tf.reduce_min(tf.where(kept, best, best[:, :, :1]), axis=-1, keepdims=True)
    return tf.where(scores < least, NEG_INF, scores)


def uniform_noise(seed: int, sentences: Sequence[Sequence[int]], samples: int, lengths: Sequence[int]) -> np.ndarray:
    """Random numbers for `sample`; those of a draw depend on the seed, the sentence and the draw's number alone.

    Args:
        seed: Not negative, below 2**63.
        sentences: The source token ids of each of B sentences.
        samples: N.
        lengths: Numbers that each sentence needs at most.

    Returns:
        (B, N, L) float32 in [0, 1), where L is the greatest of `lengths`; 0 beyond a sentence's own.
    """
    uniforms = np.zeros((len(sentences), samples, max(lengths)), np.float32)
    for row, (ids, length) in enumerate(zip(sentences, lengths, strict=True)):
        for draw in range(samples):
            name = np.array([seed, draw, *ids], "<i8").tobytes()
            key = int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "little")
            uniforms[row, draw, :length] = np.random.Generator(np.random.Philox(key=key)).random(length, np.float32)
    return uniforms
