"""Tasks, and the model that each builds from its recipe."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from seq2seq.config import Config, LanguageModelConfig, Precision, TranslationConfig
from seq2seq.config.recipe import Recipe, RecipeT
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.models.base import DecoderModel
from seq2seq.models.language_model import LanguageModel
from seq2seq.models.translation import Seq2Seq

ModelT = TypeVar("ModelT", bound=DecoderModel)


@dataclass(frozen=True)
class Task(Generic[RecipeT, ModelT]):
    """A learning task: its recipe class, its model class, and the function that builds a model from a recipe."""

    recipe: type[RecipeT]
    model: type[ModelT]
    build: Callable[[RecipeT, Tokenizers, Precision], ModelT]


def _translator(recipe: TranslationConfig, tokenizers: Tokenizers, precision: Precision) -> Seq2Seq:
    source, target = (tokenizer.vocabulary_size for tokenizer in tokenizers)
    sections = recipe.embeddings, recipe.encoder, recipe.decoder
    return Seq2Seq(source, target, *sections, seed=recipe.seed, precision=precision)


def _language_model(recipe: LanguageModelConfig, tokenizers: Tokenizers, precision: Precision) -> LanguageModel:
    size, sections = tokenizers.target.vocabulary_size, (recipe.embeddings, recipe.decoder)
    return LanguageModel(size, *sections, seed=recipe.seed, precision=precision)


TRANSLATION = Task(TranslationConfig, Seq2Seq, _translator)
LANGUAGE_MODELING = Task(LanguageModelConfig, LanguageModel, _language_model)
TASKS: dict[type[Recipe], Task[Any, Any]] = {task.recipe: task for task in (TRANSLATION, LANGUAGE_MODELING)}


def build_model(config: Config, tokenizers: Tokenizers, precision: Precision = "float32") -> DecoderModel:
    """Build a new model of a recipe's task and sizes."""
    model: DecoderModel = TASKS[type(config)].build(config, tokenizers, precision)
    return model


def recipe_from_model(model: DecoderModel, tokenizers: Tokenizers) -> Config:
    """The recipe, without corpora, from which `build_model` builds such a model for these tokenizers."""
    recipe = next(task.recipe for task in TASKS.values() if isinstance(model, task.model))
    config, sides = model.get_config(), {"joint": tokenizers.is_joint, "source_tag": tokenizers.source.tag}
    found: Config = recipe(
        seed=config["seed"],
        tokenizer={"vocabulary_size": tokenizers.target.vocabulary_size} | (sides if len(recipe.sides) > 1 else {}),
        **{name: config[name] for name in model.section_types},
    )
    return found
