"""Recipes with stages: what passes from one to the next, and exact resume."""

import io
import shutil

import numpy as np
import pytest
from rich.console import Console

from seq2seq.config import override_config
from seq2seq.errors import TrainingError
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import load_model_config, read_history
from seq2seq.storage.arrays import load_arrays
from seq2seq.training import train
from seq2seq.training.run_state import resume_command
from tests.command import run
from tests.runs import CopyAfter, InterruptAfter, assert_same_run
from tests.toy import pairs, toy_config

pytestmark = pytest.mark.usefixtures("shared_graphs")


@pytest.fixture(scope="module")
def recipe(corpus, tmp_path_factory):
    """Two stages, the second one on other text, at another rate."""
    other = tmp_path_factory.mktemp("other") / "other.tsv"
    other.write_text("".join(f"{source}\t{target}\n" for source, target in pairs(40, 7)), encoding="utf-8")
    second = {"training": {"epochs": 3, "learning_rate": 0.002}, "data": {"train": {"tsv": str(other)}}}
    return toy_config(corpus, training={"epochs": 1}, stages=[{}, second])


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert train(recipe, folder).end
    return folder


def test_a_stage_starts_from_the_model_of_the_one_before(recipe, whole, tmp_path):
    first = whole / "stages" / "1"
    assert [entry["epoch"] for entry in read_history(first)] == [1]
    assert [entry["epoch"] for entry in read_history(whole)] == [1, 2, 3]
    assert read_history(whole)[0]["learning_rate"] == pytest.approx(0.002)
    assert (whole / "joint.spm").read_bytes() == (first / "joint.spm").read_bytes()
    assert load_model_config(whole).data.train.tsv == recipe.stages[1]["data"]["train"]["tsv"]
    assert load_model_config(whole).stages == ()
    assert Translator.load(whole).translate(["the dog sees the cat"])
    # The same in two commands.
    by_hand = override_config(
        load_model_config(whole), {"training.warm_start": str(first), "tokenizer.from_model": str(first)}
    )
    train(by_hand, tmp_path / "by-hand")
    assert_same_run(whole, tmp_path / "by-hand")
    frozen = override_config(recipe, {"stages.1.training.freeze": ["*/*"], "stages.1.training.epochs": 1})
    train(frozen, tmp_path / "frozen")
    before, after = (load_arrays(folder / "model.safetensors")[0] for folder in (first, tmp_path / "frozen"))
    for name, value in before.items():
        assert np.array_equal(after[name], value) == (name != "output_bias"), name


def test_interruptions_in_any_stage_change_nothing(recipe, whole, tmp_path):
    folder = tmp_path / "run"
    screen = io.StringIO()
    report = train(recipe, folder, [InterruptAfter(3)], console=Console(file=screen, width=250))
    assert report.end is None
    assert f"Resume with: seq2seq train {folder}/stages.yaml --output {folder}" in screen.getvalue()
    assert not (folder / "config.yaml").exists()
    assert train(recipe, folder, [InterruptAfter(14)]).end is None
    assert (folder / "config.yaml").exists(), "in the second stage"
    assert resume_command(folder) == f"seq2seq train {folder}/config.yaml"
    moved = tmp_path / "moved"
    folder.rename(moved)
    assert train(recipe, moved).end
    assert_same_run(whole, moved)
    assert_same_run(whole / "stages" / "1", moved / "stages" / "1")


def test_a_stage_that_was_killed_at_its_end_is_not_lost(recipe, whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole / "stages" / "1", folder / "stages" / "1")
    assert run("train", whole / "stages.yaml", "--output", folder) == 0
    assert_same_run(whole, folder)


def test_a_finished_stage_keeps_its_recipe(recipe, whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    with pytest.raises(TrainingError, match=r"has a run with a different recipe; changed: decoder\.dropout"):
        train(override_config(recipe, {"stages.0": {"decoder": {"dropout": 0.3}}}), folder)
    shutil.rmtree(folder / "stages")
    with pytest.raises(TrainingError, match="has a run without stages"):
        train(recipe, folder)


def test_a_crash_within_the_second_stage(recipe, whole, tmp_path):
    folder = tmp_path / "run"
    often = override_config(recipe, {"training.checkpoint_minutes": 1e-9})
    train(often, folder, [CopyAfter(folder, 14)])
    copy = tmp_path / "after-14"
    assert train(often, copy).end
    assert_same_run(folder, copy)
