"""Two models at one step: a translator and a language model (shallow fusion)."""

from typing import Any

import tensorflow as tf

from seq2seq.search.step import StepFunction, StepOutput


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
