"""From a recipe to a fresh model."""

from seq2seq.config import Config, Precision
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.models.base import DecoderModel
from seq2seq.models.language_model import LanguageModel
from seq2seq.models.translation import Seq2Seq


def build_model(config: Config, tokenizers: Tokenizers, precision: Precision = "float32") -> DecoderModel:
    """A fresh model of a recipe's task and sizes."""
    if config.task == "language_model":
        size = tokenizers.target.vocabulary_size
        return LanguageModel(size, config.embeddings, config.decoder, seed=config.seed, precision=precision)
    return Seq2Seq(
        tokenizers.source.vocabulary_size,
        tokenizers.target.vocabulary_size,
        config.embeddings,
        config.encoder,
        config.decoder,
        seed=config.seed,
        precision=precision,
    )
