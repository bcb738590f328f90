"""Every place that a command reads or writes, and what may be there: the right result, or one line that names it."""

import inspect
import json
import os
import re
import sys
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import get_args

import pytest

from seq2seq.cli import app, data, tokenizer
from seq2seq.inference.scorer import Scorer
from seq2seq.inference.text_generator import TextGenerator
from seq2seq.inference.translator import Translator
from tests.command import run
from tests.toy import language_model_config, pairs, save_random_model, save_trained, toy_tokenizer, write_corpus

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes and descriptors with names"),
    pytest.mark.usefixtures("shared_searches"),
]
ODD = "мой файл 1"  # with spaces and other letters
HERE = object()
FITTED = ("model", "--source", "en", "--target", "de")
LEARNT = ("--ibm1", "--source", "en", "--target", "de")
BRIEFLY = ("--reference", "de", "--paired-bs-n", "2", "--paired-ar-n", "0")
DIVERSELY = ("-q", "--forward", "model", "-o", "new")
# What a command does with a place: `text` is read once, `file` several times or by its name; `result` is written, and
# `folder` is read; `directory` is made. The name of a test's place begins with that of the command.
PLACES = {
    ("translate", "model"): ("folder", HERE, "-i", "en"),
    ("translate", "input_file"): ("text", "model", "-q", "-i", HERE),
    ("translate", "output_file"): ("result", "model", "-q", "-i", "en", "-o", HERE),
    ("evaluate", "model"): ("folder", HERE, "--source", "en", "--reference", "de"),
    ("evaluate", "source"): ("text", "model", "--source", HERE, "--reference", "de"),
    ("evaluate", "reference"): ("text", "--hypotheses", "de", "--reference", HERE),
    ("evaluate", "hypotheses"): ("text", "--reference", "de", "--hypotheses", HERE),
    ("evaluate", "output"): ("result", "model", "--source", "en", "--reference", "de", "--json", "-o", HERE),
    ("compare", "systems"): ("text", "de", HERE, *BRIEFLY),
    ("compare", "reference"): ("text", "de", "en", *BRIEFLY[2:], "--reference", HERE),
    ("compare", "source"): ("text", "de", "en", *BRIEFLY, "--source", HERE),
    ("compare", "train"): ("text", "de", "en", *BRIEFLY, "--train", HERE),
    ("compare", "html"): ("result", "de", "en", *BRIEFLY, "--json", "--html", HERE),
    ("plot", "runs"): ("folder", HERE, "-o", "new.svg"),
    ("plot", "output"): ("result", "run", "-o", HERE),
    ("score", "models"): ("folder", HERE, "--source", "en", "--target", "de"),
    ("score", "source"): ("text", "model", "--source", HERE, "--target", "de"),
    ("score", "target"): ("text", "model", "--source", "en", "--target", HERE),
    ("score", "input_file"): ("text", "model", "-i", HERE),
    ("score", "n_best_list"): ("text", "model", "--source", "en", "--n-best", HERE),
    ("score", "output_file"): ("result", "model", "--source", "en", "--target", "de", "-o", HERE),
    ("align", "model"): ("folder", HERE, "--source", "en", "--target", "de"),
    ("align", "reverse"): ("folder", "model", "--source", "en", "--target", "de", "--reverse", HERE),
    ("align", "source"): ("text", "--ibm1", "--source", HERE, "--target", "de"),
    ("align", "target"): ("text", "--ibm1", "--source", "en", "--target", HERE),
    ("align", "more_source"): ("text", *LEARNT, "--more-source", HERE, "--more-target", "de"),
    ("align", "more_target"): ("text", *LEARNT, "--more-source", "en", "--more-target", HERE),
    ("align", "output"): ("result", *LEARNT, "-o", HERE),
    ("calibrate", "model"): ("folder", HERE, "--source", "en", "--target", "de"),
    ("calibrate", "source"): ("text", "model", "--source", HERE, "--target", "de"),
    ("calibrate", "target"): ("text", "model", "--source", "en", "--target", HERE),
    ("calibrate", "test_source"): ("text", *FITTED, "--test-source", HERE, "--test-target", "de"),
    ("calibrate", "test_target"): ("text", *FITTED, "--test-source", "en", "--test-target", HERE),
    ("generate", "model"): ("folder", HERE),
    ("generate", "output"): ("result", "lm", "--max-length", "3", "-o", HERE),
    ("perplexity", "model"): ("folder", HERE, "-i", "de"),
    ("perplexity", "input_file"): ("text", "lm", "-i", HERE),
    ("challenge", "model"): ("folder", HERE),
    ("challenge", "plot"): ("result", "model", "--items", "1", "--json", "--plot", HERE),
    ("shortlist", "model"): ("folder", HERE),
    ("shortlist", "source"): ("text", "model", "--source", HERE, "--target", "de"),
    ("shortlist", "target"): ("text", "model", "--source", "en", "--target", HERE),
    ("quantize", "model"): ("folder", HERE),
    ("inspect", "model"): ("folder", HERE),
    ("average", "model"): ("folder", HERE, "--last", "1", "-o", "new"),
    ("average", "output"): ("directory", "kept", "--last", "1", "-o", HERE),
    ("export", "model"): ("folder", HERE, "new"),
    ("export", "output"): ("directory", "model", HERE),
    ("export", "evaluation"): ("named", "model", "new", "--evaluation", HERE),
    ("quickstart", "output"): ("directory", "-o", HERE),
    ("train", "inputs"): ("file", HERE, "--dump-config"),
    ("train", "inputs", "aligned"): ("file", "en", HERE, "--dump-config"),
    ("train", "output"): ("directory", "quickstart", "-o", HERE),
    ("sweep", "output"): ("directory", "quickstart", "--seeds", "1", "-o", HERE),
    ("tokenizer", "train", "texts"): ("text", HERE, "-o", "new.spm", "--vocabulary-size", "40"),
    ("tokenizer", "train", "output"): ("result", "de", "--vocabulary-size", "40", "-o", HERE),
    ("tokenizer", "encode", "model"): ("named", HERE, "-i", "de"),
    ("tokenizer", "encode", "input_file"): ("text", "spm", "-i", HERE),
    ("tokenizer", "encode", "output_file"): ("result", "spm", "-i", "de", "-o", HERE),
    ("tokenizer", "decode", "model"): ("named", HERE, "-i", "de"),
    ("tokenizer", "decode", "input_file"): ("text", "spm", "-i", HERE),
    ("tokenizer", "decode", "output_file"): ("result", "spm", "-i", "de", "-o", HERE),
    ("data", "list", "catalogue"): ("named", "--catalogue", HERE),
    ("data", "filter", "model"): ("folder", HERE, "-i", "train.tsv"),
    ("data", "filter", "reverse"): ("folder", "model", HERE, "-i", "train.tsv"),
    ("data", "filter", "source"): ("text", "model", "-q", "--source", HERE, "--target", "de"),
    ("data", "filter", "target"): ("text", "model", "-q", "--source", "en", "--target", HERE),
    ("data", "filter", "input_file"): ("text", "model", "-q", "-i", HERE),
    ("data", "filter", "output_file"): ("result", "model", "-q", "-i", "train.tsv", "-o", HERE),
    ("data", "diversify", "source"): ("text", "--source", HERE, "--target", "de", *DIVERSELY),
    ("data", "diversify", "target"): ("text", "--source", "en", "--target", HERE, *DIVERSELY),
    ("data", "diversify", "input_file"): ("text", "-i", HERE, *DIVERSELY),
    ("data", "diversify", "forward"): ("folder", "-i", "train.tsv", "-o", "new", "--forward", HERE),
    ("data", "diversify", "backward"): ("folder", "-i", "train.tsv", "-o", "new", "--backward", HERE),
    ("data", "diversify", "output"): ("directory", "-i", "train.tsv", "--forward", "model", "-o", HERE),
    ("data", "get", "catalogue"): ("named", "none", "--catalogue", HERE),
    ("data", "get", "output"): ("directory", "none", "-o", HERE),
    ("data", "phrasebook", "output"): ("directory", "--train-pairs", "9", "--held-out-pairs", "2", "-o", HERE),
}
TABLES = ("data", "filter", "input_file"), ("data", "diversify", "input_file")
READ = ("text", "file", "named")
WITHOUT_A_FILE = {("data", "get", "output")}  # whose corpus is not there
STREAMED = [slot for slot, (kind, *_) in PLACES.items() if kind in ("text", "result") and "plot" not in slot]
ids = " ".join


