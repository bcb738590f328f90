"""Compressed files are read by their contents, whatever they are called; damaged ones are one error."""

import bz2
import gzip
import io
import lzma
import os
import sys
import threading
from itertools import chain
from pathlib import Path

import pytest
from backports import zstd

from seq2seq.cli.console import InputLines, input_lines
from seq2seq.config import CorpusConfig
from seq2seq.corpora import open_corpus, read_lines
from seq2seq.corpora.compression import uncompress, without_suffix
from seq2seq.corpora.lines import count_lines
from seq2seq.corpora.survey import detect_pairs
from seq2seq.errors import CorpusError
from seq2seq.storage.files import STDIN

COMPRESS = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress, "zst": zstd.compress}
TEXT = "".join(f"Zeile {number} größer\n" for number in range(5000)).encode()
LINES = TEXT.decode().splitlines()

each_format = pytest.mark.parametrize("suffix", COMPRESS)


@each_format
@pytest.mark.parametrize("name", ["text.{}", "text.txt", "text", "text.gz"])
def test_the_contents_decide_and_not_the_name(tmp_path, suffix, name):
    path = tmp_path / name.format(suffix)
    path.write_bytes(COMPRESS[suffix](TEXT))
    assert list(read_lines(path)) == LINES
    assert count_lines(path) == len(LINES)


@pytest.mark.parametrize("name", ["plain.gz", "plain.xz", "plain.bz2", "plain.zst"])
@pytest.mark.parametrize("content", [b"", b"B\n", b"BZ", b"One.\nTwo.", "größer\n".encode()])
def test_text_that_is_called_compressed_is_text(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert list(read_lines(tmp_path / name)) == content.decode().splitlines()


@each_format
def test_several_members_are_read_one_after_the_other(tmp_path, suffix):
    compress, path = COMPRESS[suffix], tmp_path / "text"
    path.write_bytes(b"".join(compress(part) for part in (b"one\ntw", b"", b"o\n", TEXT)))
    assert list(read_lines(path)) == ["one", "two", *LINES]


def test_a_skippable_frame_of_zstd_may_come_first(tmp_path):
    (tmp_path / "text").write_bytes(b"\x50\x2a\x4d\x18\4\0\0\0size" + zstd.compress(TEXT))
    assert list(read_lines(tmp_path / "text")) == LINES


@each_format
def test_an_empty_file_is_compressed_and_empty(tmp_path, suffix):
    (tmp_path / "text").write_bytes(COMPRESS[suffix](b""))
    assert list(read_lines(tmp_path / "text")) == []


@each_format
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_file_is_one_error(tmp_path, suffix, share):
    packed, path = COMPRESS[suffix](os.urandom(30_000).hex().encode()), tmp_path / "text"
    path.write_bytes(packed[: int(share * len(packed))])
    with pytest.raises(CorpusError) as error:
        list(read_lines(path))
    assert str(error.value).startswith(f"{path}: cannot be read: ")
    assert str(error.value).endswith("Check that the file is complete.")


@each_format
def test_a_damaged_file_is_one_error(tmp_path, suffix):
    options = {"options": {zstd.CompressionParameter.checksum_flag: 1}} if suffix == "zst" else {}
    packed, path = bytearray(COMPRESS[suffix](os.urandom(30_000).hex().encode(), **options)), tmp_path / "text"
    for place in range(len(packed) // 2, len(packed) // 2 + 40):
        packed[place] ^= 0xFF
    path.write_bytes(packed)
    with pytest.raises(CorpusError, match=r"text: cannot be read: .* Check that the file is complete\.$"):
        list(read_lines(path))


def test_what_is_compressed_twice_is_named(tmp_path):
    (tmp_path / "text.gz").write_bytes(gzip.compress(gzip.compress(TEXT)))
    with pytest.raises(CorpusError, match=r"compressed twice with gzip\. .*`gzip -dc <\(gzip -dc .*text\.gz\) > NEW`"):
        list(read_lines(tmp_path / "text.gz"))


@each_format
def test_the_file_is_closed_with_its_reader(tmp_path, suffix):
    (tmp_path / "text").write_bytes(COMPRESS[suffix](TEXT))
    file = (tmp_path / "text").open("rb")
    reader, command = uncompress(file)
    assert command
    reader.close()
    assert file.closed


@each_format
def test_corpora_and_detection_read_compressed_files(tmp_path, suffix):
    table = "".join(f"The number is {n} today.\tDie Zahl ist heute {n}.\n" for n in range(300)).encode()
    path = tmp_path / "pairs.data"
    path.write_bytes(COMPRESS[suffix](table))
    found = detect_pairs([path])
    assert (found.source_language, found.target_language) == ("en", "de")
    assert len(list(open_corpus(CorpusConfig(tsv=str(path))))) == 300


@each_format
def test_input_of_a_command_is_read(tmp_path, suffix, monkeypatch):
    path = tmp_path / "input"
    path.write_bytes(COMPRESS[suffix](TEXT))
    with input_lines(path, "") as lines:
        assert list(lines) == LINES
    with path.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with input_lines(STDIN, "") as lines:
            assert list(lines) == LINES
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    with input_lines(STDIN, "") as lines:
        assert list(lines) == LINES


def _read(descriptor):
    return InputLines.read(os.fdopen(descriptor, "rb", closefd=False), STDIN)


@each_format
def test_a_compressed_pipe_is_read(suffix):
    read, write = os.pipe()

    def send():
        with os.fdopen(write, "wb") as pipe:
            pipe.write(COMPRESS[suffix](TEXT))

    sender = threading.Thread(target=send)
    sender.start()
    chunks = list(_read(read).chunks(2000, lambda line, number: line))
    sender.join()
    os.close(read)
    assert [len(chunk) for chunk in chunks] == [2000, 2000, 1000]
    assert list(chain.from_iterable(chunks)) == LINES


@pytest.mark.parametrize("cut", [40, 1000])
def test_a_truncated_pipe_is_one_error(cut):
    read, write = os.pipe()
    os.write(write, gzip.compress(TEXT)[:cut])
    os.close(write)
    with pytest.raises(CorpusError, match=r"^stdin: cannot be read: .*complete\.$"):
        list(_read(read))
    os.close(read)


def test_what_is_typed_is_not_looked_at():
    write, read = os.openpty()
    os.write(write, b"<?xml version='1.0'?><tmx>\n")
    lines = _read(read).chunks(10, lambda line, number: line)
    assert next(lines) == ["<?xml version='1.0'?><tmx>"]
    os.close(write)
    os.close(read)


def test_names_lose_their_compression():
    assert [without_suffix(f"a.tsv{end}") for end in ("", ".gz", ".xz", ".bz2", ".zst")] == ["a.tsv"] * 5
    assert without_suffix(str(Path("x.gz/a"))) == str(Path("x.gz/a"))
