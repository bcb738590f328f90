"""Readers of parallel text: line N answers line N, whatever the lines hold."""

import gzip
import io
import os
import random
from pathlib import Path

import pytest

from seq2seq.cli.console import warn
from seq2seq.config import CorpusConfig
from seq2seq.corpora import Corpus, SentencePair, open_corpus, read_lines
from seq2seq.corpora.lines import decode_lines
from seq2seq.corpora.readers import TSVFile
from seq2seq.errors import CorpusError

# Everything that str.splitlines or universal newlines would take for the end of a line, and is none.
INNER = ["\r", "\u2028", "\u2029", "\x85", "\x0c", "\x0b", "\x1c", "\x1d", "\x1e", "\ufeff", "\x00"]


def write(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def aligned(folder: Path, source: str | bytes, target: str | bytes, suffix: str = "") -> Corpus:
    files = [write(folder / f"text.{side}{suffix}", text) for side, text in (("en", source), ("de", target))]
    return open_corpus(CorpusConfig(source=str(files[0]), target=str(files[1])))


def tsv(folder: Path, content: str | bytes, name: str = "text.tsv") -> Corpus:
    return open_corpus(CorpusConfig(tsv=str(write(folder / name, content))))


def texts(corpus: Corpus) -> list[tuple[str, str]]:
    return [(pair.source, pair.target) for pair in corpus]


def failure(corpus: Corpus) -> str:
    with pytest.raises(CorpusError) as error:
        list(corpus)
    return str(error.value)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_aligned_files_give_pairs_with_origins(tmp_path: Path, suffix: str) -> None:
    corpus = aligned(tmp_path, "one\n\nthree\n", "eins\nzwei\ndrei\n", suffix)
    path = tmp_path / f"text.en{suffix}"
    assert list(corpus) == [
        SentencePair("one", "eins", f"{path}:1"),
        SentencePair("", "zwei", f"{path}:2"),
        SentencePair("three", "drei", f"{path}:3"),
    ]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_tsv_gives_pairs_with_origins(tmp_path: Path, suffix: str) -> None:
    corpus = tsv(tmp_path, "one\teins\n\tzwei\nthree\tdrei\n", f"text.tsv{suffix}")
    path = tmp_path / f"text.tsv{suffix}"
    assert list(corpus) == [
        SentencePair("one", "eins", f"{path}:1"),
        SentencePair("", "zwei", f"{path}:2"),
        SentencePair("three", "drei", f"{path}:3"),
    ]


def test_corpora_can_be_read_again_and_side_by_side(tmp_path: Path) -> None:
    for corpus in (aligned(tmp_path, "a\nb\n", "x\ny\n"), tsv(tmp_path, "a\tx\nb\ty\n")):
        assert texts(corpus) == texts(corpus) == [("a", "x"), ("b", "y")]
        assert [(one.source, two.source) for one, two in zip(corpus, corpus, strict=True)] == [
            ("a", "a"),
            ("b", "b"),
        ]


@pytest.mark.parametrize("inner", INNER, ids=ascii)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_only_a_line_feed_ends_a_line(tmp_path: Path, inner: str, suffix: str) -> None:
    source = f"a{inner}b\n{inner}c\nlast\n"
    if inner == "\ufeff":
        source = f"first\n{source}"  # at the very start it is a byte order mark
    expected = source.removesuffix("\n").split("\n")
    numbers = [str(number) for number in range(len(expected))]
    pairs = list(zip(expected, numbers, strict=True))
    target = "".join(f"{number}\n" for number in numbers)
    assert texts(aligned(tmp_path, source, target, suffix)) == pairs
    lines = "".join(f"{line}\t{number}\n" for line, number in pairs)
    assert texts(tsv(tmp_path, lines, f"text.tsv{suffix}")) == pairs
    assert list(decode_lines(io.BytesIO(source.encode()), "stdin", pytest.fail)) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\r\n\r\nb", ["a", "", "b"]),
        (b"a\r\r\n", ["a\r"]),
        (b"\xef\xbb\xbfa\nb\n", ["a", "b"]),
        (b"\xef\xbb\xbf\r\n\xef\xbb\xbfb\n", ["", "\ufeffb"]),
        (b"a\nb", ["a", "b"]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb\n\n", ["a", "b", ""]),
        (b" a \t\n", [" a \t"]),
        (b"\n", [""]),
        (b"", []),
    ],
)
def test_line_ends_and_byte_order_mark(tmp_path: Path, content: bytes, expected: list[str]) -> None:
    assert list(read_lines(write(tmp_path / "plain", content))) == expected
    assert list(read_lines(write(tmp_path / "packed.gz", content))) == expected
    assert list(decode_lines(io.BytesIO(content), "stdin", pytest.fail)) == expected


