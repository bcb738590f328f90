"""Scores on the command line: pairs, n-best lists, filters, ensembles and reranking, at toy size."""

import json
import os
import sys
from functools import cache
from select import select
from threading import Thread

import numpy as np
import pytest

from seq2seq.cli import texts
from seq2seq.config import SearchOptions
from seq2seq.errors import ConfigError
from seq2seq.evaluation.model_filters import PLAIN, ModelFilter, dual_conditional_cross_entropy
from seq2seq.inference.reranker import find_direction
from seq2seq.inference.scorer import Scorer
from seq2seq.inference.translator import Translator
from tests.command import run
from tests.conftest import randomize
from tests.toy import pairs, save, save_random_model, toy_tokenizer

pytestmark = pytest.mark.usefixtures("shared_searches")

PAIRS = [*pairs(5, 3), ("", ""), ("the dog", ""), ("bird", "Vogel")]
SECONDS = 300  # against hangs only


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """`model`, `other` with the same tokenizer, `reverse`, and the pairs as files."""
    folder, spm = tmp_path_factory.mktemp("scores"), toy_tokenizer()
    search = {"beam_size": 3, "max_length_factor": 0.3, "max_length_extra": 2}
    languages = {"source_language": "en", "target_language": "de"}
    turned = {"source_language": "de", "target_language": "en"}
    model = save_random_model(folder / "model", spm, search=search, data=languages)
    for seed, (name, data) in enumerate({"other": languages, "reverse": turned}.items()):
        randomize(model, seed=seed, scale=0.7)
        save(folder / name, model, spm, search=search, data=data)
    for side, name in enumerate(("en", "de")):
        (folder / name).write_text("".join(f"{pair[side]}\n" for pair in PAIRS), encoding="utf-8")
    (folder / "pairs.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in PAIRS), encoding="utf-8")
    return folder


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """Each model is read once."""
    scorers, translators = cache(Scorer.load), cache(Translator.load)

    def kept(load):
        def once(path, *_, **__):
            folders = [path] if isinstance(path, str | os.PathLike) else path
            return load(folders[0] if len(folders) == 1 else tuple(folders))

        return once

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scorer, "load", kept(scorers))
        patch.setattr(Translator, "load", kept(translators))
        yield


@pytest.fixture(scope="module")
def scores(folder):
    return [one.score for one in Scorer.load(folder / "model").score(PAIRS)]


def test_each_pair_is_answered_before_the_next(folder, scores, monkeypatch):
    """The protocol of `mtdata score`: source, tab, target; one number a line, in order."""
    (stdin, ours), (answers, stdout) = os.pipe(), os.pipe()
    found = []

    def converse():
        for source, target in PAIRS[:3]:
            os.write(ours, f"{source}\t{target}\n".encode())
            if not select([answers], [], [], SECONDS)[0]:
                break
            found.append(os.read(answers, 4096).decode())
        os.write(ours, "".join(f"{source}\t{target}\n" for source, target in PAIRS[3:]).encode())
        os.close(ours)

    person = Thread(target=converse)
    with os.fdopen(stdin) as into, os.fdopen(stdout, "w") as out:
        monkeypatch.setattr(sys, "stdin", into)
        monkeypatch.setattr(sys, "stdout", out)
        person.start()
        assert run("score", folder / "model") == 0
        person.join(SECONDS)
    with os.fdopen(answers) as rest:
        lines = [*found, *rest.readlines()]
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
    assert [float(line) for line in lines] == pytest.approx(scores, abs=1e-5)


def score_of_files(folder, capsys, *flags):
    code = run("score", folder / "model", "--source", folder / "en", "--target", folder / "de", *flags)
    assert code == 0
    return capsys.readouterr().out.splitlines()


