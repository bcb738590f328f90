"""Step wrapper that reduces repetition: no n-gram occurs twice, and tokens that already occurred are penalised."""

from typing import Any

import tensorflow as tf

from seq2seq.arguments import check_arguments
from seq2seq.search.step import NEG_INF, SearchConstraints, StepFunction, StepOutput


@check_arguments()
def without_repetition(
    step: StepFunction,
    state: Any,
    memory: Any,
    constraints: SearchConstraints,
    *,
    no_repeat_ngram_size: int = 0,
    repetition_penalty: float | tf.Tensor | None = None,
) -> tuple[StepFunction, Any, Any]:
    """Exclude tokens that would repeat an n-gram of their hypothesis, and penalise tokens that it already contains.

    A token that the hypothesis contains gets the score penalty * score: for log-probabilities, which are not positive,
    p becomes p ** penalty. Other scores do not change, and nothing is renormalised. A token that would complete an
    n-gram of the hypothesis for the second time gets `NEG_INF`.

    EOS is never excluded, since it ends a hypothesis; nor is a token that an automaton needs next (`with_automata`).
    Where the step itself excludes EOS, as `with_prefix` does, a token is forced: nothing is then excluded or penalised,
    but forced tokens count as part of the hypothesis later on. So at least one token is possible at every step. If EOS
    is the only one before the minimum length, `constraints.ends_if_stuck` decides whether it is allowed.

    Args:
        step: Step function of the search, see `StepFunction`; its candidates must be sorted.
        state: Initial state of the search.
        memory: Memory of the search.
        constraints: Constraints of the search, read for length limits and special tokens.
        no_repeat_ngram_size: Length n, in tokens, of the n-grams that may occur at most once; 0: no limit.
        repetition_penalty: At least 1; a number or a scalar tensor. None: no penalty.

    Returns:
        Step, state and memory to start the search with. The state includes the hypothesis's tokens, (B, K, L) int64,
        where L is the maximum of `constraints.max_lengths`.

    Source:
        Paulus, Xiong and Socher (2018), section 2.5, for n-grams; Keskar et al. (2019), section 4.1, for the penalty.

    Departure:
        Keskar et al. divide logits, which may be positive.
    """

    def restrained(tokens: tf.Tensor, state: Any, memory: Any) -> StepOutput:
        history, inner = state
        history = tf.concat([tokens[:, :, None], history[:, :, :-1]], axis=2)  # the last token first
        output = step(tokens, inner, memory)
        # EOS is looked up after them.
        asked = tf.pad(history, [[0, 0], [0, 0], [0, 1]], constant_values=constraints.eos_id)
        places, is_candidate = output.find(asked)
        scores = tf.gather(output.scores, places, batch_dims=2)
        is_free = is_candidate[:, :, -1:] & (scores[:, :, -1:] > NEG_INF / 2)
        highest = scores[:, :, :-1]
        if repetition_penalty is not None:
            highest *= repetition_penalty
        if no_repeat_ngram_size:
            excluded = _would_repeat(history, no_repeat_ngram_size)
            if output.requirements is not None:
                needed = output.requirements.advance[:, :, None]
                excluded &= ~tf.reduce_any(places[:, :, :-1, None] == needed, axis=3)
            highest = tf.where(excluded, NEG_INF, highest)
        highest = tf.where(is_candidate[:, :, :-1] & is_free, highest, highest.dtype.max)
        scores = _limit(output.scores, places[:, :, :-1], highest)
        return output._replace(scores=scores, state=(history, output.state))

    sentences, longest = tf.shape(constraints.max_lengths)[0], tf.reduce_max(constraints.max_lengths)
    # Padding, which is never chosen, fills the places of tokens still to come.
    nothing = tf.fill([sentences, 1, tf.cast(longest, tf.int32)], tf.constant(constraints.pad_id, tf.int64))
    return restrained, (nothing, state), memory


def _would_repeat(history: tf.Tensor, size: int) -> tf.Tensor:
    """Whether each token (B, K, L) of a hypothesis, last token first, would repeat an n-gram if it came next.

    It would if the n - 1 tokens before it equal the last n - 1 tokens. BOS occurs only once, so no n-gram equals one
    that reaches beyond the beginning.
    """
    length = tf.shape(history)[2]
    earlier = tf.pad(history, [[0, 0], [0, 0], [0, size]])
    repeats = tf.ones_like(history, tf.bool)
    for place in range(size - 1):
        repeats &= earlier[:, :, place + 1 : place + 1 + length] == earlier[:, :, place : place + 1]
    return repeats


def _limit(scores: tf.Tensor, places: tf.Tensor, highest: tf.Tensor) -> tf.Tensor:
    """Limit the scores (B, K, C) at the indices `places` (B, K, L) to `highest` (B, K, L)."""
    rows, hypotheses, size = tf.unstack(tf.shape(scores, tf.int64))
    starts = size * tf.reshape(tf.range(rows * hypotheses), [rows, hypotheses, 1])
    indices = tf.reshape(starts + places, [-1, 1])
    limited = tf.tensor_scatter_nd_min(tf.reshape(scores, [-1]), indices, tf.reshape(highest, [-1]))
    return tf.reshape(limited, tf.shape(scores))
