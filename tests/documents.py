"""Fenced blocks of the documents, and the commands in them.

A block that no test can run has a comment on the line before it: `<!-- not run: REASON -->`.
"""

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "data/README.md", "benchmarks/**/README.md")
    for path in sorted(ROOT.glob(pattern))
]
FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>\S*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
MARK = re.compile(r"<!-- not run: (\S.*) -->\s*\Z")
ENDS = {"|", ">", "&"}  # of a command in a line of shell


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        place: Document and line.
        kind: What stands behind the fence, such as `bash`.
        reason: Why it is not run, or None.
    """

    place: str
    kind: str
    text: str
    reason: str | None


@dataclass(frozen=True)
class Command:
    """A command of a shell block: `[VARIABLE=value...] words [> output] [&]`, its input perhaps from `echo` or `cat`.

    Attributes:
        place: Document and line of its block.
        words: The program and its arguments.
        feed: The words of the command whose output it reads, or empty.
        output: File that its output goes to, or None.
        shown: Output that the document shows, or None where it shows none.
    """

    place: str
    words: list[str]
    feed: list[str] = field(default_factory=list)
    output: str | None = None
    shown: str | None = None


def read_document(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str) -> list[Block]:
    """Fenced blocks of a document."""
    text = read_document(name)
    found = []
    for match in FENCE.finditer(text):
        mark = MARK.search(text[: match.start()])
        line = text.count("\n", 0, match.start()) + 1
        reason = mark.group(1) if mark else None
        found.append(Block(f"{name}:{line}", match["kind"], match["text"], reason))
    return found


def commands(block: Block) -> list[Command]:
    """Commands of a `bash` or `console` block; output is kept with the command that printed it."""
    lines = block.text.replace("\\\n", " ").split("\n")
    if block.kind != "console":
        return [_command(line, block.place, None) for line in lines if shlex.split(line, comments=True)]
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    assert starts and starts[0] == 0, f"{block.place}: a console block begins with `$ `"
    return [
        _command(lines[start][2:], block.place, "\n".join(lines[start + 1 : end]).strip())
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]


def _command(line: str, place: str, shown: str | None) -> Command:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|>&;")
    lexer.whitespace_split = True
    words, feed, output = list(lexer), [], None
    if "|" in words:
        bar = words.index("|")
        feed, words = words[:bar], words[bar + 1 :]
    if ">" in words:
        output = words[words.index(">") + 1]
        words = words[: words.index(">")]
    words = [word for word in words if word != "&"]
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    return Command(place, words, feed, output, shown or None)
