"""The recurrent language model: the decoder alone, which reads no source and starts from zeros."""

from typing import Any, ClassVar

import keras
import tensorflow as tf

from seq2seq.arguments import AtLeastOne, NonNegative, check_arguments
from seq2seq.config import DecoderConfig, Precision
from seq2seq.config.network import LanguageModelDecoderConfig, TargetEmbeddingsConfig
from seq2seq.data.tokenizer import PAD_ID
from seq2seq.errors import ArgumentError
from seq2seq.layers import AttentionMemory, DecoderState
from seq2seq.models.base import DecoderModel
from seq2seq.models.networks import make_decoder


@keras.saving.register_keras_serializable("seq2seq")
class LanguageModel(DecoderModel):
    """Recurrent language model: the probability of each token given those before it.

    Where a translation model reads a source, this one reads a column of EOS, of which it takes how many sentences there
    are and nothing else. Memory and attention weights have width 0.

    Args:
        vocabulary_size: Tokens, the four special ones included.
        embeddings: Section of a recipe, or a dict of its keys, with its defaults.
        decoder: The same.
        seed, precision: See `DecoderModel`, which has shapes and training; S is 1.

    Raises:
        ArgumentError: The section is of a decoder that reads a source.

    Source: Mikolov et al. (2010), with any cell and depth; Press and Wolf (2017) for one table on both ends.
    Departure: between the top layer and the output layer lies the decoder's readout, tanh(W h).
    """

    uses_attention = False
    section_types: ClassVar = {"embeddings": TargetEmbeddingsConfig, "decoder": LanguageModelDecoderConfig}

    @check_arguments()
    def __init__(
        self,
        vocabulary_size: AtLeastOne,
        embeddings: TargetEmbeddingsConfig | None = None,
        decoder: LanguageModelDecoderConfig | None = None,
        *,
        seed: NonNegative = 1,
        precision: Precision = "float32",
    ) -> None:
        embeddings, decoder = embeddings or TargetEmbeddingsConfig(), decoder or LanguageModelDecoderConfig()
        if isinstance(decoder, DecoderConfig):
            raise ArgumentError("a language model has nothing to attend to: give a LanguageModelDecoderConfig")
        super().__init__(vocabulary_size, embeddings, name="language_model", seed=seed, precision=precision)
        self.sections = {"embeddings": embeddings, "decoder": decoder}
        random = self.random_stream, self.initializers, self.dtype_policy
        self.decoder = make_decoder(decoder, embeddings.size, *random)
        self.build()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain values."""
        return super().get_config() | {"vocabulary_size": self.target_embedding.vocabulary_size}

    def build(self, input_shape: Any = None) -> None:
        """Make all weights, for the constructor; once they are there, nothing happens."""
        if self.built:
            return
        super().build()
        self.decoder.build(self.target_embedding.size, 0, 0)

    def encode(self, source: tf.Tensor, training: bool = False) -> tuple[AttentionMemory, DecoderState]:
        """An empty memory, and a state of zeros for each of B sentences (B, S)."""
        mask = source != PAD_ID
        nothing = tf.zeros([*tf.unstack(tf.shape(mask)), 0], self.compute_dtype)
        return self.decoder.start(nothing, mask, [])
