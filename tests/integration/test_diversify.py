"""`seq2seq data diversify`: what the table has, what is translated again, and what is refused."""

import gzip

import numpy as np
import pytest

from seq2seq.bulk import diversification
from seq2seq.config import CorpusConfig, validate_config
from seq2seq.corpora import open_corpus
from seq2seq.corpora.held_out import open_train
from seq2seq.errors import CorpusError
from seq2seq.inference.translator import Translator
from tests.command import run
from tests.toy import pairs, save_random_model, toy_tokenizer

pytestmark = pytest.mark.usefixtures("shared_searches")
SEARCH = {"beam_size": 1, "max_length_factor": 0.1, "max_length_extra": 2}
FAST = ("--long-lines", "truncate")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models `one` and `two`, and aligned files with a repeated pair, a blank pair and a tab."""
    folder = tmp_path_factory.mktemp("diversify")
    tokenizer = toy_tokenizer()
    for name, size in (("one", 12), ("two", 14)):
        save_random_model(folder / name, tokenizer, search=SEARCH, encoder={"units": size}, decoder={"units": size})
    lines = [*pairs(12, 5), ("the dog", "der Hund"), ("", ""), ("the dog", "der Hund"), ("a\tcat", "eine Katze")]
    for side, name in enumerate(("en", "de")):
        (folder / name).write_text("".join(f"{pair[side]}\n" for pair in lines), encoding="utf-8")
    return folder


def aligned(folder):
    return [(folder / name).read_text(encoding="utf-8").replace("\t", " ").splitlines() for name in ("en", "de")]


def translated(folder, model, name, capsys):
    """Texts and scores by the command that translates."""
    lines = aligned(folder)[name == "de"]
    (folder / "lines").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    capsys.readouterr()
    assert run("translate", *model, "-q", "-i", folder / "lines", "--format", "tsv", *FAST) == 0
    return [row.split("\t")[1:] for row in capsys.readouterr().out.split("\n")[:-1]]


def rows_of(path):
    return [tuple(row.split("\t")) for row in path.read_text(encoding="utf-8").split("\n")[:-1]]


def diversify(folder, out, *arguments):
    return run("data", "diversify", "--source", folder / "en", "--target", folder / "de", "-o", out, *arguments, *FAST)


def held_out_of(table):
    data = {"train": {"mixture": [{"phrasebook": "train"}, {"tsv": str(table), "columns": [1, 2]}]}}
    return validate_config({"data": data | {"valid": {"fraction": 0.1}}}, "recipe").corpora


def test_the_table_has_each_pair_once_with_its_origin(folder, tmp_path, capsys):
    sources, targets = aligned(folder)
    expected = [(*pair, "original", "0") for pair in zip(sources, targets, strict=True)]
    for number, name in enumerate(("one", "two"), start=1):
        texts = translated(folder, [folder / name], "en", capsys)
        expected += [
            (line, text, f"forward-{number}", score) for line, (score, text) in zip(sources, texts, strict=True)
        ]
    texts = translated(folder, [folder / "two"], "de", capsys)
    expected += [(text, line, "backward-1", score) for line, (score, text) in zip(targets, texts, strict=True)]
    kept = {row[:2]: row for row in reversed(expected) if row[0].strip() and row[1].strip()}
    kept = [row for row in expected if kept.get(row[:2]) is row]

    models = "--forward", folder / "one", "--forward", folder / "two", "--backward", folder / "two"
    assert diversify(folder, tmp_path / "out", *models) == 0
    assert rows_of(tmp_path / "out/train.tsv") == kept
    counts = {origin: sum(row[2] == origin for row in kept) for origin in ("original", "forward-1", "backward-1")}
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "original: kept 14 of 16 pairs (dropped: 1 empty, 1 duplicate)"
    assert said[1].startswith(f"forward-1 ({folder / 'one'}): kept {counts['forward-1']} of 16 pairs")
    assert said[3].startswith(f"backward-1 ({folder / 'two'}): kept {counts['backward-1']} of 16 pairs")
    assert said[4] == f"{tmp_path / 'out/train.tsv'}: {len(kept)} pairs"
    assert said[5] == f"in a recipe: data.train: {{tsv: {tmp_path / 'out/train.tsv'}, columns: [1, 2]}}"
    assert said[6].startswith("validate on a corpus of its own (data.valid)")


def test_an_ensemble_without_originals_is_distillation(folder, tmp_path, capsys):
    texts = translated(folder, [folder / "one", folder / "two"], "en", capsys)
    models = "--forward", folder / "one", "--forward", folder / "two", "--ensemble", "--synthetic-only", "-q"
    assert diversify(folder, tmp_path / "out", *models) == 0
    found = rows_of(tmp_path / "out/train.tsv")
    assert {row[2] for row in found} == {"forward-1"}
    pairs = zip(aligned(folder)[0], texts, strict=True)
    expected = dict.fromkeys((line, text, score) for line, (score, text) in pairs if line and text.strip())
    assert [(row[0], row[1], row[3]) for row in found] == list(expected)
    assert not capsys.readouterr().err
    with pytest.raises(CorpusError, match=r"train\.tsv: is a table of `seq2seq data diversify`"):
        open_train(held_out_of(tmp_path / "out/train.tsv"))


def test_recipes_read_the_table(folder, tmp_path):
    assert diversify(folder, tmp_path, "--forward", folder / "one", "-q") == 0
    rows, table = rows_of(tmp_path / "train.tsv"), str(tmp_path / "train.tsv")
    everything = open_corpus(CorpusConfig(tsv=table, columns=(1, 2)))
    assert [pair[:2] for pair in everything] == [row[:2] for row in rows]
    least = float(np.median([float(row[3]) for row in rows if row[2] != "original"]))
    best = open_corpus(CorpusConfig(tsv=table, columns=(1, 2), score_column=4, min_score=least))
    assert [pair[:2] for pair in best] == [row[:2] for row in rows if float(row[3]) >= least]
    with pytest.raises(CorpusError, match=r"train\.tsv: is a table of `seq2seq data diversify`.* Validate on a corpus"):
        open_train(held_out_of(table))


def test_what_is_translated_is_not_translated_again(folder, tmp_path, monkeypatch):
    """After an interruption within a side, with a further model, and from a compressed table of pairs."""
    whole, out, done = tmp_path / "whole", tmp_path / "out", []
    both = "--backward", folder / "two", "--forward", folder / "one", "-q"
    assert diversify(folder, whole, *both) == 0
    translate_shard, translate = diversification.translate_shard, Translator.translate

    def in_small_chunks(*arguments, **options):
        return translate_shard(*arguments, **options, chunk=4)

    def interrupted(translator, lines, *arguments, **options):
        if len(done) == 6:  # in the second chunk of the second model
            raise KeyboardInterrupt
        done.append(len(lines))
        return translate(translator, lines, *arguments, **options)

    monkeypatch.setattr(diversification, "translate_shard", in_small_chunks)
    monkeypatch.setattr(Translator, "translate", interrupted)
    assert diversify(folder, out, *both) == 130
    assert not (out / "train.tsv").exists()
    done[:] = [None] * 7  # is not interrupted
    assert diversify(folder, out, *both) == 0
    assert done[7:] == [4, 4], "the rest of the second model"
    assert (out / "train.tsv").read_bytes() == (whole / "train.tsv").read_bytes()

    done[:] = [None] * 7
    table = "".join(f"{source}\t{target}\n" for source, target in zip(*aligned(folder), strict=True))
    (tmp_path / "pairs.tsv.gz").write_bytes(gzip.compress(table.encode()))
    more = "--forward", folder / "two", *both
    assert run("data", "diversify", "-i", tmp_path / "pairs.tsv.gz", "-o", out, *more, *FAST) == 0
    assert done[7:] == [4] * 4, "the source by the new model"
    origins = {row[2] for row in rows_of(out / "train.tsv")}
    assert origins == {"original", "forward-1", "forward-2", "backward-1"}


def test_blank_pairs_alone(folder, tmp_path, capsys):
    (tmp_path / "blank.tsv").write_text("\t\n \t \n")
    assert run("data", "diversify", "-i", tmp_path / "blank.tsv", "-o", tmp_path, "--forward", folder / "one") == 0
    assert "original: kept 0 of 2 pairs (dropped: 2 empty)" in capsys.readouterr().err
    assert rows_of(tmp_path / "train.tsv") == []


def test_what_has_no_pairs_is_an_error_and_leaves_no_folder(folder, tmp_path, capsys):
    (tmp_path / "none").write_text("")
    out = "-o", tmp_path / "new" / "out", "--forward", folder / "one"
    assert run("data", "diversify", "-i", tmp_path / "none", *out) == 1
    assert f"{tmp_path / 'none'}: found no pairs" in capsys.readouterr().err
    assert run("data", "diversify", "--source", folder / "en", "--target", tmp_path / "none", *out) == 1
    assert "Align the two files line by line" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_wrong_models_are_errors(folder, tmp_path, capsys):
    data = {"train": {"phrasebook": "train"}, "valid": {"phrasebook": "valid"}}
    save_random_model(tmp_path / "en-de", toy_tokenizer(), data=data)
    cases = {
        (): "found no model. Give --forward MODEL, --backward MODEL or both",
        (
            "--forward",
            tmp_path / "en-de",
            "--backward",
            tmp_path / "en-de",
        ): f"--backward {tmp_path / 'en-de'}: translates from en to de, which does not fit",
        ("--forward", tmp_path): f"{tmp_path}",
    }
    for arguments, message in cases.items():
        assert diversify(folder, tmp_path / "out", *arguments) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
