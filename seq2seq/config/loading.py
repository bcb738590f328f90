"""Recipes in YAML: read, changed by dotted overrides, checked, written back; what is wrong with them, in words."""

import sys
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from seq2seq.arguments import check_arguments
from seq2seq.config.corpus import CORPUS_KINDS, SIDES
from seq2seq.config.problems import explain_problems, shown
from seq2seq.config.recipe import TASK_CONFIGS, Config
from seq2seq.errors import ConfigError, suggest_similar
from seq2seq.storage.files import is_stream, missing, place_name


@check_arguments()
def load_config(path: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Config:
    """Read a recipe for training and apply overrides.

    Args:
        path: A YAML file, or the bare name of a recipe that ships with the package.
        overrides: `section.key=value` strings; the value is YAML. A number is a place in a list, counted from 0:
            `data.train.mixture.0.weight=2`. A corpus of another kind than the recipe's, such as
            `data.train.tsv=FILE`, replaces it. Or a dict: `{"training.epochs": 5}`.

    Raises:
        ConfigError: The file is missing or not YAML, a key is unknown, a value is not accepted, or there is no `data`.
    """
    file = Path(path)
    if file.is_file() and not is_stream(file):
        text = file.read_bytes()  # YAML finds the encoding, and its error names the byte
    elif str(path) in recipe_names():
        text = (resources.files("seq2seq") / "recipes" / f"{path}.yaml").read_bytes()
    else:
        raise ConfigError(_explain_missing(file))
    config = parse_config_text(text, str(path), overrides)
    if config.data is None:
        raise ConfigError(f"{path}: 'data' is missing.")
    return config


def parse_config_text(text: bytes, origin: str, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Config:
    """`load_config` of a recipe's bytes, which need not name corpora; `origin` is what to call it in errors."""
    settings = override_strings(overrides)
    values = _read_yaml(text, f"{origin}: not valid YAML")
    if isinstance(values, dict):
        for setting in settings:
            _drop_other_kinds(values, setting)
        for setting in settings:
            _override(values, setting)
    return validate_config(values, origin)


def override_strings(overrides: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """Overrides as `section.key=value` strings."""
    if isinstance(overrides, Mapping):
        return [f"{key}={_in_yaml(key, value)}" for key, value in overrides.items()]
    return list(overrides)


def override_values(overrides: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """The values of overrides by their dotted names, unchecked; of a section that is given whole, those of its keys."""
    values: dict[str, Any] = {}
    for setting in override_strings(overrides):
        _override(values, setting)
    return flatten(values)


def _read_yaml(text: str | bytes, complaint: str) -> Any:
    """Plain values: no tag makes another object."""
    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise ConfigError(f"{complaint}: it is nested too deeply.") from None
    except Exception as error:  # of bad numbers and dates, yaml raises ValueError, KeyError and AttributeError
        raise ConfigError(f"{complaint}: {error}") from None


def _in_yaml(key: str, value: Any) -> str:
    """A value on one line."""
    try:
        return yaml.safe_dump(value, default_flow_style=True, width=sys.maxsize).removesuffix("...\n").strip()
    except yaml.YAMLError:
        raise ConfigError(f"'{key}': found {shown(value)}, expected a value that YAML can represent.") from None


def recipe_names() -> list[str]:
    """Names of the recipes that ship with the package."""
    folder = resources.files("seq2seq") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def _explain_missing(path: Path) -> str:
    names, own = recipe_names(), path / "config.yaml"
    if path.is_dir():
        remedy = f"Its recipe is {own}." if own.is_file() else f"Give a file in it, as {path / 'pairs.tsv'}."
        return f"{path}: expected a recipe or a file of sentence pairs, found a folder. {remedy}"
    if is_stream(path):
        return f"{place_name(path)}: expected a file, found a pipe or device, which cannot be read again."
    return (
        f"{missing(path)[:-1]}, and no packaged recipe.{suggest_similar(str(path), names)} Packaged recipes: "
        f"{', '.join(names)}. To train on sentence pairs, give their file: seq2seq train pairs.tsv."
    )


def validate_config(values: Any, origin: str) -> Config:
    """Check plain values against the schema of their task.

    Raises:
        ConfigError: With one line a problem, each naming `origin` and the key.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{origin}: expected sections with keys, found {type(values).__name__}.")
    task = values.get("task", next(iter(TASK_CONFIGS)))
    recipe = TASK_CONFIGS.get(task) if isinstance(task, str) else None
    if recipe is None:  # nobody knows what the other keys may be
        raise ConfigError(
            f"{origin}: 'task': found {shown(task)}. Input should be {' or '.join(map(repr, TASK_CONFIGS))}."
        )
    try:
        return recipe.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain_problems(error, origin, recipe, TASK_CONFIGS)) from None


def dump_config(config: Config) -> str:
    """The complete resolved recipe as YAML; `parse_config_text` reads it back to an equal one."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def changed_keys(old: Config, new: Config) -> list[str]:
    """Dotted names of the keys that differ, in the order of the schema."""
    before, after = flatten(old.model_dump()), flatten(new.model_dump())
    # A section that is null on one side (data.test) has keys on the other only.
    return [key for key in after | before if before.get(key) != after.get(key)]


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by their dotted names: of sections, and of lists that have sections in them, by number from 0."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, tuple) and any(isinstance(entry, dict) for entry in value):  # a list of sections
            value = {str(place): entry for place, entry in enumerate(value)}  # noqa: PLW2901
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _drop_other_kinds(values: dict[str, Any], override: str) -> None:
    """Remove the recipe's corpus if an override such as `data.train.tsv=FILE` gives one of another kind.

    All overrides are read before any is applied, so two of different kinds are both kept, which is an error.
    """
    key, _, text = override.partition("=")
    *path, name = key.split(".")
    kinds = {*SIDES, *CORPUS_KINDS, "fraction", "pairs"}
    if path[:1] != ["data"] or name not in kinds or text.strip() in ("", "null", "~"):
        return
    section: Any = values
    for part in path:
        if isinstance(section, list) and part.isdecimal() and int(part) < len(section):
            section = section[int(part)]
        else:
            section = section.get(part) if isinstance(section, dict) else None
    if name == "pairs":  # of the phrasebook, or to hold out
        if isinstance(section, dict):
            section.pop("fraction", None)
        return
    same_kind = SIDES if name in SIDES else (name,)
    if isinstance(section, dict) and all(section.get(key) is None for key in same_kind):
        for other in section.keys() - {"weight"}:
            del section[other]


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