def test_sides_may_have_different_line_ends(tmp_path: Path) -> None:
    assert texts(aligned(tmp_path, b"\xef\xbb\xbfa\r\nb\r\n", b"x\ny")) == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize(("short", "long"), [("en", "de"), ("de", "en")])
def test_unequal_line_counts(tmp_path: Path, short: str, long: str) -> None:
    content = {short: "1\n2\n", long: "1\n2\n3\n4\n5\n"}
    message = failure(aligned(tmp_path, content["en"], content["de"]))
    short_path, long_path = tmp_path / f"text.{short}", tmp_path / f"text.{long}"
    assert message.startswith(f"{short_path}:3: expected a line that translates {long_path}:3")
    assert f"{short_path} has 2 lines, {long_path} has 5." in message


def test_one_empty_side(tmp_path: Path) -> None:
    message = failure(aligned(tmp_path, "", "a\n"))
    assert f"{tmp_path / 'text.en'} has 0 lines, {tmp_path / 'text.de'} has 1." in message


@pytest.mark.parametrize("name", ["text", "text.gz"])
def test_invalid_utf8_names_file_line_and_byte(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "gut\nü ".encode() + b"sch\xf6n\n")
    with pytest.raises(CorpusError) as error:
        list(read_lines(path))
    assert str(error.value).startswith(f"{path}:2: expected UTF-8, found byte 0xf6 at column 7.")


def test_lines_before_invalid_utf8_are_read(tmp_path: Path) -> None:
    lines = read_lines(write(tmp_path / "text", b"a\nb\n\xff\n"))
    assert [next(lines), next(lines)] == ["a", "b"]
    with pytest.raises(CorpusError, match=r"text:3: .*0xff at column 1\."):
        next(lines)


@pytest.mark.parametrize(("line", "columns"), [("alone", 1), ("", 1), ("a\tb\tc", 3), ("a\tb\t", 3)])
def test_wrong_column_count(tmp_path: Path, line: str, columns: int) -> None:
    message = failure(tsv(tmp_path, f"a\tb\n{line}\nc\td\n"))
    assert message.startswith(f"{tmp_path / 'text.tsv'}:2: expected 2 tab-separated columns, found {columns}.")


def table(folder: Path, content: str, **options) -> Corpus:
    return open_corpus(CorpusConfig(tsv=str(write(folder / "text.tsv", content)), **options))


def test_columns_are_counted_from_1_and_may_be_swapped(tmp_path: Path) -> None:
    content = "7\tone\teins\tCC-BY\n8\ttwo\tzwei\n"
    assert texts(table(tmp_path, content, columns=(2, 3))) == [("one", "eins"), ("two", "zwei")]
    assert texts(table(tmp_path, content, columns=(3, 2))) == [("eins", "one"), ("zwei", "two")]
    message = failure(table(tmp_path, content, columns=(4, 2)))
    where = f"{tmp_path / 'text.tsv'}:2: "
    assert message == (
        f"{where}expected at least 4 tab-separated columns for 'columns: [4, 2]', found 3. Fix the line, or 'columns'."
    )


def test_more_columns_than_two_name_the_key(tmp_path: Path) -> None:
    assert failure(table(tmp_path, "one\teins\n" * 10 + "one\teins\tCC-BY\n")).endswith(
        ":11: expected 2 tab-separated columns, found 3. Remove the extra tab, or say which columns hold source and "
        "target: {tsv: FILE, columns: [1, 2]} in a recipe, --columns 1,2 in `seq2seq train FILE`."
    )


def test_a_header_is_skipped_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    (pair,) = table(tmp_path, "no columns\none\teins\n", header=True)
    assert pair == SentencePair("one", "eins", f"{tmp_path / 'text.tsv'}:2")
    assert failure(table(tmp_path, "en\tde\none\teins\ntwo\n", header=True)).startswith(f"{tmp_path / 'text.tsv'}:3: ")
    assert texts(table(tmp_path, "", header=True)) == []
    specs = [{"columns": (1, 3)}, {"columns": (2, 3), "header": True}]
    mixture = CorpusConfig(mixture=[{"tsv": str(write(tmp_path / "m.tsv", "a\tb\tc\n")), **spec} for spec in specs])
    assert texts(open_corpus(mixture)) == [("a", "c")]


def test_a_fingerprint_follows_columns_and_header(tmp_path: Path) -> None:
    ways = [{}, {"columns": (2, 1)}, {"columns": (1, 3)}, {"header": True}]
    found = [table(tmp_path, "a\tb\tc\n", **way).fingerprint() for way in ways]
    assert len(set(found)) == len(ways)
    assert table(tmp_path, "a\tb\tc\n", columns=(1, 2)).fingerprint() == found[0]