def of_kind(*kinds):
    return [slot for slot, (kind, *_) in PLACES.items() if kind in kinds]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of all kinds, a translator and a language model."""
    from seq2seq.data.tokenizer import Tokenizers
    from seq2seq.model_directory.directory import create_model_directory
    from seq2seq.models.build import build_model

    folder = tmp_path_factory.mktemp("places")
    write_corpus(folder, train=300)
    spm = toy_tokenizer()
    spm.save(folder / "spm")
    for name, side in (("en", 0), ("de", 1)):
        (folder / name).write_text("".join(f"{pair[side]}\n" for pair in pairs(60, 5)), encoding="utf-8")
    (folder / "n-best").write_text("0 ||| der Hund ||| F0= -1 ||| -1\n", encoding="utf-8")
    search = {"beam_size": 1, "max_length_factor": 0.1, "max_length_extra": 2}
    save_random_model(folder / "model", spm, search=search)
    config = language_model_config(folder)
    model = build_model(config, Tokenizers(spm, spm))
    create_model_directory(folder / "lm", config, Tokenizers(spm, spm))
    save_trained(folder / "lm", model, {})
    (folder / "run").mkdir()
    (folder / "run/config.yaml").touch()
    values = {"epoch": 1, "update": 1, "valid_loss": 1.0, "bleu": None, "best": True, "seconds": 1.0}
    (folder / "run/history.jsonl").write_text(f"{json.dumps(values)}\n")
    return folder


@pytest.fixture(scope="module")
def loaded(folder):
    """One translator and one language model for all tests, whose graphs are traced once."""
    translator, generator = Translator.load(folder / "model"), TextGenerator.load(folder / "lm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Translator, "load", lambda *_, **__: translator)
        patch.setattr(TextGenerator, "load", lambda *_, **__: generator)
        patch.setattr(Scorer, "load", lambda *_, **__: translator.scorer)
        yield


@pytest.fixture
def command(folder, tmp_path, monkeypatch, capsys):
    """Run the command of a slot with a place; exit code, stdout and the lines of stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "500")

    def command(slot, place):
        capsys.readouterr()
        names = [name for name in slot[:2] if name in ("tokenizer", "data")] + [
            slot[0] if slot[0] not in ("tokenizer", "data") else slot[1]
        ]
        arguments = [
            place if argument is HERE else folder / argument if (folder / argument).exists() else argument
            for argument in PLACES[slot][1:]
        ]
        code = run(*names, *arguments)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err.splitlines()

    return command