def test_formats_and_normalizations(folder, capsys):
    found = Scorer.load(folder / "model").score(PAIRS, SearchOptions(length_penalty=0.0))
    summed = [float(line) for line in score_of_files(folder, capsys, "--normalize", "sum")]
    assert summed == pytest.approx([one.log_prob for one in found], abs=1e-4)
    rows = [line.split("\t") for line in score_of_files(folder, capsys, "--normalize", "mean", "--format", "tsv")]
    assert [tuple(row[:2]) for row in rows] == PAIRS
    assert [float(row[2]) for row in rows] == pytest.approx([one.mean_log_prob for one in found], abs=1e-5)
    values = [json.loads(line) for line in score_of_files(folder, capsys, "--format", "jsonl", "--length-penalty", "0")]
    for number, (value, one, pair) in enumerate(zip(values, found, PAIRS, strict=True), start=1):
        assert (value["line"], value["source"], value["target"]) == (number, *pair)
        assert value["tokens"] == one.tokens
        assert value["token_log_probs"] == pytest.approx(one.token_log_probs.tolist(), abs=1e-5)
        assert value["score"] == pytest.approx(value["log_prob"], abs=1e-4)
    assert run("score", folder / "model", "--format", "aligned") == 2
    assert run("score", folder / "model", "--ensemble-weights", "2;1") == 2
    assert "such as 2,1; found '2;1'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "text", "said"),
    [
        ((), "a b\n", "stdin:1: expected source<TAB>target, found 1 column: 'a b'. Write a tab between"),
        ((), "a\tb\na\tb\tc\n", "stdin:2: expected source<TAB>target, found 3 columns: 'a\\tb\\tc'. Remove the other"),
        (("--normalize", "sum", "--length-penalty", "2"), "", "--length-penalty 2: needs --normalize search"),
    ],
)
def test_what_is_wrong_with_pairs_or_options_is_said(folder, flags, text, said, tmp_path, monkeypatch, capsys):
    (tmp_path / "text").write_text(text)
    with (tmp_path / "text").open() as handle:
        monkeypatch.setattr(sys, "stdin", handle)
        assert run("score", folder / "model", *flags) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("flags", [("--best",), ("--n-best", "x"), ("--source", "x"), ("--n-best", "x", "-i", "y")])
def test_files_that_do_not_belong_together(folder, flags):
    assert run("score", folder / "model", *flags) == 2


N_BEST = """\
0 ||| der Hund ||| F0= -1 F1= 2 ||| -1.5
0 ||| der Kater sieht ||| F0= -2 F1= 3 ||| -1.75
2 ||| Vogel ||| 0-0 ||| F0= -1 ||| -1
2 ||| Baum ||| F0= -1 ||| -2 ||| 0-0
"""


@pytest.mark.parametrize("weight", ["0.5", "0", "-2"])
def test_an_n_best_list_gets_a_feature_and_a_new_order(folder, weight, tmp_path, capsys):
    (tmp_path / "list").write_text(N_BEST, encoding="utf-8")
    sources = [source for source, _ in PAIRS]
    scorer = Scorer.load(folder / "model")
    command = ("score", folder / "model", "--source", folder / "en", "--n-best", tmp_path / "list", "--weight", weight)
    assert run(*command, "--feature", "S") == 0
    found = [line.split(" ||| ") for line in capsys.readouterr().out.splitlines()]
    expected = []
    for line in N_BEST.splitlines():
        number, text, *fields = line.split(" ||| ")
        place = 1 if fields[0] == "0-0" else 0
        (score,) = scorer.score([(sources[int(number)], text)])
        fields[place] += f" S= {score.score:.6g}"
        fields[place + 1] = float(fields[place + 1]) + float(weight) * score.score
        expected.append((int(number), -fields[place + 1], [number, text, *fields], place))
    expected.sort(key=lambda entry: entry[:2])
    assert len(found) == len(expected)
    for ours, (_, _, row, place) in zip(found, expected, strict=True):
        total = 3 + place
        assert [field for n, field in enumerate(ours) if n not in (total, total - 1)] == [
            field for n, field in enumerate(row) if n not in (total, total - 1)
        ]
        assert ours[total - 1].split()[:-1] == row[total - 1].split()[:-1]
        assert float(ours[total - 1].split()[-1]) == pytest.approx(float(row[total - 1].split()[-1]), rel=1e-4)
        assert float(ours[total]) == pytest.approx(row[total], rel=1e-4)
    assert run(*command, "--best") == 0
    best = {number: text for number, _, (_, text, *_), _ in reversed(expected)}
    assert capsys.readouterr().out.splitlines() == [best.get(number, "") for number in range(len(PAIRS))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 ||| der Hund\n", ":1: expected NUMBER ||| TEXT ||| FEATURES ||| TOTAL, found 2 fields: '0 ||| der Hund'"),
        ("x ||| a ||| F0= 1 ||| 2\n", ":1: expected the number of a source line, from 0, found"),
        ("0 ||| a ||| F0= 1 ||| no\n", ":1: expected a number as the total, the field after the"),
        (
            "1 ||| a ||| F= 1 ||| 2\n0 ||| a ||| F= 1 ||| 2\n",
            ":2: expected the hypotheses in the order of source lines",
        ),
        (
            "0 ||| a ||| F= 1 ||| 2\n9 ||| a ||| F= 1 ||| 2\n",
            ":2: is a translation of source line 9, counted from 0",
        ),
        ("0 ||| a ||| Seq2Seq= 1 ||| 2\n", ":1: already has a feature 'Seq2Seq'. Choose another --feature."),
    ],
)
def test_what_is_wrong_with_an_n_best_list_is_said(folder, text, said, tmp_path, capsys):
    (tmp_path / "list").write_text(text)
    assert run("score", folder / "model", "--source", folder / "en", "--n-best", tmp_path / "list") == 1
    assert f"{tmp_path / 'list'}{said}" in capsys.readouterr().err


