"""Docstrings as Markdown, beyond the sections that Griffe knows: titled blocks, aligned text, links between names.

Shapes: B batch.        a title and what follows it, on the line or indented below: a bold word and text
c_t = f_t * c           aligned text (two spaces within a line): a preformatted block
`Translator`            a name that has an entry in `docs/api/`: a link to it
"""

import ast
import re
from pathlib import Path
from textwrap import dedent
from textwrap import indent as indent_text
from typing import Any

import griffe

API_PAGES = Path(__file__).resolve().parent.parent / "docs" / "api"
TITLE = re.compile(r"(?m)^(?:Shapes|Sources?|Departures?|Weights|Columns|Keys)\b[^:\n]*:")
ALIGNED = re.compile(r"(?m)^\S.*? {2,}\S")  # two spaces or more within a line
# Lines of columns, and those that continue one of them.
COLUMNS = re.compile(r"(?m)(?:^(?P<indent> *)\S.*? {2,}\S.*(?:\n|\Z)(?:(?P=indent) +\S.*(?:\n|\Z))*)+")
NAME = re.compile(r"(?s)```.*?```|`(\w+)`")


class HouseDocstrings(griffe.Extension):
    """Turns the docstrings of all objects into what Griffe's Google parser and Markdown understand."""

    def on_attribute_instance(self, *, node: Any, attr: griffe.Attribute, **_: Any) -> None:
        """Note the default and the description of a key of a recipe, which its declaration states."""
        match getattr(node, "value", None):
            case ast.Call(ast.Name("inherit_field"), [_, _, default]):
                attr.extra["recipe"] = {"default": ast.unparse(default)}
            case ast.Call(ast.Name(), [default, ast.Constant(str() as description)]) if attr.annotation:
                attr.extra["recipe"] = {"default": ast.unparse(default), "description": description}

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any) -> None:
        """Find out which objects have an entry."""
        self.entries = find_entries(loader) if pkg.name == "seq2seq" else {}

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """List the keys of a section of a recipe as attributes."""
        keys: dict[str, dict[str, str]] = {}
        for section in [*reversed(cls.mro()), cls]:
            for name, member in section.members.items():
                if isinstance(member, griffe.Attribute) and "recipe" in member.extra:
                    keys[name] = {
                        "description": "",
                        **keys.get(name, {}),
                        **member.extra["recipe"],
                        "type": str(member.annotation),
                    }
        if keys and cls.docstring:
            lines = [
                f"    {name} ({key['type']}): {key['description']} Default: `{key['default']}`."
                for name, key in keys.items()
            ]
            cls.docstring.value += "\n\nAttributes:\n" + "\n".join(lines)

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite a docstring before it is parsed."""
        if obj.docstring:
            own = {*obj.members, *(parameter.name for parameter in getattr(obj, "parameters", ()))}
            entries = {name: path for name, path in self.entries.items() if name not in own}
            obj.docstring.value = link_names(to_markdown(obj.docstring.value), entries)


def find_entries(loader: griffe.GriffeLoader) -> dict[str, str]:
    """The paths of all objects that `docs/api/` has an entry for, by name; a plain word like `sample` is no name."""
    pages = (page.read_text("utf-8") for page in API_PAGES.glob("*.md"))
    paths = [path for page in pages for path in re.findall(r"(?m)^::: (\S+)", page)]
    members = [
        member.path
        for path in paths
        if (module := loader.modules_collection[path]).is_module
        for member in module.members.values()
        if member.is_public and not member.is_alias and member.has_docstring
    ]
    names = {path.rpartition(".")[2]: path for path in members + paths}
    return {name: path for name, path in names.items() if "_" in name or not name.islower()}


def to_markdown(docstring: str) -> str:
    """The docstring in Markdown."""
    # A title begins a block of its own; a block ends before an empty line that is followed by text without indentation.
    spaced = TITLE.sub(r"\n\g<0>", docstring)
    blocks = (block.strip("\n") for block in re.split(r"\n\s*\n(?=\S)", spaced))
    return "\n\n".join(block_to_markdown(block) for block in blocks if block)


def block_to_markdown(block: str) -> str:
    """A paragraph, a section or a titled block."""
    if match := TITLE.match(block):
        first, _, below = block[match.end() :].partition("\n")
        text = preformatted(below) if COLUMNS.search(below) else dedent(below)
        return f"**{match[0]}**{first}\n{text}"
    if ALIGNED.search(block):
        return preformatted(block)
    is_section = re.match(r"\w+( \w+)?:\n", block)
    return COLUMNS.sub(lambda match: preformatted(match[0], match["indent"] if is_section else ""), block)


def preformatted(text: str, indent: str = "") -> str:
    """A code block without a language, indented as the text around it."""
    return indent_text(f"\n```text\n{dedent(text).strip(chr(10))}\n```\n", indent)


def link_names(text: str, entries: dict[str, str]) -> str:
    """Links from names in code spans to their entries."""

    def replace(match: re.Match[str]) -> str:
        path = entries.get(match[1])
        return f"[{match[0]}][{path}]" if path else match[0]

    return NAME.sub(replace, text)