def content(slot, folder):
    """What a file of a slot may hold."""
    arguments = PLACES[slot][1:]
    if slot[-1] == "model":
        name = "spm"
    elif slot[-1] == "catalogue":
        return CATALOGUE
    elif slot[-1] == "evaluation":
        return b'{"sentences": 1, "scores": []}'
    elif slot in (("train", "inputs"), ("score", "input_file"), *TABLES):
        name = "train.tsv"
    elif slot == ("score", "n_best_list"):
        name = "n-best"
    else:
        before = arguments[arguments.index(HERE) - 1]
        name = "en" if before == "--source" or slot == ("translate", "input_file") else "de"
    return (folder / name).read_bytes()


CATALOGUE = b"""toy:
  description: a toy
  languages: [en, de]
  homepage: https://example.org
  licence: none
  citation: none
  files: {a.tsv: {url: 'https://example.org/a.tsv', unchecked_reason: a toy}}
  table: {file: a.tsv}
"""


def assert_one_line(slot, found, *names):
    """The command failed, with one line that names its place."""
    code, _, err = found
    assert code == 1, (slot, found)
    errors = [line for line in err if line.startswith("error: ")]
    assert len(errors) == 1, (slot, err)
    assert err[-1] == errors[0], (slot, err)
    assert any(str(name) in errors[0] for name in names), (slot, errors)


