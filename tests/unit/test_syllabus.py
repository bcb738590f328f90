"""The pages for teachers: each section of a notebook that they name exists, and no notebook is left out."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A link to a notebook, and titles of its sections: [00](../notebooks/00-rnn-from-scratch.ipynb): *Training*, *Reading*
NAMED = re.compile(r"\]\((\S+\.ipynb)\):((?:,?\s\*[^*]+\*)+)")


def read(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def titles(path: Path) -> set[str]:
    """Titles of a notebook's sections, without their numbers."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return set(re.findall(r"^##+ (?:\d+\. )?(.+)$", text, re.MULTILINE))


def named(name: str) -> list[tuple[str, str]]:
    """Path of a notebook and title of a section, as a page names them."""
    text = " ".join(read(name).split())
    return [(path, title) for path, found in NAMED.findall(text) for title in re.findall(r"\*([^*]+)\*", found)]


@pytest.mark.parametrize(("name", "least"), [("syllabus.md", 80), ("exam.md", 30)])
def test_sections_that_are_named_exist(name, least):
    found = named(name)
    assert len(found) >= least, "the pattern finds what is named"
    assert [(path, title) for path, title in found if title not in titles(ROOT / "docs" / path)] == []


def test_each_notebook_has_its_goals_and_its_place_in_the_index():
    text = read("syllabus.md")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"- **{path.name[:2]}**:" in text, path.name
        assert f"../notebooks/{path.name}" in {found for found, _ in named("syllabus.md")}


def test_each_question_has_an_answer_that_says_where_it_is_explained():
    questions = re.split(r"^## \d+\. ", read("exam.md"), flags=re.MULTILINE)[1:]
    assert len(questions) == 12
    for question in questions:
        answer = re.search(
            r"<details markdown=\"1\">\n<summary>Answer</summary>\n\n(.+)\n\n</details>$", question.strip(), re.DOTALL
        )
        assert answer, question.splitlines()[0]
        assert NAMED.search(answer[1]), question.splitlines()[0]
