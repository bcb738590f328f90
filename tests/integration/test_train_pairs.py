"""Pairs in, model out; what Python draws of it; cells compared. Toy sizes."""

from pathlib import Path

import numpy as np
import pytest

from seq2seq import Translator, compare_cells, evaluate, load_config, plot_history, train_pairs
from seq2seq.corpora.in_memory import collect_pairs
from seq2seq.corpora.survey import survey_corpus
from seq2seq.errors import ArgumentError, CorpusError, TrainingError
from seq2seq.training import train
from seq2seq.training.pairs import plan_pairs
from seq2seq.training.planning import plan_held_out
from tests.runs import InterruptAfter
from tests.toy import pairs

PAIRS, VALID = pairs(200, 1), pairs(16, 2)
TINY = {
    "tokenizer.vocabulary_size": 55,
    "batching.max_tokens": 300,
    "embeddings.size": 12,
    "encoder.units": 12,
    "decoder.units": 12,
    "training.epochs": 2,
    "validation.beam_size": 1,
    "search.beam_size": 2,
    "search.max_length_factor": 1.0,
    "data.filters.max_tokens": 100,
}
WIDER = {"embeddings.size": 24, "encoder.units": 24, "decoder.units": 24}  # for counts that differ by less than 5%

pytestmark = pytest.mark.usefixtures("shared_graphs")


@pytest.fixture(scope="module")
def translator(shared_graphs):
    return train_pairs(PAIRS, valid=VALID, overrides=TINY)


def test_a_list_becomes_a_translator_that_knows_its_run(translator):
    assert translator.report.end is not None
    assert len(translator.report.history) >= 2
    assert translator.directory == translator.report.directory
    sources = [source for source, _ in VALID]
    assert [one.text for one in translator.translate(sources)] == [
        one.text for one in Translator.load(translator.directory).translate(sources)
    ]
    axes = plot_history(translator).axes[0]
    assert list(axes.lines[1].get_ydata()) == [entry["valid_loss"] for entry in translator.report.history]


def test_its_recipe_is_complete_and_trains_the_same_model_again(translator, tmp_path):
    config = load_config(translator.directory / "config.yaml")
    assert Path(config.data.train.tsv) == translator.directory.resolve() / "pairs.tsv"
    assert config.encoder.units == 12
    report = train(config, tmp_path / "again")
    assert [entry["valid_loss"] for entry in report.history] == [
        entry["valid_loss"] for entry in translator.report.history
    ]


def test_what_is_saved_outlives_the_temporary_directory(tmp_path):
    made = train_pairs(PAIRS[:100], valid=VALID, overrides={**TINY, "training.epochs": 1})
    folder, expected = made.directory, made.translate([VALID[0][0]])[0].text
    made.save(tmp_path / "kept")
    del made
    assert not folder.exists()
    assert Translator.load(tmp_path / "kept").translate([VALID[0][0]])[0].text == expected


def test_the_same_call_resumes_and_other_pairs_are_refused(tmp_path):
    call = {"directory": tmp_path / "run", "valid": VALID, "overrides": {**TINY, "validation.interval_updates": 2}}
    stopped = train_pairs(PAIRS, callbacks=[InterruptAfter(5)], **call)
    assert stopped.report.end is None
    before = (tmp_path / "run" / "pairs.tsv").read_bytes()
    with pytest.raises(TrainingError, match=r"pairs.tsv: has the pairs of another run. Train into another"):
        train_pairs(PAIRS[1:], **call)
    assert (tmp_path / "run" / "pairs.tsv").read_bytes() == before
    assert train_pairs(PAIRS, **call).report.end is not None


def test_a_run_without_a_model_yet_is_said(tmp_path):
    with pytest.raises(TrainingError, match=r"interrupted before the first validation. The same call resumes"):
        train_pairs(PAIRS, tmp_path, valid=VALID, overrides=TINY, callbacks=[InterruptAfter(1)])


