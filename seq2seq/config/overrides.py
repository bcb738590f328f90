"""Overrides of a recipe, `section.key=value`: read them, and apply them to plain values."""

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

import yaml

from seq2seq.config.corpus import CORPUS_KINDS, SIDES
from seq2seq.config.problems import shown
from seq2seq.config.recipe import TranslationConfig
from seq2seq.config.section import Section
from seq2seq.config.yaml_text import Unquoted, fit_types, read_yaml
from seq2seq.errors import ConfigError


def apply_overrides(values: dict[str, Any], overrides: Sequence[str] | Mapping[str, Any]) -> None:
    """Apply overrides to the plain values of a recipe, in place.

    Raises:
        ConfigError: An override is not `section.key=value`, or has no place in the values.
    """
    read = _read_overrides(overrides)
    for override in read:
        _drop_other_kinds(values, override)
    for override in read:
        _apply(values, override)


def override_strings(overrides: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """Overrides as `section.key=value` strings."""
    if not isinstance(overrides, Mapping):
        return list(overrides)
    return [f"{key}={_on_one_line(_plain(key, value))}" for key, value in overrides.items()]


def _on_one_line(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def override_values(overrides: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Unchecked values of overrides by their dotted names; a section given as a whole is split into its keys."""
    values: dict[str, Any] = {}
    for override in _read_overrides(overrides):
        _apply(values, override)
    return flatten(fit_types(values, TranslationConfig))


class _Override(NamedTuple):
    """A dotted key, its new value, and the `label` of both in errors."""

    key: str
    value: Any
    label: str


def _read_overrides(overrides: Sequence[str] | Mapping[str, Any]) -> list[_Override]:
    if isinstance(overrides, Mapping):
        return [_Override(key, _plain(key, value), f"{key}={shown(value)}") for key, value in overrides.items()]
    read = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {override}: expected section.key=value, as in --set training.epochs=5.")
        value = read_yaml(text, f"--set {override}: the value is not valid YAML")
        read.append(_Override(key, value, f"--set {override}"))
    return read


def _plain(key: str, value: Any) -> Any:
    """A fresh copy of a Python value in the form in which YAML would provide it."""
    if isinstance(value, Section):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Unquoted):
        return value.value
    if isinstance(value, Mapping):
        return {name: _plain(key, inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(key, inner) for inner in value]
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise ConfigError(f"'{key}': found {shown(value)}, expected a value that YAML can represent.")


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested sections to values by dotted names; sections in a list are numbered from 0."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, tuple) and any(isinstance(entry, dict) for entry in value):  # a list of sections
            value = {str(place): entry for place, entry in enumerate(value)}  # noqa: PLW2901
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _drop_other_kinds(values: dict[str, Any], override: _Override) -> None:
    """Remove the recipe's corpus if an override such as `data.train.tsv=FILE` gives one of a different kind.

    This happens for all overrides before any is applied, so two overrides of different kinds are both kept, which is
    an error.
    """
    *path, name = override.key.split(".")
    kinds = {*SIDES, *CORPUS_KINDS, "fraction", "pairs"}
    if path[:1] != ["data"] or name not in kinds or _is_null(override.value):
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
    if isinstance(section, dict) and all(_is_null(section.get(key)) for key in same_kind):
        for other in section.keys() - {"weight"}:
            del section[other]


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, Unquoted) and value.value is None)


def _apply(values: dict[str, Any], override: _Override) -> None:
    *sections, last = override.key.split(".")
    inner: Any = values
    for depth, name in enumerate(sections):
        place = _place(inner, sections[:depth], name, override.label)
        if isinstance(inner, dict) and _is_null(inner.get(name)):
            inner[name] = {}  # a section that the recipe does not have, or has as null
        inner = inner[place]
    inner[_place(inner, sections, last, override.label)] = override.value


def _place(values: Any, path: Sequence[str], name: str, label: str) -> str | int:
    """The key or index that `name` stands for in the section or list at `path`."""
    if isinstance(values, dict):
        return name
    where = ".".join(path)
    if not isinstance(values, list):
        raise ConfigError(f"{label}: '{where}' is a value, not a section.")
    if not name.isdecimal() or int(name) >= len(values):
        raise ConfigError(
            f"{label}: '{where}' is a list of {len(values)}, counted from 0: it has no '{name}'. "
            f"To change its length, set the whole list: --set {where}=[...]."
        )
    return int(name)
