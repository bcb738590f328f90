"""The recipe of a translator."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from seq2seq.config.data import SIDES, DataConfig, TokenizerConfig
from seq2seq.config.network import DecoderConfig, EmbeddingsConfig, EncoderConfig
from seq2seq.config.recipe import Recipe
from seq2seq.config.search import SearchOptions
from seq2seq.config.section import field, field_of
from seq2seq.config.training import ValidationConfig


class TranslationConfig(Recipe):
    """A complete experiment."""

    unit: ClassVar = "pairs"
    sides: ClassVar = SIDES
    components: ClassVar = ("source_embedding", "target_embedding", "encoder", "attention", "decoder", "output")

    task: Literal["translation"] = field(
        "translation",
        "A decoder learns the target side of what an encoder reads; the task of a recipe without one.",
    )
    data: DataConfig | None = field_of(Recipe, "data", None)
    tokenizer: TokenizerConfig = TokenizerConfig()
    embeddings: EmbeddingsConfig = EmbeddingsConfig()
    encoder: EncoderConfig = EncoderConfig()
    decoder: DecoderConfig = DecoderConfig()
    validation: ValidationConfig = ValidationConfig()
    search: SearchOptions = SearchOptions()

    @model_validator(mode="after")
    def _check_sections(self) -> Self:
        if self.embeddings.tied == "all" and not self.tokenizer.joint:
            raise ValueError("'embeddings.tied: all' needs 'tokenizer.joint: true'")
        decoder, encoder = self.decoder, self.encoder
        plain_product = decoder.attention in ("dot", "scaled_dot") and decoder.heads == 1
        if plain_product and encoder.units != decoder.units:
            raise ValueError(
                f"'decoder.attention: {decoder.attention}' multiplies decoder and encoder states: "
                f"'encoder.units' {encoder.units} and 'decoder.units' {decoder.units} must be equal, "
                "or use 'general'"
            )
        if decoder.bridge == "copy":
            for name in ("cell", "layers", "units"):
                ours, theirs = getattr(decoder, name), getattr(encoder, name)
                if str(ours).removeprefix("layer_norm_") != str(theirs).removeprefix("layer_norm_"):
                    raise ValueError(
                        f"'decoder.bridge: copy' hands the encoder's states on as they are: 'encoder.{name}' {theirs} "
                        f"and 'decoder.{name}' {ours} must be equal, or use 'dense'"
                    )
        return self

    @model_validator(mode="after")
    def _check_bottleneck(self) -> Self:
        encoder, decoder = self.encoder, self.decoder
        if decoder.attention != "none":
            return self
        if asked := self.search.attention_option():
            raise ValueError(f"'search.{asked}' looks at attention weights, and 'decoder.attention' is none")
        # They come after the last states, which are the cells' own.
        unread = {
            "layer_norm": encoder.layer_norm,
            "residual": encoder.residual == "highway" and encoder.layers > 1,
            "dropout": encoder.dropout > 0 and encoder.layers == 1,
        }
        wrong = [name for name, asked in unread.items() if asked]
        if wrong and decoder.bridge in ("dense", "copy"):
            raise ValueError(
                f"'encoder.{wrong[0]}: {getattr(encoder, wrong[0])}' changes the top layer's outputs, and nothing "
                f"reads them: 'decoder.attention' is none and 'decoder.bridge: {decoder.bridge}' takes the cells' "
                "last states. Use 'mean' or 'max', or leave it out"
            )
        return self

    def min_parameters(self, source: int, target: int) -> dict[str, int]:
        """What the parts of the model have at least, by the sizes of the vocabularies.

        Each size enters by the largest of the matrices that it is a side of, so a model has some ten times as many
        parameters, and not some billion times.
        """
        size, tied, decoder = self.embeddings.size, self.embeddings.tied, self.decoder
        tables = target * (1 + (tied == "none")) + (source if tied != "all" else 0)
        attends = decoder.attention == "additive" or decoder.heads > 1
        attention = (decoder.attention_units or decoder.units) * decoder.units if attends else 0
        parts = {"encoder": self.encoder.min_parameters(size), "decoder": decoder.min_parameters(size) + attention}
        return {"embeddings": tables * size, **parts}

    def architecture(self) -> dict[str, str]:
        """The model's sections in words."""
        return {
            "embeddings": self.embeddings.describe(),
            "encoder": self.encoder.describe(),
            "attention": self.decoder.describe_attention(),
            "decoder": self.decoder.describe(),
        }

    def next_commands(self, folder: str) -> dict[str, str]:
        """What to do with a trained model in `folder`, quoted for a shell: commands by what they do."""
        return {
            "translate": f"seq2seq translate {folder} -i FILE",
            "evaluate": f"seq2seq evaluate {folder} --source FILE --reference FILE",
        }
