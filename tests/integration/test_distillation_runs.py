"""Runs with teachers: exact resume, other tokenizers, changed teachers."""

import shutil
import sys
from pathlib import Path

import pytest

from seq2seq.config.section import without_folders
from seq2seq.errors import ConfigError, ModelDirectoryError, TrainingError
from seq2seq.model_directory import LAST
from seq2seq.model_directory.directory import load_tokenizers
from seq2seq.model_directory.history import read_history
from seq2seq.storage.arrays import load_arrays
from seq2seq.training import train
from tests.command import run as command
from tests.runs import assert_resumes_exactly, copy_of
from tests.toy import language_model_config, save_random_model, toy_config


@pytest.fixture(scope="module")
def teachers(corpus, tmp_path_factory):
    """A trained teacher, and one with random weights, of another size."""
    folder = tmp_path_factory.mktemp("teachers")
    train(toy_config(corpus, training={"epochs": 1}), folder / "first")
    tokenizer = load_tokenizers(folder / "first").target
    save_random_model(folder / "second", tokenizer, encoder={"units": 8}, decoder={"units": 8})
    return [str(folder / name) for name in ("first", "second")]


def student(corpus, teachers, **distillation):
    sections = {"distillation": {"teachers": teachers, **distillation}, "epochs": 1}
    return toy_config(
        corpus, training=sections, tokenizer={"from_model": teachers[0]}, validation={"interval_updates": 5}
    )


@pytest.fixture(scope="module")
def run(corpus, teachers, tmp_path_factory):
    directory = tmp_path_factory.mktemp("student") / "run"
    assert_resumes_exactly(student(corpus, teachers, weight=0.7, temperature=2.0), directory, 4)
    return directory


def test_a_run_with_an_ensemble_resumes_exactly(run):
    assert all(entry["train_distillation"] > 0 for entry in read_history(run))
    arrays, about = load_arrays(run / LAST)
    assert not any("teacher" in name for name in arrays)
    assert len(about["teachers"]) == 2


def test_changed_weights_of_a_teacher_are_an_error(corpus, teachers, run, tmp_path):
    begun = tmp_path / "begun"
    shutil.copytree(copy_of(run, 4), begun)
    config = student(corpus, teachers, weight=0.7, temperature=2.0)
    kept = tmp_path / "kept"
    shutil.copytree(teachers[1], kept)
    try:
        shutil.rmtree(teachers[1])
        save_random_model(
            kept.with_name("second"), load_tokenizers(kept).target, encoder={"units": 10}, decoder={"units": 10}
        )
        shutil.copytree(kept.with_name("second"), teachers[1])
        with pytest.raises(TrainingError, match=r"the teachers of training.distillation, or their weights, changed"):
            train(config, begun)
    finally:
        shutil.rmtree(teachers[1])
        shutil.copytree(kept, teachers[1])


def test_a_teacher_with_other_tokens_is_an_error_that_names_both(corpus, teachers, tmp_path):
    config = student(corpus, teachers).model_copy(
        update={"tokenizer": toy_config(corpus, tokenizer={"vocabulary_size": 50}).tokenizer}
    )
    with pytest.raises(ConfigError) as caught:
        train(config, tmp_path / "run")
    ours, theirs = (
        load_tokenizers(folder).source.fingerprint()[:8] for folder in (tmp_path / "run", Path(teachers[0]))
    )
    expected = f"the source tokenizer of {teachers[0]} (SHA-256 {theirs}) is not that of this run ({ours})"
    assert expected in str(caught.value)


def test_a_teacher_of_another_task_is_an_error_whatever_its_tokenizer(corpus, teachers, tmp_path):
    config = language_model_config(corpus, training={"distillation": {"teachers": [teachers[0]]}})
    said = rf"^training\.distillation\.teachers: {teachers[0]}: expected a model of `task: language_model`"
    with pytest.raises(ModelDirectoryError, match=said):
        train(config, tmp_path / "run")


@pytest.mark.parametrize("resumes", [False, True])
def test_missing_teachers_are_an_error_at_once_even_if_the_folder_exists(resumes, run, tmp_path, monkeypatch, capsys):
    module = sys.modules["seq2seq.cli.train"]
    monkeypatch.setattr(module, "import_tensorflow", lambda: pytest.fail("TensorFlow is loaded"))
    given = "training.distillation.teachers=[nope]", "tokenizer.from_model=nowhere"  # a resumed run has a copy of this
    output, overrides = (run, given) if resumes else (tmp_path, given[:1])
    settings = [word for override in overrides for word in ("--set", override)]
    assert command("train", "quickstart", "-o", output, *settings) == 1
    assert "error: training.distillation.teachers: nope: no such folder" in capsys.readouterr().err


def test_paths_of_teachers_lose_their_folders(tmp_path):
    config = toy_config(tmp_path, training={"distillation": {"teachers": ["/secret/one", "two/"]}})
    assert without_folders(config).training.distillation.teachers == ("one", "two")
