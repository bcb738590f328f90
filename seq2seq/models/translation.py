"""Translation model: an encoder, and a decoder that attends to its states."""

from typing import Any, ClassVar

import keras
import tensorflow as tf

from seq2seq.arguments import AtLeastOne, NonNegative, check_arguments
from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig, Precision
from seq2seq.data.tokenizer import PAD_ID
from seq2seq.errors import ArgumentError
from seq2seq.layers import AttentionMemory, DecoderState, Embedding
from seq2seq.models.base import DecoderModel
from seq2seq.models.networks import make_decoder, make_encoder


@keras.saving.register_keras_serializable("seq2seq")
class Seq2Seq(DecoderModel):
    """Recurrent encoder-decoder with attention.

    `DecoderModel` describes shapes and training.

    Args:
        source_vocabulary_size: Number of source tokens, including the four special ones.
        target_vocabulary_size: Number of target tokens; equal to the source's if all embeddings are tied.
        embeddings: Section `embeddings` of a recipe, or a dict of its keys; defaults apply to the others.
        encoder: Section `encoder` of a recipe, likewise.
        decoder: Section `decoder` of a recipe, likewise.
        seed: See `DecoderModel`.
        precision: See `DecoderModel`.

    Raises:
        ArgumentError: All embeddings are tied, and the vocabulary sizes differ.

    Attributes:
        uses_attention: False if the decoder has no attention.
    """

    section_types: ClassVar = {"embeddings": EmbeddingsConfig, "encoder": EncoderConfig, "decoder": DecoderConfig}

    @check_arguments()
    def __init__(
        self,
        source_vocabulary_size: AtLeastOne,
        target_vocabulary_size: AtLeastOne,
        embeddings: EmbeddingsConfig | None = None,
        encoder: EncoderConfig | None = None,
        decoder: DecoderConfig | None = None,
        *,
        seed: NonNegative = 1,
        precision: Precision = "float32",
    ) -> None:
        embeddings, encoder = embeddings or EmbeddingsConfig(), encoder or EncoderConfig()
        decoder = decoder or DecoderConfig()
        if embeddings.tied == "all" and source_vocabulary_size != target_vocabulary_size:
            raise ArgumentError(
                f"one table for all embeddings needs one vocabulary, found {source_vocabulary_size} source "
                f"and {target_vocabulary_size} target tokens"
            )
        super().__init__(target_vocabulary_size, embeddings, name="seq2seq", seed=seed, precision=precision)
        self.sections = {"embeddings": embeddings, "encoder": encoder, "decoder": decoder}
        policy, size = self.dtype_policy, embeddings.size
        self.source_embedding = self.target_embedding
        if embeddings.tied != "all":
            sizes = source_vocabulary_size, size
            self.source_embedding = Embedding(*sizes, self.initializers, dtype=policy, name="source_embedding")
        self.source_dropouts = self.embedding_dropouts("source", embeddings.source_word_dropout, embeddings.dropout)
        self.uses_attention = decoder.attention != "none"
        self.encoder = make_encoder(encoder, self.random_stream, self.initializers, policy)
        self.decoder = make_decoder(decoder, size, self.random_stream, self.initializers, policy)
        self.build()

    @property
    def vocabulary_sizes(self) -> tuple[int, int]:
        """Vocabulary sizes of source and target."""
        return self.source_embedding.vocabulary_size, self.target_embedding.vocabulary_size

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as plain values."""
        source, target = self.vocabulary_sizes
        return super().get_config() | {"source_vocabulary_size": source, "target_vocabulary_size": target}

    def build(self, input_shape: Any = None) -> None:
        """Create all weights. The constructor calls this, and later calls have no effect."""
        if self.built:
            return
        if not self.source_embedding.built:
            self.source_embedding.build()
        super().build()
        self.encoder.build((None, None, self.target_embedding.size))
        units = self.encoder.units
        self.decoder.build(self.target_embedding.size, units, units * len(self.encoder.recurrences))

    def encode(
        self, source: tf.Tensor, training: bool = False, keep: tf.Tensor | None = None
    ) -> tuple[AttentionMemory, DecoderState]:
        """Read source tokens (B, S); returns the attention memory and the decoder's first state.

        Where `keep` (B, S) bool is given and false, the embedding is zeroed.
        """
        mask = source != PAD_ID
        lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
        embedded = self.source_embedding(source)
        if keep is not None:
            embedded *= tf.cast(keep, embedded.dtype)[:, :, None]
        for dropout in self.source_dropouts:
            embedded = dropout(embedded, training=training)
        states, last = self.encoder(embedded, lengths, training=training)
        return self.decoder.start(states, mask, last)
