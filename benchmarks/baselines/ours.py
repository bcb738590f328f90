"""The toolkit's own model, as `seq2seq train` runs it."""

import tensorflow as tf
from measure import Batch, Size

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig
from seq2seq.models.translation import Seq2Seq
from seq2seq.training.optimization import FusedAdam


class Ours:
    """The toolkit's model, with one update per call of `step`; `decoder_type` is the recipe's `decoder.type`."""

    def __init__(self, size: Size, batches: list[Batch], smoothing: float, decoder_type: str = "luong") -> None:
        self.model = Seq2Seq(
            size.vocabulary,
            size.vocabulary,
            EmbeddingsConfig(size=size.embedding, tied="all"),
            EncoderConfig(
                cell=size.cell,
                layers=size.encoder_layers,
                units=size.units,
                bidirectional="all" if size.bidirectional == "all" else True,
                residual=False,
            ),
            DecoderConfig(
                type=decoder_type,
                cell=size.cell,
                layers=size.decoder_layers,
                units=size.units,
                residual=False,
                attention="general",
            ),
        )
        self.model.compile(FusedAdam(1e-3), label_smoothing=smoothing, clip_norm=1.0)
        self.batches = [(tf.constant(source), tf.constant(target)) for source, target in batches]
        self.train = self.model.step_function()

    def mean_loss(self, place: int) -> float:
        loss, _, tokens = self.model.loss_sums(*self.batches[place], self.model.label_smoothing)
        return float(loss / tokens)

    def step(self, place: int) -> None:
        self.train(*self.batches[place])["gradient_norm"].numpy()
