"""Two models at one step: a language model has a say in what a translator writes (shallow fusion)."""

from typing import Any

import tensorflow as tf

from seq2seq.search.step import StepFunction


def fused(step: StepFunction, language_step: StepFunction, weight: float) -> StepFunction:
    """A step that gives scores log p(token | source, tokens before) + weight * log p_LM(token | tokens before).

    They are no log-probabilities, since they do not sum to 1: search has to take them as they are, with
    `Rules(scored=True)`.

    Args:
        step, language_step: Steps over the same V tokens.
        weight: Of the language model.

    Shapes: state and memory are pairs, the translator's and the language model's; the rest as in `StepFunction`.
        Attention weights are the translator's.

    Source: Gülçehre et al. (2015), section 4.1, equation 5.
    """

    def both(tokens: tf.Tensor, state: Any, memory: Any) -> tuple[tf.Tensor, Any, tf.Tensor]:
        logits, mine, weights = step(tokens, state[0], memory[0])
        language_logits, theirs, _ = language_step(tokens, state[1], memory[1])
        scores = tf.nn.log_softmax(logits) + weight * tf.nn.log_softmax(language_logits)
        return scores, (mine, theirs), weights

    return both
