"""Every command, recipe and Python example of the documents runs, at toy size; `tests/documents.py` finds them."""

import gzip
import os
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import typer
import yaml

import seq2seq
from seq2seq.cli import app
from seq2seq.config import validate_config
from seq2seq.corpora.downloads.catalogue import load_catalogue
from tests.command import run
from tests.documents import (
    DOCUMENTS,
    FENCE,
    ROOT,
    SHELLS,
    SIZES,
    STRUCTURE,
    Block,
    Command,
    at_toy_size,
    commands,
    model_directory,
    read_blocks,
    read_document,
    trains,
)
from tests.toy import language_model_values, pairs, toy_values, write_corpus

KINDS = {*SHELLS, "math", "python", "text", "yaml"}
BLOCKS = {name: read_blocks(name) for name in DOCUMENTS}
CHINESE_README = "README.zh.md"  # it has the commands of README.md, which a test compares
STILL = {"math", "text"}  # nothing to run
RUN = [
    name
    for name in DOCUMENTS
    if name != CHINESE_README and any(block.reason is None and block.kind not in STILL for block in BLOCKS[name])
]
PREPARED = {"runs/multi30k-en-de-small", "runs/pairs", "runs/quickstart"}  # made for documents that do not train them
PRETRAINED = "phrasebook-en-de"


@dataclass
class Made:
    """What all documents share.

    Attributes:
        folder: Corpora, under all names that the documents give them.
        models: Model directories, by the command that trained them.
    """

    folder: Path
    models: dict[tuple[str, ...], Path] = field(default_factory=dict)

    def train(self, *arguments: str) -> None:
        """Run a command that trains, or copy what the same command has made before."""
        directory = model_directory(arguments)
        if arguments not in self.models:
            run_or_fail(*arguments)
            self.models[arguments] = directory.absolute()
        elif not directory.exists():
            shutil.copytree(self.models[arguments], directory)


