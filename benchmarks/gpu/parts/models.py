"""Models of the forms that are checked, their traced updates, and batches of a copy task."""

from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from parts.precisions import set_implementation
from parts.report import Check
from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig, TrainingConfig
from seq2seq.data.tokenizer import EOS_ID, PAD_ID
from seq2seq.devices.device import set_tf32
from seq2seq.models.translation import Seq2Seq

FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # keys of encoder and decoder, besides units
    "luong": ({}, {}),
    "lstm, all bidirectional": (
        {"cell": "lstm", "layers": 2, "bidirectional": "all"},
        {"cell": "lstm", "layers": 2},
    ),
    "cgru": ({}, {"type": "cgru", "attention": "additive"}),
}
FIRST_WORD = 4  # first id after padding, unknown, BOS and EOS


class ModelSize(NamedTuple):
    """Size of the vocabulary, and width of embeddings and layers."""

    vocabulary: int
    units: int


def make_model(form: str, size: ModelSize, precision: str = "float32", device: str | None = None) -> Seq2Seq:
    """A new model with the same weights in each precision, on a device or, by default, where TensorFlow places it."""
    encoder, decoder = FORMS[form]
    with tf.device(device):
        return Seq2Seq(
            size.vocabulary,
            size.vocabulary,
            EmbeddingsConfig(size=size.units, tied="all"),
            EncoderConfig(units=size.units, **encoder),
            DecoderConfig(units=size.units, **decoder),
            seed=1,
            precision=precision,  # type: ignore[arg-type]
        )


def model_on_cpu(form: str, size: ModelSize, weights: Sequence[np.ndarray] | None, implementation: str) -> Seq2Seq:
    """A float32 model on the CPU, with or without a GPU, whose recurrences use one implementation."""
    model = make_model(form, size, device="/CPU:0")
    recurrences = list(chain.from_iterable([*model.encoder.recurrences, *model.decoder.stack.recurrences]))
    set_implementation(recurrences, implementation)
    if weights is not None:
        model.set_weights(weights)
    return model


def copy_sentences(random: np.random.Generator, rows: int, longest: int, vocabulary: int) -> np.ndarray:
    """Random tokens (rows, longest), in rows of different lengths, EOS included: from 3 to `longest`."""
    lengths = random.integers(3, longest + 1, rows)
    lengths[0] = longest
    tokens = random.integers(FIRST_WORD, vocabulary, (rows, longest), dtype=np.int32)
    places = np.arange(longest)
    tokens[places == lengths[:, None] - 1] = EOS_ID
    tokens[places >= lengths[:, None]] = PAD_ID
    return tokens


class Trainer:
    """A model in one precision and its traced update, with the optimizer that training uses.

    Attributes:
        losses: Negative log-likelihood per token of the batch of each update, before the update.
    """

    def __init__(self, form: str, size: ModelSize, precision: str, learning_rate: float, smoothing: float) -> None:
        # Imported here, because it imports all of training, which gradients do not need.
        from seq2seq.training.optimization import make_optimizer

        self.form, self.size, self.precision = form, size, precision
        self.model = make_model(form, size, precision)
        self.model.compile(make_optimizer(TrainingConfig(learning_rate=learning_rate)), label_smoothing=smoothing)
        self.update = self.model.step_function()
        self.losses: list[float] = []

    def learn(self, batches: Sequence[tf.Tensor], updates: int) -> None:
        """Make updates on the batches in turn, again and again."""
        set_tf32(self.precision)
        losses = []
        for number in range(updates):
            self.model.reset_metrics()  # otherwise they accumulate
            losses.append(self.update(*[batches[number % len(batches)]] * 2)["nll"])
        self.losses += map(float, losses)


def copy_size(check: Check) -> ModelSize:
    return ModelSize(check.sizes.vocabulary, check.sizes.units)


def copy_batches(check: Check) -> list[tf.Tensor]:
    """The batches of the copy task, made once."""
    if "batches" not in check.shared:
        sizes, random = check.sizes, np.random.default_rng(1)
        draw = partial(copy_sentences, random, sizes.sentences, sizes.longest, sizes.vocabulary)
        check.shared["batches"] = [tf.constant(draw()) for _ in range(sizes.copy_batches)]
    return check.shared["batches"]


def trained(check: Check, form: str, precision: str = "float32") -> Trainer:
    """A model after its updates on the copy task; trained by the first part that needs it."""
    trainers = check.shared.setdefault("trainers", {})
    if (form, precision) not in trainers:
        trainer = Trainer(form, copy_size(check), precision, check.sizes.learning_rate, smoothing=0.0)
        trainer.learn(copy_batches(check), check.sizes.updates if form == "luong" else check.sizes.form_updates)
        trainers[form, precision] = trainer
    return trainers[form, precision]
