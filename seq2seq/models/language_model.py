"""Recurrent language model: a decoder without a source, which starts from zeros."""

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

    In place of a source, the model takes a column of EOS, from which it reads only the number of sentences. Memory and
    attention weights have width 0. `DecoderModel` describes shapes and training; S is 1.

    Args:
        vocabulary_size: Number of tokens, including the four special ones.
        embeddings: Section `embeddings` of a recipe, or a dict of its keys; defaults apply to the others.
        decoder: Section `decoder` of a recipe, likewise.
        seed: See `DecoderModel`.
        precision: See `DecoderModel`.

    Raises:
        ArgumentError: The section describes a decoder that reads a source.

    Source:
        Mikolov et al. (2010), with any cell and depth; Press and Wolf (2017) for one table of input and output
        embeddings.

    Departure:
        The decoder's readout, tanh(W h), lies between the top layer and the output layer.
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
            raise ArgumentError("a language model has nothing to attend to: pass a LanguageModelDecoderConfig")
        super().__init__(vocabulary_size, embeddings, name="language_model", seed=seed, precision=precision)
        self.sections = {"embeddings": embeddings, "decoder": decoder}
        random = self.random_stream, self.initializers, self.dtype_policy
        self.decoder = make_decoder(decoder, embeddings.size, *random)
        self.build()

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as plain values."""
        return super().get_config() | {"vocabulary_size": self.target_embedding.vocabulary_size}

    def build(self, input_shape: Any = None) -> None:
        """Create all weights. The constructor calls this, and later calls have no effect."""
        if self.built:
            return
        super().build()
        self.decoder.build(self.target_embedding.size, 0, 0)

    def encode(
        self, source: tf.Tensor, training: bool = False, keep: tf.Tensor | None = None
    ) -> tuple[AttentionMemory, DecoderState]:
        """Return an empty memory, and a state of zeros for each of the B rows of `source` (B, S)."""
        mask = source != PAD_ID
        nothing = tf.zeros([*tf.unstack(tf.shape(mask)), 0], self.compute_dtype)
        return self.decoder.start(nothing, mask, [])
