"""The configuration reference is the schema, all of it, in Markdown that renders."""

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest

from seq2seq.config.explain import sections
from seq2seq.config.reference import reference, type_name
from seq2seq.config.section import Rate, Section

FILE = Path(__file__).parents[2] / "docs" / "configuration.md"


def tables() -> dict[str, dict[str, dict[str, str]]]:
    """Rows by section title and key, read back from the Markdown."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for part in reference().split("\n## ")[1:]:
        header, _, *rows = [
            [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in part.split("\n")
            if line.startswith("|")
        ]
        found[part.split("\n")[0]] = {row[0].strip("`"): dict(zip(header, row, strict=True)) for row in rows}
    return found


def test_the_document_is_up_to_date():
    assert FILE.read_text(encoding="utf-8") == reference(), (
        "docs/configuration.md is not what the schema says: run `make docs` and commit the file"
    )


def test_every_key_of_every_section_is_there_once_and_in_order():
    documented = tables()
    by_name = {name: title for title in documented for name in re.findall(r"`([^`]+)`", title)}
    for name, section in sections():
        assert list(documented[by_name.get(name, "The recipe")]) == list(section.model_fields), name
    assert len(documented) == len({section for _, section in sections()})
    assert "`data.train`, `data.valid`, `data.test`" in documented
    assert list(documented).index("`decoder`") == list(documented).index("`encoder`") + 1


def test_a_row_says_all_that_the_schema_knows():
    documented = tables()
    assert documented["`search`"]["top_p"] == {
        "key": "`top_p`",
        "type": "`number`",
        "default": "`1.0`",
        "range": "`> 0`, `≤ 1`",
        "unit": "",
        "meaning": "When sampling: sample from the smallest set of most likely tokens with this cumulative "
        "probability.",
        "paper": "Holtzman et al. 2020",
    }
    decoder, data = documented["`decoder`"], documented["`data`"]
    assert decoder["readout_dropout"]["type"] == "`number | null`"
    assert decoder["readout_dropout"]["range"] == "`≥ 0`, `< 1`", "the limits of a rate inside of a union"
    assert decoder["residual"]["type"] == "`true | false | highway`"
    assert (data["train"]["default"], data["test"]["default"], data["filters"]["default"]) == ("required", "`null`", "")
    assert documented["`training`"]["schedule"]["meaning"].startswith("How the learning rate moves")
    assert "unit" not in documented["`embeddings`"]["size"], "columns that nothing stands in are left out"


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
