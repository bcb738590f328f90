"""Notebooks as pages: their cells as Markdown, with the outputs that are stored in them."""

import base64
import html
import json
import re
from collections.abc import Callable
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from repository import ROOT

ANSI_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SCRIPT = re.compile(r"(?is)<script\b.*?</script>")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook, and its pictures as files."""
    for path in sorted(path for places in ("*.ipynb", "zh/*.ipynb") for path in (ROOT / "notebooks").glob(places)):
        name = path.relative_to(ROOT).with_suffix("").as_posix()

        def add_file(ending: str, content: bytes | str, name: str = name) -> str:
            files.append(File.generated(config, f"{name}{ending}", content=content))
            return f"{name}{ending}".rpartition("/")[2]

        add_file(".md", to_markdown(json.loads(path.read_text("utf-8")), add_file))
    return files


def to_markdown(notebook: dict[str, Any], add_file: Callable[[str, bytes | str], str]) -> str:
    """The Markdown of a notebook; `add_file(ending, content)` stores a picture and returns its name."""
    parts = []
    for place, cell in enumerate(notebook["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code" and source:
            parts.append(fence(source, "python"))
            for number, output in enumerate(cell["outputs"]):
                parts.append(
                    show_output(output, lambda *file, at=f"-{place}-{number}": add_file(at + file[0], file[1]))
                )
    return "\n\n".join(parts)


def show_output(output: dict[str, Any], add_file: Callable[[str, bytes | str], str]) -> str:
    """One output of a cell in the best form that a page without scripts can show."""
    if output["output_type"] == "stream":
        return fence_output("".join(output["text"]))
    if output["output_type"] == "error":
        return fence_output("\n".join(output["traceback"]))
    data = {kind: "".join(text) if isinstance(text, list) else text for kind, text in output["data"].items()}
    if "image/svg+xml" in data:
        return picture(add_file(".svg", data["image/svg+xml"]))
    if "image/png" in data:
        return picture(add_file(".png", base64.b64decode(data["image/png"])))
    if "text/html" in data:
        # On one line, since a blank line or an indented one would mean something in Markdown.
        return f'<div class="output">{" ".join(SCRIPT.sub("", data["text/html"]).split())}</div>'
    return data.get("text/markdown") or fence_output(data.get("text/plain", ""))


def picture(name: str) -> str:
    """A picture that a cell has drawn."""
    return f"![Output of the cell above]({html.escape(name)}){{ .output }}"


def fence_output(text: str) -> str:
    """Printed text, without colours and without what was overwritten."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in ANSI_ESCAPE.sub("", text).split("\n"))
    printed = "\n".join(lines).strip("\n")
    return fence(printed, "{ .text .output }") if printed.strip() else ""


def fence(text: str, info: str) -> str:
    """A code block."""
    marks = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{marks} {info}\n{text}\n{marks}"
