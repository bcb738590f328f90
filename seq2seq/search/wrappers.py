"""Step wrappers: shallow fusion with a language model, and hypotheses that begin with given tokens."""

from typing import Any

import tensorflow as tf

from seq2seq.arguments import check_arguments
from seq2seq.search.step import NEG_INF, Requirements, StepFunction, StepOutput


@check_arguments()
def shallow_fusion(step: StepFunction, language_step: StepFunction, weight: float | tf.Tensor) -> StepFunction:
    """Combine a translator's step with that of a language model.

        score = log p(token | source, previous tokens) + weight * log p_LM(token | previous tokens)

    Scores are not normalised. The language model's log-probabilities are over the whole vocabulary, even if the
    translator's are over candidates.

    Args:
        step: Step function of the translator.
        language_step: Step function of the language model, over the translator's vocabulary, without candidates of its
            own.
        weight: Weight of the language model.

    Shapes:
        State and memory are pairs of the translator's and the language model's; the rest is as in `StepFunction`.
        Attention is the translator's.

    Source:
        Gülçehre et al. (2015), section 4.1, equation 5.
    """

    def both(tokens: tf.Tensor, state: Any, memory: Any) -> StepOutput:
        output = step(tokens, state[0], memory[0])
        language = language_step(tokens, state[1], memory[1])
        scores = output.scores + weight * output.gather_candidates(language.scores)
        return output._replace(scores=scores, state=(output.state, language.state))

    return both


@check_arguments()
def with_prefix(step: StepFunction, state: Any, memory: Any, prefix: tf.Tensor) -> tuple[StepFunction, Any, Any]:
    """Force every hypothesis to begin with its sentence's prefix, after which the search chooses.

    A forced token has probability 1, so a hypothesis is scored by what follows the prefix, given the prefix. Forced
    tokens count towards the length limits. They need not be among the step's candidates.

    Args:
        step: Step function of the search, see `StepFunction`.
        state: Initial state of the search, tensors (B, 1, ...).
        memory: Memory of the search.
        prefix: (B, P) int32 token ids, right-padded with 0; P may be 0. It must not contain tokens that
            `SearchConstraints` forbids; this is not checked.

    Returns:
        Step, state and memory to start the search with.
    """

    def forced(tokens: tf.Tensor, state: Any, memory: Any) -> StepOutput:
        (place, state), (given, memory) = state, memory
        output = step(tokens, state, memory)
        token = tf.gather(given, tf.minimum(place, tf.cast(tf.shape(given)[1] - 1, tf.int64)), batch_dims=1)
        token = tf.ensure_shape(token, tokens.shape)
        is_given = (token > 0)[:, :, None]
        requirements = output.requirements
        if requirements is not None:  # a forced token wins
            requirements = Requirements(*(tf.where(is_given, tf.zeros_like(part), part) for part in requirements))
        if output.candidates is None:
            certain = tf.one_hot(token, output.scores.shape[-1], on_value=0.0, off_value=NEG_INF)
            scores = tf.where(is_given, certain, output.scores)
            return output._replace(scores=scores, state=(place + 1, output.state), requirements=requirements)
        # All hypotheses are equally long, so one more candidate per sentence is enough for the forced token.
        others = tf.where(is_given, NEG_INF, output.scores)
        scores = tf.concat([tf.where(is_given, 0.0, NEG_INF), others], axis=-1)
        candidates = tf.concat([token[:, :1], output.candidates], axis=-1)
        if requirements is not None:
            missing, advance = requirements
            missing = tf.pad(missing, [[0, 0], [0, 0], [1, 0]])
            requirements = Requirements(missing, tf.where(advance > 0, advance + 1, 0))
        return StepOutput(scores, (place + 1, output.state), output.attention, candidates, requirements)

    behind = tf.pad(tf.cast(prefix, tf.int64), [[0, 0], [0, 1]])  # the last 0 means that no token is forced
    return forced, (tf.zeros_like(behind[:, :1]), state), (behind, memory)
