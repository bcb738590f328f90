"""`docs/configuration.md`: every section and key of a recipe, generated from the schema.

Run with `make docs`, or `python -m seq2seq.config.reference > docs/configuration.md`.
"""

import json
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from seq2seq.config.recipe import TASK_CONFIGS
from seq2seq.config.schema import flatten_annotation, nested_section, sections

INTRODUCTION = """\
# Configuration

<!-- Written by `make docs` from seq2seq/config/. Do not edit. -->

A recipe is a YAML file with the sections below. Only `data.train` and `data.valid` are required; all other keys have
defaults, and an unknown key is an error. Unless described otherwise, `null` means none, no limit or unused. The column
*task* names the task of keys and defaults that apply to only one.

`seq2seq train RECIPE --set section.key=value` changes a key without editing the file, and `--dump-config` prints the
complete recipe. A number in a dotted name is an index into a list, counted from 0:
`--set data.train.mixture.0.weight=2`.

Types are those of YAML 1.2. Where text is expected, an unquoted value is the text as written: `no`, `007`.
"""
TYPES = {bool: "true | false", int: "integer", float: "number", str: "text", NoneType: "null"}
BAR = "\\|"  # Markdown ends a cell at a bare bar, even in a code span
COLUMNS = ("key", "type", "default", "range", "unit", "meaning", "paper", "task")
SYMBOLS = {"ge": "≥ ", "gt": "> ", "le": "≤ ", "lt": "< ", "pattern": "matches "}


def render_reference() -> str:
    """The whole document, in Markdown. A section that several keys share is described once."""
    kinds: dict[str, dict[str, type[BaseModel]]] = {}  # by name of the section: its class for each task
    for task, recipe in TASK_CONFIGS.items():
        for name, section in sections(recipe):
            kinds.setdefault(name, {})[task] = section
    places: dict[tuple[tuple[str, type[BaseModel]], ...], list[str]] = {}
    for name, by_task in kinds.items():
        places.setdefault(tuple(by_task.items()), []).append(name)
    return "\n".join([INTRODUCTION, *(_describe(dict(by_task), names) for by_task, names in places.items())])


def _describe(by_task: dict[str, type[BaseModel]], names: list[str]) -> str:
    title = ", ".join(f"`{name}`" for name in names) if names[0] else "The recipe"
    text = cleandoc(next(iter(by_task.values())).__doc__ or "")
    if len(by_task) < len(TASK_CONFIGS):
        text += f" Only for {_tasks(by_task)}."
    fields = [(name, task, field) for task, section in by_task.items() for name, field in section.model_fields.items()]
    order = list(dict.fromkeys(name for name, *_ in fields))
    rows: dict[tuple[str, ...], list[str]] = {}  # the tasks that a row holds for
    for name, task, field in sorted(fields, key=lambda entry: order.index(entry[0])):
        rows.setdefault(tuple(_row(name, field).values()), []).append(task)
    described = [
        dict(zip(COLUMNS, (*row, "" if len(tasks) == len(by_task) else _tasks(tasks)), strict=True))
        for row, tasks in rows.items()
    ]
    return f"## {title}\n\n{text}\n\n" + "\n".join(_table(described)) + "\n"


def _tasks(tasks: Iterable[str]) -> str:
    return ", ".join(f"`{task}`" for task in tasks)


def _row(name: str, field: FieldInfo) -> dict[str, str]:
    about = field.json_schema_extra or {}
    assert isinstance(about, dict)
    return {
        "key": f"`{name}`",
        "type": f"`{type_name(field.annotation)}`",
        "default": _default(field),
        "range": ", ".join(f"`{limit}`" for limit in dict.fromkeys(_limits(field))),
        "unit": str(about.get("unit", "")),
        "meaning": field.description or str(nested_section(field.annotation).__doc__).split("\n")[0],
        "paper": str(about.get("paper", "")),
    }


def _table(rows: list[dict[str, str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table, without empty columns."""
    columns = [column for column in COLUMNS if any(row[column] for row in rows)]
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for row in rows:
        yield f"| {' | '.join(row[column].replace('|', BAR) for column in columns)} |"


def type_name(annotation: Any) -> str:
    """A type in words: `gru | lstm`, `list of text`, `number | null`."""
    if get_origin(annotation) is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return "section"
    if get_origin(annotation) is Annotated:
        return type_name(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return " | ".join(get_args(annotation))
    if get_origin(annotation) is tuple:
        inner = type_name(get_args(annotation)[0])
        return f"list of {'sections' if inner == 'section' else inner}"
    if get_args(annotation):  # a union
        return " | ".join(type_name(part) for part in get_args(annotation))
    return TYPES[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if isinstance(field.default, BaseModel):
        return ""
    value = field.default
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _limits(field: FieldInfo) -> Iterator[str]:
    """Yield bounds of a number and patterns of a text, including those inside `Rate | None`."""
    inner = [data for part in flatten_annotation(field.annotation) for data in getattr(part, "__metadata__", ())]
    for data in (*field.metadata, *(limit for info in inner for limit in getattr(info, "metadata", [info]))):
        for kind, symbol in SYMBOLS.items():
            if (value := getattr(data, kind, None)) is not None:
                yield f"{symbol}{value:g}" if isinstance(value, float) else f"{symbol}{value}"


if __name__ == "__main__":
    print(render_reference(), end="")
