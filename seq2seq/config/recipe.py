"""Recipes: the keys that all tasks share, and one recipe for each task."""

from typing import Any, ClassVar, Literal, Self, TypeVar, get_args

from pydantic import Field, model_validator

from seq2seq.config.corpus import SIDES
from seq2seq.config.data import (
    RESERVED_SYMBOLS,
    BatchingConfig,
    CorporaConfig,
    DataConfig,
    TargetTokenizerConfig,
    TokenizerConfig,
)
from seq2seq.config.network import (
    DecoderConfig,
    EmbeddingsConfig,
    EncoderConfig,
    LanguageModelDecoderConfig,
    LanguageModelEmbeddingsConfig,
)
from seq2seq.config.objective import TeachersConfig
from seq2seq.config.search import GenerationOptions, SearchOptions
from seq2seq.config.section import Section, field, inherit_field
from seq2seq.config.training import BaseValidationConfig, LossValidationConfig, TrainingConfig, ValidationConfig
from seq2seq.errors import ConfigError

MAX_SEED = 2**31


class Recipe(Section):
    """A complete experiment.

    Attributes:
        corpus_unit: Noun for one entry of a corpus, in the singular.
        sides: Sides of a corpus that are read: `source`, `target`.
        components: Components of the model, see `component_of`.
    """

    corpus_unit: ClassVar[str]
    sides: ClassVar[tuple[str, ...]]
    components: ClassVar[tuple[str, ...]]

    task: str
    seed: int = field(1, "Random seed for initial weights, dropout and data order.", ge=0, lt=MAX_SEED)
    data: CorporaConfig | None = Field(
        None,
        description="Corpora, required for training. null: those of a model that was saved without them.",
    )
    tokenizer: TargetTokenizerConfig = TargetTokenizerConfig()
    batching: BatchingConfig = BatchingConfig()
    training: TrainingConfig = TrainingConfig()
    validation: BaseValidationConfig = BaseValidationConfig()
    stages: tuple[dict[str, Any], ...] = field(
        (),
        "Stages of training, one after the other: each is a section with the keys that it changes in the recipe, e.g. "
        "`{training: {epochs: 10}, data: {train: {tsv: FILE}}}`. A stage starts with the weights and the tokenizers of "
        "the best model of the one before, and with a new optimizer; seed, schedule, epochs and early stopping are its "
        "own.",
    )

    @model_validator(mode="after")
    def _check_batching(self) -> Self:
        tokens = self.batching.max_tokens
        if self.data is not None and tokens is not None and self.data.filters.max_tokens > tokens:
            raise ValueError(
                f"'data.filters.max_tokens' is {self.data.filters.max_tokens}, more than 'batching.max_tokens' "
                f"{tokens}: such a sentence does not fit into any batch"
            )
        return self

    @model_validator(mode="after")
    def _check_warm_start(self) -> Self:
        if self.training.warm_start is not None and self.tokenizer.are_trained:
            raise ValueError(
                "'training.warm_start' needs the tokenizers that its embeddings were trained with: set "
                f"'tokenizer.from_model' to the same directory, or give 'tokenizer.{self.sides[0]}_model'"
            )
        return self

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        sections = [getattr(self, name) for name in ("embeddings", "encoder", "decoder") if hasattr(self, name)]
        rates = [getattr(part, name) for part in sections for name in type(part).model_fields if "dropout" in name]
        if self.training.consistency.type == "r_drop" and not any(rates):
            raise ValueError(
                "'training.consistency.type: r_drop' compares two passes that differ in dropout, but the model has "
                "none: set 'decoder.dropout' or another dropout above 0, or use simcut"
            )
        return self

    @property
    def languages(self) -> tuple[str | None, str | None]:
        """ISO 639 codes of source and target; None: unknown, or a side that is not read."""
        if self.data is None:
            return None, None
        if all(part.phrasebook for part in self.data.train.parts()):
            found: tuple[str | None, str | None] = "en", "de"
        else:
            found = getattr(self.data, "source_language", None), getattr(self.data, "target_language", None)
        return found if "source" in self.sides else (None, found[1])

    def min_parameters(self, source: int, target: int) -> dict[str, int]:
        """Lower bounds of the parameters of the model's parts, by name, given the vocabulary sizes.

        Of each part, only the largest matrices are counted. A real model has about ten times as many parameters, but
        never billions of times as many.
        """
        raise NotImplementedError

    @property
    def corpora(self) -> CorporaConfig:
        """The section `data`, which a recipe for training must have.

        Raises:
            ConfigError: `data` is null.
        """
        if self.data is not None:
            return self.data
        raise ConfigError(
            "the recipe has no 'data' section, like that of a model saved without its corpora: set 'data.train' and "
            "'data.valid', or give files to a command that accepts them."
        )


