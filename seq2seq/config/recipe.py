"""What a recipe of any task has."""

from typing import ClassVar, Self, TypeVar

from pydantic import Field, model_validator

from seq2seq.config.data import BatchingConfig, CorporaConfig, TargetTokenizerConfig
from seq2seq.config.section import Section, field
from seq2seq.config.training import BaseValidationConfig, TrainingConfig
from seq2seq.errors import ConfigError


class Recipe(Section):
    """A complete experiment.

    unit   what a corpus is counted in
    sides  of a corpus that are read: `source`, `target`
    components  of the model, by the first names of their weights; see `model_directory.inspection`
    """

    unit: ClassVar[str]
    sides: ClassVar[tuple[str, ...]]
    components: ClassVar[tuple[str, ...]]

    task: str
    seed: int = field(1, "Random seed of initial weights, dropout and the order of sentences.", ge=0, lt=2**31)
    data: CorporaConfig | None = Field(
        None, description="The corpora; training needs them, and there is no default. null: of a model without any."
    )
    tokenizer: TargetTokenizerConfig = TargetTokenizerConfig()
    batching: BatchingConfig = BatchingConfig()
    training: TrainingConfig = TrainingConfig()
    validation: BaseValidationConfig = BaseValidationConfig()

    @model_validator(mode="after")
    def _check_batching(self) -> Self:
        tokens = self.batching.max_tokens
        if self.data is not None and tokens is not None and self.data.filters.max_tokens > tokens:
            raise ValueError(
                f"'data.filters.max_tokens' is {self.data.filters.max_tokens}, more than 'batching.max_tokens' "
                f"{tokens}: "
                "such a sentence fits no batch"
            )
        return self

    @model_validator(mode="after")
    def _check_warm_start(self) -> Self:
        given = self.tokenizer.from_model is not None or any(part.file for part in self.tokenizer.parts())
        if self.training.warm_start is not None and not given:
            raise ValueError(
                "'training.warm_start' needs the tokenizers that its embeddings were trained with: set "
                f"'tokenizer.from_model' to the same directory, or give 'tokenizer.{self.sides[0]}_model'"
            )
        return self

    def min_parameters(self, source: int, target: int) -> dict[str, int]:
        """What the parts of the model have at least, by the sizes of the vocabularies."""
        raise NotImplementedError

    @property
    def corpora(self) -> CorporaConfig:
        """`data`, which a recipe for training has.

        Raises:
            ConfigError: There is none.
        """
        if self.data is not None:
            return self.data
        raise ConfigError(
            "the recipe has no 'data' section, as of a model that was saved without its corpora: give it 'data.train' "
            "and 'data.valid', or name files where a command takes them."
        )


RecipeT = TypeVar("RecipeT", bound=Recipe)