@pytest.fixture(scope="module")
def made(shared_graphs, tmp_path_factory):
    """A toy corpus."""
    folder = tmp_path_factory.mktemp("documents")
    write_corpus(folder, train=200, valid=20)
    shutil.copy(folder / "train.tsv", folder / "pairs.tsv")
    for name, count in (("train", 200), ("val", 9), ("test_2016_flickr", 9), ("test", 9)):
        for side, language in enumerate(("en", "de")):
            text = "".join(f"{pair[side]}\n" for pair in pairs(count, 3))
            (folder / f"{name}.{language}.gz").write_bytes(gzip.compress(text.encode()))
            (folder / f"{name}.{language}").write_text(text, encoding="utf-8")
    return Made(folder)


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """Working folder of a document's reader."""
    shutil.copytree(made.folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/multi30k-en-de").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MULTI30K", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", RUN)
def test_what_a_document_shows_runs(name, folder, made, monkeypatch, capfd):
    train_pairs = seq2seq.train_pairs

    def train_toy(*arguments, overrides=(), **options):
        return train_pairs(*arguments, overrides={**STRUCTURE, **dict(overrides), **SIZES}, **options)

    monkeypatch.setattr(seq2seq, "train_pairs", train_toy)
    namespace: dict = {}
    for block in BLOCKS[name]:
        if block.reason is not None:
            continue
        if block.kind == "yaml":
            check_yaml(block, folder)
        elif block.kind == "python":
            source = re.sub(r"\b(epochs|items)=\d+", r"\1=1", block.text)
            exec(compile(source, block.place, "exec"), namespace)
        for command in commands(block):
            follow(command, made, monkeypatch, capfd)


def follow(command: Command, made: Made, monkeypatch, capfd) -> None:
    """Run a command of a shell block in the working folder."""
    program, *arguments = command.words
    if program == "export":
        monkeypatch.setenv(*arguments[0].split("=", 1))
        return
    if program == "make":
        check_make(arguments, command.place)
        return
    if program == "printf":
        text = subprocess.run(["printf", *arguments], check=True, capture_output=True, text=True).stdout
        Path(command.output).write_text(text, encoding="utf-8")
        return
    assert program == "seq2seq", f"{command.place}: no test knows how to run {command.words}: mark the block"
    arguments = [re.sub(r"\$(\w+)", lambda name: os.environ[name[1]], word) for word in arguments]
    if trains(arguments) and not any(folder in " ".join(arguments) for folder in PREPARED):
        made.train(*arguments)
        return
    for model in PREPARED.intersection(re.findall(r"runs/[\w-]+", " ".join(arguments))):
        if not Path(model).exists():
            made.train("train", "multi30k-en-de-small")
        if not Path(model).exists():
            shutil.copytree("runs/multi30k-en-de-small", model)
    if command.feed:
        source, *words = command.feed
        text = " ".join(words) + "\n" if source == "echo" else Path(words[0]).read_text(encoding="utf-8")
        Path("stdin").write_text(text, encoding="utf-8")
        arguments += ["-i", "stdin"]
    capfd.readouterr()
    run_or_fail(*arguments)
    output = capfd.readouterr().out
    if command.output:
        Path(command.output).write_text(output, encoding="utf-8")
    if command.shown and PRETRAINED in arguments:
        assert without_scores(output) == without_scores(command.shown), command.place


def run_or_fail(*arguments: str) -> None:
    """Run a command of `seq2seq` in this process, at toy size."""
    assert run(*at_toy_size(arguments)) == 0, " ".join(at_toy_size(arguments))


def without_scores(output: str) -> str:
    """Printed text without figures, whose last digits depend on the machine."""
    return re.sub(r"-?\d+\.\d+", "#", output).strip()


def check_yaml(block: Block, folder: Path) -> None:
    """A recipe, some of its sections, or a catalogue of corpora."""
    values = yaml.safe_load(block.text)
    if all("homepage" in value for value in values.values()):
        (folder / "catalogue.yaml").write_text(block.text, encoding="utf-8")
        assert load_catalogue(folder / "catalogue.yaml").keys() >= values.keys()
        return
    toy = language_model_values(folder) if values.get("task") == "language_model" else toy_values(folder)
    validate_config({**toy, **values}, block.place)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_blocks_are_of_a_known_kind_and_those_not_run_name_what_exists(name):
    for block in BLOCKS[name]:
        assert block.kind in KINDS, f"{block.place}: {block.kind or 'no kind'} is none of {sorted(KINDS)}"
        for command in commands(block) if block.reason else ():
            program, *arguments = command.words
            if program == "seq2seq":
                check_options(arguments, command.place)
            elif program == "make":
                check_make(arguments, command.place)
            elif program == "python" and arguments[0].startswith("benchmarks/"):
                check_script(arguments, command.place)


def check_options(arguments: list[str], place: str) -> None:
    """The command of `seq2seq` exists and has these options."""
    command, words = typer.main.get_command(app), arguments.copy()
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    own = words[: words.index("--")] if "--" in words else words
    assert {word for word in own if re.match(r"--?[a-z]", word)} <= known, f"{place}: {arguments}"


def check_make(targets: list[str], place: str) -> None:
    """The targets exist."""
    known = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(targets) <= set(known), f"{place}: {targets}"


def check_script(arguments: list[str], place: str) -> None:
    """The script exists, and some script beside it declares its options."""
    assert (ROOT / arguments[0]).is_file(), f"{place}: {arguments[0]}"
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").rglob("*.py"))
    assert all(f'"{word}"' in sources for word in arguments if word.startswith("--")), f"{place}: {arguments}"


def test_the_documents_show_every_command():
    found = [command.words for blocks in BLOCKS.values() for block in blocks for command in commands(block)]
    shown = {words[1] for words in found if words[0] == "seq2seq"}
    assert shown >= typer.main.get_command(app).commands.keys()


def test_the_readme_is_short_and_names_both_ways_to_begin():
    readme = read_document("README.md")
    assert len(readme.encode()) <= 7000
    assert "`make quickstart`" in readme
    assert "`make test`" in readme


def test_the_chinese_readme_has_the_commands_and_figures_of_the_english_one():
    readmes = "README.md", CHINESE_README
    english, chinese = ([_without_comments(block.text) for block in BLOCKS[name]] for name in readmes)
    assert chinese == english
    texts = [read_document(name) for name in readmes]
    prose = [FENCE.sub("", text) for text in texts]
    for what, pattern in (("code", r"`[^`]+`"), ("figure", r"(?<![\w./#-])\d+(?:[.,]\d+)*")):
        english, chinese = (Counter(re.findall(pattern, " ".join(text.split()))) for text in prose)
        assert chinese == english, f"{what}: {dict(chinese - english)} for {dict(english - chinese)}"
    english, chinese = (set(re.findall(r"\]\(([^)\s]+)\)", text)) for text in texts)
    assert english - chinese == {"README.zh.md"}
    assert chinese - english == {"README.md", "docs/glossary.zh.md", "notebooks/zh"}


def _without_comments(text: str) -> str:
    return re.sub(r" +# .*$", "", text, flags=re.MULTILINE)


def test_links_lead_somewhere_and_nothing_is_left_to_fill_in():
    for document in DOCUMENTS:
        text = read_document(document)
        assert not re.search(r"@[A-Z0-9_]+@", text), document
        for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
            target, _, anchor = link.partition("#")
            path = (ROOT / document).parent / target if target else ROOT / document
            assert path.exists(), f"{document}: {link}"
            if anchor and path.suffix == ".md":
                assert anchor in anchors(path.read_text(encoding="utf-8")), f"{document}: {link}"


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as the site and code hosts make them."""
    headings = re.findall(r"^#+ +(.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
