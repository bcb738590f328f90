"""YAML with the types of version 1.2, in which `no`, `007` and `1e3` are text where text is expected."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml

from seq2seq.config.schema import nested_section
from seq2seq.errors import ConfigError


@dataclass(frozen=True)
class Unquoted:
    """An unquoted null, boolean or number: its value, and the text as written."""

    value: Any
    text: str

    def __repr__(self) -> str:
        return repr(self.value)


# Booleans of YAML 1.1, accepted where a boolean is expected.
WORDS_FOR_TRUTH = {"yes": True, "on": True, "y": True, "no": False, "off": False, "n": False}


def _truth(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _integer(text: str) -> int:
    bases = {"0o": 8, "0x": 16}
    return int(text[2:], bases[text[:2]]) if text[:2] in bases else int(text)


# Conversions, patterns and first characters, by YAML's names of the types. https://yaml.org/spec/1.2.2, section 10.3.2
CORE_TYPES: dict[str, tuple[Callable[[str], Any], str, list[str]]] = {
    "null": (lambda text: None, "~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (_truth, "true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (_integer, "[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}


class _Loader(yaml.SafeLoader):
    """Loader for YAML 1.2. PyYAML follows 1.1, in which `no` and `on` are booleans, 1:30 is 90, 2024-01-01 a date."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Construct a dict whose keys are always text."""
        values = super().construct_mapping(node, deep)
        return {key.text if isinstance(key, Unquoted) else key: value for key, value in values.items()}

    def construct_unquoted(self, node: Any) -> Unquoted:
        text = self.construct_scalar(node)
        return Unquoted(CORE_TYPES[node.tag.rpartition(":")[2]][0](text), text)


_Loader.yaml_implicit_resolvers = {}
for _name, (_, _pattern, _first) in CORE_TYPES.items():
    _tag = f"tag:yaml.org,2002:{_name}"
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), _first)
    _Loader.add_constructor(_tag, _Loader.construct_unquoted)
# The merge key is not part of version 1.2, but PyYAML supports it.
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"<<\Z"), ["<"])
_Loader.add_constructor("tag:yaml.org,2002:merge", lambda loader, node: str(node.value))


def load_yaml(text: str | bytes) -> Any:
    """Parse YAML into lists, dicts, text and `Unquoted` values; tags cannot construct other objects.

    Raises:
        yaml.YAMLError: The text is not YAML, or it is nested too deeply.
    """
    try:
        return yaml.load(text, _Loader)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply.") from None
    except (ValueError, KeyError, AttributeError) as error:  # raised by PyYAML, or by an integer of thousands of digits
        raise yaml.YAMLError(str(error)) from None


def read_yaml(text: str | bytes, complaint: str) -> Any:
    """Parse YAML with `load_yaml`, with a `ConfigError` that begins with `complaint`."""
    try:
        return load_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{complaint}: {error}") from None


def fit_types(value: Any, annotation: Any) -> Any:
    """Resolve the `Unquoted` values of `load_yaml` for an annotation: to their text where text is expected.

    Values that the annotation does not describe stay as they are, so aliases of aliases are not followed.
    """
    kinds = _alternatives(annotation)
    fitted = value
    if isinstance(value, Unquoted):
        fitted = value.text if str in kinds and type(value.value) not in kinds else value.value
    elif isinstance(value, str) and bool in kinds:
        fitted = WORDS_FOR_TRUTH.get(value.lower(), value)
    elif isinstance(value, list):
        item = next((get_args(kind)[0] for kind in kinds if get_origin(kind) is tuple), None)
        fitted = value if item is None else [fit_types(inner, item) for inner in value]
    elif isinstance(value, dict):
        inside = _values_of(kinds)
        fitted = value if inside is None else {name: fit_types(inner, inside(name)) for name, inner in value.items()}
    return fitted


def _values_of(kinds: list[Any]) -> Callable[[Any], Any] | None:
    """A function from a key of a dict or section to the annotation of its value; None for other kinds."""
    item = next((get_args(kind)[1] for kind in kinds if get_origin(kind) is dict), None)
    if item is not None:
        return lambda name: item
    section = next((found for kind in kinds if (found := nested_section(kind))), None)
    if section is None:
        return None
    fields = section.model_fields
    return lambda name: fields[name].annotation if name in fields else Any


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union, or the annotation itself."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for part in get_args(annotation) for kind in _alternatives(part)]
    return [annotation]