class TranslationConfig(Recipe):
    """A complete experiment."""

    corpus_unit: ClassVar = "pair"
    sides: ClassVar = SIDES
    components: ClassVar = ("source_embedding", "target_embedding", "encoder", "attention", "decoder", "output")

    task: Literal["translation"] = field(
        "translation",
        "Kind of model. `translation`, the default: an encoder reads the source, and a decoder writes the target.",
    )
    data: DataConfig | None = inherit_field(Recipe, "data", None)
    tokenizer: TokenizerConfig = TokenizerConfig()
    embeddings: EmbeddingsConfig = EmbeddingsConfig()
    encoder: EncoderConfig = EncoderConfig()
    decoder: DecoderConfig = DecoderConfig()
    validation: ValidationConfig = ValidationConfig()
    search: SearchOptions = SearchOptions()
    teachers: TeachersConfig = TeachersConfig()

    @model_validator(mode="after")
    def _check_teachers(self) -> Self:
        if not self.teachers.count:
            return self
        if self.stages:
            raise ValueError(
                "'teachers' are for a recipe without 'stages': train them in a run of their own, and read its "
                "teachers/train.tsv in the stages"
            )
        if self.data is not None and (self.data.train.weights() is not None or self.data.train.temperature != 1.0):
            raise ValueError(
                "'teachers' make one table of all corpora, which has no place for the weights or the temperature of "
                "'data.train': leave them out"
            )
        return self

    @model_validator(mode="after")
    def _check_sections(self) -> Self:
        if self.embeddings.tied == "all" and not self.tokenizer.joint:
            raise ValueError("'embeddings.tied: all' needs 'tokenizer.joint: true'")
        self._check_tags()
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
                        f"'decoder.bridge: copy' passes the encoder's states on unchanged: 'encoder.{name}' {theirs} "
                        f"and 'decoder.{name}' {ours} must be equal, or use 'dense'"
                    )
        return self

    def _check_tags(self) -> None:
        tag, reverse = self.tokenizer.source_tag, self.data.reverse_tag if self.data else None
        for name, symbol in (("tokenizer.source_tag", tag), ("data.reverse_tag", reverse)):
            if symbol is not None and (symbol in RESERVED_SYMBOLS or symbol.split() != [symbol]):
                raise ValueError(f"'{name}': {symbol!r} is empty, reserved or has spaces: write a token such as <2de>")
        if reverse is not None and tag in (None, reverse):
            raise ValueError(
                f"'data.reverse_tag' {reverse} needs a 'tokenizer.source_tag' that differs from it and names the "
                "target language, such as <2de>"
            )
        if reverse is not None and not self.tokenizer.joint:
            raise ValueError("'data.reverse_tag' exchanges source and target: it needs 'tokenizer.joint: true'")

    @model_validator(mode="after")
    def _check_bottleneck(self) -> Self:
        encoder, decoder = self.encoder, self.decoder
        if decoder.attention != "none":
            return self
        if asked := self.search.option_requiring_attention():
            raise ValueError(f"'search.{asked}' needs attention weights, but 'decoder.attention' is none")
        # These affect only outputs, whereas the last states are the cells' own.
        unread = {
            "layer_norm": encoder.layer_norm,
            "residual": encoder.residual == "highway" and encoder.layers > 1,
            "dropout": encoder.dropout > 0 and encoder.layers == 1,
        }
        wrong = [name for name, asked in unread.items() if asked]
        if wrong and decoder.bridge in ("dense", "copy"):
            raise ValueError(
                f"'encoder.{wrong[0]}: {getattr(encoder, wrong[0])}' changes only the top layer's outputs, which are "
                f"not used: 'decoder.attention' is none, and 'decoder.bridge: {decoder.bridge}' reads the last states "
                "of the cells. Use 'decoder.bridge: mean' or 'max', or leave it out"
            )
        return self

    def min_parameters(self, source: int, target: int) -> dict[str, int]:
        size, tied, decoder = self.embeddings.size, self.embeddings.tied, self.decoder
        tables = target * (1 + (tied == "none")) + (source if tied != "all" else 0)
        attends = decoder.attention == "additive" or decoder.heads > 1
        attention = (decoder.attention_units or decoder.units) * decoder.units if attends else 0
        parts = {"encoder": self.encoder.min_parameters(size), "decoder": decoder.min_parameters(size) + attention}
        return {"embeddings": tables * size, **parts}

    def describe_architecture(self) -> dict[str, str]:
        """Describe the model's sections in words."""
        return {
            "embeddings": self.embeddings.describe(),
            "encoder": self.encoder.describe(),
            "attention": self.decoder.describe_attention(),
            "decoder": self.decoder.describe(),
        }

    def next_commands(self, folder: str) -> dict[str, str]:
        """Commands that use a trained model in `folder` (quoted for a shell), by purpose."""
        return {
            "translate": f"seq2seq translate {folder} -i FILE",
            "evaluate": f"seq2seq evaluate {folder} --source FILE --reference FILE",
        }


