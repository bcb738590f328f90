"""What a training step minimises if it is more than the cross-entropy of the labels."""

from typing import NamedTuple

import tensorflow as tf

from seq2seq.config.objective import ConsistencyConfig
from seq2seq.data.tokenizer import EOS_ID
from seq2seq.layers.losses import Divergence, divergence, smoothed_cross_entropy
from seq2seq.layers.pointwise import RandomStream
from seq2seq.models.distillation import Distillation, Predictor

DIVERGENCES: dict[str, Divergence] = {"simcut": "kl", "cutoff": "jensen_shannon", "r_drop": "symmetric_kl"}


class ObjectiveSums(NamedTuple):
    """Sums over the real target tokens of a batch, float32 scalars.

    Attributes:
        objective: What is minimised; the only one that is differentiated.
        loss: Cross-entropy with label smoothing; of two passes, that of the first.
        nll: The same without label smoothing.
        tokens: Number of real target tokens.
        consistency: Divergence of the two passes, without its weight; None if there is one pass.
        distillation: Cross-entropy with the teachers' predictions, without weight and temperature's square; of two
            passes, that of the first. None without teachers.
    """

    objective: tf.Tensor
    loss: tf.Tensor
    nll: tf.Tensor
    tokens: tf.Tensor
    consistency: tf.Tensor | None = None
    distillation: tf.Tensor | None = None


def objective_sums(
    model: Predictor,
    source: tf.Tensor,
    target: tf.Tensor,
    label_smoothing: float,
    consistency: ConsistencyConfig,
    distillation: Distillation | None = None,
    probabilities: tf.Tensor | None = None,
) -> ObjectiveSums:
    """The objective of a recipe with `training.consistency` or `training.distillation`, in training.

    Two passes run as one batch of twice as many sentences, so each pass has dropout masks of its own.

    Args:
        model: The model to train.
        source: (B, S) int32.
        target: (B, T) int32.
        label_smoothing: Share of the label's probability that is spread over the vocabulary.
        consistency: The regularisation; without teachers, its type is not `none`.
        distillation: The teachers; None for none.
        probabilities: What they predict, `Distillation.probabilities`.

    Source:
        Gao et al. (2022), section 3; Shen et al. (2020), section 3; Liang et al. (2021), section 2.1; see also
        `Distillation`.

    Departure:
        The objectives of `cutoff` and `r_drop`, which contain two cross-entropies, are halved: clip norms and learning
        rates then mean what they mean without the second pass.
    """
    kind = consistency.type
    keep = None
    if kind in ("simcut", "cutoff"):
        keep = _kept_tokens(model.random_stream, source, target, consistency.cut_rate)
    passes = 1 if kind == "none" else 2
    sources, targets = (tf.tile(ids, [passes, 1]) for ids in (source, target))
    readout, labels = model.readouts(sources, targets, training=True, keep=keep)
    logits, label = tf.split(model.logits_of_readouts(readout), passes), tf.split(labels, passes)[0]

    def cross_entropies(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """What is minimised in one pass, and its parts: that of labels, without smoothing, and that of teachers."""
        loss, nll = smoothed_cross_entropy(logits, label, label_smoothing)
        if distillation is None:
            return loss, loss, nll, None
        taught, share = distillation.cross_entropy(logits, probabilities), distillation.weight
        return (1.0 - share) * loss + share * distillation.temperature**2 * taught, loss, nll, taught

    objective, loss, nll, taught = cross_entropies(logits[0])
    apart = None
    if passes == 2:
        apart = divergence(logits[0], logits[1], DIVERGENCES[kind])
        objective += consistency.weight * apart
        if kind != "simcut":
            objective = 0.5 * (objective + cross_entropies(logits[1])[0])

    def total(values: tf.Tensor | None) -> tf.Tensor | None:
        return None if values is None else tf.reduce_sum(values)

    tokens = tf.cast(tf.size(nll), tf.float32)
    return ObjectiveSums(total(objective), total(loss), total(nll), tokens, total(apart), total(taught))


def _kept_tokens(
    stream: RandomStream, source: tf.Tensor, target: tf.Tensor, cut_rate: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Masks (2B, S) and (2B, T), true in the first half; in the second, false at source and target inputs to zero."""

    def draw(side: str, ids: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform(tf.shape(ids), stream.seed_for(f"{side}/cut")) >= cut_rate

    kept = draw("source", source) | (source == EOS_ID), draw("target", target)
    begins = tf.range(tf.shape(target)[1]) == 0  # where the decoder reads BOS
    return tuple(tf.concat([tf.ones_like(part), part], axis=0) for part in (kept[0], kept[1] | begins))
