"""Alarms in whole runs: on the screen, in the history, in the report, and after a resume; what a run ends with."""

import io
import re
import shlex
import shutil
import warnings

import keras
import numpy as np
import pytest
import yaml
from rich.console import Console
from sacrebleu.metrics import BLEU, CHRF

from seq2seq.config import dump_config
from seq2seq.corpora import open_corpus
from seq2seq.errors import TrainingWarning
from seq2seq.evaluation.baselines import COPY, FREQUENT, MODEL
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.history import read_history
from seq2seq.models.base import weight_name
from seq2seq.storage.arrays import load_arrays
from seq2seq.training import train
from tests.command import run
from tests.runs import InterruptAfter, assert_same_run
from tests.toy import language_model_config, pairs, toy_config, toy_values, write_corpus

VALID = [*pairs(120, 1)[:6], *pairs(6, 2)]  # half of it is trained on, too
TEST = [*pairs(120, 1)[6:9], (pairs(120, 1)[9][0], "ein anderer Hund"), ("a king sees a bird", "der König")]

pytestmark = pytest.mark.usefixtures("shared_graphs")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder with the toy corpus, and its validation corpus in two files, half of it also trained on."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    for name, texts in (("valid", VALID), ("test", TEST)):
        for side, language in enumerate(("en", "de")):
            lines = "".join(f"{pair[side]}\n" for pair in texts)
            (folder / f"{name}.{language}").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def config(corpus):
    """So few updates that the model still writes the same words over and over."""
    files = {
        name: {"source": str(corpus / f"{name}.en"), "target": str(corpus / f"{name}.de")} for name in ("valid", "test")
    }
    return toy_config(
        corpus,
        data=files,
        training={"epochs": 3, "learning_rate": 0.05, "accumulation_steps": 2},
        validation={"metric": "bleu", "compute_bleu": True, "interval_updates": 6},
        search={"beam_size": 1},
    )


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """A run: its report, and what it printed."""
    screen = io.StringIO()
    directory = tmp_path_factory.mktemp("run") / "whole"
    return train(config, directory, console=Console(file=screen, width=400)), screen.getvalue()


def test_an_alarm_is_shown_recorded_and_reported_when_it_begins(whole):
    report, said = whole
    history = read_history(report.directory)
    assert report.history == history
    recorded = [text for entry in history for text in entry["new_warnings"]]
    assert all(set(entry["new_warnings"]) <= set(entry["warnings"]) for entry in history)
    assert all(entry["warnings"][0] == recorded[0] for entry in history), "it holds throughout"
    assert report.warnings == list(dict.fromkeys([*recorded, *report.remaining_warnings]))
    known = sum(pair in pairs(120, 1) for pair in VALID)
    assert (
        f"the source of {known} of 12 validation pairs is in the training corpus, and the whole pair of {known}"
        in recorded[0]
    )
    assert "the source of 4 of 5 test pairs is in the training corpus, and the whole pair of 3: scores" in recorded[1]
    assert report.overlaps == {"validation": (12, known, known), "test": (5, 4, 3)}
    row = next(line for line in said.splitlines() if line.startswith("overlap"))
    assert f"{known} of 12 validation sources, with the same target {known}; 4 of 5 test sources, with" in row
    loops = [text for text in recorded if "translations of the validation corpus repeat" in text]
    assert loops == history[-1]["new_warnings"], "before, it may grow out of that"
    shown = re.findall("^warning: (.*)$", said, re.MULTILINE)
    assert shown == [*recorded, *report.remaining_warnings]
    assert all(entry["translations"]["total"] == 12 for entry in history)


def test_the_line_of_a_validation_has_the_loss_without_smoothing(whole):
    report, said = whole
    for entry in report.history:
        assert entry["train_nll"] != pytest.approx(entry["train_loss"], abs=0.01)
        assert f"train loss {entry['train_nll']:.3f}  valid loss {entry['valid_loss']:.3f}" in said


@pytest.mark.parametrize("batches", [5, 17])
def test_a_resumed_run_says_and_reports_what_the_whole_one_does(batches, whole, config, tmp_path):
    report, said = whole
    screen = io.StringIO()
    assert not (first := train(config, tmp_path, [InterruptAfter(batches)], Console(file=screen, width=400))).end
    assert first.warnings[0] == report.warnings[0], "before it is in the history, too"
    assert first.comparison is None
    resumed = train(config, tmp_path, console=Console(file=screen, width=400))
    assert_same_run(report.directory, tmp_path)

    def elsewhere(text):  # as of the other run, whose directory is in a command
        return text.replace(str(tmp_path), str(report.directory))

    assert [elsewhere(text) for text in resumed.warnings] == report.warnings
    assert [elsewhere(text) for text in resumed.remaining_warnings] == report.remaining_warnings
    assert resumed.comparison == report.comparison
    for text in report.warnings[2:]:
        assert elsewhere(screen.getvalue()).count(text) == said.count(text), "nothing is said again"


