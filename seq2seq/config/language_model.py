"""The recipe of a language model: what it has of a translator's, and where its defaults are others."""

from typing import ClassVar, Literal

from seq2seq.config.network import TargetEmbeddingsConfig, UnconditionalDecoderConfig
from seq2seq.config.recipe import Recipe
from seq2seq.config.search import TextSearchOptions
from seq2seq.config.section import field, field_of
from seq2seq.config.training import LossValidationConfig

MAX_LENGTH = 100  # tokens of a text that is generated, unless something else is said


class LanguageModelEmbeddingsConfig(TargetEmbeddingsConfig):
    """Embeddings, and what shares their weights."""

    tied: Literal["none", "target"] = field(
        "target", "`target`: the output layer is the embedding.", paper="Press and Wolf 2017"
    )

    def describe(self) -> str:
        tables = "input and output have a table each" if self.tied == "none" else "one table for input and output"
        return f"{self.size} units; {tables}"


class GenerationOptions(TextSearchOptions):
    """Search and sampling of text by a language model."""

    sample: bool = field_of(TextSearchOptions, "sample", True)
    max_length: int | None = field_of(TextSearchOptions, "max_length", MAX_LENGTH)


class LanguageModelConfig(Recipe):
    """A complete experiment with a language model."""

    unit: ClassVar = "sentences"
    sides: ClassVar = ("target",)
    components: ClassVar = ("target_embedding", "decoder", "output")

    task: Literal["language_model"] = field(
        "language_model", "A decoder alone learns the target side of the corpora.", paper="Mikolov et al. 2010"
    )
    embeddings: LanguageModelEmbeddingsConfig = LanguageModelEmbeddingsConfig()
    decoder: UnconditionalDecoderConfig = UnconditionalDecoderConfig()
    validation: LossValidationConfig = LossValidationConfig()
    search: GenerationOptions = GenerationOptions()

    def min_parameters(self, source: int, target: int) -> dict[str, int]:
        tables = target * (1 + (self.embeddings.tied == "none"))
        size = self.embeddings.size
        return {"embeddings": tables * size, "decoder": self.decoder.min_parameters(size)}

    def architecture(self) -> dict[str, str]:
        return {"embeddings": self.embeddings.describe(), "decoder": f"{self.decoder.describe()}; reads no source"}

    def next_commands(self, folder: str) -> dict[str, str]:
        return {
            "generate": f"seq2seq generate {folder}",
            "perplexity": f"seq2seq perplexity {folder} -i FILE",
            "help a translator": f"--language-model {folder}",
        }
