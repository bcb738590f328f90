"""What search asks of a model, what it returns, and how hypotheses of different lengths are compared."""

from typing import Any, Literal, NamedTuple, Protocol

import tensorflow as tf

# The score of what cannot be chosen. Finite, so that sums and differences of it stay numbers.
IMPOSSIBLE = -1e9


class StepFunction(Protocol):
    """One step of a decoder for K hypotheses of each of B sentences.

    Shapes:
        tokens   (B, K)     int32, the last token of each hypothesis
        state    any nest of tensors (B, K, ...), gathered along K by search
        memory   anything; kept once a sentence and never gathered
        logits   (B, K, V)  float32
        weights  (B, K, S)  float32, attention over the source
    """

    def __call__(self, tokens: tf.Tensor, state: Any, memory: Any) -> tuple[tf.Tensor, Any, tf.Tensor]: ...


class SearchResult(NamedTuple):
    """The N best hypotheses of each of B sentences, best first, padded to L tokens with id 0.

    tokens     (B, N, L)     int32, EOS included, BOS not
    lengths    (B, N)        int32, EOS included; 0 where there are fewer than N hypotheses
    scores     (B, N)        float32, the sum of `log_probs`, normalised by length
    log_probs  (B, N, L)     float32, 0 at padding
    weights    (B, N, L, S)  float32, attention behind each token, 0 at padding
    """

    tokens: tf.Tensor
    lengths: tf.Tensor
    scores: tf.Tensor
    log_probs: tf.Tensor
    weights: tf.Tensor


def normalized(scores: tf.Tensor, lengths: tf.Tensor, length_penalty: float | Literal["average"]) -> tf.Tensor:
    """Scores that can be compared over lengths.

    Args:
        scores: Sums of log-probabilities, float32.
        lengths: Tokens of each hypothesis, EOS included.
        length_penalty: alpha divides by ((5 + length) / 6) ** alpha, 0 leaves sums; `average` divides by length.

    Source: Wu et al. (2016), section 7, equation 14.
    """
    tokens = tf.cast(lengths, tf.float32)
    if length_penalty == "average":
        return scores / tf.maximum(tokens, 1.0)
    return scores / ((5.0 + tokens) / 6.0) ** length_penalty


def choosable(logits: tf.Tensor, forbidden: tuple[int, ...]) -> tf.Tensor:
    """Logits with the tokens that a translation never holds (padding, BOS) out of reach."""
    vocabulary = logits.shape[-1]
    bias = tf.reduce_sum(tf.one_hot(forbidden, vocabulary, on_value=IMPOSSIBLE), axis=0)
    return logits + bias
