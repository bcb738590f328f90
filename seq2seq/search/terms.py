"""Terms at the places where attention is at their source words."""

import tensorflow as tf

from seq2seq.search.step import NEG_INF, StepOutput

_MIN_WEIGHT = 1e-6  # a weight below this counts as 0, one above 1 minus this as 1 minus this
_NOTHING = 2 * NEG_INF  # below excluded tokens


def place_terms(
    output: StepOutput,
    needed: tf.Tensor,
    continued: tf.Tensor,
    attended: tf.Tensor,
    undone: tf.Tensor,
    begins_word: tf.Tensor,
) -> tuple[StepOutput, tf.Tensor]:
    """Mix the next token of a hypothesis from what the model says and from the terms that are required.

    Attention is seen as the probability that a source token is translated next, so its share at a term's source tokens
    is the probability that a word which the model begins now is replaced by this term. A term that has been begun is
    continued. P_w and P are the sums of p over tokens that begin words and over all tokens; a term's probability is
    divided among the tokens that it needs next in proportion to p:

        p'(token) = (1 - continued) (1 - attended) p(token)    for a token that begins a word
        p'(token) = (1 - continued) p(token)                   for another token
        added to the tokens of term c:                         continued_c P + (1 - continued) attended_c P_w

    So a term stands where the model would translate its source words in other words, and instead of these. Endings,
    which often attend to the following noun, remain possible.

    Args:
        output: Output of a step; its scores are taken for log-probabilities.
        needed: (B, K, C, A) int64, for each of C terms, the candidates that it needs next; 0 in empty places.
        continued: (B, K, C) float32, probability that a term is continued; their sum is at most 1.
        attended: (B, K, C) float32, attention at the source tokens of each term, 0 if it is not required any more;
            their sum is at most 1.
        undone: (B, K, N) float32, probability that a candidate is excluded, since it would make a term that is complete
            part of a longer word; p' is multiplied by 1 minus this.
        begins_word: (B or 1, N) bool, for each of N candidates, whether it begins a word.

    Returns:
        The output with the scores log p', and the probability (B, K, C, A) that each needed token, if chosen, is
        chosen for its term.

    Source:
        See, Liu and Manning (2017), section 2.2, equation 9, for attention as a mixture of generating and pointing.
    """
    scores, begins = output.scores, begins_word[:, None]
    needed_size = tf.shape(needed)
    continued, attended = (tf.where(part > _MIN_WEIGHT, part, 0.0) for part in (continued, attended))

    def logarithm(parts: tf.Tensor) -> tf.Tensor:
        return tf.where(parts > 0, tf.math.log(tf.maximum(parts, _MIN_WEIGHT)), _NOTHING)

    def remainder(parts: tf.Tensor) -> tf.Tensor:
        return tf.math.log1p(-tf.minimum(tf.reduce_sum(parts, axis=2), 1 - _MIN_WEIGHT))

    def placed() -> tuple[tf.Tensor, tf.Tensor]:
        generated = remainder(continued)
        of_all = tf.reduce_logsumexp(scores, axis=2)
        of_words = tf.reduce_logsumexp(tf.where(begins, scores, NEG_INF), axis=2) + generated
        kept = scores + generated[:, :, None] + tf.where(begins, remainder(attended)[:, :, None], 0.0)
        kept += tf.math.log1p(-tf.minimum(undone, 1 - _MIN_WEIGHT))
        of_terms = tf.reduce_logsumexp(
            [logarithm(continued) + of_all[:, :, None], logarithm(attended) + of_words[:, :, None]], axis=0
        )
        tokens = tf.reshape(needed, [*tf.unstack(needed_size[:2]), -1])
        own = tf.reshape(tf.gather(scores, tokens, batch_dims=2), needed_size)
        own = tf.where((needed > 0) & (own > NEG_INF / 2), own, NEG_INF)
        added = tf.where(own > NEG_INF / 2, of_terms[..., None] + tf.nn.log_softmax(own), _NOTHING)
        flat = tf.reshape(added, tf.shape(tokens))
        is_same = tokens[:, :, :, None] == tokens[:, :, None]  # several terms may need the same token
        together = tf.reduce_logsumexp(tf.where(is_same, flat[:, :, None], _NOTHING), axis=3)
        now = tf.gather(kept, tokens, batch_dims=2)
        raised = tf.where(together > NEG_INF / 2, tf.reduce_logsumexp([now, together], axis=0), now)
        rows, hypotheses = tf.meshgrid(*map(tf.range, tf.unstack(tf.shape(tokens, tf.int64)[:2])), indexing="ij")
        places = [tf.broadcast_to(index[:, :, None], tf.shape(tokens)) for index in (rows, hypotheses)]
        mixed = tf.tensor_scatter_nd_max(kept, tf.stack([*places, tokens], axis=3), raised)
        return mixed, tf.exp(added - tf.reshape(raised, needed_size))

    is_asked = tf.reduce_any(continued + attended > 0) | tf.reduce_any(undone > 0)
    mixed, probabilities = tf.cond(is_asked, placed, lambda: (scores, tf.zeros(needed_size)))
    return output._replace(scores=mixed), probabilities