def test_every_place_of_every_command_is_tried():
    found = set()
    for prefix, commands in (((), app), (("tokenizer",), tokenizer.app), (("data",), data.app)):
        for command in commands.registered_commands:
            for name, parameter in inspect.signature(command.callback).parameters.items():
                annotation = get_args(parameter.annotation)[:1]
                if "Path" in str(annotation) or name == "inputs":
                    found.add((*prefix, command.name or command.callback.__name__, name))
    assert found == {slot for slot in PLACES if slot[-1] != "aligned"}


@pytest.mark.parametrize("slot", of_kind(*READ), ids=ids)
def test_a_file_with_an_odd_name_is_read(slot, folder, loaded, command, tmp_path):
    (tmp_path / ODD).write_bytes(content(slot, folder))
    code, _, err = command(slot, ODD)
    if slot == ("data", "get", "catalogue"):
        assert_one_line(slot, (code, "", err), "toy")
    else:
        assert code == 0, err


@pytest.fixture(params=["-", "/dev/stdin", "/dev/fd", "/proc/self/fd", "pipe", "link"])
def stream(request, tmp_path, monkeypatch):
    """A function that puts text into a stream and gives its place."""
    closed, threads = [], []

    def feed(text):
        if request.param in ("-", "/dev/stdin", "link"):
            read, write = os.pipe()
            handle = os.fdopen(read)
            monkeypatch.setattr(sys, "stdin", handle)
            threads.append(Thread(target=fill, args=(os.fdopen(write, "wb"), text)))
            threads[-1].start()
            closed.append(handle.close)
            if request.param != "link":
                return request.param
            (tmp_path / "link").symlink_to("/dev/stdin")
            return tmp_path / "link"
        if request.param == "pipe":
            os.mkfifo(tmp_path / "pipe")
            threads.append(Thread(target=lambda: fill((tmp_path / "pipe").open("wb"), text)))
            threads[-1].start()
            return tmp_path / "pipe"
        read, write = os.pipe()
        threads.append(Thread(target=fill, args=(os.fdopen(write, "wb"), text)))
        threads[-1].start()
        closed.append(lambda: os.close(read))
        return f"{request.param}/{read}"

    yield feed
    if request.param == "pipe" and threads[0].is_alive():  # a command that refused it never opened it
        os.close(os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK))
    for close in closed:
        close()
    for thread in threads:
        thread.join(600)
        assert not thread.is_alive()


def fill(handle, text):
    try:
        with handle:
            handle.write(text)
    except BrokenPipeError:
        pass


@pytest.mark.parametrize("slot", of_kind("text"), ids=ids)
def test_a_stream_is_read_as_a_file_is(slot, folder, loaded, command, stream, tmp_path):
    (tmp_path / "text").write_bytes(content(slot, folder))
    expected = command(slot, "text")
    code, out, _ = command(slot, stream((tmp_path / "text").read_bytes()))
    assert code == 0
    if slot != ("compare", "systems"):  # whose tables have the name of the place
        assert speechless(out) == speechless(expected[1])


def speechless(text):
    """Without times."""
    return re.sub(r"\d+ sentences in .*", "", text)


@pytest.mark.parametrize("slot", of_kind("file"), ids=ids)
def test_a_stream_is_refused_where_a_file_is_read_again(slot, folder, command, stream):
    place = stream(content(slot, folder))
    assert_one_line(slot, command(slot, place), "stdin: expected a file", f"{place}: expected a file")


def closed_descriptor():
    """A descriptor that this process has not open, whatever other tests have left to it."""
    return next(place for number in range(99, 4096) if not Path(place := f"/dev/fd/{number}").exists())