def test_dual_conditional_cross_entropy_by_hand():
    forward, backward = np.array([1.0, 0.5, 2.0, 0.0]), np.array([1.0, 2.0, 0.5, 0.0])
    expected = [np.exp(-1.0), np.exp(-(1.5 + 1.25)), np.exp(-(1.5 + 1.25)), 1.0]
    np.testing.assert_allclose(dual_conditional_cross_entropy(forward, backward), expected)


def test_a_corpus_is_filtered_by_two_models(folder, tmp_path, capsys):
    """Against the formula in NumPy, from the mean log-probabilities of either model."""
    whole = [pair for pair in PAIRS if all(pair)]
    forward, backward = (Scorer.load(folder / name) for name in ("model", "reverse"))
    f = -np.array([one.mean_log_prob for one in forward.score(whole, PLAIN)])
    b = -np.array([one.mean_log_prob for one in backward.score([pair[::-1] for pair in whole], PLAIN)])
    expected = np.exp(-np.abs(f - b) - (f + b) / 2)
    command = ("data", "filter", folder / "model", folder / "reverse", "-i", folder / "pairs.tsv")
    assert run(*command) == 0
    captured = capsys.readouterr()
    rows = [line.split("\t") for line in captured.out.splitlines()]
    assert [tuple(row[:2]) for row in rows] == whole
    assert [float(row[2]) for row in rows] == pytest.approx(expected.tolist(), abs=2e-6)
    assert captured.err.endswith("pairs.tsv: kept 6 of 8 pairs (dropped: 2 empty side)\n")
    assert run(*command, "--keep", "0.5") == 0
    captured = capsys.readouterr()
    best = sorted(np.argsort(-expected, kind="stable")[:3].tolist())
    assert captured.out.splitlines() == ["\t".join(whole[place]) for place in best]
    assert "kept 3 of 8 pairs (dropped: 3 score not among the best 0.5 of pairs, 2 empty side)" in captured.err
    limit = float(np.median(expected))
    assert run(*command, "--min-score", limit, "-q") == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == ["\t".join(whole[n]) for n in range(6) if expected[n] >= limit]
    assert captured.err == ""


def test_a_corpus_is_filtered_by_perplexity(folder, capsys):
    whole = [pair for pair in PAIRS if all(pair)]
    found = Scorer.load(folder / "model").score(whole, PLAIN)
    assert run("data", "filter", folder / "model", "--source", folder / "en", "--target", folder / "de", "-q") == 0
    values = [float(line.split("\t")[2]) for line in capsys.readouterr().out.splitlines()]
    assert np.exp(-np.array(values)) == pytest.approx([one.perplexity for one in found], rel=1e-4)


def test_two_models_of_one_direction_are_no_filter(folder):
    with pytest.raises(ConfigError, match=r"the second model translates en-de, expected de-en, the reverse"):
        ModelFilter(Scorer.load(folder / "model"), Scorer.load(folder / "other"))


def test_several_models_before_the_text_are_an_ensemble(folder, capsys):
    ensemble = (folder / "model", folder / "other")
    assert run("translate", *ensemble, "-q", "--ensemble-weights", "2,1", PAIRS[0][0], PAIRS[1][0]) == 0
    asked = SearchOptions(**Translator.load(ensemble).options.model_dump() | {"ensemble_weights": (2.0, 1.0)})
    expected = Translator.load(ensemble).translate([PAIRS[0][0], PAIRS[1][0]], asked)
    assert capsys.readouterr().out.splitlines() == [one.text for one in expected]
    assert run("translate", folder / "model", "the dog", folder / "other") == 1
    assert (
        f"{folder / 'other'}: is a model, but comes after 'the dog'. Give all models first." in capsys.readouterr().err
    )
    assert texts.split_models(["phrasebook-en-de", "x" * 5000, "a"])[1] == ["x" * 5000, "a"]


