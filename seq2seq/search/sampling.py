"""Sampling: translations drawn from the model's distribution, each from random numbers of its own."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from seq2seq.search.greedy import extend_until_eos
from seq2seq.search.step import Rules, SearchResult, StepFunction


def sample(
    step: StepFunction,
    state: Any,
    memory: Any,
    rules: Rules,
    uniforms: tf.Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    keep_weights: bool = True,
) -> SearchResult:
    """Draw N translations of each sentence, token by token; two of them may be the same.

    The distribution of a step is softmax(logits / temperature), then cut to the `top_k` likeliest tokens, then to
    the fewest likeliest of these that have `top_p` of what is left; of equally likely tokens the lower id counts as
    the likelier. A uniform number picks the token at which the cumulative probability passes it, likeliest first, or
    in the order of ids where nothing is cut.

    Args:
        step: The decoder, called with K = N.
        state: Its first state, tensors of (B, 1, ...).
        memory: Passed on to `step`.
        rules: Their penalties decide the order of the draws.
        uniforms: (B, N, L) float32 in [0, 1), a number for each token of each draw; N is static and L is not below
            any of `rules.max_lengths`. See `draw_uniforms`.
        temperature: Between 0.001 and 1000; below 1 the likely become likelier.
        top_k: At least 1; None: all tokens.
        top_p: Above 0 and at most 1.
        keep_weights: False returns weights with S = 0 and spends no memory on them.

    Returns:
        `SearchResult`, draws with the best score first. Log-probabilities are the model's own, at temperature 1 and
        over all tokens.

    Source: Fan, Lewis and Dauphin (2018) for `top_k`; Holtzman et al. (2020), section 3.1, for `top_p`.
    """

    def draw(t: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        logits /= temperature
        tokens = tf.broadcast_to(tf.range(logits.shape[-1]), tf.shape(logits))
        if top_k is not None or top_p < 1.0:  # without, any order gives the distribution, and sorting takes long
            logits, tokens = tf.math.top_k(logits, min(top_k or logits.shape[-1], logits.shape[-1]))
        probabilities = tf.nn.softmax(logits)
        kept = tf.cumsum(probabilities, axis=-1, exclusive=True) < top_p
        cumulative = tf.cumsum(tf.where(kept, probabilities, 0.0), axis=-1)
        total = cumulative[:, :, -1:]
        # The second half is for rounding, which may let a number close to 1 pass even the total.
        passed = (uniforms[:, :, t, None] * total >= cumulative) & (cumulative < total)
        place = tf.reduce_sum(tf.cast(passed, tf.int32), axis=-1)
        return tf.gather(tokens, place, batch_dims=2)

    draws = uniforms.shape[1]
    result = extend_until_eos(step, state, memory, rules, draw, hypotheses=draws, keep_weights=keep_weights)
    order = tf.argsort(result.scores, axis=-1, direction="DESCENDING", stable=True)
    return SearchResult(*(tf.gather(part, order, batch_dims=1) for part in result))


def draw_uniforms(seed: int, sentences: Sequence[Sequence[int]], draws: int, lengths: Sequence[int]) -> np.ndarray:
    """Random numbers for `sample`; those of a draw depend on the seed, the sentence and the draw's number alone.

    Args:
        seed: Not negative, below 2**63.
        sentences: The source token ids of each of B sentences.
        draws: N.
        lengths: Numbers that each sentence needs at most.

    Returns:
        (B, N, L) float32 in [0, 1), where L is the greatest of `lengths`; 0 beyond a sentence's own.
    """
    uniforms = np.zeros((len(sentences), draws, max(lengths)), np.float32)
    for row, (ids, length) in enumerate(zip(sentences, lengths, strict=True)):
        for draw in range(draws):
            name = np.array([seed, draw, *ids], "<i8").tobytes()
            key = int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "little")
            uniforms[row, draw, :length] = np.random.Generator(np.random.Philox(key=key)).random(length, np.float32)
    return uniforms
