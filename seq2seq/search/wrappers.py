"""Steps made of other steps: two models at once (shallow fusion), or hypotheses that begin with given tokens."""

from typing import Any

import tensorflow as tf

from seq2seq.arguments import check_arguments
from seq2seq.search.step import NEG_INF, StepFunction, StepOutput


@check_arguments()
def shallow_fusion(step: StepFunction, language_step: StepFunction, weight: float | tf.Tensor) -> StepFunction:
    """A step that gives scores log p(token | source, tokens before) + weight * log p_LM(token | tokens before).

    The scores are not normalised. The language model's log-probabilities are over the whole vocabulary, whatever the
    translator's candidates.

    Args:
        step: The translator's step.
        language_step: The language model's step, over the translator's vocabulary, without candidates of its own.
        weight: Weight of the language model.

    Shapes: state and memory are pairs, the translator's and the language model's; the rest as in `StepFunction`.
        Attention weights are the translator's.

    Source: Gülçehre et al. (2015), section 4.1, equation 5.
    """

    def both(tokens: tf.Tensor, state: Any, memory: Any) -> StepOutput:
        output = step(tokens, state[0], memory[0])
        language = language_step(tokens, state[1], memory[1])
        scores = output.scores + weight * output.gather_candidates(language.scores)
        return output._replace(scores=scores, state=(output.state, language.state))

    return both


@check_arguments()
def with_prefix(step: StepFunction, state: Any, memory: Any, prefix: tf.Tensor) -> tuple[StepFunction, Any, Any]:
    """Let every hypothesis begin with its sentence's prefix; search chooses from there on.

    A given token has probability 1, so that a hypothesis scores what comes after the prefix, given the prefix. Its
    tokens count towards the limits of length. It need not be among the step's candidates.

    Args:
        step, state, memory: What search would begin with, see `StepFunction`; the state's tensors are (B, 1, ...).
        prefix: (B, P) int32, right-padded with 0; P may be 0. Must not contain tokens that
            `SearchConstraints` forbids; this is not checked.

    Returns:
        The step, the state and the memory that search is to begin with.
    """

    def forced(tokens: tf.Tensor, state: Any, memory: Any) -> StepOutput:
        (place, state), (given, memory) = state, memory
        output = step(tokens, state, memory)
        token = tf.gather(given, tf.minimum(place, tf.cast(tf.shape(given)[1] - 1, tf.int64)), batch_dims=1)
        token = tf.ensure_shape(token, tokens.shape)
        is_given = (token > 0)[:, :, None]
        if output.candidates is None:
            certain = tf.one_hot(token, output.scores.shape[-1], on_value=0.0, off_value=NEG_INF)
            scores = tf.where(is_given, certain, output.scores)
            return output._replace(scores=scores, state=(place + 1, output.state))
        # All hypotheses are equally long, so one more place per sentence has room for what is given.
        others = tf.where(is_given, NEG_INF, output.scores)
        scores = tf.concat([tf.where(is_given, 0.0, NEG_INF), others], axis=-1)
        candidates = tf.concat([token[:, :1], output.candidates], axis=-1)
        return StepOutput(scores, (place + 1, output.state), output.attention, candidates)

    behind = tf.pad(tf.cast(prefix, tf.int64), [[0, 0], [0, 1]])  # a last 0: nothing is given any more
    return forced, (tf.zeros_like(behind[:, :1]), state), (behind, memory)