@pytest.mark.parametrize(
    ("valid", "held_out"),
    [
        (15, {"pairs": 15}),
        (0.1, {"fraction": 0.1}),
        (np.int64(15), {"pairs": 15}),
        (np.float32(0.125), {"fraction": 0.125}),
        (None, {"pairs": plan_held_out(survey_corpus(collect_pairs(PAIRS).pairs)).pairs}),
    ],
)
def test_validation_is_held_out(valid, held_out, tmp_path):
    plan = plan_pairs(PAIRS, tmp_path, valid=valid, languages="en-de")
    assert plan.data.valid.model_dump(exclude_none=True, exclude_defaults=True) == held_out
    assert (plan.data.source_language, plan.data.target_language) == ("en", "de")


def test_files_are_left_where_they_are(tmp_path):
    file = tmp_path / "mine.tsv"
    file.write_text("".join(f"{source}\t{target}\n" for source, target in PAIRS), encoding="utf-8")
    plan = plan_pairs(file, tmp_path / "run")
    assert Path(plan.data.train.tsv) == file.resolve()
    assert not (tmp_path / "run").exists()


def test_white_space_that_a_tsv_cannot_hold_is_said(tmp_path):
    with pytest.warns(UserWarning, match="1 of 201 pairs has tabs, line breaks or broken characters"):
        plan_pairs([("two\nlines", "zwei\tSpalten"), *PAIRS], tmp_path)
    with pytest.raises(CorpusError, match=r"languages: expected two different languages, .*found en"):
        plan_pairs(PAIRS, tmp_path, languages="en")


@pytest.fixture(scope="module")
def comparison(shared_graphs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    arguments = {"seeds": (1, 2), "valid": VALID, "updates": 4, "overrides": TINY | WIDER}
    return compare_cells(PAIRS, ["gru", "elman"], folder, **arguments), folder, arguments


def test_cells_are_compared_at_equal_parameters_and_updates(comparison):
    found, folder, _ = comparison
    assert found.runs[["cell", "seed"]].values.tolist() == [["gru", 1], ["elman", 1], ["gru", 2], ["elman", 2]]
    units = found.runs.groupby("cell")["units"].first()
    assert units["gru"] == 24 < units["elman"]
    counts = found.runs["parameters"]
    assert counts.max() < 1.05 * counts.min()
    assert set(found.runs["updates"]) == {4}
    for run in ("elman-1", "gru-2"):
        config = load_config(folder / run / "config.yaml")
        assert config.tokenizer.from_model == str((folder / "gru-1").resolve())
        assert (config.encoder.cell, config.decoder.cell) == (run[:-2],) * 2
    assert found.summary.loc["gru", "seeds"] == 2
    assert found.difference("gru", "elman")["seeds"] == 2
    assert "Fewer than three seeds" in repr(found)
    assert found._repr_html_().count("<tr") == 3


def test_a_comparison_goes_on_where_it_was(comparison):
    found, folder, arguments = comparison
    again = compare_cells(PAIRS, ["gru", "elman"], folder, **arguments)
    columns = ["cell", "seed", "units", "valid_loss", "bleu", "chrf"]
    assert again.runs[columns].values.tolist() == found.runs[columns].values.tolist()


TOUR = """
from seq2seq import Translator, evaluate, plot_attention, plot_history, train_pairs

translator = train_pairs(pairs, "model", valid=valid, overrides=overrides)
translation = translator.translate(["the dog sees the tree today"])[0]
print(translation.text, evaluate(translator, valid)["bleu"])
plot_attention(translation).savefig("attention.png")
plot_history(translator).savefig("history.png")
translator.save("kept")
print(Translator.load("kept").translate(["the dog sees the tree today"])[0].text)
"""


def test_one_import_trains_translates_scores_draws_keeps_and_loads(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(TOUR, {"pairs": PAIRS, "valid": VALID, "overrides": TINY})
    first, second = capsys.readouterr().out.splitlines()
    assert first.partition(" BLEU ")[0] == second
    assert {path.name for path in tmp_path.iterdir()} == {"model", "kept", "attention.png", "history.png"}


def test_a_score_is_found_whatever_its_capitals(translator):
    report = evaluate(translator, VALID)
    assert report["bleu"] is report["BLEU"] is report.scores[0]
    with pytest.raises(ArgumentError, match=r"no score 'blue'. Did you mean 'bleu'. Measured: BLEU, chrF2, TER"):
        report["blue"]
    assert len(repr(report)) < 200
    assert report.scores[0].signature in report._repr_html_()
