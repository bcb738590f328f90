"""Kinds of arguments by their annotations: which values are of a kind, and what to call it."""

import inspect
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from numbers import Integral, Real
from operator import is_
from os import PathLike
from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, MinLen
from pydantic import BaseModel

from seq2seq.errors import ArgumentError, suggest_similar

AtLeastOne = Annotated[int, Ge(1)]
NonNegative = Annotated[int, Ge(0)]  # a seed, a place
T = TypeVar("T")
NotEmpty = Annotated[T, MinLen(1)]
Pair = Annotated[tuple[str, ...], MinLen(2), "a (source, target) pair of strings", "(source, target) pairs of strings"]

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 60


class Dims(NamedTuple):
    """In `Annotated[np.ndarray, Dims(2)]`: how many dimensions an array has, and kinds of its dtype, as NumPy's."""

    least: int = 1
    most: int | None = None
    kinds: str = "biuf"

    def describe(self) -> str:
        words = f"{self.least}" if self.most == self.least else f"{self.least} or more"
        what = "an array of " + ("numbers" if "f" in self.kinds else "integers")
        return what if self == Dims() else f"{what} of {words} dimension{'s' * (words != '1')}"


class Mismatch(Exception):  # noqa: N818  # it is caught at the door
    """A value that is not what was expected, in `place` of the argument, as `[3]`."""

    def __init__(self, expected: str, value: Any, remedy: str = "", found: str = "") -> None:
        self.expected, self.found, self.remedy, self.place = expected, found or describe(value), remedy, ""

    def explain(self) -> str:
        return f"{self.place}: expected {self.expected}, found {self.found}."


class Kind(NamedTuple):
    """What a parameter takes.

    one, several  in words: "a string", "strings"
    take          the value as the function takes it; raises `Mismatch`
    exact         a type whose values need no look at each
    is_specific   whether few values are of this kind
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
    """A value in a few words."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"an array of {getattr(value.dtype, 'name', value.dtype)} of shape {tuple(value.shape)}"
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return f"a {type(value).__name__} of {len(value)}" if value else f"an empty {type(value).__name__}"
    words = {PathLike: "the path {0}", type: "the class {0.__name__}"}
    if value is None or isinstance(value, (str, bool, int, float)):
        return f"{'the string ' * isinstance(value, str)}{_SHORT.repr(value)}"
    for kind, text in words.items():
        if isinstance(value, kind):
            return text.format(value)
    return "a function" if inspect.isroutine(value) else type(value).__name__


