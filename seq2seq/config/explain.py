"""What a recipe's schema holds, and what is wrong with values that it does not accept, in words."""

from collections.abc import Collection, Iterator, Sequence
from reprlib import Repr
from typing import Any, get_args, get_origin

from seq2seq.config.section import Section
from seq2seq.config.tasks import RECIPES
from seq2seq.errors import did_you_mean

_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 3, 200, 200, 200


def shown(value: Any) -> str:
    """A value as Python writes it, cut short: a few lines of YAML can stand for gigabytes."""
    try:
        return _SHORT.repr(value)
    except ValueError:
        return "an integer of thousands of digits"


def explain(problem: Any, origin: str, recipe: type[Section]) -> str:
    """What is wrong with a value of a recipe, in a line.

    Args:
        problem: One of pydantic's errors.
        origin: What to call the recipe.
        recipe: Its schema.
    """
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{origin}: {_explain_unknown(problem['loc'], key, recipe)}"
    if problem["type"] == "missing":
        return f"{origin}: '{key}' is missing."
    if problem["type"] == "model_type":
        names = ", ".join(sorted(_keys(recipe, problem["loc"])))
        return f"{origin}: '{key}': found {shown(problem['input'])}, expected a section with keys of: {names}."
    if problem["type"] == "tuple_type":
        return f"{origin}: '{key}': found {shown(problem['input'])}, expected a list."
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{origin}: {key + ': ' if key else ''}{message}."
    return f"{origin}: '{key}': found {shown(problem['input'])}. {message}."


def _explain_unknown(path: Sequence[str | int], key: str, recipe: type[Section]) -> str:
    *parents, last = path
    accepted = sorted(_keys(recipe, parents))
    choice = f"Accepted {'in ' + '.'.join(map(str, parents)) if parents else 'at the top'}: {', '.join(accepted)}."
    for task, other in RECIPES.items():
        if last in _keys(other, parents):
            ours = recipe.model_fields["task"].default
            return f"'{key}' is for 'task: {task}', and this recipe has 'task: {ours}': leave it out. {choice}"
    elsewhere = [name for name in _dotted_keys(recipe) if name.rpartition(".")[2] == last]
    hint = did_you_mean(str(last), accepted) or did_you_mean(elsewhere[0] if elsewhere else "", elsewhere)
    return f"unknown key '{key}'.{hint} {choice}"


def sections(section: type[Section], prefix: str = "") -> Iterator[tuple[str, type[Section]]]:
    """Every section that is, or lies in, `section`, with its dotted name; the one at the top is called "".

    Sections in a list go by the name of the first: `data.train.mixture.0`.
    """
    yield prefix, section
    for name, field in section.model_fields.items():
        inner = nested_section(field.annotation)
        if inner is not None:
            place = ".0" if any(get_origin(part) is tuple for part in annotations(field.annotation)) else ""
            yield from sections(inner, f"{prefix}.{name}{place}".lstrip("."))


def _dotted_keys(recipe: type[Section]) -> list[str]:
    return [
        f"{prefix}.{name}".lstrip(".")
        for prefix, section in sections(recipe)
        for name, field in section.model_fields.items()
        if nested_section(field.annotation) is None
    ]


def _keys(recipe: type[Section], path: Sequence[str | int]) -> Collection[str]:
    """Those of the section at a path; none if there is no such section."""
    section: type[Section] | None = recipe
    for name in path:
        if isinstance(name, str):  # a number is a place in a list of sections
            field = section.model_fields.get(name) if section else None
            section = nested_section(field.annotation) if field else None
    return section.model_fields if section else ()


def nested_section(annotation: Any) -> type[Section] | None:
    """The section in `Section`, `Section | None` or `tuple[Section, ...] | None`."""
    found = (part for part in annotations(annotation) if isinstance(part, type) and issubclass(part, Section))
    return next(found, None)


def annotations(annotation: Any) -> Iterator[Any]:
    """A type and all that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from annotations(part)
