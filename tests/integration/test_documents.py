"""Every command, recipe and Python example of the documents runs, at toy size; `tests/documents.py` finds them."""

import gzip
import os
import re
import shutil
from pathlib import Path

import pytest
import typer
import yaml

import seq2seq
from seq2seq.cli import app, main
from seq2seq.config import validate_config
from seq2seq.corpora.downloads.catalogue import load_catalogue
from tests.documents import DOCUMENTS, ROOT, Block, Command, blocks, commands, read_document
from tests.toy import language_model_values, pairs, toy_values, write_corpus

KINDS = {"bash", "console", "python", "text", "yaml"}
BLOCKS = {name: blocks(name) for name in DOCUMENTS}
RUN = [name for name in DOCUMENTS if any(block.reason is None and block.kind != "text" for block in BLOCKS[name])]
PREPARED = {"runs/multi30k-en-de-small", "runs/pairs", "runs/quickstart"}  # where the document itself trains none
# Keys that make a model small, whatever the document sets.
SIZES = {
    "training.updates": 2, "batching.max_tokens": 200, "data.filters.max_tokens": 60, "tokenizer.vocabulary_size": 56,
    "tokenizer.exact_size": "false", "embeddings.size": 8, "decoder.units": 8, "encoder.units": 8,
}  # fmt: skip
# Of the recipes that the documents train, equal where a document sets nothing else: equal graphs are traced once.
STRUCTURE = {
    "embeddings.dropout": 0.1, "decoder.dropout": 0.1, "encoder.dropout": 0.1, "training.beta_2": 0.98,
    "training.label_smoothing": 0.1,
}  # fmt: skip
PHRASES = {
    "data.train.pairs": 300, "data.valid.pairs": 20, "data.test.pairs": 20, "tokenizer.vocabulary_size": 150,
    "search.max_length_factor": 0.5,
}  # fmt: skip
REPLACED = {"--items": "1", "--last": "1", "--vocabulary-size": "40", "--train-pairs": "100", "--held-out-pairs": "20"}


@pytest.fixture(scope="module")
def trained(shared_graphs, tmp_path_factory):
    """Corpora under all names that the documents give them, and a model of them."""
    folder = tmp_path_factory.mktemp("documents")
    write_corpus(folder, train=200, valid=20)
    shutil.copy(folder / "train.tsv", folder / "pairs.tsv")
    for name, count in (("train", 200), ("val", 9), ("test_2016_flickr", 9), ("test", 9)):
        for side, language in enumerate(("en", "de")):
            text = "".join(f"{pair[side]}\n" for pair in pairs(count, 3))
            (folder / f"{name}.{language}.gz").write_bytes(gzip.compress(text.encode()))
            (folder / f"{name}.{language}").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MULTI30K", str(folder))
        run(["train", "multi30k-en-de-small"])
    return folder


@pytest.fixture
def folder(trained, tmp_path, monkeypatch):
    """Working folder of a document's reader."""
    for file in trained.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/multi30k-en-de").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MULTI30K", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", RUN)
def test_what_a_document_shows_runs(name, folder, trained, monkeypatch, capfd):
    train_pairs = seq2seq.train_pairs

    def train_toy(*arguments, overrides=(), **options):
        return train_pairs(*arguments, overrides={**STRUCTURE, **dict(overrides), **SIZES}, **options)

    monkeypatch.setattr(seq2seq, "train_pairs", train_toy)
    namespace: dict = {}
    for block in BLOCKS[name]:
        if block.reason is not None or block.kind == "text":
            continue
        if block.kind == "yaml":
            check_yaml(block, folder)
        elif block.kind == "python":
            source = re.sub(r"epochs=\d+", "epochs=1", block.text)
            exec(compile(source, block.place, "exec"), namespace)
        else:
            for command in commands(block):
                follow(command, trained / "runs/multi30k-en-de-small", monkeypatch, capfd)


