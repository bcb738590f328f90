"""What all sections of a recipe are made of."""

from copy import copy
from typing import Annotated, Any, Self

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
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]


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

    Args:
        default: Its value where a recipe does not name it.
        description: What it does, in a sentence or two.
        unit: Of a number: tokens, updates, epochs, ...
        paper: Where it comes from.
        panel: Heading that a command shows its option under.
        limits: For `pydantic.Field`, as `ge=1`.
    """
    return Field(
        default, description=description, json_schema_extra={"unit": unit, "paper": paper, "panel": panel}, **limits
    )


def field_of(section: type[Section], name: str, default: Any) -> Any:
    """A key that a section takes over from the one it extends, with another default."""
    field = copy(section.model_fields[name])
    field.default = default
    return field


def bool_or(*words: str) -> WrapValidator:
    """For `bool | Literal[...]`: one error where pydantic would give one for each of the two."""

    def check(value: Any, accept: ValidatorFunctionWrapHandler) -> Any:
        try:
            return accept(value)
        except ValidationError:
            *first, last = "true", "false", *(f"'{word}'" for word in words)
            raise PydanticCustomError("choice", f"Input should be {', '.join(first)} or {last}") from None

    return WrapValidator(check)
