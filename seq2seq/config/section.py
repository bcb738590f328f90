"""What all sections of a recipe are made of, and what a section's schema holds."""

from collections.abc import Iterator
from copy import copy
from pathlib import PurePath
from typing import Annotated, Any, Self, TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

MAX_INTEGER = 2**31 - 1  # integer; TensorFlow counts no further
PATH_UNITS = ("file", "directory")  # units of the keys that hold a path
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]

SectionT = TypeVar("SectionT", bound="Section")


class Section(BaseModel):
    """A part of a recipe. Unknown keys are errors; values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _check_integers(self) -> Self:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, int) and value > MAX_INTEGER:
                raise ValueError(f"'{name}' is above {MAX_INTEGER}")
        return self


def field(default: Any, description: str, *, unit: str = "", paper: str = "", panel: str = "", **limits: Any) -> Any:
    """A key of a section, with all that `docs/configuration.md` and the command line say of it.

    Of a number also its unit (tokens, updates, epochs) and `limits` for `pydantic.Field`, as `ge=1`; the unit of a path
    is one of `PATH_UNITS`. `paper` is where it comes from, `panel` the heading that a command shows its option under.
    """
    return Field(
        default, description=description, json_schema_extra={"unit": unit, "paper": paper, "panel": panel}, **limits
    )


def inherit_field(section: type[Section], name: str, default: Any) -> Any:
    """A key that a section takes over from the one it extends, with another default."""
    field = copy(section.model_fields[name])
    field.default = default
    return field


def without_folders(section: SectionT) -> SectionT:
    """The same section with the bare name of each file and directory: the folders are those of one machine."""
    changed: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value, about = getattr(section, name), field.json_schema_extra
        if isinstance(value, Section):
            changed[name] = without_folders(value)
        elif isinstance(value, tuple):
            changed[name] = tuple(without_folders(part) if isinstance(part, Section) else part for part in value)
        elif isinstance(value, str) and isinstance(about, dict) and about["unit"] in PATH_UNITS:
            changed[name] = PurePath(value).name or value
    return section.model_copy(update=changed)


def bool_or_literal(*words: str) -> WrapValidator:
    """For `bool | Literal[...]`: one error where pydantic would give one for each of the two."""

    def check(value: Any, accept: ValidatorFunctionWrapHandler) -> Any:
        try:
            return accept(value)
        except ValidationError:
            *first, last = "true", "false", *(f"'{word}'" for word in words)
            raise PydanticCustomError("choice", f"Input should be {', '.join(first)} or {last}") from None

    return WrapValidator(check)


def sections(section: type[Section], prefix: str = "") -> Iterator[tuple[str, type[Section]]]:
    """Every section that is, or lies in, `section`, with its dotted name; the one at the top is called "".

    Sections in a list go by the name of the first: `data.train.mixture.0`.
    """
    yield prefix, section
    for name, field in section.model_fields.items():
        inner = nested_section(field.annotation)
        if inner is not None:
            place = ".0" if any(get_origin(part) is tuple for part in flatten_annotation(field.annotation)) else ""
            yield from sections(inner, f"{prefix}.{name}{place}".lstrip("."))


def nested_section(annotation: Any) -> type[Section] | None:
    """The section in `Section`, `Section | None` or `tuple[Section, ...] | None`."""
    found = (part for part in flatten_annotation(annotation) if isinstance(part, type) and issubclass(part, Section))
    return next(found, None)


def flatten_annotation(annotation: Any) -> Iterator[Any]:
    """A type and all that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from flatten_annotation(part)
