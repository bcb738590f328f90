"""Base class, fields and types of the sections of a recipe."""

from copy import copy
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

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

from seq2seq.config.problems import explain_problems, shown
from seq2seq.errors import ConfigError

MAX_INTEGER = 2**31 - 1  # TensorFlow's int32
PATH_UNITS = ("file", "directory")  # units of the keys that hold a path
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]

SectionT = TypeVar("SectionT", bound="Section")


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


class SectionType(ModelMetaclass):
    """Metaclass of sections: wrong keys and values in Python raise the same `ConfigError` as in a recipe."""

    def __call__(cls, *values: Any, **keys: Any) -> Any:  # noqa: N805
        section: Any = cls
        if values:
            raise ConfigError(_explain_position(section, values[0]))
        try:
            return super().__call__(**keys)
        except ValidationError as error:
            raise ConfigError(explain_problems(error, cls.__name__, section)) from None


def _explain_position(section: type[BaseModel], value: Any) -> str:
    """The error for `section(value)`, with what to write instead."""

    def takes(name: str) -> bool:
        try:
            section.model_validate({name: value}, strict=True)
        except ValidationError as error:
            return all(problem["loc"][:1] != (name,) for problem in error.errors())
        return True

    ways = (
        ["**values"] if isinstance(value, dict) else [f"{n}={shown(value)}" for n in section.model_fields if takes(n)]
    )
    accepted = ", ".join(sorted(section.model_fields))
    return f"{section.__name__} takes keyword arguments{': ' * bool(ways)}{' or '.join(ways)}. Accepted: {accepted}."


class Section(BaseModel, metaclass=SectionType):
    """A part of a recipe. Unknown keys are errors; values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def remedy(cls, key: str, value: Any) -> str:
        """A sentence, after a space, on what to write for a value of `key` that is not a section; "" for none."""
        return ""

    @model_validator(mode="after")
    def _check_integers(self) -> Self:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, int) and value > MAX_INTEGER:
                raise ValueError(f"'{name}' is above {MAX_INTEGER}")
        return self


def field(default: Any, description: str, *, unit: str = "", paper: str = "", panel: str = "", **limits: Any) -> Any:
    """Declare a key of a section, with everything that `docs/configuration.md` and the command line show of it.

    Args:
        default: Default value.
        description: A noun phrase or an imperative, as sentences.
        unit: Unit of a number (tokens, updates, epochs); for a path, one of `PATH_UNITS`.
        paper: The source of the method.
        panel: Heading under which commands list the option.
        limits: Bounds for `pydantic.Field`, e.g. `ge=1`.
    """
    return Field(
        default, description=description, json_schema_extra={"unit": unit, "paper": paper, "panel": panel}, **limits
    )


def inherit_field(section: type[Section], name: str, default: Any) -> Any:
    """Copy a key from the section that is extended, with a different default."""
    field = copy(section.model_fields[name])
    field.default = default
    return field


def without_folders(section: SectionT) -> SectionT:
    """The same section with paths reduced to file names, since folders differ between machines."""
    changed: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value, about = getattr(section, name), field.json_schema_extra
        is_path = isinstance(about, dict) and about["unit"] in PATH_UNITS

        def bare(part: Any, is_path: bool = is_path) -> Any:
            if isinstance(part, Section):
                return without_folders(part)
            return PurePath(part).name or part if is_path and isinstance(part, str) else part

        changed[name] = tuple(map(bare, value)) if isinstance(value, tuple) else bare(value)
    return section.model_copy(update=changed)


def bool_or_literal(*words: str) -> WrapValidator:
    """Validator for `bool | Literal[...]` with a single error; pydantic would report one for each of the two."""

    def check(value: Any, accept: ValidatorFunctionWrapHandler) -> Any:
        try:
            return accept(value)
        except ValidationError:
            *first, last = "true", "false", *(f"'{word}'" for word in words)
            raise PydanticCustomError("choice", f"Input should be {', '.join(first)} or {last}") from None

    return WrapValidator(check)
