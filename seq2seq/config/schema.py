"""The schema of a recipe: its sections and nested sections."""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel


def sections(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield `section` and every section nested in it, with dotted names; the name of the top one is "".

    Sections in a list have the name of the first one: `data.train.mixture.0`.
    """
    yield prefix, section
    for name, field in section.model_fields.items():
        inner = nested_section(field.annotation)
        if inner is not None:
            place = ".0" if any(get_origin(part) is tuple for part in flatten_annotation(field.annotation)) else ""
            yield from sections(inner, f"{prefix}.{name}{place}".lstrip("."))


def nested_section(annotation: Any) -> type[BaseModel] | None:
    """The section in `Section`, `Section | None` or `tuple[Section, ...] | None`."""
    found = (part for part in flatten_annotation(annotation) if isinstance(part, type) and issubclass(part, BaseModel))
    return next(found, None)


def flatten_annotation(annotation: Any) -> Iterator[Any]:
    """Yield a type and all types nested in it."""
    yield annotation
    for part in get_args(annotation):
        yield from flatten_annotation(part)
