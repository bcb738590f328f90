"""Options for keys of a recipe, generated from the declarations of the keys; all others are declared by hand."""

import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from seq2seq.config import LanguageModelConfig, SearchOptions, Section, TranslationConfig
from seq2seq.config.search import TextSearchOptions
from seq2seq.errors import ConfigError

SectionT = TypeVar("SectionT", bound=Section)
ConfigT = TypeVar("ConfigT", TranslationConfig, LanguageModelConfig)
OptionsT = TypeVar("OptionsT", bound=TextSearchOptions)


def with_search_options(
    *without: str, section: type[TextSearchOptions] = SearchOptions
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add an option for every `search` key except `without`.

    The options replace the command's parameter `search`, which receives the given values by key; `search_options`
    merges them with the model's own options.

    Args:
        without: Keys that do not apply to the command.
        section: Search section in the recipes of the command's models.
    """
    keys = {key: field for key, field in section.model_fields.items() if key not in without}
    options = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(field, keys))
        for key, field in keys.items()
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command).parameters.values())
        place = [parameter.name for parameter in own].index("search")

        @wraps(command)
        def run(**values: Any) -> None:
            given = {key: value for key in keys if (value := values.pop(key)) is not None}
            command(**values, search=given)

        parameters = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in (*own[:place], *options, *own[place + 1 :])
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _option(field: FieldInfo, keys: Collection[str]) -> Any:
    """The annotation from which Typer makes an option."""
    about = field.json_schema_extra
    assert isinstance(about, dict)
    kinds = [kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not type(None)]
    kind: Any = field.annotation
    flags = re.sub(r"`(\w+)`", lambda word: flag(word[1]) if word[1] in keys else word[1], field.description or "")
    panel = str(about["panel"])
    if get_origin(kinds[0]) is tuple:
        text = f"{flags}{_default(field)}"
        option = typer.Option(help=text, parser=_numbers, metavar="NUMBER,...", rich_help_panel=panel)
        return Annotated[Any, option]  # Typer would take each number as an argument of its own
    metavar = None
    if get_origin(field.annotation) is not Literal:
        words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
        kind = str if words else kinds[0]
        metavar = "|".join(["FLOAT", *words]) if words else {"directory": "DIR", "file": "FILE"}.get(str(about["unit"]))
    else:
        metavar = "NAME"  # the description names the choices; a list of them would leave too little room for it
    text = f"{flags}{_default(field)}"
    return Annotated[kind | None, typer.Option(help=text, metavar=metavar, rich_help_panel=panel)]


def _default(field: FieldInfo) -> str:
    """The default of a key, as the end of the help of its option; "" if the description has it."""
    if field.default is None and "Default:" in str(field.description):
        return ""
    words = {None: "none", True: "yes", False: "no"}
    default = words[field.default] if field.default is None or isinstance(field.default, bool) else field.default
    return f" Recipe default: {default}."


def _numbers(text: str) -> tuple[float, ...]:
    """Numbers separated by commas."""
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise typer.BadParameter(f"expected numbers separated by commas, such as 2,1; found {text!r}") from None


def flag(key: str) -> str:
    """The command-line option for a key."""
    return f"--{key.replace('_', '-')}"


def search_options(base: OptionsT, given: Mapping[str, Any]) -> OptionsT:
    """`base` updated with the options given on the command line; `n_best` is 1 unless given.

    The `candidates` of `base` are left out if they do not fit the options given, such as a smaller beam.

    Raises:
        ConfigError: A value is not accepted.
    """
    values = base.model_dump() | {"n_best": 1, **given}
    if given.get("sample") is False:  # the recipe's sampling options do not apply
        for key in ("temperature", "top_k", "top_p"):
            values[key] = given.get(key, type(base).model_fields[key].default)
    try:
        return section_from_flags(type(base), values)
    except ConfigError:
        if values.get("candidates") is not None and "candidates" not in given:
            with suppress(ConfigError):
                return section_from_flags(type(base), values | {"candidates": None})
        raise


def load_recipe_and_options(
    model: Path, kind: type[ConfigT], given: Mapping[str, Any], others: Sequence[Path] = ()
) -> tuple[ConfigT, Any]:
    """Load the recipe of a model and its search options, updated by `search_options`; TensorFlow is not needed.

    Args:
        model: Model directory.
        kind: Recipe of the model's task.
        given: Search options by key.
        others: Directories of the other models of an ensemble.

    Raises:
        ConfigError: A value is not accepted, or see `check_ensemble_options`.
        ModelDirectoryError: A model, the language model or the one that reranks does not exist, or has another task.
    """
    from seq2seq.model_directory.directory import load_model_config, load_recipe, read_metadata
    from seq2seq.model_directory.pretrained import find_other_model

    check_ensemble_options([model, *others], given)
    recipe = load_recipe(model, kind)
    for other in others:
        load_recipe(other, kind)
    options: TextSearchOptions = search_options(recipe.search, given)
    if isinstance(options, SearchOptions) and options.uses_fusion:
        load_recipe(find_other_model(str(options.language_model)), LanguageModelConfig)
    if isinstance(options, SearchOptions) and options.uses_reranking:
        folder = find_other_model(str(options.rerank_model))
        read_metadata(folder)
        load_model_config(folder)
    return recipe, options


def check_ensemble_options(models: Sequence[Path], given: Mapping[str, Any]) -> None:
    """Reject the options of an ensemble if they are given for a single model; a recipe may have them.

    Raises:
        ConfigError: There is one model, and an option says how to combine several.
    """
    wrong = [flag(key) for key in given if key.startswith("ensemble_")]
    if len(models) == 1 and wrong:
        raise ConfigError(
            f"{wrong[0]}: combines several models, but found only {models[0]}. Give all models, one after the other, "
            f"or leave out {wrong[0]}."
        )


def section_from_flags(section: type[SectionT], values: dict[str, Any]) -> SectionT:
    """A section of a recipe from flags; `--beam-size` is `beam_size`.

    Raises:
        ConfigError: A value is not accepted; the message names the flag.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        key = problem["loc"][0] if problem["loc"] else None
        named = f"{flag(str(key))} {values[str(key)]}: " if key else ""
        raise ConfigError(f"{named}{problem['msg'].removeprefix('Value error, ')}.") from None
