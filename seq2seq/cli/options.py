"""Options of the command line that stand for keys of a recipe."""

from typing import Any, TypeVar

from pydantic import ValidationError

from seq2seq.config import SearchOptions, Section
from seq2seq.errors import ConfigError

AnySection = TypeVar("AnySection", bound=Section)


def search_options(base: SearchOptions, **given: Any) -> SearchOptions:
    """`base` with the options that were given on the command line (not None); one translation unless asked.

    Raises:
        ConfigError: A value is not accepted.
    """
    values = base.model_dump() | {"n_best": 1} | {key: value for key, value in given.items() if value is not None}
    if given.get("sample") is False:  # how the recipe samples means nothing then
        for key in ("temperature", "top_k", "top_p"):
            values[key] = SearchOptions.model_fields[key].default if given.get(key) is None else given[key]
    return from_flags(SearchOptions, values)


def from_flags(section: type[AnySection], values: dict[str, Any]) -> AnySection:
    """A section of a recipe from flags; `--beam-size` is `beam_size`.

    Raises:
        ConfigError: A value is not accepted; names the flag.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        key = problem["loc"][0] if problem["loc"] else None
        flag = f"--{str(key).replace('_', '-')} {values[str(key)]}: " if key else ""
        raise ConfigError(f"{flag}{problem['msg'].removeprefix('Value error, ')}.") from None