def test_the_end_compares_the_delivered_model_with_what_takes_none(whole, config):
    report, said = whole
    valid = list(open_corpus(config.data.valid))
    sources, references = [pair.source for pair in valid], [pair.target for pair in valid]
    translations = [made.text for made in Translator.load(report.directory).translate(sources)]
    for name, texts in ((MODEL, translations), (COPY, sources)):
        expected = {"BLEU": BLEU().corpus_score(texts, [references]), "chrF2": CHRF().corpus_score(texts, [references])}
        assert report.comparison[name] == pytest.approx({metric: score.score for metric, score in expected.items()})
    assert report.comparison[MODEL]["BLEU"] == pytest.approx(report.best)
    assert set(report.comparison) == {MODEL, COPY, FREQUENT}
    assert "On 12 validation pairs" in said
    assert report.samples == [(pair.source, pair.target) for pair in (valid[n * 12 // 5] for n in range(5))]


def test_it_is_the_delivered_model_that_is_compared_and_not_the_last(corpus, tmp_path):
    class Spoil(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                for weight in self.model.weights:
                    weight.assign(5 * weight)

    spoil = Spoil()
    config = toy_config(corpus, training={"epochs": 3}, validation={"compute_bleu": True})
    report = train(config, tmp_path, [spoil])
    best, last = report.history[-2:]
    assert (best["best"], last["best"]) == (True, False)
    assert report.comparison[MODEL]["BLEU"] == best["bleu"] != last["bleu"]
    delivered = load_arrays(tmp_path / "model.safetensors")[0]
    assert any(not np.array_equal(delivered[weight_name(weight)], weight) for weight in spoil.model.weights), "put back"


def test_a_run_with_nothing_left_to_do_compares_nothing_and_keeps_its_warnings(whole, config):
    report, _ = whole
    with pytest.warns(TrainingWarning) as given:
        again = train(config, report.directory)
    ours = [str(warning.message) for warning in given if warning.category is TrainingWarning]
    assert ours == again.remaining_warnings, "nothing else shows them"
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        train(config, report.directory, console=Console(quiet=True))
    assert again.comparison is None
    compared = "on the validation corpus the model has"
    assert [text for text in report.warnings if not text.startswith(compared)] == again.warnings


def test_a_language_model_has_alarms_too(corpus, tmp_path):
    report = train(language_model_config(corpus, training={"epochs": 1}), tmp_path)
    (entry,) = report.history
    assert entry["translations"] is None
    assert (report.comparison, report.samples) == (None, [])
    assert any(
        re.search(r"\d+ of 12 validation sentences (is|are) in the training corpus", text) for text in report.warnings
    )


def commands(output):
    """The words of the commands that a run ends with, by what they do."""
    found = re.findall(r"^(translate|evaluate|export|inspect|generate|perplexity): +(.*)$", output, re.MULTILINE)
    return {name: shlex.split(command) for name, command in found}


def test_the_commands_that_a_run_ends_with_work_as_they_stand(whole, tmp_path, capsys):
    report, _ = whole
    folder = tmp_path / "it's here"
    shutil.copytree(report.directory, folder)
    assert run("train", folder / "config.yaml", "--show-translations") == 0
    said = capsys.readouterr().out
    assert said.count("reference:   ") == 5
    assert said.count("┌ </s>") == 5, "the attention of each of them"
    found = commands(said)
    assert list(found) == ["translate", "evaluate", "export"]
    for words in found.values():
        program = 1 if words[0] == "seq2seq" else 3
        assert "seq2seq" in words[:program]
        assert run(*words[program:]) == 0, capsys.readouterr().err
    assert said.rstrip().endswith("they concern this model") == bool(report.remaining_warnings)
    assert run("train", folder / "config.yaml") == 0
    assert list(commands(capsys.readouterr().out)) == ["translate", "evaluate", "inspect"], "there is a copy"


def test_what_a_command_line_ends_with_where_there_are_no_files(corpus, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(toy_values(corpus)), encoding="utf-8")
    assert run("train", recipe, "--output", tmp_path / "m", "--set", "training.updates=2") == 0
    assert list(commands(capsys.readouterr().out)) == ["translate", "evaluate", "export"]
    recipe.write_text(dump_config(language_model_config(corpus)), encoding="utf-8")
    assert run("train", recipe, "--output", tmp_path / "lm", "--show-translations") == 2
    assert "--show-translations: a model of `task:" in capsys.readouterr().err
    assert not (tmp_path / "lm").exists()
