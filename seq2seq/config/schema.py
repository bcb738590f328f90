"""The schema of a recipe: its sections and theirs."""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel


def sections(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section that is, or lies in, `section`, with its dotted name; the one at the top is called "".

    Sections in a list go by the name of the first: `data.train.mixture.0`.
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
    """A type and all that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from flatten_annotation(part)
