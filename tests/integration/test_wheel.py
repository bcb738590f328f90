"""The wheel: built, installed into a fresh environment without extras and outside of the checkout, and used there."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import seq2seq
from hatch_build import with_absolute_links

ROOT = Path(__file__).parents[2]
MEGABYTES = 3  # of which the pretrained model has 1.5
NO_INDEX = re.compile(
    "error sending request|dns error|failed to fetch|network was disabled|not found in the cache", re.I
)
SMALL = (
    "data.train.pairs=200", "data.valid.pairs=9", "data.test.pairs=9", "tokenizer.vocabulary_size=150",
    "embeddings.size=8", "encoder.units=8", "decoder.units=8", "training.updates=2", "batching.max_tokens=200",
    "search.beam_size=1", "search.max_length_factor=0.5",
)  # fmt: skip
# One process for all that needs TensorFlow: it prints code, output and errors of each command.
COMMANDS = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
import seq2seq
from seq2seq.cli import main

done = [seq2seq.__file__]
for arguments in json.loads(sys.argv[1]):
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
    done.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(done))
"""
USER_CODE = """
import seq2seq
from seq2seq import Translator, evaluate

translator = Translator.load("phrasebook-en-de")
reveal_type(translator.translate(["A sentence."])[0].text)
reveal_type(evaluate)
reveal_type(seq2seq.SearchOptions().beam_size)
seq2seq.nothing
"""


def call(*words, **options):
    """Run a program that must succeed, and return what it printed."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel made from the source distribution, so that both are complete."""
    folder = tmp_path_factory.mktemp("dist")
    build = sys.executable, "-m", "hatchling", "build", "--directory", folder, "--target"
    call(*build, "sdist", cwd=ROOT)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as sources:
        sources.extractall(folder, filter="data")
    call(*build, "wheel", cwd=folder / archive.name.removesuffix(".tar.gz"))
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of an environment that has the wheel and what it depends on, and nothing else."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    uv = shutil.which("uv", path=Path(sys.executable).parent)
    call(uv, "venv", "--quiet", "--python", sys.executable, folder)
    python = folder / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--python", python, "--constraint", ROOT / "constraints.txt", wheel]
    for words in ([*install, "--offline"], install):  # from the cache, where the environment of the tests came from it
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return python
    if NO_INDEX.search(done.stderr):
        pytest.skip(f"the packages that the wheel depends on are in no cache, and there is no index: {done.stderr}")
    raise AssertionError(done.stderr)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working folder outside of the checkout, in which the checkout is not importable."""
    monkeypatch.chdir(tmp_path)
    for name in ("PYTHONPATH", "MYPYPATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_it_has_the_package_and_no_more(wheel):
    files = (file for file in (ROOT / "seq2seq").rglob("*") if file.is_file() and file.suffix != ".pyc")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {file.relative_to(ROOT).as_posix() for file in files}
    assert {"seq2seq/py.typed", "seq2seq/recipes/quickstart.yaml"} < names
    assert "seq2seq/pretrained/phrasebook-en-de/model.safetensors" in names
    assert wheel.stat().st_size < MEGABYTES * 1e6


def test_the_docker_image_is_made_from_the_files_that_it_copies(wheel, tmp_path):
    recipe = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    sources = [name for line in re.findall(r"(?m)^COPY (?!--)(.*) \S+$", recipe) for name in line.split()]
    kept = re.findall(r"(?m)^!(.*)", (ROOT / ".dockerignore").read_text(encoding="utf-8"))
    assert sorted(kept) == sorted(sources)
    for name in sources:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, tmp_path / name)
    call(sys.executable, "-m", "hatchling", "build", "--target", "wheel", cwd=tmp_path)
    built = [sorted(zipfile.ZipFile(file).namelist()) for file in (wheel, *tmp_path.glob("dist/*.whl"))]
    assert built[0] == built[1]


def test_an_index_shows_no_link_that_leads_nowhere(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        about = message_from_bytes(archive.read(name))
    assert about["Version"] == seq2seq.__version__
    text = str(about.get_payload())
    targets = re.findall(r"\]\(([^)\s]+)", text) + re.findall(r'(?:href|src)="([^"]+)"', text)
    assert any(target.endswith("LICENSE") or "/docs/" in target for target in targets), "or nothing was looked at"
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](docs/a.md#b) [c](#d)", "[a](https://x.org/y/blob/main/docs/a.md#b) [c](#d)"),
        ("[![map](./docs/a.svg)](docs/a.md)", "[![map](https://x.org/y/raw/main/docs/a.svg)](https://x.org/y/blob/main/docs/a.md)"),
        ('<img src="a.png"><a href="b.md">', '<img src="https://x.org/y/raw/main/a.png"><a href="https://x.org/y/blob/main/b.md">'),
        ("[a][b]\n\n[b]: docs/a.md\n", "[a][b]\n\n[b]: https://x.org/y/blob/main/docs/a.md\n"),
        ("[a](https://z.org/a) [b](mailto:b@z.org)", "[a](https://z.org/a) [b](mailto:b@z.org)"),
    ],
)  # fmt: skip
def test_links_become_absolute(text, expected):
    assert with_absolute_links(text, "https://x.org/y") == expected


def test_it_works_without_extras_and_without_the_checkout(python, elsewhere):
    command = python.with_name("seq2seq")
    assert call(command, "--version") == f"seq2seq {seq2seq.__version__}\n"
    assert "translate" in call(command, "--help")
    commands = (
        ["quickstart", *(word for key in SMALL for word in ("--set", key))],
        ["translate", "phrasebook-en-de", "The teacher buys a book."],
        ["challenge", "phrasebook-en-de", "--items", "1", "--plot", "challenge.svg"],
        ["quantize", "runs/quickstart"],
        ["export", "phrasebook-en-de", "mine"],
    )
    where, quickstart, translated, plotted, quantized, exported = json.loads(
        call(python, "-c", COMMANDS, json.dumps(commands), env={**os.environ, "COLUMNS": "300"}).splitlines()[-1]
    )
    assert Path(where).is_relative_to(python.parents[1])
    assert quickstart[0] == 0, quickstart
    assert "Next steps" in quickstart[1]
    assert translated[:2] == [0, "Der Lehrer kauft ein Buch.\n"]
    for (code, _, said), extra in ((plotted, "analysis"), (quantized, "int8")):
        assert code == 1
        assert f"is not installed. Install the extra '{extra}': pip install 'recurrent-seq2seq[{extra}]'." in said
    assert exported[0] == 0, exported


def test_type_checkers_know_the_types_of_the_installed_package(python, elsewhere):
    (elsewhere / "mine.py").write_text(USER_CODE, encoding="utf-8")
    check = sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python), "--no-incremental", "mine.py"
    said = subprocess.run(check, capture_output=True, text=True, check=False).stdout
    assert re.findall(r'Revealed type is "(.*)"', said)[::2] == ["str", "int"]
    assert "-> seq2seq.evaluation.metrics.EvaluationReport" in said
    assert re.findall("error: .*", said) == ['error: Module has no attribute "nothing"  [attr-defined]']
