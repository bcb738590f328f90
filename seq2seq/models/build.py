"""From a recipe to a fresh model."""

from seq2seq.config import Config, DecoderConfig, EncoderConfig, Precision
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


def least_parameters(config: Config, tokenizers: Tokenizers) -> dict[str, int]:
    """What the parts of a recipe's model have at least, without building it: `embeddings`, `encoder`, `decoder`.

    Each size enters by the largest of the matrices that it is a side of, so a model has some ten times as many
    parameters, and not some billion times.
    """
    size, tied, decoder = config.embeddings.size, config.embeddings.tied, config.decoder
    translates = config.task == "translation"
    tables = tokenizers.target.vocabulary_size * (1 + (tied == "none"))
    if translates and tied != "all":
        tables += tokenizers.source.vocabulary_size
    attends = translates and (decoder.attention == "additive" or decoder.heads > 1)
    attention = (decoder.attention_units or decoder.units) * decoder.units if attends else 0
    parts = {"embeddings": tables * size, "decoder": _least_of_stack(decoder, size) + attention}
    return parts | ({"encoder": _least_of_stack(config.encoder, size)} if translates else {})


def _least_of_stack(section: EncoderConfig | DecoderConfig, size: int) -> int:
    # Two directions halve the units, and a clockwork cell leaves out half of its matrix; the bottom of a stack of SRUs
    # has no matrix over time.
    square = section.units**2 // 4
    return size * section.units + square * (section.layers * section.transition_depth - (section.cell == "sru"))
