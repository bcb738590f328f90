"""Readers of parallel text: a line ends at a line feed and nowhere else, and no bytes make them do but one thing."""

import gzip

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from seq2seq.config import TextConfig
from seq2seq.corpora.downloads.splits import SPLITS, write_splits
from seq2seq.corpora.file_kinds import find_file_kind
from seq2seq.corpora.lines import read_lines
from seq2seq.corpora.readers import AlignedFiles, SentencePair, TSVFile
from seq2seq.errors import CorpusError
from tests.fuzz.conftest import outcome
from tests.fuzz.texts import sentences

# Half of them text with columns, a few with bytes that no UTF-8 has.
lines = st.one_of(
    sentences.map(str.encode),
    st.tuples(sentences, sentences).map("\t".join).map(str.encode),
    st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")),
)
files = st.tuples(st.lists(lines, max_size=8), st.booleans()).map(
    lambda made: b"\n".join(made[0]) + b"\n" * (made[1] and bool(made[0]))
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("readers")


def bare(data):
    """The lines of a file, by the rule."""
    found = data.split(b"\n")
    if not found[-1]:
        found.pop()
    if found:
        found[0] = found[0].removeprefix(b"\xef\xbb\xbf")
    return [line.removesuffix(b"\r") for line in found]


def is_text(line):
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def read(corpus):
    """Pairs, and the error that ended them."""
    pairs = []
    try:
        for pair in corpus:
            pairs.append(pair)
    except CorpusError as error:
        return pairs, str(error)
    return pairs, ""


@given(st.lists(sentences, max_size=8), st.sampled_from(["", ".gz"]))
@example(["\u2028", "a\rb", "\x85", "\x1c\x1d", "", "\0", "c\x0b"], "")
def test_what_was_written_line_by_line_is_read_line_by_line(folder, texts, suffix):
    path = folder / f"text{suffix}"
    data = "".join(f"{text}\n" for text in texts).encode()
    path.write_bytes(gzip.compress(data) if suffix else data)
    expected = [text.removesuffix("\r") for text in texts]
    if expected and texts[0].startswith("\ufeff"):
        expected[0] = texts[0][1:].removesuffix("\r")
    assume(find_file_kind(data) is None)  # such as a lone "{}", or more CR than lines
    assert list(read_lines(path)) == expected


@given(files)
def test_a_table_gives_its_pairs_up_to_the_line_that_is_wrong(folder, data):
    path = folder / "pairs.tsv"
    path.write_bytes(data)
    pairs, error = read(TSVFile(path, TextConfig(tsv=str(path), header=False, quoted=False)))
    if find_file_kind(data):
        assert not pairs
        assert error.startswith(f"{path}: expected lines of text in UTF-8, found ")
        return
    columns = [line.split(b"\t") if is_text(line) else [] for line in bare(data)]
    right = next((place for place, cells in enumerate(columns) if len(cells) != 2), len(columns))
    assert pairs == [
        SentencePair(*(cell.decode() for cell in cells), f"{path}:{number}")
        for number, cells in enumerate(columns[:right], start=1)
    ]
    assert error.startswith(f"{path}:{right + 1}: expected ") if right < len(columns) else not error


@given(files, files)
def test_two_files_give_their_pairs_up_to_the_line_that_is_wrong(folder, source, target):
    paths = folder / "a", folder / "b"
    for path, data in zip(paths, (source, target), strict=True):
        path.write_bytes(data)
    pairs, error = read(AlignedFiles(*paths))
    if find_file_kind(source) or find_file_kind(target):
        assert not pairs
        assert error
        return
    sides = bare(source), bare(target)
    texts = list(zip(*sides, strict=False))
    right = next((place for place, pair in enumerate(texts) if not all(map(is_text, pair))), len(texts))
    assert pairs == [
        SentencePair(a.decode(), b.decode(), f"{paths[0]}:{number}")
        for number, (a, b) in enumerate(texts[:right], start=1)
    ]
    if right < max(map(len, sides)):
        assert error.startswith(tuple(f"{path}:" for path in paths))
        assert f":{right + 1}: expected " in error or "expected UTF-8" in error, "of a file that goes on too long"
    else:
        assert not error


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(0, 60), st.integers(0, 255))
def test_a_damaged_gzip_file_is_an_error_with_its_name(folder, data, garbage, place, byte):
    path = folder / "damaged.gz"
    whole = gzip.compress(data)
    changed = bytearray(whole)
    changed[place % len(whole)] = byte
    for content in (garbage, whole[: place % len(whole)], bytes(changed), whole + garbage):
        path.write_bytes(content)
        text, error = outcome(CorpusError, lambda: list(read_lines(path)))
        assert error.startswith(f"{path}:") if text is None else not error


@given(st.lists(lines, min_size=1, max_size=30), st.sampled_from([(1, 2), (2, 1), (1, 3)]))
def test_splits_hold_every_line_or_count_it(tmp_path_factory, rows, columns):
    folder = tmp_path_factory.mktemp("splits")
    table = [row + b"\n" for row in rows]
    report, error = outcome(CorpusError, lambda: write_splits(table, "table", folder, columns, 1, 0.3))
    if report is None:
        assert "gets none of" in error
        assert not list(folder.iterdir())
        return
    assert report.read == len(rows) == report.duplicates + report.malformed + report.pairs.total()
    for split in SPLITS:
        path = folder / f"{split}.tsv"
        if find_file_kind(path.read_bytes()) is None:  # such as more CR than lines
            spec = TextConfig(tsv=str(path), header=False, quoted=False)
            assert len(list(TSVFile(path, spec))) == report.pairs[split]
