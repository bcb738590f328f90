"""The pages for teachers: sections and exercises of notebooks that they name exist, and no notebook is left out."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A link to a notebook, and titles of its sections: [00](../notebooks/00-rnn-from-scratch.ipynb): *Training*, *Reading*
NAMED = re.compile(r"\]\((\S+\.ipynb)\):((?:,?\s\*[^*]+\*)+)")
NUMBERS = r"\d+(?:(?:, | and | to )\d+)*"  # 1 to 4, 7 and 8


def read(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def prose(path: Path) -> str:
    """The text of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def titles(path: Path) -> set[str]:
    """Titles of a notebook's sections, without their numbers."""
    return set(re.findall(r"^##+ (?:\d+\. )?(.+)$", prose(path), re.MULTILINE))


def numbered(notebook: str, kind: str) -> dict[int, str]:
    """The `section`s or `exercise`s of the notebook with this number, such as 00: their titles by number."""
    (path,) = (ROOT / "notebooks").glob(f"{notebook}-*.ipynb")
    start = {"section": "##+ ", "exercise": r"\*\*"}[kind]
    return {int(number): title for number, title in re.findall(rf"^{start}(\d+)\. (.+)$", prose(path), re.MULTILINE)}


def read_numbers(text: str) -> set[int]:
    """All numbers of a text such as "1 to 4, 7 and 8"."""
    found = re.findall(r"(\d+)(?: to (\d+))?", text)
    return {number for first, last in found for number in range(int(first), int(last or first) + 1)}


def named(name: str) -> list[tuple[str, str]]:
    """Path of a notebook and title of a section, as a page names them."""
    text = " ".join(read(name).split())
    return [(path, title) for path, found in NAMED.findall(text) for title in re.findall(r"\*([^*]+)\*", found)]


@pytest.mark.parametrize(("name", "least"), [("syllabus.md", 80), ("exam.md", 30)])
def test_sections_that_are_named_exist(name, least):
    found = named(name)
    assert len(found) >= least, "the pattern finds what is named"
    index = read(name).partition("## Where to find what")[2] or read(name)
    assert len(NAMED.findall(" ".join(index.split()))) == index.count(".ipynb)"), (
        "a link without sections, or not so written"
    )
    assert [(path, title) for path, title in found if title not in titles(ROOT / "docs" / path)] == []


def test_sections_and_exercises_that_are_numbered_exist():
    text = " ".join(read("syllabus.md").split())
    found = [
        (notebook, kind, numbers)
        for notebook, parts in re.findall(rf"\b(\d\d)((?:,? (?:from )?(?:section|exercise)s? {NUMBERS})+)", text)
        for kind, numbers in re.findall(rf"(section|exercise)s? ({NUMBERS})", parts)
    ]
    found += [
        (notebook, "section", numbers) for numbers, notebook in re.findall(rf"section ({NUMBERS}) of (\d\d)", text)
    ]
    assert len(found) >= 20, "the patterns find what is numbered"
    missing = [(*one, more) for *one, text in found if (more := read_numbers(text) - {*numbered(*one)})]
    assert missing == []


def test_exercises_to_set_exist_and_are_of_the_kind_that_is_named():
    found = re.findall(r"- \*\*(\d\d)\*\*: [^*]+ \*Set\* ([^.]+)\.", " ".join(read("syllabus.md").split()))
    assert len(found) == len(list((ROOT / "notebooks").glob("*.ipynb")))
    for notebook, text in found:
        exercises, chosen = numbered(notebook, "exercise"), read_numbers(text)
        assert chosen <= {*exercises}, notebook
        named = {n for part in re.findall(rf"({NUMBERS}) \(derivations?\)", text) for n in read_numbers(part)}
        assert named == {n for n in chosen if "derivation" in exercises[n]}, notebook


def test_each_notebook_has_its_goals_and_its_place_in_the_index():
    text = read("syllabus.md")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"- **{path.name[:2]}**:" in text, path.name
        assert re.search(rf"^\| \[{path.name[:2]} [^]]+\]\(\.\./notebooks/{path.name}\)", text, re.MULTILINE), path.name
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
