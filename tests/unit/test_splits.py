"""Splits by source sentence: none in two of them, the same ones every time, nothing lost unseen."""

import hashlib
import shlex
import unicodedata
from collections import Counter

import pytest
import yaml

from seq2seq.config import CorpusConfig
from seq2seq.corpora import open_corpus
from seq2seq.corpora.downloads.corpus import DownloadedCorpus
from seq2seq.corpora.downloads.splits import SPLITS, assign_split, write_splits
from seq2seq.errors import CorpusError

SOURCES = [f"Sentence number {number}." for number in range(2000)]


def table(sources):
    """Every third source has two translations, as Tatoeba's have."""
    for number, source in enumerate(sources):
        for variant in range(2 if number % 3 == 0 else 1):
            yield f"{source}\tSatz Nummer {number}, Fassung {variant}.\tCC-BY, somebody\n".encode()


def deal(lines, folder, columns=(1, 2), seed=1, held_out=0.05):
    folder.mkdir(exist_ok=True)
    report = write_splits(lines, "deu.txt", folder, columns, seed, held_out)
    pairs = {
        split: [pair[:2] for pair in open_corpus(CorpusConfig(tsv=str(folder / f"{split}.tsv")))] for split in SPLITS
    }
    return report, pairs


def test_no_source_is_in_two_splits_and_no_pair_is_lost(tmp_path):
    report, pairs = deal(table(SOURCES), tmp_path)
    sources = {split: {source for source, _ in pairs[split]} for split in SPLITS}
    assert sum(map(len, sources.values())) == len(set.union(*sources.values())) == len(SOURCES)
    expected = [tuple(line.decode().split("\t")[:2]) for line in table(SOURCES)]
    assert Counter(pair for split in SPLITS for pair in pairs[split]) == Counter(expected)
    assert [pair for pair in expected if pair in set(pairs["train"])] == pairs["train"], "the order of the table"
    assert report.read == len(expected) == report.pairs.total()
    # 100 of 2,000 expected in each; four standard deviations are 39
    assert 61 <= len(sources["valid"]) <= 139
    assert 61 <= len(sources["test"]) <= 139


def test_the_same_splits_every_time_and_others_by_another_seed(tmp_path):
    first = deal(table(SOURCES), tmp_path / "a")[1]
    assert deal(table(SOURCES), tmp_path / "b")[1] == first
    assert deal(table(SOURCES), tmp_path / "c", seed=2)[1]["test"] != first["test"]


def test_a_corpus_that_grows_leaves_every_sentence_where_it_was(tmp_path):
    before = deal(table(SOURCES[:1500]), tmp_path / "a")[1]
    after = deal(table(["A new one at the top.", *SOURCES]), tmp_path / "b")[1]
    for split in SPLITS:
        assert {source for source, _ in before[split]} <= {source for source, _ in after[split]}


def test_the_place_of_a_sentence_never_changes():
    """Recorded results depend on it: the first 64 bits of BLAKE2b of seed and sentence, as a fraction."""
    for source in SOURCES[:200]:
        digest = hashlib.blake2b(b"7\n" + source.encode(), digest_size=8).hexdigest()
        eighth = int(digest, 16) >> 61
        assert assign_split(source, 7, 0.125) == {0: "test", 1: "valid"}.get(eighth, "train")
        assert assign_split(source, 7, 0.125) == assign_split(f" {source} ", 7, 0.125)


def test_canonically_equal_sources_stay_together():
    composed = [f"Café número {number}" for number in range(300)]
    decomposed = [unicodedata.normalize("NFD", source) for source in composed]
    assert composed != decomposed
    assert [assign_split(source, 1, 0.2) for source in composed] == [
        assign_split(source, 1, 0.2) for source in decomposed
    ]


def test_every_line_is_accounted_for(tmp_path):
    good = list(table(SOURCES[:300]))
    bad = [b"one column\n", b"\n", b"blank target\t \n", b"Latin-1 \xe4\tetwas\n"]
    lines = [*good[:100], *bad, *good[100:], *good[:7], b"Sentence number 0. \tSatz Nummer 0, Fassung 0.\n"]
    report, pairs = deal(lines, tmp_path, held_out=0.1)
    assert (report.read, report.malformed, report.duplicates) == (len(good) + 12, 4, 8)
    assert report.read == report.malformed + report.duplicates + report.pairs.total()
    assert report.first_malformed == "deu.txt:101: expected at least 2 tab-separated columns, found 1"
    assert sum(map(len, pairs.values())) == len(good)


def test_either_language_can_be_the_source(tmp_path):
    pairs = deal(table(SOURCES), tmp_path, columns=(2, 1))[1]
    assert pairs["test"][0][0].startswith("Satz Nummer")
    assert pairs["test"][0][1].startswith("Sentence number")


def test_odd_characters_survive(tmp_path):
    lines = [f"{source}\u2028 and\x85 more\tx\u00a0y\r\n".encode() for source in SOURCES[:300]]
    report, pairs = deal([b"\xef\xbb\xbf" + lines[0], *lines[1:]], tmp_path, held_out=0.1)
    assert report.malformed == 0
    expected = {(f"{source}\u2028 and\x85 more", "x\u00a0y") for source in SOURCES[:300]}
    assert {pair for split in SPLITS for pair in pairs[split]} == expected


def test_an_empty_split_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(
        CorpusError, match=r"'\w+' gets none of 3 pairs at --held-out-fraction 0\.01\. Raise --held-out-fraction"
    ):
        deal([*list(table(SOURCES[:2])), b"one column\n"], tmp_path, held_out=0.01)
    assert not list(tmp_path.iterdir())


def test_the_command_that_trains_on_a_corpus(tmp_path):
    got = DownloadedCorpus("ted", ("en", "ja"), "", "", tmp_path / "my ted", recipe="small")
    got.splits = {split: {"tsv": f"/d/{split} 1.tsv"} for split in ("train", "valid", "test")}
    command = got.next_command()
    words = shlex.split(command.removeprefix("train: ").replace("\\\n", ""))
    assert words[:5] == ["seq2seq", "train", "small", "--output", "runs/my ted"]
    config = yaml.safe_load(words[6].removeprefix("data.train="))
    assert config == {"tsv": "/d/train 1.tsv"}
    assert words[-4:] == ["--set", "data.source_language=en", "--set", "data.target_language=ja"]
    del got.splits["test"]
    got.languages = ("jpn", "x-own")
    settings = got.next_command().split(" \\\n    ")[-3:]
    assert settings == ["--set data.test=null", "--set data.source_language=ja", "--set data.target_language=null"]


def test_the_command_that_evaluates_on_a_test_set(tmp_path):
    got = DownloadedCorpus("wmt", ("en", "de"), "", "", tmp_path, extra_references=["b b"])
    got.splits = {"test": {"source": "s", "target": "a"}}
    expected = "evaluate: seq2seq evaluate MODEL --source s --reference a --reference 'b b'"
    assert got.next_command() == expected
