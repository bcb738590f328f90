"""Lines that arrive on a pipe or are typed are answered before the next one comes."""

import os
import sys

import pytest

from seq2seq.cli.console import InputLines, input_lines
from seq2seq.storage.files import STDIN
from tests.command import run

pty = pytest.importorskip("pty")


@pytest.fixture
def pipe():
    read, write = os.pipe()
    yield read, write
    os.close(read)


def as_read(line, number):
    return line


def lines_of(descriptor):
    return InputLines.read(os.fdopen(descriptor, "rb", closefd=False), STDIN)


def test_what_has_arrived_is_a_chunk(pipe):
    read, write = pipe
    os.write(write, b"one\r\ntwo\n")
    chunks = lines_of(read).chunks(3, as_read)
    assert next(chunks) == ["one", "two"], "no more is waiting"
    os.write(write, b"three\nfour\nfive\n\nsix")
    assert next(chunks) == ["three", "four", "five"], "the size of a chunk"
    os.write(write, b"\nseven")
    os.close(write)
    assert list(chunks) == [["", "six", "seven"]], "the last one may have no end"


def test_a_long_line_arrives_in_parts(pipe):
    read, write = pipe
    pid = os.fork()
    if not pid:
        os.write(write, b"a" * 300_000 + b"\nb\n")
        os._exit(0)
    os.close(write)
    assert [line for chunk in lines_of(read).chunks(9, as_read) for line in chunk] == [
        "a" * 300_000,
        "b",
    ]
    os.waitpid(pid, 0)


def test_a_file_is_read_in_full_chunks(tmp_path, monkeypatch):
    (tmp_path / "text").write_bytes(b"a\nb\nc\n")
    with (tmp_path / "text").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        with input_lines(STDIN, "Type") as lines:
            assert not lines.typed
            assert list(lines.chunks(2, as_read)) == [["a", "b"], ["c"]]


def test_a_person_at_a_terminal_is_told_what_to_do(monkeypatch, capsys):
    master, slave = pty.openpty()
    with os.fdopen(slave) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        with input_lines(STDIN, "Type a sentence and press Enter") as lines:
            assert capsys.readouterr().err == "Type a sentence and press Enter; Ctrl-D to finish.\n"
            assert lines.typed
            os.write(master, b"one\n")
            chunks = lines.chunks(100, as_read)
            assert next(chunks) == ["one"]
            os.write(master, b"two\n\x04")
            assert list(chunks) == [["two"]]
    os.close(master)


def test_closed_streams_are_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert run("--version") == 0
    assert run("inspect", "nowhere") == 1
