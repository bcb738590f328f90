"""What the documents on the design name exists: files, tests, keys of recipes, commands and their flags."""

import re
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import typer

from seq2seq.cli import app
from seq2seq.config.recipe import TASK_CONFIGS
from seq2seq.config.schema import flatten_annotation, sections

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# Beginnings of the short names that architecture.md gives files and folders of the package.
FOLDERS = sorted(path.name for path in (ROOT / "seq2seq").iterdir() if path.is_dir() and path.name[0] != "_")


def code_spans(text: str) -> list[str]:
    """What stands between backticks, outside of fenced blocks."""
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    return [" ".join(span.split()) for span in spans]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    ["docs/architecture.md", "docs/decisions.md", "docs/keras-and-tensorflow-pitfalls.md", "CONTRIBUTING.md"],
)
def test_files_and_tests_that_are_named_exist(name):
    spans = code_spans(read(name))
    for span in spans:
        path, _, test = span.partition("::")
        if re.fullmatch(r"(tests|benchmarks|docs|examples)/[\w./-]+", path):
            assert (ROOT / path).exists(), f"{name}: {path}"
        elif re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w./]*", path) and not path.startswith("data/metadata"):
            assert (ROOT / "seq2seq" / path).exists(), f"{name}: seq2seq/{path}"
        if path.startswith("tests/") and test:
            assert f"def {test}(" in read(path), f"{name}: {span}"
    assert len(spans) > 20, "the pattern finds what is named"


def test_the_architecture_has_every_level_and_every_file_of_training():
    text = read("docs/architecture.md")
    levels = text[text.index("## Levels") : text.index("## A recipe")]
    contents = {path.name + "/" * path.is_dir() for path in (ROOT / "seq2seq").iterdir()}
    missing = [name for name in contents if name.strip("_/.py") and name[0] not in "_." and f"`{name}`" not in levels]
    assert sorted(set(missing) - {"py.typed"}) == []
    of_training = text[text.index("The files of `training/`") : text.index("## A sentence")]
    files = {path.name for path in (ROOT / "seq2seq" / "training").glob("*.py")} - {"__init__.py"}
    named = set(re.findall(r"`(\w+\.py)`", of_training))
    assert files <= named
    assert all(
        (ROOT / "seq2seq" / "training" / name).exists() for name in re.findall(r"^\| `(\w+\.py)`", of_training, re.M)
    )


@cache
def schema() -> dict[str, set]:
    """Of each dotted key its annotations, over all tasks; sections are keys too."""
    found: dict[str, set] = {}
    for recipe in TASK_CONFIGS.values():
        for name, section in sections(recipe):
            found.setdefault(name, set())
            for key, field in section.model_fields.items():
                dotted = f"{name}.{key}" if name else key
                found.setdefault(dotted, set()).update(flatten_annotation(field.annotation))
    return found


@cache
def commands() -> dict[str, Any]:
    def walk(command: Any, path: tuple[str, ...]):
        yield " ".join(path), command
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, (*path, name))

    return dict(walk(typer.main.get_command(app), ()))


def flags(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def check(span: str) -> str | None:
    """What is wrong with one of our own options as a document writes it; None if nothing is."""
    if span.startswith("seq2seq "):
        words = span.split()[1:]
        name = " ".join(words[:2]) if " ".join(words[:2]) in commands() else words[0]
        if name not in commands():
            return "no command"
        wrong = [word for word in words if word.startswith("-") and word not in flags(commands()[name])]
        return f"no flags {wrong}" if wrong else None
    if span.startswith("--"):
        flag = span.split(maxsplit=1)[0]
        return None if any(flag in flags(command) for command in commands().values()) else "no flag"
    key, given, value = span.partition("=")
    if not re.fullmatch(r"[a-z_0-9]+(\.[a-z_0-9]+)*", key) or ("." not in key and key not in ("seed", "task")):
        return None  # no key, but a value or a name
    if key not in schema():
        return "no key"
    accepted = {str(v).lower() for kind in schema()[key] if get_origin(kind) is Literal for v in get_args(kind)}
    is_text = re.fullmatch(r"[a-z]\w*", value) and value not in ("true", "false", "null")
    return f"not one of {sorted(accepted)}" if given and is_text and accepted and value not in accepted else None


def test_options_of_ours_in_coming_from_exist():
    checked = []
    for line in read("docs/coming-from.md").splitlines():
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        if len(cells) >= 3 and "`" in cells[1]:  # theirs, ours, a note
            checked += code_spans(cells[1])
        elif len(cells) == 2:
            checked += [span for cell in cells for span in code_spans(cell) if "." in span.split("=")[0]]
    checked += [span for span in code_spans(read("docs/coming-from.md")) if re.match(r"[a-z]+\.[a-z_.]+(=|$)", span)]
    wrong = {span: problem for span in checked if (problem := check(span))}
    assert list(wrong) == ["section.key"], wrong
    assert len(checked) > 250, "the tables were read"


@pytest.mark.parametrize(
    ("span", "problem"),
    [
        ("search.beam_size", None),
        ("search.beams", "no key"),
        ("decoder.type=luong", None),
        ("decoder.type=loung", "not one of"),
        ("seq2seq average --last 5", None),
        ("seq2seq averages", "no command"),
        ("seq2seq average --latest 5", "no flags"),
        ("--shard", None),
        ("--shards", "no flag"),
        ("task=language_model", None),
    ],
)
def test_a_wrong_option_would_be_found(span, problem):
    found = check(span)
    assert found is None if problem is None else found.startswith(problem)


def test_the_glossary_is_sorted_and_has_a_chinese_name_for_each_term():
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| (.*?) \| (.+) \|$", read("docs/glossary.md"), re.MULTILINE)
    terms = [term.lower() for term, *_ in rows]
    assert terms == sorted(terms)
    assert len(set(terms)) == len(terms) > 80
    assert all(re.search("[\u4e00-\u9fff]", chinese) for _, chinese, _ in rows)
