"""The configuration reference is the schema, all of it, in Markdown that renders."""

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest

from seq2seq.config.recipe import TASK_CONFIGS
from seq2seq.config.reference import render_reference, type_name
from seq2seq.config.schema import sections
from seq2seq.config.section import Rate, Section

FILE = Path(__file__).parents[2] / "docs" / "configuration.md"


def tables() -> dict[str, list[dict[str, str]]]:
    """Rows by section title, read back from the Markdown."""
    found: dict[str, list[dict[str, str]]] = {}
    for part in render_reference().split("\n## ")[1:]:
        header, _, *rows = [
            [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in part.split("\n")
            if line.startswith("|")
        ]
        found[part.split("\n")[0]] = [dict(zip(header, row, strict=True)) for row in rows]
    return found


def table_of(title: str, task: str = "translation") -> dict[str, dict[str, str]]:
    """Rows by key: those of a task, and those of all."""
    rows = [row for row in tables()[title] if row.get("task", "") in ("", f"`{task}`")]
    assert len({row["key"] for row in rows}) == len(rows), "a key has one row"
    return {row["key"].strip("`"): row for row in rows}


def test_the_document_is_up_to_date():
    assert FILE.read_text(encoding="utf-8") == render_reference(), (
        "docs/configuration.md is not what the schema says: run `make docs` and commit the file"
    )


@pytest.mark.parametrize("task", TASK_CONFIGS)
def test_every_key_of_every_section_is_there_once_and_in_order(task):
    documented = tables()
    by_name = {name: title for title in documented for name in re.findall(r"`([^`]+)`", title)}
    for name, section in sections(TASK_CONFIGS[task]):
        assert list(table_of(by_name.get(name, "The recipe"), task)) == list(section.model_fields), name
    assert "`data.train`, `data.test`" in documented
    assert list(documented).index("`decoder`") == list(documented).index("`encoder`") + 1
    assert documented.keys() - by_name.values() == {"The recipe"}


def test_what_not_all_tasks_have_names_its_task():
    assert "Stacked recurrent encoder. Only for `translation`." in render_reference()
    assert table_of("`decoder`")["heads"]["task"] == "`translation`"
    assert "heads" not in table_of("`decoder`", "language_model")
    assert table_of("`decoder`")["units"]["task"] == ""
    found = [table_of("`search`", task)["max_length"] for task in ("translation", "language_model")]
    assert [row["default"] for row in found] == ["`null`", "`100`"]


def test_a_row_says_all_that_the_schema_knows():
    assert table_of("`search`")["top_p"] == {
        "key": "`top_p`",
        "type": "`number`",
        "default": "`1.0`",
        "range": "`> 0`, `≤ 1`",
        "unit": "",
        "meaning": "Cumulative probability of the smallest set of most likely tokens to sample from "
        "(nucleus sampling).",
        "paper": "Holtzman et al. 2020",
        "task": "",
    }
    decoder, data = table_of("`decoder`"), table_of("`data`")
    assert decoder["readout_dropout"]["type"] == "`number | null`"
    assert decoder["readout_dropout"]["range"] == "`≥ 0`, `< 1`", "the limits of a rate inside of a union"
    assert decoder["residual"]["type"] == "`true | false | highway`"
    assert (data["train"]["default"], data["test"]["default"], data["filters"]["default"]) == ("required", "`null`", "")
    assert table_of("`training`")["schedule"]["meaning"].startswith("Learning-rate schedule")
    assert "unit" not in table_of("`embeddings`")["size"], "empty columns are left out"


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (bool | Literal["all"], "true | false | all"),
        (tuple[str, ...], "list of text"),
        (tuple[Literal["a", "b"], ...] | None, "list of a | b | null"),
        (tuple[Section, ...] | None, "list of sections | null"),
        (Section | None, "section | null"),
        (Rate | None, "number | null"),
        (Annotated[int, "anything"], "integer"),
    ],
)
def test_types_in_words(annotation, words):
    assert type_name(annotation) == words
