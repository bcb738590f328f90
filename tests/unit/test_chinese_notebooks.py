"""Chinese notebooks have the code, links and figures of the English ones, and their marks of emphasis work."""

import ast
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from markdown_it import MarkdownIt  # Rich depends on it

ROOT = Path(__file__).parents[2]
CHINESE = sorted((ROOT / "notebooks/zh").glob("*.ipynb"))
HAN = re.compile("[\u4e00-\u9fff]")
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"(?s)^```.*?^```", re.MULTILINE)


FONTS = "fonts"  # id of a cell that only a translation has: it chooses a font


def cells(path):
    """Kind and source of each cell, by its id."""
    found = json.loads(path.read_text("utf-8"))["cells"]
    return {cell["id"]: (cell["cell_type"], "".join(cell["source"])) for cell in found}


def pairs(path):
    """Kind, English and Chinese source of each cell."""
    english, chinese = cells(ROOT / "notebooks" / path.name), cells(path)
    assert [name for name in chinese if name != FONTS] == list(english)
    assert all(chinese[name][0] == kind for name, (kind, _) in english.items())
    found = [(kind, text, chinese[name][1]) for name, (kind, text) in english.items()]
    return [(kind, *(FENCE.sub("", text) for text in texts)) for kind, *texts in found]


def targets(text, folder):
    """What the links of a text lead to. A Chinese notebook stands for its original; it is linked to if there is one."""
    found = Counter()
    for link in LINK.findall(text):
        if re.match(r"\w+:|#", link):
            found[link] += 1
            continue
        place = (folder / link.partition("#")[0]).resolve()
        assert place.exists(), link
        if folder.name == "zh" and place.parent == ROOT / "notebooks":
            assert not (folder / place.name).exists(), f"there is a Chinese {place.name}"
        found[ROOT / "notebooks" / place.name if place.parent.name == "zh" else place] += 1
    return found


def without_texts(code):
    """The syntax tree without comments and the contents of strings."""
    tree = ast.parse(re.sub(r"(?m)^%.*$", "", code))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            node.values = [part for part in node.values if isinstance(part, ast.FormattedValue)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


@pytest.mark.parametrize("path", CHINESE, ids=lambda path: path.stem)
def test_code_differs_in_comments_and_strings_only(path):
    for kind, english, chinese in pairs(path):
        if kind == "code":
            assert without_texts(chinese) == without_texts(english), chinese


@pytest.mark.parametrize("path", CHINESE, ids=lambda path: path.stem)
def test_text_is_chinese_and_has_the_links_code_and_figures_of_the_english(path):
    for kind, english, chinese in pairs(path):
        if kind != "markdown":
            continue
        assert HAN.search(chinese), chinese
        assert targets(chinese, path.parent) == targets(english, ROOT / "notebooks"), chinese
        for pattern in (r"`[^`\n]+`", r"\$\$[^$]+\$\$|\$[^$]+\$", r"(?<![\w.])\d+(?:[.,]\d+)*"):
            found, expected = (
                Counter(re.findall(pattern, " ".join(LINK.sub("", text).split()))) for text in (chinese, english)
            )
            assert found == expected, f"{found - expected} for {expected - found} in {chinese}"


@pytest.mark.parametrize(
    "path", [*CHINESE, ROOT / "README.zh.md", ROOT / "docs/glossary.zh.md"], ids=lambda path: path.name
)
def test_emphasis_works_without_spaces(path):
    """In Markdown, a mark between a full stop and a letter ends no emphasis; Chinese has no spaces to separate them."""
    texts = [text for kind, text in cells(path).values() if kind == "markdown"] if path.suffix == ".ipynb" else []
    for text in texts or [path.read_text("utf-8")]:
        page = MarkdownIt().enable("table").render(re.sub(r"\$[^$]+\$", "", text))
        shown = re.sub(r"<(pre|code)\b.*?</\1>|<[^>]+>", "", page, flags=re.DOTALL)
        assert not re.search(r".{0,20}\*.{0,20}", shown), shown