class LanguageModelConfig(Recipe):
    """A complete experiment with a language model."""

    corpus_unit: ClassVar = "sentence"
    sides: ClassVar = ("target",)
    components: ClassVar = ("target_embedding", "decoder", "output")

    task: Literal["language_model"] = field(
        "language_model",
        "Kind of model. `language_model`: a decoder without an encoder learns the target side of the corpora.",
        paper="Mikolov et al. 2010",
    )
    embeddings: LanguageModelEmbeddingsConfig = LanguageModelEmbeddingsConfig()
    decoder: LanguageModelDecoderConfig = LanguageModelDecoderConfig()
    validation: LossValidationConfig = LossValidationConfig()
    search: GenerationOptions = GenerationOptions()

    def min_parameters(self, source: int, target: int) -> dict[str, int]:
        size, tables = self.embeddings.size, target * (1 + (self.embeddings.tied == "none"))
        return {"embeddings": tables * size, "decoder": self.decoder.min_parameters(size)}

    def describe_architecture(self) -> dict[str, str]:
        return {"embeddings": self.embeddings.describe(), "decoder": f"{self.decoder.describe()}; no source"}

    def next_commands(self, folder: str) -> dict[str, str]:
        return {
            "generate": f"seq2seq generate {folder}",
            "perplexity": f"seq2seq perplexity {folder} -i FILE",
            "shallow fusion": f"seq2seq translate MODEL --language-model {folder}",
        }


Config = TranslationConfig | LanguageModelConfig
RecipeT = TypeVar("RecipeT", bound=Recipe)

# By the name of the task; the first is the default.
TASK_CONFIGS: dict[str, type[Config]] = {recipe.model_fields["task"].default: recipe for recipe in get_args(Config)}


def component_of(weight_name: str) -> str:
    """The component, of a recipe's `components`, that a weight belongs to by its name; else the name's first word."""
    first, *inner = weight_name.split("/")
    if "attention" in (first, *inner):
        return "attention"
    return "output" if first.startswith("output") else first
