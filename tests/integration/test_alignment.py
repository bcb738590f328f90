"""Line N answers line N through every command, whatever white space, invisible and control characters lines hold."""

from random import Random

import pytest

from seq2seq.corpora import SentencePair
from seq2seq.corpora.readers import TSVFile
from seq2seq.data.encoded import encode_corpus
from seq2seq.inference.results import Hypothesis, Translation, blank_translation
from seq2seq.inference.translator import Translator
from seq2seq.text.cleaning import clean, is_blank, plain_form
from tests.command import run
from tests.toy import save_random_model, toy_tokenizer

ODD = [
    *map(chr, [*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA1), 0xAD, 0x34F, 0x61C, 0x1680, 0x180E]),
    *map(chr, [*range(0x2000, 0x2010), *range(0x2028, 0x2030), 0x205F, *range(0x2060, 0x2070), 0x3000, 0x3164]),
    *map(chr, [0xFE0F, 0xFEFF, 0xFFA0, 0xFFF9, 0xFFFE, 0xFDD0, 0xE0041, 0xE0100, 0x1D173, 0x10FFFF]),
]
WORDS = ["the dog", "sees", "bird.", " ", "Zoë", "ь", "犬。", "👩\u200d👧", "</s>", "▁", ""]


@pytest.fixture(scope="module")
def lines():
    """10,000 lines without line feeds and without a carriage return at the end, which belongs to it."""
    random = Random(11)
    made = ["".join(random.choices(ODD + WORDS * 8, k=random.randint(0, 8))) for _ in range(10_000)]
    return [line.replace("\n", "").rstrip("\r").removeprefix("\ufeff") for line in made]


@pytest.fixture(scope="module")
def folder(lines, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alignment")
    save_random_model(folder / "model", toy_tokenizer(), search={"beam_size": 1, "max_length_factor": 0.5})
    (folder / "source").write_bytes("".join(f"{line}\n" for line in lines).encode())
    return folder


def read(path):
    *lines, end = path.read_bytes().decode("utf-8").split("\n")
    assert end == ""
    return lines


def test_tokenizers(lines, folder):
    tokenizer = folder / "model" / "joint.spm"
    assert run("tokenizer", "encode", tokenizer, "-i", folder / "source", "-o", folder / "pieces") == 0
    assert run("tokenizer", "decode", tokenizer, "-i", folder / "pieces", "-o", folder / "text") == 0
    assert list(map(plain_form, read(folder / "text"))) == [plain_form(line.replace("▁", " ")) for line in lines]
    for line, pieces in zip(lines, read(folder / "pieces"), strict=True):
        assert pieces == "" or not is_blank(line)


@pytest.mark.parametrize("kind", ["text", "tsv", "jsonl"])
def test_rows(lines, folder, kind, monkeypatch):
    """Of a translator that repeats what it reads."""
    tokenizer = toy_tokenizer()

    def repeat(self, sentences, options, **_):
        texts = [tokenizer.decode(tokenizer.encode(sentence)) for sentence in sentences]
        blank = blank_translation().hypotheses[0]
        return [Translation([], [Hypothesis(text, 0.0, [], blank.token_log_probs, blank.attention)]) for text in texts]

    monkeypatch.setattr(Translator, "translate", repeat)
    flags = ("-i", folder / "source", "-o", folder / "out", "--format", kind, "--quiet")
    assert run("translate", folder / "model", *flags) == 0
    rows = read(folder / "out")
    assert len(rows) == len(lines)
    assert all(len(row.splitlines()) <= 1 for row in rows)
    if kind == "text":
        assert list(map(plain_form, rows)) == [plain_form(line.replace("▁", " ")) for line in lines]
    if kind == "tsv":
        assert all(len(row.split("\t")) == 3 for row in rows)


def test_translation(lines, folder):
    some = lines[:400]
    (folder / "some").write_bytes("".join(f"{line}\n" for line in some).encode())
    assert run("translate", folder / "model", "-i", folder / "some", "-o", folder / "out", "--quiet") == 0
    rows = read(folder / "out")
    assert len(rows) == len(some)
    for line, row in zip(some, rows, strict=True):
        assert row == clean(row)
        if is_blank(line):
            assert row == ""


def test_scores(lines, folder, capsys):
    files = ("--hypotheses", folder / "source", "--reference", folder / "source", "--json")
    assert run("evaluate", *files) == 0
    captured = capsys.readouterr()
    assert '"sentences": 10000' in captured.out
    assert '"score": 100.0' in captured.out or "99.99" in captured.out
    changed = sum(line != clean(line) for line in lines)
    assert f"{changed:,} of 10,000 hypotheses and {changed:,} of 10,000 references have white space" in captured.err


def test_corpora(lines, folder):
    cells = [line.replace("\t", "") for line in lines]
    (folder / "pairs.tsv").write_bytes("".join(f"{cell}\tx{n}\n" for n, cell in enumerate(cells)).encode())
    found = list(TSVFile(folder / "pairs.tsv"))
    assert [pair.target for pair in found] == [f"x{n}" for n in range(len(lines))]
    assert [pair.source for pair in found] == cells
    tokenizer = toy_tokenizer()
    kept = [SentencePair(*pair) for pair in found if tokenizer.encode(pair.source)]
    corpus = encode_corpus(found, tokenizer, tokenizer, folder / "encoded")
    assert corpus.report.dropped == {"side without tokens": len(found) - len(kept)}
    assert [len(tokenizer.encode(pair.source)) + 1 for pair in kept] == corpus.source.lengths.tolist()
