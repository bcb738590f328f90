"""What a recipe's schema holds, and what is wrong with values that it does not accept, in words."""

from collections.abc import Iterator, Sequence
from reprlib import Repr
from typing import Any, get_args, get_origin

from seq2seq.config.recipe import Config
from seq2seq.config.section import Section
from seq2seq.errors import did_you_mean

_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 3, 200, 200, 200


def _found(value: Any) -> str:
    """A value as Python writes it, cut short: a few lines of YAML can stand for gigabytes."""
    try:
        return _SHORT.repr(value)
    except ValueError:
        return "an integer of thousands of digits"


def explain(problem: Any, origin: str) -> str:
    *parents, last = problem["loc"] or ("",)
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        accepted = sorted(_section(parents).model_fields)
        where = f"in {'.'.join(map(str, parents))}" if parents else "at the top"
        elsewhere = [name for name in _dotted_keys() if name.rpartition(".")[2] == last]
        hint = did_you_mean(str(last), accepted) or did_you_mean(elsewhere[0] if elsewhere else "", elsewhere)
        return f"{origin}: unknown key '{key}'.{hint} Accepted {where}: {', '.join(accepted)}."
    if problem["type"] == "missing":
        return f"{origin}: '{key}' is missing."
    if problem["type"] == "model_type":
        names = ", ".join(sorted(_section(problem["loc"]).model_fields))
        return f"{origin}: '{key}': found {_found(problem['input'])}, expected a section with keys of: {names}."
    if problem["type"] == "tuple_type":
        return f"{origin}: '{key}': found {_found(problem['input'])}, expected a list."
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{origin}: {key + ': ' if key else ''}{message}."
    return f"{origin}: '{key}': found {_found(problem['input'])}. {message}."


def sections(section: type[Section] = Config, prefix: str = "") -> Iterator[tuple[str, type[Section]]]:
    """Every section that is, or lies in, `section`, with its dotted name; the one at the top is called "".

    Sections in a list go by the name of the first: `data.train.mixture.0`.
    """
    yield prefix, section
    for name, field in section.model_fields.items():
        inner = _inner_section(field.annotation)
        if inner is not None:
            place = ".0" if _is_list(field.annotation) else ""
            yield from sections(inner, f"{prefix}.{name}{place}".lstrip("."))


def _dotted_keys() -> list[str]:
    return [
        f"{prefix}.{name}".lstrip(".")
        for prefix, section in sections()
        for name, field in section.model_fields.items()
        if _inner_section(field.annotation) is None
    ]


def _section(path: Sequence[str | int]) -> type[Section]:
    section: type[Section] = Config
    for name in path:
        if isinstance(name, str):  # a number is a place in a list of sections
            inner = _inner_section(section.model_fields[name].annotation)
            assert inner is not None
            section = inner
    return section


def _inner_section(annotation: Any) -> type[Section] | None:
    """The section in `Section`, `Section | None` or `tuple[Section, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    inner = (_inner_section(part) for part in get_args(annotation))
    return next((section for section in inner if section is not None), None)


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(_is_list(part) for part in get_args(annotation))