def follow(command: Command, model: Path, monkeypatch, capfd) -> None:
    """Run a command of a shell block in the working folder."""
    program, *arguments = command.words or [""]
    if program == "export":
        variable, _, value = arguments[0].partition("=")
        monkeypatch.setenv(variable, value)
    elif program == "make":
        check_make(arguments, command.place)
    else:
        assert program == "seq2seq", f"{command.place}: no test knows how to run {command.words}: mark the block"
        for folder in PREPARED.intersection(re.findall(r"runs/[\w-]+", " ".join(arguments))):
            if not Path(folder).exists():
                shutil.copytree(model, folder)
        if command.feed:
            source, *words = command.feed
            assert source in ("cat", "echo"), command
            Path("stdin").write_text(" ".join(words) + "\n" if source == "echo" else Path(words[0]).read_text())
            arguments += ["-i", "stdin"]
        capfd.readouterr()
        run([re.sub(r"\$(\w+)", lambda name: os.environ[name[1]], word) for word in arguments])
        output = capfd.readouterr().out
        if command.output:
            Path(command.output).write_text(output, encoding="utf-8")
        if command.shown and "phrasebook-en-de" in arguments:
            assert without_scores(output) == without_scores(command.shown), command.place


def without_scores(output: str) -> str:
    """Printed text without figures, whose last digits depend on the machine."""
    return re.sub(r"-?\d+\.\d+", "#", output).strip()


def run(arguments: list[str]) -> None:
    """Run `seq2seq` in this process, at toy size."""
    words = [REPLACED.get(before, word) for before, word in zip(["", *arguments[:-1]], arguments, strict=True)]
    if words[0] in ("train", "quickstart") and "--dump-config" not in words:
        before, after = (
            [part for item in keys.items() for part in ("--set", "{}={}".format(*item))] for keys in toy_keys(words)
        )
        words = [words[0], *before, *words[1:], *after]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert not end.value.code, " ".join(words)


def toy_keys(words: list[str]) -> tuple[dict, dict]:
    """Keys to set before and after those of a document's own training command."""
    recipe = "quickstart" if words[0] == "quickstart" else words[1]
    structure, sizes = STRUCTURE, SIZES
    if recipe in ("quickstart", "language-model") and not re.search(r"data\.train[.=](?!pairs)", " ".join(words)):
        sizes = {**sizes, **PHRASES}
    if recipe == "language-model":  # it has neither an encoder nor a test corpus, and is not searched
        structure, sizes = (
            {key: value for key, value in keys.items() if not key.startswith(("encoder.", "data.test.", "search."))}
            for keys in (structure, sizes)
        )
    return structure, sizes


def check_make(arguments: list[str], place: str) -> None:
    """The targets exist."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert arguments and set(arguments) <= set(targets), f"{place}: {arguments}"


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
def test_blocks_are_of_a_known_kind_and_marked_ones_name_what_exists(name):
    for block in BLOCKS[name]:
        assert block.kind in KINDS, f"{block.place}: {block.kind or 'no kind'} is none of {sorted(KINDS)}"
        if block.reason is None or block.kind not in ("bash", "console") or "#!" in block.text:
            continue
        for command in commands(block):
            program, *arguments = command.words
            if program == "seq2seq":
                check_options(arguments, command.place)
            elif program == "make":
                check_make(arguments, command.place)
            elif program == "python" and arguments[0].startswith("benchmarks/"):
                script = ROOT / arguments[0]
                sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").rglob("*.py"))
                assert script.is_file(), f"{command.place}: {script}"
                flags = {word for word in arguments if word.startswith("--")}
                assert all(f'"{flag}"' in sources for flag in flags), f"{command.place}: {flags}"


def check_options(arguments: list[str], place: str) -> None:
    """The command exists and has these options."""
    group = typer.main.get_command(app)
    words = arguments.copy()
    command = group
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    names = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    own = words[: words.index("--")] if "--" in words else words
    assert {word for word in own if re.match(r"--?[a-z]", word)} <= names, f"{place}: {arguments}"


def test_the_documents_show_every_command():
    shown = " ".join(
        " ".join(command.words)
        for found in BLOCKS.values()
        for block in found
        if block.kind in ("bash", "console")
        for command in commands(block)
        if "#!" not in block.text
    )
    verbs = typer.main.get_command(app).commands
    assert not [verb for verb in verbs if not re.search(rf"\bseq2seq {verb}\b", shown)]


def test_readme_is_short_and_names_both_ways_to_begin():
    readme = read_document("README.md")
    assert len(readme.encode()) <= 7000
    assert "`make quickstart`" in readme and "`make test`" in readme


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
