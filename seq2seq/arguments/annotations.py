"""Conversion of annotations to kinds of arguments, and annotations that are more specific than a type."""

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, MinLen
from pydantic import BaseModel

from seq2seq.arguments.containers import list_kind, mapping_kind, tuple_kind
from seq2seq.arguments.kinds import (
    SIMPLE_KINDS,
    Dims,
    Kind,
    Mismatch,
    array_kind,
    instance_kind,
    literal_kind,
    section_kind,
    union_kind,
)

AtLeastOne = Annotated[int, Ge(1)]
NonNegative = Annotated[int, Ge(0)]  # e.g. a seed or an index
T = TypeVar("T")
NotEmpty = Annotated[T, MinLen(1)]
Pair = Annotated[tuple[str, ...], MinLen(2), "a (source, target) pair of strings", "(source, target) pairs of strings"]


@cache
def kind_of(hint: Any) -> Kind:
    """The kind of argument that an annotation describes."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in _OF_PARTS:
        return _OF_PARTS[origin](parts)
    if isinstance(hint, TypeVar) or hint in (Any, object):
        return Kind("anything", "objects", lambda value: value)
    return SIMPLE_KINDS.get(hint) or _of_class(origin or hint, [kind_of(part) for part in parts])


def _of_class(kind: type, parts: Sequence[Kind]) -> Kind:
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray":
        return array_kind(Dims())
    if issubclass(kind, Iterable) and parts:
        return mapping_kind(*parts) if issubclass(kind, Mapping) else list_kind(kind, parts[0])
    if issubclass(kind, BaseModel):
        return section_kind(kind)
    if kind.__module__.startswith("tensorflow") and kind.__name__ == "Tensor":
        return instance_kind("a tensor", "tensors", lambda value: hasattr(value, "dtype") and hasattr(value, "shape"))
    if getattr(kind, "_is_protocol", False) and "__call__" in vars(kind):
        return instance_kind("a function", "functions", callable)
    named = instance_kind(kind.__name__, f"{kind.__name__} objects", lambda value: isinstance(value, kind))
    return named._replace(is_specific=True)


def _annotated(kind: Kind, limits: Sequence[Any]) -> Kind:
    one, several = kind.one, kind.several
    least = next((limit.ge for limit in limits if isinstance(limit, Ge)), None)
    shortest = next((limit.min_length for limit in limits if isinstance(limit, MinLen)), 0)
    for limit in limits:
        if isinstance(limit, Dims):
            kind = array_kind(limit)
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


_OF_PARTS: dict[Any, Callable[[tuple[Any, ...]], Kind]] = {
    Annotated: lambda parts: _annotated(kind_of(parts[0]), parts[1:]),
    Union: lambda parts: union_kind([kind_of(part) for part in parts]),
    types.UnionType: lambda parts: union_kind([kind_of(part) for part in parts]),
    Literal: literal_kind,
    tuple: lambda parts: tuple_kind([kind_of(part) for part in parts if part is not ...], parts[-1:] == (...,)),
    Callable: lambda parts: instance_kind("a function", "functions", callable),
}
