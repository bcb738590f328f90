"""What documents name exists: files, tests, keys of recipes, commands and their flags, fields, messages."""

import ast
import json
import re
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
import typer

from seq2seq.analysis.challenge.sets import Accuracy, ChallengeReport
from seq2seq.cli import app
from seq2seq.config import SearchOptions
from seq2seq.config.recipe import TASK_CONFIGS
from seq2seq.config.schema import flatten_annotation, sections
from seq2seq.evaluation.comparison import compare_systems
from seq2seq.evaluation.metrics import EvaluationReport, score_texts
from seq2seq.inference.output import _rows
from seq2seq.inference.pair_score import PairScore
from seq2seq.inference.results import Hypothesis, Translation
from seq2seq.inference.text_generator import PerplexityReport
from seq2seq.sweeps.record import RunRecord
from tests.documents import documented_fields, table

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


def glossary(name: str) -> list[tuple[str, str, str]]:
    """Term, Chinese name and meaning of each row."""
    return re.findall(r"^\| \*\*(.+?)\*\* \| (.*?) \| (.+) \|$", read(name), re.MULTILINE)


def test_the_glossary_is_sorted_and_has_a_chinese_name_for_each_term():
    rows = glossary("docs/glossary.md")
    terms = [term.lower() for term, *_ in rows]
    assert terms == sorted(terms)
    assert len(set(terms)) == len(terms) > 80
    assert all(re.search("[\u4e00-\u9fff]", chinese) for _, chinese, _ in rows)


def test_both_glossaries_have_the_same_terms_names_and_links():
    english, chinese = glossary("docs/glossary.md"), glossary("docs/glossary.zh.md")
    assert [row[:2] for row in chinese] == [row[:2] for row in english], "a term needs a row in both"
    for (term, _, one), (_, _, other) in zip(english, chinese, strict=True):
        assert re.search("[\u4e00-\u9fff].*(。|`|）)$", other), term
        for pattern in (r"\]\(([^)\s]+)\)", "`[^`]+`"):  # links and code
            assert sorted(re.findall(pattern, other)) == sorted(re.findall(pattern, one)), term


def test_the_page_of_commands_has_each_with_the_first_sentence_of_its_help():
    rows = {row[0].strip("`"): row[1] for row in table("docs/commands.md", "# Commands", "command")}
    helps = {
        f"seq2seq {name}": re.split(r"(?<=\.)\s", command.help)[0]
        for name, command in commands().items()
        if not getattr(command, "commands", None)
    }
    assert list(rows.items()) == list(helps.items())


def test_the_defaults_of_search_are_those_of_a_recipe():
    defaults = {code_spans(row[0])[0].split()[0]: row[1] for row in table("docs/search.md", "## Beam search", "option")}
    assert len(defaults) > 10
    for option, default in defaults.items():
        key = SearchOptions.model_fields[option.removeprefix("--").replace("-", "_")].default
        words = {None: ("none", "the longest training line"), True: ("yes",), False: ("no",)}
        assert default in (words[key] if key is None or isinstance(key, bool) else (str(key),)), option


def test_the_fields_of_json_are_documented():
    page = "docs/files-and-formats.md"
    values = ["a", "</s>"], np.zeros(2, np.float32), np.ones((2, 1), np.float32)
    hypothesis = Hypothesis("a", 0.0, *values, expected_utility=1.0, token_confidence=np.ones(2, np.float32))
    line = json.loads(next(_rows("jsonl", 1, "a", Translation(["</s>"], [hypothesis]), attention=True)))
    assert documented_fields(page, "## Translations", "field of a line") == list(line)
    assert documented_fields(page, "## Translations", "field of a translation") == list(line["translations"][0])
    pair = {"line": 1, "source": "a", "target": "a", **PairScore(0.0, ["</s>"], np.zeros(1, np.float32)).as_dict()}
    assert documented_fields(page, "## Scores", "field of a pair") == list(pair)
    run = asdict(RunRecord("a", (), 1, ("seq2seq train",), ""))
    assert documented_fields(page, "## Directory of a sweep", "field of a run") == list(run)
    reports = dict(table(page, "## Reports", "command"))
    evaluation = EvaluationReport(1, score_texts(["a b"], ["a b"], bootstrap=False)).as_dict()
    assert {*evaluation, *evaluation["scores"][0]} == set(code_spans(reports["`evaluate`"]))
    perplexity = PerplexityReport(1, 1, 1, 1, 0, 1.0).as_dict()
    assert set(perplexity) == set(code_spans(reports["`perplexity`"]))
    challenge = ChallengeReport((Accuracy("a", 1, 1),), ()).as_dict()
    assert {*challenge, *challenge["by_phenomenon"][0]} == set(code_spans(reports["`challenge`"]))
    comparison = compare_systems({"a": ["b"], "b": ["a"]}, ["a"], bootstrap_samples=2, randomization_trials=0).as_dict()
    system, breakdown = comparison["systems"][1], comparison["breakdowns"][0]
    parts = [comparison, system, system["wins"][0], breakdown, breakdown["groups"][0]]
    fields = {field for part in parts for field in part} | system["scores"][0].keys() - evaluation["scores"][0].keys()
    assert fields == set(code_spans(reports["`compare`"])) - {"evaluate"}
    pretrained = json.loads(read("seq2seq/pretrained/phrasebook-en-de/metadata.json"))
    assert set(documented_fields(page, "### `metadata.json`")) == set(pretrained)


@cache
def literals() -> list[str]:
    """Texts in the package's code, with `...` for what is filled in."""
    found = []
    for path in (ROOT / "seq2seq").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def is_a_message(text: str) -> bool:
    pattern = re.compile(".*".join(map(re.escape, text.split("..."))), re.DOTALL)
    return any(pattern.search(literal) for literal in literals())


def test_messages_keys_and_flags_of_the_troubleshooting_exist():
    text = read("docs/troubleshooting.md")
    symptoms = [cell for cell in re.findall(r"^\| (.+?) \| .+ \|$", text, re.MULTILINE) if cell != "symptom"]
    quoted = [span for cell in symptoms for span in code_spans(cell) if " " in span and span != "warning:"]
    assert len(quoted) > 25, "the tables were read"
    assert [span for span in quoted if not is_a_message(span)] == []
    named = [span for span in code_spans(text) if span not in quoted and not span.endswith((".yaml", ".tsv"))]
    assert {span: problem for span in named if (problem := check(span))} == {}


def test_a_message_that_is_not_in_the_code_would_be_found():
    assert is_a_message("process ... is training into it")
    assert not is_a_message("process ... is training in it")
