"""A complete recipe: read from YAML, changed by dotted overrides, checked, written back."""

from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from reprlib import Repr
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import Field, ValidationError, model_validator

from seq2seq.config.data import BatchingConfig, DataConfig, TokenizerConfig
from seq2seq.config.language_model import check_language_model, filled_for_language_model, keys_without_meaning
from seq2seq.config.network import DecoderConfig, EmbeddingsConfig, EncoderConfig
from seq2seq.config.search import SearchOptions
from seq2seq.config.section import Section, key
from seq2seq.config.training import TrainingConfig, ValidationConfig
from seq2seq.errors import ConfigError, did_you_mean

_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 3, 200, 200, 200


class Config(Section):
    """A complete experiment."""

    task: Literal["translation", "language_model"] = key(
        "translation",
        "`language_model`: a decoder alone learns the target side of the corpora; sections and keys about the source "
        "keep their defaults.",
        paper="Mikolov et al. 2010",
    )
    seed: int = key(1, "Of first weights, dropout and the order of sentences.", ge=0, lt=2**31)
    data: DataConfig = Field(description="The corpora; the one section without a default.")
    tokenizer: TokenizerConfig = TokenizerConfig()
    batching: BatchingConfig = BatchingConfig()
    embeddings: EmbeddingsConfig = EmbeddingsConfig()
    encoder: EncoderConfig = EncoderConfig()
    decoder: DecoderConfig = DecoderConfig()
    training: TrainingConfig = TrainingConfig()
    validation: ValidationConfig = ValidationConfig()
    search: SearchOptions = SearchOptions()

    @model_validator(mode="before")
    @classmethod
    def defaults_of_the_task(cls, values: Any) -> Any:
        is_one = isinstance(values, dict) and values.get("task") == "language_model"
        return filled_for_language_model(values) if is_one else values

    @property
    def corpora(self) -> DataConfig:
        """`data` as it is read: a language model's without sources."""
        return self.data.target_side() if self.task == "language_model" else self.data

    @model_validator(mode="after")
    def keys_fit_the_task(self) -> "Config":
        if self.task == "language_model":
            check_language_model(self)
            return self
        for name in ("train", "valid", "test"):
            corpus = getattr(self.data, name)
            for part in corpus.parts() if corpus else ():
                if part.target is not None and part.source is None:
                    raise ValueError(
                        f"'data.{name}': 'source' and 'target' go together: give both files; a 'target' alone, here "
                        f"{part.target}, is for 'task: language_model'"
                    )
        if self.tokenizer.target_model is not None and self.tokenizer.source_model is None:
            raise ValueError(
                "'tokenizer.target_model' alone is for 'task: language_model': give 'tokenizer.source_model' too"
            )
        return self

    @model_validator(mode="after")
    def parts_fit(self) -> "Config":
        if self.embeddings.tied == "all" and not self.tokenizer.joint:
            raise ValueError("'embeddings.tied: all' needs 'tokenizer.joint: true'")
        if self.batching.tokens is not None and self.data.filters.max_tokens > self.batching.tokens:
            raise ValueError(
                f"'data.filters.max_tokens' is {self.data.filters.max_tokens}, more than 'batching.tokens' "
                f"{self.batching.tokens}: such a sentence fits no batch"
            )
        decoder, encoder = self.decoder, self.encoder
        plain_product = decoder.attention in ("dot", "scaled_dot") and decoder.heads == 1
        if plain_product and encoder.units != decoder.units:
            raise ValueError(
                f"'decoder.attention: {decoder.attention}' multiplies decoder and encoder states: "
                f"'encoder.units' {encoder.units} and 'decoder.units' {decoder.units} must be equal, "
                "or use 'general'"
            )
        if decoder.summary == "last":
            for name in ("cell", "layers", "units"):
                ours, theirs = getattr(decoder, name), getattr(encoder, name)
                if str(ours).removeprefix("layer_norm_") != str(theirs).removeprefix("layer_norm_"):
                    raise ValueError(
                        f"'decoder.summary: last' hands the encoder's states on as they are: 'encoder.{name}' {theirs} "
                        f"and 'decoder.{name}' {ours} must be equal, or use 'transformed'"
                    )
        if (
            self.training.warm_start is not None
            and self.tokenizer.from_model is None
            and not (self.tokenizer.source_model or self.tokenizer.target_model)
        ):
            side = "target" if self.task == "language_model" else "source"
            raise ValueError(
                "'training.warm_start' needs the tokenizers that its embeddings were trained with: set "
                f"'tokenizer.from_model' to the same directory, or give 'tokenizer.{side}_model'"
            )
        return self

    @model_validator(mode="after")
    def all_is_read_without_attention(self) -> "Config":
        encoder, decoder = self.encoder, self.decoder
        if decoder.attention != "none":
            return self
        if asked := self.search.looks_at_attention():
            raise ValueError(f"'search.{asked}' looks at attention weights, and 'decoder.attention' is none")
        # They come after the last states, which are the cells' own.
        unread = {
            "layer_norm": encoder.layer_norm,
            "residual": encoder.residual == "highway" and encoder.layers > 1,
            "dropout": encoder.dropout > 0 and encoder.layers == 1,
        }
        wrong = [name for name, asked in unread.items() if asked]
        if wrong and decoder.summary in ("transformed", "last"):
            raise ValueError(
                f"'encoder.{wrong[0]}: {getattr(encoder, wrong[0])}' changes the top layer's outputs, and nothing "
                f"reads them: 'decoder.attention' is none and 'decoder.summary: {decoder.summary}' takes the cells' "
                "last states. Use 'mean' or 'max', or leave it out"
            )
        return self


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a recipe and apply overrides.

    Args:
        path: A YAML file, or the bare name of a recipe that ships with the package.
        overrides: `section.key=value` strings; the value is YAML. A number is a place in a list, counted from 0:
            `data.train.mixture.0.weight=2`.

    Raises:
        ConfigError: The file is missing or not YAML, a key is unknown, or a value is not accepted.
    """
    file = Path(path)
    if file.is_file():
        text = file.read_bytes()  # YAML finds the encoding, and its error names the byte
    elif str(path) in recipe_names():
        text = (resources.files("seq2seq") / "recipes" / f"{path}.yaml").read_bytes()
    else:
        raise ConfigError(
            f"{path}: no such recipe. Give a YAML file, or one of the packaged recipes: {', '.join(recipe_names())}."
        )
    return read_config(text, str(path), overrides)


def read_config(text: bytes, origin: str, overrides: Sequence[str] = ()) -> Config:
    """`load_config` of a recipe's bytes; `origin` is what to call it in errors."""
    values = _read_yaml(text, f"{origin}: not valid YAML")
    if not isinstance(values, dict):
        raise ConfigError(f"{origin}: expected sections with keys, found {type(values).__name__}.")
    for override in overrides:
        _override(values, override)
    return parse_config(values, origin)


