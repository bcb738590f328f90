"""Teachers of word-level knowledge distillation."""

from collections.abc import Sequence
from typing import Any, Protocol

import tensorflow as tf

from seq2seq.layers.custom_gradient import forward_only
from seq2seq.layers.pointwise import RandomStream


class Predictor(Protocol):
    """What is read of a `DecoderModel`."""

    random_stream: RandomStream

    def readouts(self, source: tf.Tensor, target: tf.Tensor, training: bool = False, keep: Any = None) -> Any: ...

    def logits_of_readouts(self, readout: tf.Tensor) -> tf.Tensor: ...


class Distillation:
    """Trained models whose predictions a student learns, see `DistillationConfig`.

    The teachers are no part of the student: neither its weights nor the state of its training include theirs.

    Args:
        teachers: Models of the student's task and vocabulary, at least one; made in the scope of its strategy.
        weight: Share of the teachers' predictions in the objective, above 0 and at most 1.
        temperature: Divisor of all logits, above 0.

    Source:
        Kim and Rush (2016), section 3.1; Hinton, Vinyals and Dean (2015), section 2, for the temperature.
    """

    def __init__(self, teachers: Sequence[Predictor], weight: float = 0.5, temperature: float = 1.0) -> None:
        self.teachers: tuple[Any, ...] = tuple(teachers)
        self.weight, self.temperature = weight, temperature

    def probabilities(self, source: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Mean of the teachers' probabilities at the N real target positions, (N, V) float32, without gradient."""

        def predict(teacher: Predictor) -> tf.Tensor:
            readout, _ = teacher.readouts(source, target)
            return tf.nn.softmax(teacher.logits_of_readouts(readout) / self.temperature)

        with forward_only():
            return tf.stop_gradient(tf.add_n([predict(teacher) for teacher in self.teachers]) / len(self.teachers))

    def cross_entropy(self, logits: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
        """Cross-entropy (N,) of a student's logits (N, V) at the temperature, in nats."""
        return tf.nn.softmax_cross_entropy_with_logits(labels=probabilities, logits=logits / self.temperature)