@pytest.mark.parametrize("given", [("--ensemble-weights", "1"), ("--ensemble-average", "probability")])
@pytest.mark.parametrize("verb", ["translate", "score", "evaluate"])
def test_options_of_an_ensemble_need_several_models(folder, verb, given, capsys):
    more = (folder / "pairs.tsv",) if verb == "evaluate" else ("-i", folder / "en") if verb == "translate" else ()
    assert run(verb, folder / "model", *more, *given) == 1
    remedy = f"Give all models, one after the other, or leave out {given[0]}."
    said = f"error: {given[0]}: combines several models, but found only {folder / 'model'}. {remedy}\n"
    assert said in capsys.readouterr().err


def test_an_ensemble_is_evaluated_and_translated_in_shards(folder, tmp_path, capsys):
    ensemble = (folder / "model", folder / "other")
    (tmp_path / "in").write_text("".join(f"{source}\n" for source, _ in PAIRS), encoding="utf-8")
    files = ("-i", tmp_path / "in", "-o", tmp_path / "out")
    assert run("translate", *ensemble, *files, "--shard", "1/1", "-q") == 0
    expected = [one.text for one in Translator.load(ensemble).translate([source for source, _ in PAIRS])]
    assert (tmp_path / "out").read_text(encoding="utf-8").splitlines() == expected
    identity = json.loads((tmp_path / "out.manifest.json").read_text())["job"]
    assert identity["model"]["model.safetensors"] != identity["model 2"]["model.safetensors"]
    assert run("translate", folder / "model", *files, "--shard", "1/1") == 1
    assert "belongs to another job: model 2.config.yaml was" in capsys.readouterr().err
    command = (
        "evaluate",
        *ensemble,
        "--source",
        tmp_path / "in",
        "--reference",
        tmp_path / "in",
        "-o",
        tmp_path / "hyp",
    )
    assert run(*command) == 0
    assert (tmp_path / "hyp").read_text(encoding="utf-8").splitlines() == expected


@pytest.mark.parametrize("name", ["other", "reverse"])
def test_another_model_reranks_all_hypotheses(folder, name):
    translator, other = Translator.load(folder / "model"), Scorer.load(folder / name)
    texts = [source for source, _ in PAIRS]
    options = translator.options.model_copy(update={"n_best": 3, "length_penalty": 0.5})
    plain = translator.translate(texts, options)
    weighted = {"rerank_model": str(folder / name), "rerank_weight": 0.7}
    asked = SearchOptions(**options.model_dump() | weighted)
    changed = 0
    one_best = translator.translate(texts, asked.model_copy(update={"n_best": 1}))
    for text, before, after, best in zip(texts, plain, translator.translate(texts, asked), one_best, strict=True):
        turned = -1 if name == "reverse" else 1
        its = other.score([(text, one.text)[::turned] for one in before.hypotheses], SearchOptions(length_penalty=0.5))
        if not text:
            assert after.hypotheses[0].tokens == []
            continue
        expected = {
            tuple(one.tokens): one.score + 0.7 * score.score for one, score in zip(before.hypotheses, its, strict=True)
        }
        ranked = sorted(expected, key=lambda tokens: -expected[tokens])
        assert [tuple(one.tokens) for one in after.hypotheses] == ranked
        assert [one.score for one in after.hypotheses] == pytest.approx([expected[one] for one in ranked], abs=1e-4)
        assert len(best.hypotheses) == 1
        assert tuple(best.tokens) == ranked[0]
        changed += ranked[0] != tuple(before.tokens)
    assert changed, "or this tells nothing"


def test_the_direction_of_a_model_that_reranks(folder):
    scorer = Scorer.load(folder / "reverse")
    tokenizers = scorer.tokenizers
    assert find_direction("x", scorer, tokenizers, ("en", "de")) == "reverse"
    assert find_direction("x", scorer, tokenizers, ("de", "en")) == "same"
    with pytest.raises(ConfigError, match=r"^x: translates de-en, expected fr-en or the reverse direction\."):
        find_direction("x", scorer, tokenizers, ("fr", "en"))
    with pytest.raises(ConfigError, match=r"^x: neither languages nor tokenizers tell"):
        find_direction("x", scorer, tokenizers, (None, None))
