"""What a recipe's schema holds, and what is wrong with values that it does not accept, in words."""

from collections.abc import Collection, Iterator, Sequence
from reprlib import Repr
from typing import Any, get_args, get_origin

from seq2seq.config.recipe import RECIPES
from seq2seq.config.section import Section
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
    path, kind, message = problem["loc"], problem["type"], problem["msg"].removeprefix("Value error, ")
    key = ".".join(map(str, path))
    if kind == "extra_forbidden":
        return f"{origin}: {_explain_unknown(path, key, recipe)}"
    if kind == "missing":
        return f"{origin}: '{key}' is missing."
    if kind == "value_error":
        return f"{origin}: {key + ': ' if key else ''}{message}."
    expected = {
        "model_type": f", expected a section with keys of: {', '.join(sorted(_keys(recipe, path)))}",
        "tuple_type": ", expected a list",
    }
    return f"{origin}: '{key}': found {shown(problem['input'])}{expected.get(kind, f'. {message}')}."


def _explain_unknown(path: Sequence[str | int], key: str, recipe: type[Section]) -> str:
    *parents, last = path
    accepted = sorted(_keys(recipe, parents))
    choice = f"Accepted {'in ' + '.'.join(map(str, parents)) if parents else 'at the top'}: {', '.join(accepted)}."
    for task, other in RECIPES.items():
        if last in _keys(other, parents):
            ours = recipe.model_fields["task"].default
            return f"'{key}' is for 'task: {task}', and this recipe has 'task: {ours}': leave it out. {choice}"
    elsewhere = [
        f"{prefix}.{last}".lstrip(".")
        for prefix, section in sections(recipe)
        if last in section.model_fields and inner_section(section.model_fields[last].annotation) is None
    ]
    hint = did_you_mean(str(last), accepted) or did_you_mean(elsewhere[0] if elsewhere else "", elsewhere)
    return f"unknown key '{key}'.{hint} {choice}"


def sections(section: type[Section], prefix: str = "") -> Iterator[tuple[str, type[Section]]]:
    """Every section that is, or lies in, `section`, with its dotted name; the one at the top is called "".

    Sections in a list go by the name of the first: `data.train.mixture.0`.
    """
    yield prefix, section
    for name, field in section.model_fields.items():
        inner = inner_section(field.annotation)
        if inner is not None:
            place = ".0" if any(get_origin(part) is tuple for part in annotations(field.annotation)) else ""
            yield from sections(inner, f"{prefix}.{name}{place}".lstrip("."))


def _keys(recipe: type[Section], path: Sequence[str | int]) -> Collection[str]:
    """Those of the section at a path; none if there is no such section."""
    section = dict(sections(recipe)).get(".".join("0" if isinstance(part, int) else str(part) for part in path))
    return section.model_fields if section else ()


def inner_section(annotation: Any) -> type[Section] | None:
    """The section in `Section`, `Section | None` or `tuple[Section, ...] | None`."""
    found = (part for part in annotations(annotation) if isinstance(part, type) and issubclass(part, Section))
    return next(found, None)


def annotations(annotation: Any) -> Iterator[Any]:
    """A type and all that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from annotations(part)
