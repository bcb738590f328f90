"""Pairs of Python objects: every shape gives the same pairs, and a TSV keeps them."""

import pandas as pd
import pytest

from seq2seq.corpora import SentencePair
from seq2seq.corpora.in_memory import collect_pairs, pair_files, read_pairs, write_pairs
from seq2seq.corpora.readers import TSVFile
from seq2seq.errors import CorpusError

EN, DE = ["A dog.", "Two cats.", ""], ["Ein Hund.", "Zwei Katzen.", "Nichts."]
TUPLES = list(zip(EN, DE, strict=True))


class Frame:
    """What Polars has of a data frame, as far as it is read."""

    class Series:
        def __init__(self, cells):
            self.to_list = lambda: cells

    columns = ("id", "en", "de")

    def __getitem__(self, name):
        return self.Series({"id": [1, 2, 3], "en": EN, "de": DE}[name])


SHAPES = {
    "tuples": TUPLES,
    "lists": [list(pair) for pair in TUPLES],
    "more in a tuple": [(*pair, 0.7) for pair in TUPLES],
    "a generator": (pair for pair in TUPLES),
    "sentence pairs": [SentencePair(*pair, "here") for pair in TUPLES],
    "dicts": [{"id": 7, "en": en, "de": de} for en, de in TUPLES],
    "nested dicts": [{"translation": {"en": en, "de": de}} for en, de in TUPLES],
    "a dict of lists": {"en": EN, "de": DE},
    "a data frame": pd.DataFrame({"id": [1, 2, 3], "en": EN, "score": [0.1, 0.2, 0.3], "de": DE}),
    "another data frame": Frame(),
}


@pytest.mark.parametrize("pairs", SHAPES.values(), ids=SHAPES)
def test_every_shape_gives_the_same_pairs(pairs):
    found = collect_pairs(pairs)
    assert [pair[:2] for pair in found.pairs] == TUPLES


def test_names_of_columns_tell_languages_and_which_two_are_meant():
    assert collect_pairs({"en": EN, "de": DE})[1:] == ("en", "de")
    assert collect_pairs({"English": EN, "comment": EN, "German": DE}, ["English", "German"])[1:] == ("en", "de")
    assert collect_pairs(TUPLES)[1:] == (None, None)
    frame = pd.DataFrame({"target": DE, "note": EN, "source": EN})
    assert [pair[:2] for pair in collect_pairs(frame).pairs] == TUPLES
    assert [pair[:2] for pair in collect_pairs(frame, ["target", "note"]).pairs] == [pair[::-1] for pair in TUPLES]
    assert [pair[:2] for pair in collect_pairs([(1, *pair) for pair in TUPLES], [1, 2]).pairs] == TUPLES


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (7, "expected a list of .source, target. tuples.*found int"),
        ([], "pairs: expected .*; found no pairs"),
        (["one", "two", "three"], r"pairs\[0\]: expected a source and a target, found 'one'"),
        ([("a", "b"), ("a", "b", "c")], r"pairs\[1\]: expected a source and a target, found 3 texts. Pass columns="),
        ([("a", "b"), ("a", None)], r"pairs\[1\]: expected the target as text, found None.*dropna"),
        ([("a", "b"), ("a",)], r"pairs\[1\]: expected a source and a target, found \('a',\)"),
        ({"en": EN, "de": DE[:2]}, "column 'en' has 3 sentences, 'de' has 2"),
        (pd.DataFrame({"en": EN, "n": [1, 2, 3]}), "expected two columns of text, found 1 among the columns 'en', 'n'"),
        (pd.DataFrame({"en": EN, "de": ["x", float("nan"), "y"]}), r"pairs\[1\]: expected the target as text"),
        ({"en": "text", "de": "Text"}, "found a column of str"),
    ],
)
def test_what_is_no_pairs_is_said(pairs, message):
    with pytest.raises(CorpusError, match=message):
        collect_pairs(pairs)


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(CorpusError, match=r"no column 'fr'. Columns: 'en', 'de'"):
        collect_pairs({"en": EN, "de": DE}, ["en", "fr"])
    for columns in ([0, 2], ["en", "de"], [-1, 0]):
        with pytest.raises(CorpusError, match=r"pairs\[0\]: expected two columns of 2, counted from 0, found"):
            collect_pairs(TUPLES, columns)


def test_paths_are_told_from_pairs(tmp_path):
    assert pair_files(tmp_path / "a.tsv") == [tmp_path / "a.tsv"]
    assert [path.name for path in pair_files(["a.en", "a.de"])] == ["a.en", "a.de"]
    assert pair_files(TUPLES[:2]) is None


def test_a_tsv_gives_back_what_was_written(tmp_path):
    path = tmp_path / "pairs.tsv"
    written = [*TUPLES, ("tab\there", "two\r\nlines"), ("\ufeffmark", "half \ud83d"), ("nbsp\u00a0 \u2028x", "'\"")]
    assert write_pairs(collect_pairs(written).pairs, path) == 2
    changed = [("tab here", "two lines"), (" mark", "half \ufffd")]
    assert [pair[:2] for pair in TSVFile(path)] == [*TUPLES, *changed, written[-1]]
    # From the start of the file on, where a mark of the encoding would be taken off.
    write_pairs(collect_pairs(written[4:]).pairs, path)
    assert next(iter(TSVFile(path)))[:2] == (" mark", "half \ufffd")


def test_files_are_read_as_the_shell_reads_them(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{en}\t{de}\n" for en, de in TUPLES[:2]), encoding="utf-8")
    for pairs in (path, str(path)):
        assert [pair[:2] for pair in read_pairs(pairs)] == TUPLES[:2]
    sides = [tmp_path / "x.en", tmp_path / "x.de"]
    for side, lines in zip(sides, (EN[:2], DE[:2]), strict=True):
        side.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert [pair[:2] for pair in read_pairs(sides)] == TUPLES[:2]