def test_a_fingerprint_is_that_of_the_text(tmp_path: Path) -> None:
    text = "a\tb\nc\td\n"
    plain = write(tmp_path / "plain.tsv", text)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "again.gz").write_bytes(gzip.compress(text.encode(), compresslevel=1, mtime=7))
    found = {TSVFile(path).fingerprint() for path in (plain, tmp_path / "packed.gz", tmp_path / "again.gz")}
    assert len(found) == 1
    assert TSVFile(write(tmp_path / "other.tsv", text + "e\tf\n")).fingerprint() not in found


def test_a_relative_path_that_leads_nowhere_says_where_it_was_looked_for(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match=rf"^data/absent\.tsv: no such file in {tmp_path}\.$"):
        open_corpus(CorpusConfig(tsv="data/absent.tsv"))


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "absent.tsv"
    with pytest.raises(CorpusError, match=r"absent\.tsv: no such file\.$"):
        open_corpus(CorpusConfig(tsv=str(path)))
    with pytest.raises(CorpusError, match=r"absent\.tsv: no such file\.$"):
        open_corpus(CorpusConfig(source=str(write(tmp_path / "a", "a\n")), target=str(path)))


@pytest.mark.parametrize("form", ["$CORPUS_DIR/text.tsv", "${CORPUS_DIR}/text.tsv"])
def test_environment_variable_in_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    write(tmp_path / "text.tsv", "a\tb\n")
    monkeypatch.setenv("CORPUS_DIR", str(tmp_path))
    (pair,) = open_corpus(CorpusConfig(tsv=form))
    assert pair == SentencePair("a", "b", f"{tmp_path / 'text.tsv'}:1")
    monkeypatch.delenv("CORPUS_DIR")
    with pytest.raises(CorpusError) as error:
        open_corpus(CorpusConfig(tsv=form))
    assert str(error.value).startswith(f"{form}: the environment variable CORPUS_DIR is not set.")


def test_dollar_sign_in_a_real_name_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "cheap$nosuchvariable.tsv", "a\tb\n")
    assert texts(open_corpus(CorpusConfig(tsv=str(tmp_path / "cheap$nosuchvariable.tsv")))) == [("a", "b")]
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "text.tsv", "c\td\n")
    assert texts(open_corpus(CorpusConfig(tsv="~/text.tsv"))) == [("c", "d")]


def test_damaged_gzip_is_a_corpus_error(tmp_path: Path) -> None:
    shuffled = random.Random(3)
    packed = gzip.compress("".join(f"{shuffled.random()}\n" for _ in range(40)).encode(), mtime=0)
    path = tmp_path / "text.gz"
    damaged = [packed[:end] for end in range(1, len(packed), 7)]
    # Bytes 4 to 9 are time, flags and system: a change there is no damage.
    for place in (0, 1, *range(10, len(packed), 3)):
        damaged.append(packed[:place] + bytes([packed[place] ^ 0xFF]) + packed[place + 1 :])
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(CorpusError, match=r"text\.gz"):
            list(read_lines(path))
        with gzip.open(path) as handle, pytest.raises(CorpusError, match=r"^input: cannot be read: "):
            list(decode_lines(handle, "input", pytest.fail))


def test_fingerprint_follows_content_and_nothing_else(tmp_path: Path) -> None:
    corpus = aligned(tmp_path, "a\nb\n", "x\ny\n")
    first = corpus.fingerprint()
    assert len(bytes.fromhex(first)) == 32
    os.utime(tmp_path / "text.en", (1, 1))
    assert corpus.fingerprint() == first
    assert aligned(tmp_path, "a\nb\n", "x\ny\n").fingerprint() == first
    others = {
        aligned(tmp_path, "a\nB\n", "x\ny\n").fingerprint(),
        aligned(tmp_path, "a\nb\n", "x\nY\n").fingerprint(),
        aligned(tmp_path, "x\ny\n", "a\nb\n").fingerprint(),
        aligned(tmp_path, "a\nb\nx\n", "y\n").fingerprint(),  # the same bytes, cut elsewhere
    }
    assert len(others | {first}) == 5


def test_tsv_fingerprint(tmp_path: Path) -> None:
    corpus = tsv(tmp_path, "a\tx\n")
    first = corpus.fingerprint()
    os.utime(tmp_path / "text.tsv", (1, 1))
    assert corpus.fingerprint() == first
    assert tsv(tmp_path, "a\ty\n").fingerprint() != first


def test_lenient_lines_replace_and_warn(capsys: pytest.CaptureFixture[str]) -> None:
    handle = io.BytesIO(b"good\nb\xf6se\nreal \xef\xbf\xbd\n")
    assert list(decode_lines(handle, "[in] put", warn)) == ["good", "b\ufffdse", "real \ufffd"]
    assert capsys.readouterr().err == "warning: [in] put:2: invalid UTF-8 replaced by U+FFFD\n"
