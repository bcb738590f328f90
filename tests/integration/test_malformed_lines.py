"""A line that cannot be read: what comes before it is written, the error names the place, and the exit code is 1."""

import gzip
import io
import json
import os
import sys

import pytest

from seq2seq.cli.tokenizer import CHUNK_LINES
from tests.command import run
from tests.toy import pairs, save_random_model, toy_tokenizer

pytestmark = pytest.mark.usefixtures("shared_searches")

PAIRS = pairs(4, 3)
SOURCES, TARGETS = ([pair[side] for pair in PAIRS] for side in (0, 1))
REQUESTS = [json.dumps({"text": source}) for source in SOURCES]
TABLE = ["\t".join(pair) for pair in PAIRS]
N_BEST = [f"{number} ||| {text} ||| F= 1 ||| 2" for number in range(3) for text in TARGETS[number : number + 2]]
JSONL = ("--input-format", "jsonl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, tokenizer = tmp_path_factory.mktemp("malformed"), toy_tokenizer()
    save_random_model(folder / "model", tokenizer, search={"beam_size": 2, "max_length_factor": 1.0})
    tokenizer.save(folder / "joint.spm")
    return folder


def write(path, lines):
    path.write_bytes(b"".join(line if isinstance(line, bytes) else f"{line}\n".encode() for line in lines))
    return path


@pytest.fixture
def command(folder, tmp_path):
    """The arguments of a command that reads some lines."""

    def make(name, lines):
        file, model = write(tmp_path / "in", lines), folder / "model"
        sources = write(tmp_path / "sources", SOURCES)
        return {
            "translate": ["translate", model, "-q", *JSONL, "-i", file],
            "score": ["score", model, "-i", file],
            "filter": ["data", "filter", model, "-q", "-i", file],
            "aligned files": ["score", model, "--source", sources, "--target", file],
            "n-best list": ["score", model, "--source", sources, "--n-best", file],
            "align": ["align", model, "--source", sources, "--target", file],
            "decode": ["tokenizer", "decode", folder / "joint.spm", "--ids", "-i", file],
        }[name]

    return make


CASES = [
    ("translate", REQUESTS, '{"text": 1}', "'text': expected a string, found 1"),
    ("score", TABLE, "the dog", "expected source<TAB>target, found 1 column"),
    ("filter", TABLE, "a\tb\tc", "expected source<TAB>target, found 3 columns"),
    ("aligned files", TARGETS, b"der \xff\n", "expected UTF-8, found byte 0xff at column 5"),
    ("n-best list", N_BEST, "9 ||| a", "expected NUMBER ||| TEXT ||| FEATURES ||| TOTAL, found 2 fields"),
    ("align", TARGETS, b"der \xff\n", "expected UTF-8, found byte 0xff at column 5"),
    ("decode", ["4 5", "6", "7 8"], "the dog", "expected numbers separated by spaces, found 'the dog'"),
    ("decode", ["4 5", "6", "7 8"], "4 999999", "id 999999 is not in the vocabulary"),
]


@pytest.mark.parametrize(("name", "lines", "wrong", "said"), CASES, ids=[f"{case[0]}-{case[2]}" for case in CASES])
def test_what_comes_before_the_line_is_written(command, name, lines, wrong, said, tmp_path, capsys):
    output = tmp_path / "out"
    assert run(*command(name, lines[:3]), "-o", output) == (name in {"aligned files", "align"})  # the fourth is missing
    captured = capsys.readouterr()
    whole = tmp_path / "out.partial" if name in {"aligned files", "align"} else output
    expected = whole.read_bytes().splitlines()
    assert len(expected) == 3, captured
    if name == "n-best list":
        expected = expected[:2]  # more hypotheses of the second source might have followed
    whole.unlink()
    arguments = command(name, [*lines[:3], wrong, *lines[3:]])
    assert run(*arguments, "-o", output) == 1
    assert f"{arguments[-1]}:4: {said}" in capsys.readouterr().err
    assert not output.exists()
    assert (tmp_path / "out.partial").read_bytes().splitlines() == expected
    assert run(*arguments) == 1
    assert capsys.readouterr().out.encode().splitlines() == expected


@pytest.mark.parametrize("is_pipe", [False, True])
def test_a_stream_is_answered_up_to_the_line(folder, is_pipe, monkeypatch, capsys):
    text = "\n".join([*REQUESTS[:2], "{", REQUESTS[3]]).encode()
    if is_pipe:
        stdin, ours = os.pipe()
        os.write(ours, text)
        os.close(ours)
        handle = os.fdopen(stdin)
    else:
        handle = io.TextIOWrapper(io.BytesIO(text))
    with handle:
        monkeypatch.setattr(sys, "stdin", handle)
        assert run("translate", folder / "model", "-q", *JSONL) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: stdin:3: not JSON: ")
    assert run("translate", folder / "model", "-q", *SOURCES[:2]) == 0
    assert captured.out == capsys.readouterr().out


def test_lines_before_damage_are_processed(folder, tmp_path, capsys):
    damaged = tmp_path / "in.gz"
    damaged.write_bytes(gzip.compress("".join(f"the {number}\n" for number in range(50_000)).encode())[:-5000])
    assert run("tokenizer", "encode", folder / "joint.spm", "-i", damaged) == 1
    captured = capsys.readouterr()
    assert f"error: {damaged}: cannot be read: " in captured.err
    assert captured.out.count("\n") % CHUNK_LINES  # not whole chunks alone


def test_ibm1_learns_from_all_text_and_writes_nothing(command, tmp_path, capsys):
    arguments = command("align", [*TARGETS[:3], b"\xff\n"])
    assert run("align", "--ibm1", *arguments[2:], "-o", tmp_path / "out") == 1
    assert ":4: expected UTF-8" in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))
