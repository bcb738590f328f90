"""Messages about invalid values of a section, from pydantic's errors."""

from collections.abc import Collection, Mapping, Sequence
from reprlib import Repr
from typing import Any

from pydantic import BaseModel, ValidationError

from seq2seq.config.schema import nested_section, sections
from seq2seq.errors import suggest_similar

_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 3, 200, 200, 200


def explain_problems(
    error: ValidationError, origin: str, section: type[BaseModel], tasks: Mapping[str, type[BaseModel]] | None = None
) -> str:
    """Explain validation errors, one line per problem.

    Args:
        error: The error that pydantic raised.
        origin: Name of the values, with which each line begins.
        section: A recipe, or a section of one.
        tasks: Recipes by task, if the section is one of them: a key may belong to another task.
    """
    return "\n".join(_explain(problem, origin, section, tasks or {}) for problem in error.errors())


def shown(value: Any) -> str:
    """The shortened `repr` of a value: a few lines of YAML can expand to gigabytes."""
    try:
        return _SHORT.repr(value)
    except ValueError:
        return "an integer with thousands of digits"


def _explain(problem: Any, origin: str, section: type[BaseModel], tasks: Mapping[str, type[BaseModel]]) -> str:
    path, kind, message = problem["loc"], problem["type"], problem["msg"].removeprefix("Value error, ")
    key = ".".join(map(str, path))
    if kind == "extra_forbidden":
        return f"{origin}: {_explain_unknown(path, key, section, tasks)}"
    if kind == "missing":
        return f"{origin}: '{key}' is missing.{_remedy(section, path, None)}"
    if kind == "value_error":
        return f"{origin}: {key + ': ' if key else ''}{message}."
    expected = {
        "model_type": f", expected a section with keys of: {', '.join(sorted(_keys(section, path)))}",
        "tuple_type": ", expected a list",
    }
    remedy = _remedy(section, path, problem["input"]) if kind == "model_type" else ""
    found = "null" if problem["input"] is None else shown(problem["input"])
    return f"{origin}: '{key}': found {found}{expected.get(kind, f'. {message}')}.{remedy}"


def _explain_unknown(
    path: Sequence[str | int], key: str, section: type[BaseModel], tasks: Mapping[str, type[BaseModel]]
) -> str:
    *parents, last = path
    accepted = sorted(_keys(section, parents))
    top = " at the top" if tasks else ""
    choice = f"Accepted{' in ' + '.'.join(map(str, parents)) if parents else top}: {', '.join(accepted)}."
    for task, other in tasks.items():
        if last in _keys(other, parents):
            ours = section.model_fields["task"].default
            return f"'{key}' is for 'task: {task}', but this recipe has 'task: {ours}': leave it out. {choice}"
    elsewhere = [
        f"{prefix}.{last}".lstrip(".")
        for prefix, inner in sections(section)
        if last in inner.model_fields and nested_section(inner.model_fields[last].annotation) is None
    ]
    name, colon, value = str(last).partition(":")
    if colon and name in accepted:
        return f"unknown key '{key}': a space is missing after the colon. Write {{{name}: {value}}}."
    if "." in str(last):
        return f"unknown key '{key}'.{_explain_dots(key, section)} {choice}"
    prefix = "".join(f"{part}." for part in parents)
    hint = suggest_similar(str(last), accepted, prefix)
    return f"unknown key '{key}'.{hint or suggest_similar(elsewhere[0] if elsewhere else '', elsewhere)} {choice}"


def _explain_dots(key: str, section: type[BaseModel]) -> str:
    """The correct spelling of a recipe's key that is written with dots, as for `--set`."""
    known = [f"{prefix}.{name}".lstrip(".") for prefix, inner in sections(section) for name in inner.model_fields]
    if key not in known:
        return suggest_similar(key, known)
    *parents, last = key.split(".")
    nested = "".join(f"{{{part}: " for part in parents) + f"{{{last}: ...}}" + "}" * len(parents)
    return f" Dots are for --set and overrides: write {nested} here."


def _remedy(section: type[BaseModel], path: Sequence[str | int], value: Any) -> str:
    """The remedy for a value that is not a section, from the section at a path."""
    found: Any = _section_at(section, path)
    key = ".".join(map(str, path))
    return "" if found is None else str(found.remedy(key, value))


def _keys(section: type[BaseModel], path: Sequence[str | int]) -> Collection[str]:
    """The keys of the section at a path; none if there is no such section."""
    found = _section_at(section, path)
    return found.model_fields if found else ()


def _section_at(section: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel] | None:
    return dict(sections(section)).get(".".join("0" if isinstance(part, int) else str(part) for part in path))