@cache
def kind_of(hint: Any) -> Kind:
    """The kind of an annotation."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in _OF_PARTS:
        return _OF_PARTS[origin](parts)
    if isinstance(hint, TypeVar) or hint in (Any, object):
        return Kind("anything", "objects", lambda value: value)
    return _SIMPLE.get(hint) or _of_class(origin or hint, [kind_of(part) for part in parts])


def _of_class(kind: type, parts: Sequence[Kind]) -> Kind:
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray":
        return _array(Dims())
    if issubclass(kind, Iterable) and parts:
        return _mapping(*parts) if issubclass(kind, Mapping) else _items(kind, parts[0])
    if issubclass(kind, BaseModel):
        return _section(kind)
    if kind.__module__.startswith("tensorflow") and kind.__name__ == "Tensor":
        return _instance("a tensor", "tensors", lambda value: hasattr(value, "dtype") and hasattr(value, "shape"))
    if getattr(kind, "_is_protocol", False) and "__call__" in vars(kind):
        return _instance("a function", "functions", callable)
    named = _instance(kind.__name__, f"{kind.__name__} objects", lambda value: isinstance(value, kind))
    return named._replace(is_specific=True)


def _instance(one: str, several: str, is_it: Callable[[Any], bool], exact: type | None = None) -> Kind:
    def take(value: Any) -> Any:
        if is_it(value):
            return value
        raise Mismatch(one, value)

    return Kind(one, several, take, exact)


def _number(one: str, several: str, exact: type, kind: Any) -> Kind:
    def take(value: Any) -> Any:
        if type(value) is exact:
            return value
        if isinstance(value, kind) and not isinstance(value, bool):
            return exact(value)
        raise Mismatch(one, value)

    return Kind(one, several, take, exact)


def _take_bool(value: Any) -> bool:
    if isinstance(value, bool) or (describe(value) == "an array of bool of shape ()"):
        return bool(value)
    raise Mismatch("True or False", value)


def _take_path(value: Any) -> Path:
    if isinstance(value, (str, PathLike)):
        return Path(value)
    raise Mismatch("a path", value)


_SIMPLE: dict[Any, Kind] = {
    int: _number("an integer", "integers", int, Integral),
    float: _number("a number", "numbers", float, Real),
    bool: Kind("True or False", "True or False", _take_bool, bool),
    str: _instance("a string", "strings", lambda value: isinstance(value, str), str),
    bytes: _instance("bytes", "bytes", lambda value: isinstance(value, bytes), bytes),
    Path: Kind("a path", "paths", _take_path),
    type(None): _instance("None", "None", lambda value: value is None),
}


def _literal(choices: tuple[Any, ...]) -> Kind:
    one = _either([repr(choice) for choice in choices])

    def take(value: Any) -> Any:
        if any(type(value) is type(choice) and value == choice for choice in choices):
            return value
        raise Mismatch(one, value, suggest_similar(value, map(str, choices)) if isinstance(value, str) else "")

    return Kind(one, one, take)


def _one_of(kinds: Sequence[Kind]) -> Kind:
    words = [kind.one for kind in kinds]
    # `str | Path` is one thing, a path, and None needs no word: it is a default.
    unsaid = {"None"} | ({"a string"} if "a path" in words else set())
    one = _either([word for word in words if word not in unsaid])

    def take(value: Any) -> Any:
        deepest = Mismatch(one, value)
        # What fits as it is comes first: a tensor that were taken for an array would lose its gradient.
        for kind in sorted(kinds, key=lambda kind: (kind.exact is not type(value), kind.one != "a tensor")):
            try:
                return kind.take(value)
            except Mismatch as error:
                # Of a list with one wrong item, the item is what to say.
                deepest = max(deepest, error, key=lambda found: (len(found.place), len(found.remedy)))
        deepest.expected = deepest.expected if deepest.place else one
        raise deepest

    several = _either([kind.several for kind in kinds if kind.one not in unsaid])
    return Kind(one, several, take, is_specific=all(kind.is_specific or kind.one == "None" for kind in kinds))


def _section(section: type[BaseModel]) -> Kind:
    def take(value: Any) -> Any:
        if isinstance(value, section):
            return value
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return section(**value)
        raise Mismatch(one, value)

    one = section.__name__
    return Kind(one, f"{section.__name__} objects", take, is_specific=True)


def _array(dims: Dims) -> Kind:
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


def _items(container: Any, item: Kind) -> Kind:
    """Of a list, a sequence or any iterable of items."""
    one = f"a list of {item.several}"
    wanted = Sequence if container is list else container

    def take(value: Any) -> Any:
        if not isinstance(value, (list, tuple)) and hasattr(value, "tolist"):
            value = value.tolist()  # of an array, or of a column of a table
        if isinstance(value, (str, bytes)) and item.takes(value):
            raise Mismatch(one, value, " Pass [text].", found="one string")
        if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, wanted):
            raise Mismatch(one, value, " Pass list(...)." if isinstance(value, Iterator) else "")
        if isinstance(value, Iterable) and not isinstance(value, Collection):
            return LazilyChecked(value, item)
        return _take_all(value, item)

    return Kind(one, f"lists of {item.several}", take)


def _take_all(values: Collection[Any], item: Kind) -> Any:
    if item.exact is not None and set(map(type, values)) <= {item.exact}:
        return values
    return _old_if_same([_take_item(item, place, value) for place, value in enumerate(values)], values)


def _old_if_same(taken: list[Any], values: Collection[Any]) -> Any:
    """What was given, if it was taken as it was: no copy, and its own class."""
    return values if all(map(is_, taken, values)) else taken


def _take_item(item: Kind, place: int | str, value: Any) -> Any:
    try:
        return item.take(value)
    except Mismatch as error:
        error.place = f"[{place!r}]{error.place}"
        raise


class LazilyChecked:
    """Items that are checked when they are read."""

    def __init__(self, items: Iterable[Any], item: Kind) -> None:
        self.items, self.item, self.name = items, item, ""  # the door gives it its name

    def __iter__(self) -> Iterator[Any]:
        for place, value in enumerate(self.items):
            try:
                yield _take_item(self.item, place, value)
            except Mismatch as error:
                raise ArgumentError(f"{self.name}{error.explain()}{error.remedy}") from None


def _tuple(parts: tuple[Any, ...]) -> Kind:
    endless = len(parts) == 2 and parts[1] is ...
    kinds = [kind_of(part) for part in (parts[:1] if endless else parts)]
    one = f"a tuple of {kinds[0].several}" if endless else f"a tuple of {len(kinds)}: {', '.join(k.one for k in kinds)}"

    def take(value: Any) -> Any:
        if not isinstance(value, (tuple, list)) or not (endless or len(value) == len(kinds)):
            raise Mismatch(one, value)
        if endless:
            taken = _take_all(value, kinds[0])
        else:
            taken = _old_if_same(list(map(_take_item, kinds, range(len(kinds)), value)), value)
        return taken if isinstance(taken, tuple) else tuple(taken)

    return Kind(one, one.replace("a tuple", "tuples"), take)


def _mapping(key: Kind, item: Kind) -> Kind:
    one = f"a dict from {key.several} to {item.several}"

    def take(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Mismatch(one, value)
        for name in value:
            if not key.takes(name):
                raise Mismatch(one, value, f" Its key {_SHORT.repr(name)} is none of them.")
        taken = {name: _take_item(item, name, part) for name, part in value.items()}
        return value if all(taken[name] is value[name] for name in value) else taken

    return Kind(one, one.replace("a dict", "dicts"), take)


def _annotated(kind: Kind, limits: Sequence[Any]) -> Kind:
    one, several = kind.one, kind.several
    least = next((limit.ge for limit in limits if isinstance(limit, Ge)), None)
    shortest = next((limit.min_length for limit in limits if isinstance(limit, MinLen)), 0)
    for limit in limits:
        if isinstance(limit, Dims):
            kind = _array(limit)
            one, several = kind.one, kind.several
    if least is not None:
        one, several = f"{one} of at least {least}", f"{several} of at least {least}"
    if shortest:
        one = f"{one} that is not empty"
    words = [limit for limit in limits if isinstance(limit, str)]
    one, several = words or (one, several)

    def take(value: Any) -> Any:
        try:
            taken = kind.take(value)
        except Mismatch as error:
            error.expected = error.expected if error.place else one
            raise
        if (least is not None and not taken >= least) or (shortest and len(taken) < shortest):
            raise Mismatch(one, value)
        return taken

    return kind._replace(one=one, several=several, take=take, exact=None)


def _either(words: Sequence[str]) -> str:
    *first, last = dict.fromkeys(words)
    return f"{', '.join(first)} or {last}" if first else last


_OF_PARTS: dict[Any, Callable[[tuple[Any, ...]], Kind]] = {
    Annotated: lambda parts: _annotated(kind_of(parts[0]), parts[1:]),
    Union: lambda parts: _one_of([kind_of(part) for part in parts]),
    types.UnionType: lambda parts: _one_of([kind_of(part) for part in parts]),
    Literal: _literal,
    tuple: _tuple,
    Callable: lambda parts: _instance("a function", "functions", callable),
}
