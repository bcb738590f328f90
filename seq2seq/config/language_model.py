"""What a recipe with `task: language_model` says of itself, and what it cannot say."""

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from seq2seq.config.search import BESIDE_THE_MODEL
from seq2seq.config.section import Section

if TYPE_CHECKING:
    from seq2seq.config.recipe import Config

MAX_LENGTH = 100  # tokens of a text that is written, unless something else is said

# Where a language model's defaults are others than a translation model's.
DEFAULTS: dict[str, dict[str, Any]] = {
    "decoder": {"attention": "none"},
    "validation": {"metric": "loss", "bleu": False},
    "search": {"sample": True, "max_length": MAX_LENGTH},
}
# Keys about a source, a translation or the search for one; they keep their defaults, or a language model's.
WITHOUT_MEANING = {
    "data": ("target_language",),
    "data.filters": ("max_ratio",),
    "tokenizer": ("joint", "source_model"),
    "embeddings": ("source_word_dropout",),
    "decoder": ("attention", "summary", "context"),
    "validation": ("metric", "beam_size", "bleu"),
    "search": (
        "coverage_penalty",
        "max_length_factor",
        "max_length_extra",
        "unk",
        "max_source_tokens",
        "long_lines",
        *BESIDE_THE_MODEL,
        "batch_tokens",
    ),
}


def filled_for_language_model(values: dict[str, Any]) -> dict[str, Any]:
    """Plain values of a recipe with a language model's defaults where it does not say otherwise."""
    filled = dict(values)
    for name, defaults in DEFAULTS.items():
        section = values.get(name, {})
        if isinstance(section, Section):
            section = section.model_dump(exclude_unset=True)
        if isinstance(section, dict):
            # Without what would go with another metric, so that the metric is what is refused.
            filled[name] = section if section.get("metric") == "bleu" else defaults | section
    return filled


def check_language_model(config: "Config") -> None:
    """See that a language model's recipe says nothing of a source.

    Raises:
        ValueError: It does; names the key, what was found and what is accepted.
    """
    encoder = type(config.encoder)()
    for key in type(encoder).model_fields:
        if getattr(config.encoder, key) != getattr(encoder, key):
            raise ValueError(
                f"'encoder.{key}' is {_spelt(getattr(config.encoder, key))}, and 'task: language_model' has no "
                "encoder: leave the section out"
            )
    for name in WITHOUT_MEANING:
        if complaint := what_means_nothing(name, attrgetter(name)(config)):
            raise ValueError(complaint)
    if config.embeddings.tied == "all":
        raise ValueError("'embeddings.tied: all' shares a table with the source, and 'task: language_model' has none")


def what_means_nothing(name: str, section: Section) -> str:
    """The first key of a section of WITHOUT_MEANING that is not as it must be, with what to do; "" if all are."""
    for key in WITHOUT_MEANING[name]:
        found = getattr(section, key)
        accepted = DEFAULTS.get(name, {}).get(key, type(section).model_fields[key].default)
        if found != accepted:
            return (
                f"'{name}.{key}' is {_spelt(found)}, and 'task: language_model' has no source and no translations: "
                f"leave it out, or set it to {_spelt(accepted)}"
            )
    return ""


def keys_without_meaning() -> dict[str, Any]:
    """The encoder and WITHOUT_MEANING as pydantic's `exclude` takes them.

    A saved recipe does not have them, so that a model stays readable when a later version has other defaults.
    """
    found: dict[str, Any] = {"encoder": True}
    for name, keys in WITHOUT_MEANING.items():
        section = found
        for part in name.split("."):
            section = section.setdefault(part, {})
        section |= dict.fromkeys(keys, True)
    return found


def _spelt(value: Any) -> str:
    """A value as YAML has it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
