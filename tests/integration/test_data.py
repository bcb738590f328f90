"""`seq2seq data`: from a name to files that a recipe can name, against a server on this machine."""

import gzip
import hashlib
import io
import json
import shlex
import subprocess
import sys
import zipfile

import pytest
import yaml

from seq2seq.config import load_config
from seq2seq.corpora import open_corpus
from seq2seq.corpora.downloads import download as transfer
from tests.command import run
from tests.file_server import serve
from tests.toy import pairs


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(transfer, "RETRY_PAUSE", 0.0)


def anki(lines):
    """A zip file as of the Tab-delimited Bilingual Sentence Pairs."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("_about.txt", "About these files")
        file.writestr("deu.txt", "".join(lines))
    return made.getvalue()


LINES = [
    f"{source} {n % 90}\t{target} {n % 90}\tCC-BY 2.0 (France) #{n}\n"
    for n, (source, target) in enumerate(pairs(600, 4))
]
ABOUT = {
    "languages": ["en", "de"],
    "homepage": "https://example.org",
    "licence": "CC0 for a test",
    "citation": "Somebody (2020)",
}


@pytest.fixture
def site(tmp_path):
    with serve() as site:
        sides = {"en": 0, "de": 1}
        aligned = {}
        for split, count in (("train", 200), ("val", 20), ("test", 10)):
            for language, side in sides.items():
                text = "".join(f"{pair[side]}\n" for pair in pairs(count, 7)).encode()
                site.files[f"/{split}.{language}.gz"] = gzip.compress(text)
                known = {"uncompressed_sha256": hashlib.sha256(text).hexdigest()}
                aligned[f"{split}.{language}.gz"] = {"url": f"{site.address}/{split}.{language}.gz", **known}
        site.files["/deu-eng.zip"] = anki(LINES)
        catalogue = {
            "captions": {
                "description": "Two files a split",
                **ABOUT,
                "splits": {
                    name: {"source": f"{split}.en.gz", "target": f"{split}.de.gz", "pairs": count}
                    for name, split, count in (("train", "train", 200), ("valid", "val", 20), ("test", "test", 10))
                },
                "files": aligned,
            },
            "short": {
                "description": "A table",
                **ABOUT,
                "table": {"file": "deu-eng/deu.txt", "held_out": 0.1},
                "files": {
                    "deu-eng.zip": {
                        "url": f"{site.address}/deu-eng.zip",
                        "unpack": True,
                        "unchecked_reason": "it changes with each release",
                    }
                },
            },
        }
        (tmp_path / "list.yaml").write_text(yaml.safe_dump(catalogue, sort_keys=False), encoding="utf-8")
        yield site


def next_config(output):
    """The recipe that the printed `train:` command would train."""
    words = shlex.split(output.partition("train: ")[2].replace("\\\n", " "))
    assert words[:2] == ["seq2seq", "train"]
    assert words[3] == "--output"
    settings = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    return load_config(words[2], settings)


def read(config):
    return [pair[:2] for pair in open_corpus(config)]


HEAVY = ("tensorflow", "keras", "numpy", "sacrebleu", "requests")


@pytest.mark.parametrize("command", [["data", "--help"], ["data", "list"], ["data", "get", "nothing"]])
def test_the_commands_start_light(command):
    script = (
        "import sys\nfrom seq2seq.cli import main\n"
        f"try:\n    main({command})\nexcept SystemExit: pass\n"
        f"print('LOADED', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.rpartition("LOADED ")[2].strip() == "[]"


def test_list_shows_licence_size_and_whether_it_is_checked(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run("data", "list") == 0
    table = capsys.readouterr().out
    row = next(line for line in table.split("\n") if line.startswith("multi30k-en-de"))
    for part in ("en-de", "about 1.5 MB", "yes", "research use"):
        assert part in row
    for part in ("CC BY 2.0 FR", "sacrebleu:SET/PAIR", "mtdata:ID", "seq2seq data get NAME"):
        assert part in table
    assert run("data", "list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["multi30k-en-de"]["files"]["train.en.gz"]["uncompressed_sha256"].startswith("460a15fb")


def test_a_corpus_with_splits(site, tmp_path, capsys):
    site.drops = [50]  # the first file takes two requests
    assert run("data", "get", "captions", "--catalogue", "list.yaml") == 0
    output = capsys.readouterr().out
    assert "data/captions: en to de, 200 train, 20 valid, 10 test" in output
    assert "licence: CC0 for a test\ncite: Somebody (2020)\n" in output
    assert "not verified" not in output
    data = next_config(output).data
    assert read(data.train) == pairs(200, 7)
    assert read(data.valid) == pairs(20, 7)
    assert read(data.test) == pairs(10, 7)
    assert site.ranges_asked == [None, "bytes=50-", None, None, None, None, None]
    record = json.loads((tmp_path / "data/captions/SOURCE.json").read_text(encoding="utf-8"))
    assert record["licence"] == "CC0 for a test"
    train = record["files"]["train.en.gz"]
    assert train["url"] == f"{site.address}/train.en.gz"
    assert train["sha256"] == hashlib.sha256(site.files["/train.en.gz"]).hexdigest()
    assert (train["size"], train["checked"]) == (len(site.files["/train.en.gz"]), True)
    # Again, the other way round: nothing is downloaded
    assert run("data", "get", "captions", "--catalogue", "list.yaml", "--reverse") == 0
    output = capsys.readouterr().out
    assert "data/captions: de to en" in output
    assert read(next_config(output).data.train) == [pair[::-1] for pair in pairs(200, 7)]
    assert len(site.ranges_asked) == 7


def test_a_corpus_without_splits(site, tmp_path, capsys):
    folder = tmp_path / "it's: a folder, {mine}"
    assert run("data", "get", "short", "--catalogue", "list.yaml", "--output", folder) == 0
    output = capsys.readouterr().out
    sha256 = hashlib.sha256(site.files["/deu-eng.zip"]).hexdigest()
    assert f"not verified, since no checksum is known: deu-eng.zip, SHA-256 {sha256}" in output
    assert "600 lines read, dropped 0 exact duplicates and 0 malformed" in output
    data = next_config(output).data
    splits = [read(data.train), read(data.valid), read(data.test)]
    assert sum(map(len, splits)) == 600
    sources = [{source for source, _ in split} for split in splits]
    assert sum(map(len, sources)) == len(set.union(*sources))
    assert {pair for split in splits for pair in split} == {tuple(line.split("\t")[:2]) for line in LINES}
    record = json.loads((folder / "SOURCE.json").read_text(encoding="utf-8"))
    assert record["splits"]["pairs"] == dict(zip(("train", "valid", "test"), map(len, splits), strict=True))
    assert record["splits"]["seed"] == 1
    # Another seed and direction, from what is there
    assert run("data", "get", "short", "--catalogue", "list.yaml", "-o", folder, "--seed", 2, "--reverse") == 0
    other = next_config(capsys.readouterr().out).data
    assert {source for source, _ in read(other.test)} & {target for _, target in splits[0]}
    assert len(site.ranges_asked) == 1


def test_a_new_release_is_not_mistaken_for_the_old_one(site, tmp_path, capsys):
    command = ("data", "get", "short", "--catalogue", "list.yaml")
    assert run(*command) == 0
    before = (tmp_path / "data/short/train.tsv").read_bytes()
    old = hashlib.sha256(site.files["/deu-eng.zip"]).hexdigest()
    (tmp_path / "data/short/deu-eng.zip").unlink()
    site.files["/deu-eng.zip"] = anki([*LINES, "One more.\tNoch einer.\tCC-BY\n"])
    assert run(*command) == 1
    error = capsys.readouterr().err
    assert f"expected SHA-256 {old}" in error
    assert "There is a new release: give another --output to keep both, or delete" in error
    assert (tmp_path / "data/short/train.tsv").read_bytes() == before
    (tmp_path / "data/short/SOURCE.json").unlink()
    assert run(*command) == 0
    assert "601 lines read" in capsys.readouterr().out


def test_a_page_in_place_of_an_archive_leaves_no_trace(site, capsys):
    """A network that wants a password first answers everything with a page of its own."""
    right = site.files["/deu-eng.zip"]
    site.files["/deu-eng.zip"] = b"<html>Sign in to this network</html>"
    assert run("data", "get", "short", "--catalogue", "list.yaml") == 1
    assert "deu-eng.zip: cannot be unpacked: File is not a zip file." in capsys.readouterr().err
    site.files["/deu-eng.zip"] = right
    assert run("data", "get", "short", "--catalogue", "list.yaml") == 0


def test_a_file_that_was_put_there_by_hand(site, tmp_path, capsys):
    (tmp_path / "data/short").mkdir(parents=True)
    (tmp_path / "data/short/deu-eng.zip").write_bytes(site.files["/deu-eng.zip"])
    site.files.clear()
    assert run("data", "get", "short", "--catalogue", "list.yaml") == 0
    assert not site.ranges_asked
    (tmp_path / "data/captions").mkdir()
    (tmp_path / "data/captions/train.en.gz").write_bytes(gzip.compress(b"another text\n"))
    assert run("data", "get", "captions", "--catalogue", "list.yaml") == 1
    assert "train.en.gz: expected text of SHA-256" in capsys.readouterr().err


def test_errors_say_what_to_do(site, tmp_path, capsys):
    assert run("data", "get", "caption", "--catalogue", "list.yaml") == 1
    assert "caption: no such corpus. Did you mean 'captions'?" in capsys.readouterr().err
    del site.files["/val.en.gz"]
    assert run("data", "get", "captions", "--catalogue", "list.yaml") == 1
    error = capsys.readouterr().err
    assert f"error: {site.address}/val.en.gz: cannot be downloaded: the server answered 404 Not Found." in error
    assert "put it at data/captions/val.en.gz" in error
    site.files["/deu-eng.zip"] = anki(LINES).replace(b"deu.txt", b"fra.txt")
    assert run("data", "get", "short", "--catalogue", "list.yaml") == 1
    assert "deu.txt: is not in the archive, which has: _about.txt, fra.txt." in capsys.readouterr().err
    values = yaml.safe_load((tmp_path / "list.yaml").read_text(encoding="utf-8"))
    values["captions"]["splits"] = {"test": {"source": "train.en.gz", "target": "test.de.gz"}}
    (tmp_path / "list.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    site.files["/val.en.gz"] = gzip.compress("".join(f"{pair[0]}\n" for pair in pairs(20, 7)).encode())
    assert run("data", "get", "captions", "--catalogue", "list.yaml") == 1
    assert "expected 200 lines in each, found 200 and 10" in capsys.readouterr().err


def test_a_test_set_of_sacrebleu(site, tmp_path, monkeypatch, capsys):
    from sacrebleu.dataset import DATASETS, base
    from sacrebleu.dataset.plain_text import PlainTextDataset

    monkeypatch.setattr(base, "SACREBLEU_DIR", str(tmp_path / "cache"))
    texts = {"source": "Hello.\nBye.\n", "first": "Hallo.\nAde.\n", "second": "Guten Tag.\nTschüs.\n"}
    for name, text in texts.items():
        site.files[f"/{name}.txt"] = text.encode()

    class TwoReferences(PlainTextDataset):
        def fieldnames(self, langpair):
            return ["src", "ref:A", "ref:B"]

    toy = TwoReferences(
        "toy/dev",
        data=[f"{site.address}/{name}.txt" for name in texts],
        citation="@misc{toy}",
        langpairs={"en-de": [f"toy_dev.{name}.txt" for name in texts]},
    )
    monkeypatch.setitem(DATASETS, "toy/dev", toy)
    for requests in (3, 3):  # the second time from sacreBLEU's cache
        assert run("data", "get", "sacrebleu:toy/dev/en-de") == 0
        assert len(site.ranges_asked) == requests
    folder = "data/sacrebleu-toy-dev-en-de"
    output = capsys.readouterr().out
    references = f"--reference {folder}/test.de --reference {folder}/test.2.de"
    assert f"evaluate: seq2seq evaluate MODEL --source {folder}/test.en {references}" in output
    assert f"{folder}: en to de, 2 test" in output
    copied = [(tmp_path / folder / name).read_text(encoding="utf-8") for name in ("test.en", "test.de", "test.2.de")]
    assert copied == list(texts.values())
    for name, said in (
        ("toy/dev/en-fr", "toy/dev has no 'en-fr'. It has: en-de."),
        ("toy/deev/en-de", "Did you mean 'toy/dev'?"),
        ("wmt19", "expected sacrebleu:SET/PAIR"),
    ):
        assert run("data", "get", f"sacrebleu:{name}") == 1
        assert said in capsys.readouterr().err
    monkeypatch.setattr(base, "SACREBLEU_DIR", str(tmp_path / "other"))
    site.files.clear()
    gone = TwoReferences("gone", data=toy.data, langpairs=toy.langpairs)
    monkeypatch.setitem(DATASETS, "gone", gone)
    assert run("data", "get", "sacrebleu:gone/en-de") == 1
    assert f"sacreBLEU cannot download {site.address}/source.txt" in capsys.readouterr().err
    site.files["/source.txt"] = b"not what it was"
    monkeypatch.setitem(DATASETS, "gone", TwoReferences("gone", data=toy.data[:1], md5=["0"], langpairs=toy.langpairs))
    assert run("data", "get", "sacrebleu:gone/en-de") == 1
    assert "sacreBLEU reports that its download is damaged" in capsys.readouterr().err


MTDATA = """
import sys
from pathlib import Path
print("Indexing", file=sys.stderr)
verb, name = sys.argv[1:]
assert verb == "echo"
assert name == "OPUS-toy-v1-deu-eng", "no such corpus"
for number in range(400):
    print(f"Satz {number}\\tSentence {number}\\t{{}}")
"""


def test_a_corpus_of_mtdata(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "packages" / "mtdata"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "__main__.py").write_text(MTDATA, encoding="utf-8")
    (package.parent / "mtdata-9.dist-info").mkdir()
    (package.parent / "mtdata-9.dist-info" / "METADATA").write_text("Name: mtdata\nVersion: 9\n", encoding="utf-8")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    for name, said in (
        ("OPUS-toy-v2-deu-eng", "`mtdata echo` failed: AssertionError: no such corpus. Its messages are in data/"),
        ("toy", "expected mtdata:GROUP-NAME-VERSION-SOURCE-TARGET"),
    ):
        assert run("data", "get", f"mtdata:{name}") == 1
        assert said in capsys.readouterr().err
    assert run("data", "get", "mtdata:OPUS-toy-v1-deu-eng", "--reverse", "--held-out-fraction", 0.1, "-o", "out") == 0
    output = capsys.readouterr().out
    assert "out: eng to deu" in output
    assert "400 lines read" in output
    source, target = read(next_config(output).data.train)[0]
    assert (source.split()[0], target.split()[0]) == ("Sentence", "Satz")
    assert json.loads((tmp_path / "out/SOURCE.json").read_text(encoding="utf-8"))["mtdata"] == "9"