def _read_yaml(text: str | bytes, complaint: str) -> Any:
    """Plain values: no tag makes another object.

    Raises:
        ConfigError: It is not YAML, or refers to itself again and again.
    """
    try:
        values = yaml.safe_load(text)
    except RecursionError:
        raise ConfigError(f"{complaint}: it is nested too deeply.") from None
    except Exception as error:  # of bad numbers and dates, yaml raises ValueError, KeyError and AttributeError
        raise ConfigError(f"{complaint}: {error}") from None
    return values


def recipe_names() -> list[str]:
    """Names of the recipes that ship with the package."""
    folder = resources.files("seq2seq") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def parse_config(values: dict[str, Any], origin: str) -> Config:
    """Check plain values against the schema.

    Raises:
        ConfigError: With one line a problem, each naming `origin` and the key.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        problems = error.errors()
        # Of a task that is not known, nobody knows what the other keys may be.
        of_task = [problem for problem in problems if problem["loc"] == ("task",)]
        raise ConfigError("\n".join(_explain(problem, origin) for problem in of_task or problems)) from None


def dump_config(config: Config) -> str:
    """The complete resolved recipe as YAML; `load_config` reads it back to an equal `Config`.

    That of a language model lacks what means nothing to it.
    """
    excluded = keys_without_meaning() if config.task == "language_model" else None
    return yaml.safe_dump(config.model_dump(mode="json", exclude=excluded), sort_keys=False, allow_unicode=True)


def changed_keys(old: Config, new: Config) -> list[str]:
    """Dotted names of the keys that differ, in the order of the schema."""
    before, after = _flatten(old.model_dump()), _flatten(new.model_dump())
    # A section that is null on one side (data.test) has keys on the other only.
    return [key for key in after | before if before.get(key) != after.get(key)]


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, tuple) and any(isinstance(entry, dict) for entry in value):  # a list of sections
            value = {str(place): entry for place, entry in enumerate(value)}  # noqa: PLW2901
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: expected section.key=value, as in --set training.epochs=5.")
    value = _read_yaml(text, f"--set {override}: the value is not valid YAML")
    *sections, last = key.split(".")
    inner: Any = values
    for depth, name in enumerate(sections):
        place = _place(inner, sections[:depth], name, override)
        if isinstance(inner, dict) and inner.get(name) is None:
            inner[name] = {}  # a section that the recipe does not have, or has as null
        inner = inner[place]
    inner[_place(inner, sections, last, override)] = value


def _place(values: Any, path: Sequence[str], name: str, override: str) -> str | int:
    """What `name` is in the section or list at `path`: a key or a number."""
    if isinstance(values, dict):
        return name
    where = ".".join(path)
    if not isinstance(values, list):
        raise ConfigError(f"--set {override}: '{where}' is a value, not a section.")
    if not name.isdecimal() or int(name) >= len(values):
        raise ConfigError(
            f"--set {override}: '{where}' is a list of {len(values)}, counted from 0: it has no '{name}'. "
            f"To make it longer or shorter, set all of it: --set {where}=[...]."
        )
    return int(name)


def _found(value: Any) -> str:
    """A value as Python writes it, cut short: a few lines of YAML can stand for gigabytes."""
    try:
        return _SHORT.repr(value)
    except ValueError:
        return "an integer of thousands of digits"


def _explain(problem: Any, origin: str) -> str:
    *parents, last = problem["loc"] or ("",)
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        accepted = sorted(_section(parents).model_fields)
        where = f"in {'.'.join(map(str, parents))}" if parents else "at the top"
        elsewhere = [name for name in _dotted_keys() if name.rpartition(".")[2] == last]
        hint = did_you_mean(str(last), accepted) or did_you_mean(elsewhere[0] if elsewhere else "", elsewhere)
        return f"{origin}: unknown key '{key}'.{hint} Accepted {where}: {', '.join(accepted)}."
    if problem["type"] == "missing":
        return f"{origin}: '{key}' is missing."
    if problem["type"] == "model_type":
        names = ", ".join(sorted(_section(problem["loc"]).model_fields))
        return f"{origin}: '{key}': found {_found(problem['input'])}, expected a section with keys of: {names}."
    if problem["type"] == "tuple_type":
        return f"{origin}: '{key}': found {_found(problem['input'])}, expected a list."
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{origin}: {key + ': ' if key else ''}{message}."
    return f"{origin}: '{key}': found {_found(problem['input'])}. {message}."


def sections(section: type[Section] = Config, prefix: str = "") -> Iterator[tuple[str, type[Section]]]:
    """Every section that is, or lies in, `section`, with its dotted name; the one at the top is called "".

    Sections in a list go by the name of the first: `data.train.mixture.0`.
    """
    yield prefix, section
    for name, field in section.model_fields.items():
        inner = _inner_section(field.annotation)
        if inner is not None:
            place = ".0" if _is_list(field.annotation) else ""
            yield from sections(inner, f"{prefix}.{name}{place}".lstrip("."))


def _dotted_keys() -> list[str]:
    return [
        f"{prefix}.{name}".lstrip(".")
        for prefix, section in sections()
        for name, field in section.model_fields.items()
        if _inner_section(field.annotation) is None
    ]


def _section(path: Sequence[str | int]) -> type[Section]:
    section: type[Section] = Config
    for name in path:
        if isinstance(name, str):  # a number is a place in a list of sections
            inner = _inner_section(section.model_fields[name].annotation)
            assert inner is not None
            section = inner
    return section


def _inner_section(annotation: Any) -> type[Section] | None:
    """The section in `Section`, `Section | None` or `tuple[Section, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    inner = (_inner_section(part) for part in get_args(annotation))
    return next((section for section in inner if section is not None), None)


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(_is_list(part) for part in get_args(annotation))
