"""Recipes: strict pydantic models, read from YAML, changed by dotted overrides.

Every key is declared once, in the section it belongs to. An unknown key, a wrong type or an impossible
combination is a `ConfigError` that names the recipe, the key, what was found and what is accepted.
"""

from seq2seq.config.corpus import CorpusConfig, TextConfig
from seq2seq.config.data import FilterConfig, TokenizerConfig
from seq2seq.config.loading import (
    changed_keys,
    dump_config,
    load_config,
    override_config,
    parse_config_text,
    recipe_names,
    stage_recipe,
    teacher_recipe,
    validate_config,
)
from seq2seq.config.network import DecoderConfig, EmbeddingsConfig, EncoderConfig, LanguageModelDecoderConfig
from seq2seq.config.precision import Precision
from seq2seq.config.recipe import Config, LanguageModelConfig, TranslationConfig
from seq2seq.config.search import GenerationOptions, SearchOptions
from seq2seq.config.section import Section
from seq2seq.config.training import RecoveryConfig, ScheduleConfig, TrainingConfig

__all__ = [
    "Config",
    "CorpusConfig",
    "DecoderConfig",
    "EmbeddingsConfig",
    "EncoderConfig",
    "FilterConfig",
    "GenerationOptions",
    "LanguageModelConfig",
    "LanguageModelDecoderConfig",
    "Precision",
    "RecoveryConfig",
    "ScheduleConfig",
    "SearchOptions",
    "Section",
    "TextConfig",
    "TokenizerConfig",
    "TrainingConfig",
    "TranslationConfig",
    "changed_keys",
    "dump_config",
    "load_config",
    "override_config",
    "parse_config_text",
    "recipe_names",
    "stage_recipe",
    "teacher_recipe",
    "validate_config",
]
