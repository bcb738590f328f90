"""Recipes with stages: what passes from one to the next, and exact resume."""

import io
import re
import shutil

import numpy as np
import pytest
from rich.console import Console

from seq2seq.config import override_config, stage_recipe
from seq2seq.errors import CorpusError, ModelDirectoryError, TrainingError
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import load_model_config, load_tokenizers
from seq2seq.model_directory.history import read_history
from seq2seq.model_directory.other_models import DISTILLATION_TEACHERS
from seq2seq.storage.arrays import load_arrays
from seq2seq.training import train
from seq2seq.training.display import Display
from seq2seq.training.preparation import prepare_data
from seq2seq.training.run_state import plan_epoch, resume_command
from tests.command import run
from tests.runs import CopyAfter, InterruptAfter, assert_same_run
from tests.toy import pairs, toy_config

pytestmark = pytest.mark.usefixtures("shared_graphs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("whole") / "run"


@pytest.fixture(scope="module")
def recipe(corpus, folder):
    """Two stages, the second one on other text, at another rate, and taught by the model of the first."""
    other = folder.with_name("other.tsv")
    other.write_text("".join(f"{source}\t{target}\n" for source, target in pairs(40, 7)), encoding="utf-8")
    second = {
        "data": {"train": {"mixture": [{"tsv": str(other)}, {"tsv": str(corpus / "train.tsv")}]}},
        "tokenizer": {"sampling": {"last_epoch": 2}},
        "training": {
            "epochs": 3, "learning_rate": 0.002, "distillation": {"teachers": [str(folder / "stages" / "1")]},
        },
    }  # fmt: skip
    return toy_config(
        corpus,
        data={"valid": {"fraction": 0.1}},
        tokenizer={"sampling": {"source_alpha": 0.3}},
        training={"epochs": 1},
        stages=[{}, second],
    )


@pytest.fixture(scope="module")
def whole(recipe, folder):
    assert train(recipe, folder).end
    return folder


def test_a_stage_starts_from_the_model_of_the_one_before(recipe, whole, tmp_path):
    first = whole / "stages" / "1"
    assert [entry["epoch"] for entry in read_history(first)] == [1]
    assert [entry["epoch"] for entry in read_history(whole)] == [1, 2, 3]
    assert read_history(whole)[0]["learning_rate"] == pytest.approx(0.002)
    assert (whole / "joint.spm").read_bytes() == (first / "joint.spm").read_bytes()
    other = recipe.stages[1]["data"]["train"]["mixture"][0]["tsv"]
    assert load_model_config(whole).data.train.mixture[0].tsv == other
    assert "train_distillation" in read_history(whole)[0]
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
    assert f"Resume with: seq2seq train {folder}/stages.yaml\n" in screen.getvalue()
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
    with pytest.raises(TrainingError, match="has a run with stages that has begun, but this recipe has none"):
        train(load_model_config(whole), folder)
    assert run("train", whole / "stages.yaml", "--output", folder) == 0
    assert_same_run(whole, folder)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"stages.0": {"decoder": {"dropout": 0.3}}}, "decoder.dropout"),
        ({"stages.0": {"training": {"epochs": 5}}}, "training.epochs"),
        ({"training.learning_rate": 0.1, "stages.1.training.epochs": 4}, "training.learning_rate"),
        ({"seed": 5}, "seed"),
    ],
)
def test_a_finished_stage_keeps_its_recipe(recipe, whole, changes, named):
    before = (whole / "stages.yaml").read_bytes()
    with pytest.raises(TrainingError) as error:
        train(override_config(recipe, changes), whole)
    said = f"{whole}/stages/1: this stage is finished, and has been trained with a different recipe; changed: {named}. "
    assert str(error.value).startswith(said)
    assert f" --set stages.1.{named}=VALUE. " in str(error.value)
    assert (whole / "stages.yaml").read_bytes() == before


def test_a_refused_recipe_is_not_kept(recipe, whole):
    before = (whole / "stages.yaml").read_bytes()
    with pytest.raises(TrainingError, match=r"has a run with a different recipe; changed: decoder\.dropout"):
        train(override_config(recipe, {"stages.1.decoder": {"dropout": 0.3}}), whole)
    assert (whole / "stages.yaml").read_bytes() == before


def test_changes_that_are_allowed_do_not_concern_a_finished_stage(recipe, whole, tmp_path):
    folder, screen = tmp_path / "run", io.StringIO()
    shutil.copytree(whole, folder)
    changed = override_config(recipe, {"stages.0": {"training": {"epochs": 5}}, "training.tensorboard": True})
    train(changed, folder, console=Console(file=screen, width=250), allow_changes=True)
    said = "warning: stage 1 is finished, and keeps its model; changed to no effect: training.epochs\n"
    assert said in screen.getvalue()
    assert_same_run(whole / "stages" / "1", folder / "stages" / "1")
    shutil.rmtree(folder / "stages")
    with pytest.raises(TrainingError, match="has a run without stages"):
        train(recipe, folder)


def test_a_stage_draws_anew_and_its_held_out_text_is_new(recipe, whole, tmp_path):
    def prepare(config, number):
        stage = stage_recipe(config, number)
        return stage, prepare_data(stage, tmp_path / str(number), Display(), load_tokenizers(whole))

    (first, data), (second, again) = (prepare(override_config(recipe, {"stages": [{}, {}]}), n) for n in (0, 1))
    rows = np.arange(len(data.train))
    samples, others = (part.read_epoch(1).source.ids(rows).tolist() for part in (data, again))
    assert samples != others
    orders = [plan_epoch(stage, data.train, 1).indices.tolist() for stage in (first, second)]
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]
    assert load_model_config(whole).seed == second.seed

    trained = {data.tokenizers.source.decode(data.train.source.ids(rows[[row]]).tolist()) for row in rows}
    held_out = {pair.source for pair in prepare(recipe, 1)[1].valid_pairs}
    assert len(trained) > len(held_out) > 0
    assert not trained & held_out


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"data.train": {"tsv": "nowhere.tsv"}}, "stages.1: nowhere.tsv: no such file"),
        ({"data.test": {"tsv": "nowhere.tsv"}}, "stages.1: nowhere.tsv: no such file"),
        ({DISTILLATION_TEACHERS: ["nowhere"]}, f"stages.1: {DISTILLATION_TEACHERS}: nowhere: "),
        ({DISTILLATION_TEACHERS: ["run/stages/2"]}, f"stages.1: {DISTILLATION_TEACHERS}: run/stages/2: "),
    ],
)
def test_what_a_later_stage_lacks_is_said_before_the_first_one_trains(recipe, changes, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes = {f"stages.1.{key}": value for key, value in changes.items()}
    with pytest.raises((CorpusError, ModelDirectoryError), match=f"^{re.escape(expected)}"):
        train(override_config(recipe, changes), "run")
    assert not (tmp_path / "run" / "stages.yaml").exists()


def test_a_crash_within_the_second_stage(recipe, whole, tmp_path):
    folder = tmp_path / "run"
    often = override_config(recipe, {"training.checkpoint_minutes": 1e-9})
    train(often, folder, [CopyAfter(folder, 14)])
    copy = tmp_path / "after-14"
    assert train(often, copy).end
    assert_same_run(folder, copy)