@pytest.mark.parametrize("slot", of_kind(*READ), ids=ids)
def test_what_cannot_be_read_is_named(slot, command, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    assert_one_line(slot, command(slot, "absent"), f"absent: no such file in {tmp_path}")
    for place in (tmp_path / "absent" / "file", tmp_path / "folder", tmp_path / "loop", closed_descriptor()):
        assert_one_line(slot, command(slot, place), f"{place}: ")
    assert_one_line(slot, command(slot, tmp_path / ("a" * 300)), "a" * 300)


@pytest.mark.parametrize("slot", of_kind("folder"), ids=ids)
def test_what_is_no_model_is_named(slot, command, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("text")
    (tmp_path / "empty folder").mkdir()
    for place in ("absent", "loop", "file", "empty folder", ODD, "/dev/null", "/dev/stdin", "-", "a" * 300):
        assert_one_line(slot, command(slot, place), place)


def output_of(slot, command, tmp_path):
    """What the command of a slot writes into a file."""
    code, *_ = command(slot, tmp_path / f"{ODD}.svg")
    assert code == 0
    return (tmp_path / f"{ODD}.svg").read_bytes()


@pytest.mark.parametrize("slot", of_kind("result"), ids=ids)
def test_a_file_is_written_whole(slot, loaded, command, tmp_path):
    first = output_of(slot, command, tmp_path)
    assert first
    (tmp_path / "link.svg").symlink_to(f"{ODD}.svg")
    assert command(slot, "link.svg")[0] == 0
    assert (tmp_path / "link.svg").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.svg", f"{ODD}.svg"]


@pytest.mark.parametrize("slot", [slot for slot in STREAMED if PLACES[slot][0] == "result"], ids=ids)
def test_a_stream_is_written_as_it_is(slot, loaded, command, tmp_path, monkeypatch):
    expected = output_of(slot, command, tmp_path)
    if slot[0] == "generate":
        expected = None  # samples
    for name in ("/dev/fd", "/proc/self/fd", "log", "pipe"):
        if name == "pipe":
            os.mkfifo(tmp_path / "pipe")
            read, place = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK), tmp_path / "pipe"
            write = None
        elif name == "log":  # as `>> log` opens it
            (tmp_path / "log").write_bytes(b"earlier\n")
            write = os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND)
            read, place = os.open(tmp_path / "log", os.O_RDONLY), f"/dev/fd/{write}"
        else:
            read, write = os.pipe()
            place = f"{name}/{write}"
        code, _, err = command(slot, place)
        assert code == 0, err
        if write is not None:
            os.close(write)
        with os.fdopen(read, "rb") as handle:
            found = handle.read()
        before = b"earlier\n" if name == "log" else b""
        assert found.startswith(before)
        assert expected is None or found == before + expected, name


@pytest.mark.parametrize("slot", [slot for slot in STREAMED if PLACES[slot][0] == "result"], ids=ids)
@pytest.mark.parametrize("place", ["-", "/dev/stdout", "link"])
def test_stdout_is_written_as_it_is(slot, place, loaded, folder, tmp_path, monkeypatch, command):
    """Appended to what is in the file that it leads to."""
    expected = output_of(slot, command, tmp_path)
    (tmp_path / "link").symlink_to("/dev/stdout")
    (tmp_path / "log").write_text("earlier\n")
    with (tmp_path / "log").open("a") as log:
        monkeypatch.setattr(sys, "stdout", log)
        code, _, err = command(slot, place)
    assert code == 0, err
    found = (tmp_path / "log").read_bytes()
    assert found.startswith(b"earlier\n")
    if slot[0] not in ("generate", "evaluate", "compare"):  # samples; a report follows
        assert found == b"earlier\n" + expected
    assert not (tmp_path / "-").exists()


@pytest.mark.parametrize("slot", of_kind("result"), ids=ids)
def test_what_cannot_be_written_is_named_and_nothing_is_left(slot, loaded, command, tmp_path):
    (tmp_path / "folder.svg").mkdir()
    (tmp_path / "loop.svg").symlink_to("loop.svg")
    before = sorted(tmp_path.iterdir())
    for place in (tmp_path / "absent" / "a.svg", tmp_path / "folder.svg", tmp_path / "loop.svg", "/proc/a.svg"):
        assert_one_line(slot, command(slot, place), f"{place}: cannot be written")
    assert_one_line(slot, command(slot, tmp_path / f"{'a' * 300}.svg"), "a" * 300)
    if slot in STREAMED:
        closed = closed_descriptor()
        assert_one_line(slot, command(slot, closed), f"{closed}: cannot be written: it is closed")
        if Path("/dev/full").exists():
            assert_one_line(slot, command(slot, "/dev/full"), "/dev/full: cannot be written: No space left on device")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("slot", of_kind("directory"), ids=ids)
