"""The list of corpora that ships with the package, and what is said of a list that is wrong."""

import gzip
import hashlib
import os
from pathlib import Path

import pytest
import yaml

from seq2seq.config import recipe_names
from seq2seq.corpora.downloads.catalogue import find_entry, load_catalogue
from seq2seq.errors import CorpusError

SHIPPED = load_catalogue()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_list_is_complete(name):
    entry = SHIPPED[name]
    assert name == name.lower()
    assert name.endswith("-".join(entry.languages))
    assert all(language.isalpha() for language in entry.languages)
    assert entry.homepage.startswith("https://")
    assert len(entry.licence) > 3
    assert len(entry.citation) > 10
    assert entry.recipe in recipe_names()
    for file_name, file in entry.files.items():
        assert file.url.startswith("https://")
        assert file.url.endswith(f"/{file_name}")
        assert file.size or file.uncompressed_sha256 or file.md5 or file.unchecked_reason, "no size, and no reason"


def test_the_shipped_list_has_what_the_readme_names():
    pairs = {f"multi30k-en-{code}" for code in ("de", "fr", "cs")}
    pairs |= {f"tatoeba-en-{code}" for code in ("de", "fr", "cs", "es")}
    assert pairs <= SHIPPED.keys()
    for name in ("multi30k-en-de", "multi30k-en-fr", "multi30k-en-cs"):
        splits = SHIPPED[name].splits
        assert {split: splits[split].pairs for split in ("train", "valid", "test_2016_flickr")} == {
            "train": 29_000,
            "valid": 1014,
            "test_2016_flickr": 1000,
        }


def test_no_two_files_share_an_address_and_differ():
    known = {}
    for entry in SHIPPED.values():
        for file in entry.files.values():
            assert known.setdefault(file.url, file) == file


@pytest.mark.skipif("MULTI30K" not in os.environ, reason="needs the Multi30k corpus")
def test_the_checksums_are_those_of_the_recorded_corpus():
    compared = 0
    for name, file in SHIPPED["multi30k-en-de"].files.items():
        path = Path(os.environ["MULTI30K"]) / name
        if path.exists() and file.uncompressed_sha256:
            assert hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() == file.uncompressed_sha256, name
            compared += 1
    assert compared == 6


def entry(**changed):
    values = {
        "description": "Sentences",
        "languages": ["en", "de"],
        "homepage": "https://example.org",
        "licence": "CC0",
        "citation": "Somebody (2020)",
        "splits": {"train": {"source": "a", "target": "b"}, "valid": {"source": "a", "target": "b"}},
        "files": {
            "a": {"url": "https://example.org/a", "sha256": "a" * 64},
            "b": {"url": "https://example.org/b", "sha256": "b" * 64},
        },
    }
    return {key: value for key, value in (values | changed).items() if value is not None}


def files(**changed):
    values = {"url": "https://example.org/a", "sha256": "a" * 64} | changed
    return {"files": {"a": {key: value for key, value in values.items() if value is not None}}}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"licence": None}, "'mine.licence' is missing"),
        ({"license": "CC0"}, "unknown key 'mine.license'. Did you mean 'licence'? Accepted there: approximate_size,"),
        (files(sha265="a"), "unknown key 'mine.files.a.sha265'. Did you mean 'sha256'? Accepted there: md5,"),
        (files(sha256="xyz"), "'mine.files.a.sha256': found 'xyz'"),
        (files(size=0), "'mine.files.a.size': found 0"),
        (files(url="ftp://example.org/a"), "'mine.files.a.url': found 'ftp://example.org/a'"),
        (
            files(sha256=None),
            "'mine.files.a': give 'sha256', 'uncompressed_sha256' or 'md5', or say in 'unchecked_reason' why",
        ),
        (
            files(unchecked_reason="why?"),
            "'mine.files.a': give 'sha256', 'uncompressed_sha256' or 'md5', or say in 'unchecked_reason' why",
        ),
        (files(unpack=True), "'mine.files': 'a' cannot be unpacked: accepted are .zip, .tar,"),
        (files(uncompressed_sha256="a" * 64), "'mine.files': 'a' has 'uncompressed_sha256', which is for .gz files"),
        ({"files": {"../a": files()["files"]["a"]}}, "'mine.files': '../a' is not a plain file name"),
        ({"files": {"in/a": files()["files"]["a"]}}, "'mine.files': 'in/a' is not a plain file name"),
        ({"table": {"file": "a"}}, "'mine': give either 'splits' or 'table'"),
        ({"splits": None, "table": {"file": "c/c.txt"}}, "'mine': 'c/c.txt' is neither one of 'files' nor in"),
        ({"splits": None, "table": {"file": "a", "columns": [1, 1]}}, "'mine.table.columns': give two columns"),
        ({"splits": None, "table": {"file": "a", "held_out": 0.5}}, "'mine.table.held_out': found 0.5"),
        (
            {"splits": {"train": {"source": "a", "target": "b"}}},
            "'mine': 'splits' needs 'train' and 'valid', or 'test'",
        ),
    ],
)
def test_a_wrong_list_is_an_error_that_names_file_and_key(tmp_path, changed, said):
    path = tmp_path / "list.yaml"
    path.write_text(yaml.safe_dump({"mine": entry(**changed)}), encoding="utf-8")
    with pytest.raises(CorpusError) as error:
        load_catalogue(path)
    assert f"{path}: {said}" in str(error.value)


def test_a_right_list_of_ones_own(tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text(yaml.safe_dump({"mine": entry(), "other": entry(approximate_size=5)}), encoding="utf-8")
    catalogue = load_catalogue(path)
    assert catalogue["mine"].size() is None
    assert catalogue["other"].size() == 5
    with pytest.raises(CorpusError, match=r"minne: no such corpus\. Did you mean 'mine'"):
        find_entry(catalogue, "minne")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not valid YAML"),
        ("a: " + "1" * 5000, "not valid YAML"),
        ("- a\n", "expected corpora by name, found list"),
    ],
)
def test_a_file_that_is_no_list(tmp_path, text, said):
    path = tmp_path / "list.yaml"
    with pytest.raises(CorpusError, match="no such file"):
        load_catalogue(path)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=said):
        load_catalogue(path)
