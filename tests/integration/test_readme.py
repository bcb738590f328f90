"""Every `seq2seq` command of the README runs, at toy size."""

import gzip
import re
import shlex
from pathlib import Path

import pytest

from seq2seq.cli import main
from tests.toy import pairs, write_corpus

README = Path(__file__).parents[2] / "README.md"
SMALL = (
    "training.updates=2", "batching.max_tokens=200", "embeddings.size=8", "encoder.units=8", "decoder.units=8",
    "data.filters.max_tokens=60",
)  # fmt: skip
PHRASES = ("data.train.pairs=300", "data.valid.pairs=20", "data.test.pairs=20", "search.max_length_factor=0.5")


def commands() -> list[list[str]]:
    """The shell lines of the README that call seq2seq, continuation lines joined."""
    blocks = re.findall(r"```(?:bash|sh|console)\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").split("\n")
    found = [shlex.split(line, comments=True) for line in lines]
    return [words for words in found if any(Path(word).name == "seq2seq" for word in words[:6])]


def test_the_readme_shows_every_verb():
    verbs = {words[[Path(word).name for word in words].index("seq2seq") + 1] for words in commands()}
    shown = "average challenge evaluate export generate inspect perplexity quantize quickstart shortlist tokenizer"
    assert {*shown.split(), "train", "translate"} <= verbs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the README's reader has: corpora in the working folder, Multi30k in $MULTI30K."""
    folder = tmp_path_factory.mktemp("readme")
    write_corpus(folder, train=200, valid=20)
    (folder / "pairs.tsv").write_bytes((folder / "train.tsv").read_bytes())
    (folder / "seq2seq").symlink_to(README.parent / "seq2seq")  # the README's reader stands in the checkout
    names = {"train": "train", "val": "valid", "test_2016_flickr": "test"}
    for name in names:
        for side, language in enumerate(("en", "de")):
            text = "".join(f"{pair[side]}\n" for pair in pairs(200 if name == "train" else 9, 3))
            (folder / f"{name}.{language}.gz").write_bytes(gzip.compress(text.encode()))
            (folder / f"{name}.{language}").write_text(text, encoding="utf-8")
    return folder


def test_readme_commands_run_in_order(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MULTI30K", str(folder))
    for words in commands():
        names = [Path(word).name for word in words]
        start = names.index("seq2seq")
        arguments = [word.replace("$MULTI30K", str(folder)) if "=" not in word else word for word in words[start + 1 :]]
        feed = words[1] if words[0] == "echo" else None
        if feed is not None:
            (folder / "stdin").write_text(feed + "\n", encoding="utf-8")
            arguments += ["-i", "stdin"]
        if ">" in arguments:
            arguments[arguments.index(">")] = "-o"
        if arguments[0] in ("train", "quickstart") and "--dump-config" not in arguments:
            size = 150 if arguments[0] == "quickstart" else 56
            keys = [*SMALL, f"tokenizer.vocabulary_size={size}", *(PHRASES if arguments[0] == "quickstart" else ())]
            if "language-model" in arguments:  # it has no encoder
                keys = [*(key for key in keys if not key.startswith("encoder.")), *PHRASES[:2]]
            arguments += [f for key in keys for f in ("--set", key)]
        if arguments[:2] == ["tokenizer", "train"]:
            arguments[arguments.index("--vocabulary-size") + 1] = "40"
        if arguments[0] == "challenge":
            arguments[arguments.index("--items") + 1] = "1"
        if arguments[0] == "average":  # two updates leave one checkpoint
            arguments[arguments.index("--last") + 1] = "1"
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert not end.value.code, f"{' '.join(words)}\n{capsys.readouterr().err}"


def test_links_lead_somewhere_and_nothing_is_left_to_fill_in():
    documents = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md", "benchmarks/README.md")
    guides = (f"docs/{guide.name}" for guide in (README.parent / "docs").glob("*.md"))
    for document in (*documents, *guides):
        text = (README.parent / document).read_text(encoding="utf-8")
        assert not re.search(r"@[A-Z0-9_]+@", text), document
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
            assert (README.parent / document).parent.joinpath(link).exists(), f"{document}: {link}"
