"""Kinds of arguments: their accepted values, and their names in messages."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from reprlib import Repr
from typing import Any, NamedTuple

from pydantic import BaseModel

from seq2seq.errors import suggest_similar

SHORT = Repr()
SHORT.maxstring = SHORT.maxother = 60


class Dims(NamedTuple):
    """For `Annotated[np.ndarray, Dims(2)]`: number of dimensions of an array, and kinds of its dtype, as in NumPy."""

    least: int = 1
    most: int | None = None
    kinds: str = "biuf"

    def describe(self) -> str:
        words = f"{self.least}" if self.most == self.least else f"{self.least} or more"
        what = "an array of " + ("numbers" if "f" in self.kinds else "integers")
        return what if self == Dims() else f"{what} of {words} dimension{'s' * (words != '1')}"


class Mismatch(Exception):  # noqa: N818  # it is caught at the door
    """A value does not match its kind; `place` locates it in the argument, e.g. `[3]`."""

    def __init__(self, expected: str, value: Any, remedy: str = "", found: str = "") -> None:
        self.expected, self.found, self.remedy, self.place = expected, found or describe(value), remedy, ""

    def depth(self) -> tuple[int, int, int]:
        """How far a value was accepted; the deepest mismatch is the best guess at what was meant."""
        first = re.match(r"\[(\d+)\]", self.place)
        return int(first[1]) if first else -1, len(self.place), len(self.remedy)

    def explain(self) -> str:
        return f"{self.place}: expected {self.expected}, found {self.found}."


class Kind(NamedTuple):
    """The values that a parameter accepts.

    Attributes:
        one: Name of the kind in messages, in the singular: "a string".
        several: Name of the kind in messages, in the plural: "strings".
        take: Converts a value for the function; raises `Mismatch`.
        exact: A type whose values need no individual check.
        is_specific: Whether only few values are of this kind.
    """

    one: str
    several: str
    take: Callable[[Any], Any]
    exact: type | None = None
    is_specific: bool = False

    def takes(self, value: Any) -> bool:
        try:
            self.take(value)
        except Mismatch:
            return False
        return True


def describe(value: Any) -> str:
    """A short description of a value."""
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()  # a NumPy scalar
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"an array of {_dtype_name(value)} of shape {tuple(value.shape)}"
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return f"a {type(value).__name__} of {len(value)}" if value else f"an empty {type(value).__name__}"
    words = {PathLike: "the path {0}", type: "the class {0.__name__}"}
    if value is None or isinstance(value, (str, bool, int, float)):
        return f"{'the string ' * isinstance(value, str)}{SHORT.repr(value)}"
    for kind, text in words.items():
        if isinstance(value, kind):
            return text.format(value)
    return "a function" if inspect.isroutine(value) else type(value).__name__


def instance_kind(one: str, several: str, is_it: Callable[[Any], bool], exact: type | None = None) -> Kind:
    def take(value: Any) -> Any:
        if is_it(value):
            return value
        raise Mismatch(one, value)

    return Kind(one, several, take, exact)


def _number(one: str, several: str, exact: type, kind: Any, dtypes: Sequence[str]) -> Kind:
    def take(value: Any) -> Any:
        if type(value) is exact:
            return value
        is_scalar = getattr(value, "shape", None) == () and _dtype_name(value).startswith(tuple(dtypes))
        if (isinstance(value, kind) and not isinstance(value, bool)) or is_scalar:
            return exact(value)
        raise Mismatch(one, value)

    return Kind(one, several, take, exact)


def _dtype_name(value: Any) -> str:
    dtype = getattr(value, "dtype", "")
    return str(getattr(dtype, "name", dtype))


def _take_bool(value: Any) -> bool:
    if isinstance(value, bool) or (getattr(value, "shape", None) == () and _dtype_name(value) == "bool"):
        return bool(value)
    raise Mismatch("True or False", value)


def _take_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise Mismatch("a string", value, " Pass value.decode()." if isinstance(value, bytes) else "")


def _take_path(value: Any) -> Path:
    if isinstance(value, Path):
        return value  # a subclass may read from elsewhere
    if isinstance(value, (str, PathLike)):
        return Path(value)
    raise Mismatch("a path", value)


SIMPLE_KINDS: dict[Any, Kind] = {
    int: _number("an integer", "integers", int, Integral, ("int", "uint")),
    float: _number("a number", "numbers", float, Real, ("int", "uint", "float", "bfloat")),
    bool: Kind("True or False", "True or False", _take_bool, bool),
    str: Kind("a string", "strings", _take_text, str),
    bytes: instance_kind("bytes", "bytes", lambda value: isinstance(value, bytes), bytes),
    Path: Kind("a path", "paths", _take_path),
    type(None): instance_kind("None", "None", lambda value: value is None),
}


def literal_kind(choices: tuple[Any, ...]) -> Kind:
    one = either([repr(choice) for choice in choices])

    def take(value: Any) -> Any:
        for choice in choices:
            is_alike = isinstance(value, type(choice)) and isinstance(value, bool) == isinstance(choice, bool)
            if is_alike and value == choice:
                return choice
        raise Mismatch(one, value, suggest_similar(value, map(str, choices)) if isinstance(value, str) else "")

    return Kind(one, one, take)


def union_kind(kinds: Sequence[Kind]) -> Kind:
    words = [kind.one for kind in kinds]
    # `str | Path` is called a path, and None is not mentioned, since it is a default.
    unsaid = {"None"} | ({"a string"} if "a path" in words else set())
    one = either([word for word in words if word not in unsaid])

    def take(value: Any) -> Any:
        deepest = Mismatch(one, value)
        # Kinds without conversion come first: a tensor that is converted to an array would lose its gradient.
        for kind in sorted(kinds, key=lambda kind: (kind.exact is not type(value), kind.one != "a tensor")):
            try:
                return kind.take(value)
            except Mismatch as error:
                # For a list with one wrong item, report the item.
                deepest = max(deepest, error, key=Mismatch.depth)
        deepest.expected = deepest.expected if deepest.place else one
        raise deepest

    several = either([kind.several for kind in kinds if kind.one not in unsaid])
    return Kind(one, several, take, is_specific=all(kind.is_specific or kind.one == "None" for kind in kinds))


def section_kind(section: type[BaseModel]) -> Kind:
    def take(value: Any) -> Any:
        if isinstance(value, section):
            return value
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return section(**value)
        raise Mismatch(one, value)

    one = section.__name__
    return Kind(one, f"{section.__name__} objects", take, is_specific=True)


def array_kind(dims: Dims) -> Kind:
    import numpy as np

    one = dims.describe()

    def take(value: Any) -> Any:
        try:
            array = value if isinstance(value, np.ndarray) else np.asarray(value)
        except ValueError:  # rows of unequal length
            raise Mismatch(one, value) from None
        if array.dtype.kind not in dims.kinds or not dims.least <= array.ndim <= (dims.most or array.ndim):
            raise Mismatch(one, value if array.dtype.kind == "O" or not array.ndim else array)
        return array

    return Kind(one, one.replace("an array", "arrays"), take, is_specific=True)


def either(words: Sequence[str]) -> str:
    *first, last = dict.fromkeys(words)
    return f"{', '.join(first)} or {last}" if first else last
