"""The tasks: a recipe is one of these, as its key `task` says."""

from typing import get_args

from seq2seq.config.language_model import LanguageModelConfig
from seq2seq.config.translation import TranslationConfig

Config = TranslationConfig | LanguageModelConfig

# By the name of the task; the first is that of a recipe without one.
RECIPES: dict[str, type[Config]] = {recipe.model_fields["task"].default: recipe for recipe in get_args(Config)}
