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
    return [(kind, text, chinese[name][1]) for name, (kind, text) in english.items()]


def strip_strings(code):
    """The syntax tree without strings and comments, and the strings in order."""
    tree, strings = ast.parse(code), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings.append(node.value)
            node.value = ""
    return ast.dump(tree), strings


def differences(english, chinese):
    """What differs in the code of two cells besides comments and strings in Chinese."""
    (tree, texts), (other, others) = strip_strings(english), strip_strings(chinese)
    if tree != other:
        return ["code"]
    return [text for text, new in zip(texts, others, strict=True) if text != new and not HAN.search(new)]


@pytest.mark.parametrize("path", CHINESE, ids=lambda path: path.stem)
def test_code_differs_in_comments_and_chinese_strings_only(path):
    for kind, english, chinese in pairs(path):
        if kind == "code":
            assert differences(english, chinese) == [], chinese


def test_a_difference_in_code_would_be_found():
    english = 'print(f"a {size + 1}", "x")  # why\n'
    assert differences(english, 'print(f"a {size + 1}", "x")  # 为什么\n') == []
    assert differences(english, 'print(f"大小 {size + 1}", "x")\n') == []
    assert differences(english, english.replace("1", "2")) == ["code"]
    assert differences(english, english.replace('"x"', '"y"')) == ["x"]


@pytest.mark.parametrize("path", CHINESE, ids=lambda path: path.stem)
def test_text_is_chinese_and_has_the_links_code_and_figures_of_the_english(path):
    for kind, english, chinese in pairs(path):
        if kind != "markdown":
            continue
        english, chinese = (FENCE.sub("", text) for text in (english, chinese))
        assert HAN.search(chinese), chinese
        assert Counter(LINK.findall(chinese)) == Counter(LINK.findall(english)), chinese
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