def test_a_directory_is_made_or_named(slot, folder, command, tmp_path, monkeypatch):
    monkeypatch.setattr("seq2seq.training.run._train", lambda *_, **__: SimpleNamespace(end=None))
    monkeypatch.setattr("seq2seq.training.averaging.list_kept_weights", lambda folder: [])
    monkeypatch.setattr("seq2seq.sweeps.sweep.run_process", lambda arguments, log: 130)
    (tmp_path / "file").write_text("text")
    made = {
        ("train", "output"): 130,
        ("quickstart", "output"): 130,
        ("sweep", "output"): 130,
        ("average", "output"): 1,
        ("data", "get", "output"): 1,
    }
    assert command(slot, f"{ODD}/in")[0] == made.get(slot, 0)
    if slot in (("average", "output"), ("data", "get", "output")):
        return  # what they would fill it with is not there
    for place in ("file", "file/in", "/dev/null", "/dev/null/in", "a" * 300):
        assert_one_line(slot, command(slot, place), place)
    assert (tmp_path / "file").read_text() == "text"


def test_a_stream_cannot_be_two_inputs(command, folder, monkeypatch, capsys):
    evaluate = ("evaluate", "--hypotheses", "-", "--reference")
    with (folder / "de").open() as text:
        monkeypatch.setattr(sys, "stdin", text)
        for other in ("-", "/dev/stdin", "/dev/fd/0"):
            assert run(*evaluate, other) == 1
            assert (
                capsys.readouterr().err == "error: stdin: given twice, but can be read only once. Give files instead.\n"
            )
        assert run(*evaluate, folder / "de") == 0


def test_an_input_is_never_written(command, folder, loaded, tmp_path, monkeypatch, capsys):
    (tmp_path / "text").write_bytes((folder / "de").read_bytes())
    (tmp_path / "spm").write_bytes((folder / "spm").read_bytes())
    (tmp_path / "link").symlink_to("text")
    commands = [
        ("translate", folder / "model", "-i", "text", "-o", "link"),
        ("tokenizer", "encode", "spm", "-i", "text", "-o", "text"),
        ("tokenizer", "encode", "spm", "-i", "text", "-o", "spm"),
        ("tokenizer", "train", folder / "en", "text", "-o", "link"),
        ("evaluate", folder / "model", "--source", folder / "en", "--reference", "text", "-o", "text"),
        ("evaluate", folder / "model", "--source", "text", "--reference", folder / "en", "-o", "link"),
    ]
    for arguments in commands:
        assert run(*arguments) == 1, arguments
        assert "is also the input, which would be lost" in capsys.readouterr().err
    with (tmp_path / "text").open() as text, (tmp_path / "text").open("a") as log:  # < text >> text
        monkeypatch.setattr(sys, "stdin", text)
        assert run("tokenizer", "encode", "spm", "-o", "text") == 1
        monkeypatch.setattr(sys, "stdout", log)
        assert run("tokenizer", "encode", "spm") == 1
        assert capsys.readouterr().err.splitlines()[-1].startswith("error: stdout: is also the input")
    assert (tmp_path / "text").read_bytes() == (folder / "de").read_bytes()
    assert (tmp_path / "spm").read_bytes() == (folder / "spm").read_bytes()


def test_a_file_called_minus_is_reached_by_its_folder(folder, command, tmp_path):
    (tmp_path / "-").write_bytes((folder / "de").read_bytes())
    assert run("tokenizer", "encode", folder / "spm", "-i", "./-", "-o", "new") == 0
    assert len((tmp_path / "new").read_bytes().splitlines()) == 60
