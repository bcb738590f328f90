"""Step wrapper that averages the predictions of several models over one vocabulary."""

from collections.abc import Sequence
from typing import Any, Literal

import tensorflow as tf

from seq2seq.arguments import check_arguments
from seq2seq.search.step import StepFunction, StepOutput

Average = Literal["log_probability", "probability"]


@check_arguments()
def average_models(
    steps: Sequence[StepFunction], weights: tf.Tensor, average: Average, attending: Sequence[int]
) -> StepFunction:
    """Combine the steps of M models over one target vocabulary.

        log_probability:  score = sum over models of weight * log p(token | source, previous tokens)
        probability:      score = log(sum over models of weight * p(token | source, previous tokens))

    The first is a geometric mean, in which each model can veto a token; the second an arithmetic mean, in which one
    model that is certain is enough. The geometric mean is not normalised to sum to 1, so the score of a hypothesis is
    the weighted mean of the models' own scores.

    Args:
        steps: Step functions of the models; all rank the whole vocabulary, or the same candidates.
        weights: (M,) float32, positive, with sum 1.
        average: The mean, as above.
        attending: Indices of the models that have attention; all of them read the same S source tokens.

    Shapes:
        State and memory are tuples with those of each model; the rest is as in `StepFunction`. Attention is the
        weighted mean over the models that have it.

    Source:
        Sutskever, Vinyals and Le (2014), section 3.6, for ensembles of translation models.
    """

    def averaged(tokens: tf.Tensor, state: Any, memory: Any) -> StepOutput:
        outputs = [step(tokens, *its) for step, *its in zip(steps, state, memory, strict=True)]
        scores = average_log_probs(tf.stack([output.scores for output in outputs]), weights, average)
        attention = average_attention([output.attention for output in outputs], weights, attending)
        states = tuple(output.state for output in outputs)
        return StepOutput(scores, states, attention, outputs[0].candidates)

    return averaged


def average_log_probs(log_probs: tf.Tensor, weights: tf.Tensor, average: Average) -> tf.Tensor:
    """The mean of log-probabilities (M, ...) of M models, see `average_models`; (...)."""
    weights = tf.reshape(weights, [-1] + [1] * (len(log_probs.shape) - 1))
    if average == "probability":
        return tf.reduce_logsumexp(log_probs + tf.math.log(weights), axis=0)
    return tf.reduce_sum(log_probs * weights, axis=0)


def average_attention(attention: Sequence[tf.Tensor], weights: tf.Tensor, attending: Sequence[int]) -> tf.Tensor:
    """The weighted mean of attention (..., S) over the models `attending`; if there are none, that of the first."""
    if not attending:
        return attention[0]
    total = tf.add_n([weights[number] * attention[number] for number in attending])
    return total / tf.add_n([weights[number] for number in attending])
