"""Fenced blocks of the documents, the commands in them, and what makes these commands small.

A block that no test can run has a comment on the line before it: `<!-- not run: REASON -->`.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "data/README.md", "benchmarks/**/README.md")
    for path in sorted(ROOT.glob(pattern))
]
FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>\S*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
MARK = re.compile(r"<!-- not run: (\S.*) -->\s*\Z")
SHELLS = "bash", "console"

# Keys that make a model small, whatever a document sets.
SIZES = {
    "training.updates": 2, "batching.max_tokens": 200, "data.filters.max_tokens": 60, "tokenizer.vocabulary_size": 56,
    "tokenizer.exact_size": "false", "embeddings.size": 8, "decoder.units": 8, "encoder.units": 8,
}  # fmt: skip
# Keys in which the recipes differ: equal where a document does not set them, so that equal graphs are traced once.
STRUCTURE = {
    "embeddings.dropout": 0.1, "decoder.dropout": 0.1, "encoder.dropout": 0.1, "decoder.heads": 1,
    "decoder.attention": "dot", "training.beta_2": 0.98, "training.label_smoothing": 0.1, "training.clip_norm": 1.0,
}  # fmt: skip
# For recipes whose corpus is the phrasebook, which has more letters than the toy corpus.
PHRASES = {
    "data.train.pairs": 300, "data.valid.pairs": 20, "data.test.pairs": 20, "tokenizer.vocabulary_size": 150,
    "search.max_length_factor": 0.5,
}  # fmt: skip
# Options of other commands.
COUNTS = {"--items": "1", "--last": "1", "--vocabulary-size": "40", "--train-pairs": "100", "--held-out-pairs": "20"}


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        place: Document and line.
        kind: What stands behind the fence, such as `bash`.
        text: What is in it.
        reason: Why it is not run, or None.
    """

    place: str
    kind: str
    text: str
    reason: str | None


@dataclass(frozen=True)
class Command:
    """A command of a shell block: `[VARIABLE=VALUE...] words [> output] [&]`, its input perhaps from `echo` or `cat`.

    Attributes:
        place: Document and line of its block.
        words: The program and its arguments.
        feed: The command whose output it reads, or empty.
        output: File that its output goes to, or None.
        shown: Output that the document shows, or None where it shows none.
    """

    place: str
    words: list[str]
    feed: list[str] = field(default_factory=list)
    output: str | None = None
    shown: str | None = None


def read_document(name: str) -> str:
    """A document, by its path from the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def read_blocks(name: str) -> list[Block]:
    """Fenced blocks of a document."""
    text = read_document(name)
    found = []
    for match in FENCE.finditer(text):
        mark = MARK.search(text[: match.start()])
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(f"{name}:{line}", match["kind"], match["text"], mark[1] if mark else None))
    return found


def table(name: str, heading: str, header: str) -> list[list[str]]:
    """Cells of the rows of a document's table: the first one after `heading` whose first column is called `header`."""
    text = f"\n{read_document(name)}"
    text = text[text.index(f"\n{heading}\n") :]
    rows = text[text.index(f"\n| {header} |") :].strip().split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]


def documented_fields(name: str, heading: str, header: str = "field") -> list[str]:
    """Names in the first column of such a table."""
    return [span for row in table(name, heading, header) for span in re.findall(r"`([^`]+)`", row[0])]


def commands(block: Block) -> list[Command]:
    """Commands of a shell block; none of a script, which is for another program to run."""
    if block.kind not in SHELLS or block.text.startswith("#!"):
        return []
    lines = block.text.replace("\\\n", " ").split("\n")
    if block.kind == "bash":
        return [_command(line, block.place, None) for line in lines if shlex.split(line, comments=True)]
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    assert starts[:1] == [0], f"{block.place}: a console block begins with `$ `"
    return [
        _command(lines[start][2:], block.place, "\n".join(lines[start + 1 : end]).strip() or None)
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]


def _command(line: str, place: str, shown: str | None) -> Command:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|>&;")
    lexer.whitespace_split = True
    words, feed, output = [word for word in lexer if word != "&"], [], None
    if "|" in words:
        bar = words.index("|")
        feed, words = words[:bar], words[bar + 1 :]
    if ">" in words:
        arrow = words.index(">")
        words, output = words[:arrow], words[arrow + 1]
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    return Command(place, words, feed, output, shown)


def trains(arguments: Sequence[str]) -> bool:
    """Whether a command of `seq2seq` trains a model."""
    return arguments[0] in ("train", "quickstart") and "--dump-config" not in arguments


def model_directory(arguments: Sequence[str]) -> Path:
    """The model directory of a command that trains one."""
    for option in ("--output", "-o"):
        if option in arguments:
            return Path(arguments[arguments.index(option) + 1])
    return Path("runs", Path(arguments[1]).stem if arguments[0] == "train" else "quickstart")


def at_toy_size(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command of `seq2seq`, with keys and counts that make it small."""
    first, *rest = [COUNTS.get(before, word) for before, word in zip(["", *arguments], arguments, strict=False)]
    if first == "compare":
        return [first, *rest, "--paired-bs-n", "5", "--paired-ar-n", "5"]
    if not trains(arguments):
        return [first, *rest]
    recipe = rest[0] if first == "train" else "quickstart"
    structure, sizes = dict(STRUCTURE), dict(SIZES)
    if recipe in ("quickstart", "language-model") and not re.search(r"data\.train[.=](?!pairs)", " ".join(rest)):
        sizes |= PHRASES
    if recipe == "language-model":  # it has no encoder, no attention, no test corpus, and is not searched
        absent = re.compile(r"encoder\.|decoder\.(heads|attention)|data\.test\.|search\.")
        structure, sizes = (
            {key: value for key, value in keys.items() if not absent.match(key)} for keys in (structure, sizes)
        )
    before, after = (
        [part for key, value in keys.items() for part in ("--set", f"{key}={value}")] for keys in (structure, sizes)
    )
    return [first, *before, *rest, *after]
