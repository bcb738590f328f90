"""Averaged weights are NumPy's mean of the files that were asked for, in a directory that translates."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from seq2seq.cli import main
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.errors import ModelDirectoryError, TrainingError
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import create_model_directory
from seq2seq.model_directory.history import append_history
from seq2seq.models.base import named_weights
from seq2seq.models.build import build_model
from seq2seq.storage.arrays import load_arrays, save_arrays
from seq2seq.training.averaging import average_checkpoints
from tests.toy import pairs, save_trained, toy_config

LOSSES = {2: 4.0, 4: 2.0, 6: 1.0, 8: 3.0, 10: 1.5}
CORPUS = {"train": [{"name": "train.tsv", "read": 9}], "valid": {"name": "valid.tsv"}}


@pytest.fixture(scope="module")
def tokenizers():
    config = toy_config(Path("nowhere")).tokenizer
    joint = Tokenizer.train((text for pair in pairs(200, 1) for text in pair), config)
    return Tokenizers(joint, joint)


def keep(folder, model, values, metric):
    """Write random weights as training keeps them, one file a validation; returns them by update."""
    kept = {}
    for update, value in values.items():
        generator = np.random.default_rng(update)
        kept[update] = {
            name: generator.normal(0, 0.4, array.shape).astype(np.float32)
            for name, array in named_weights(model).items()
        }
        about = {"update": update, "epoch": 1, "metric": metric, "value": value, "loss": value, "bleu": value}
        path = folder / "checkpoints" / f"update-{update:08d}.safetensors"
        path.parent.mkdir(exist_ok=True)
        save_arrays(path, kept[update], about)
        entry = {"epoch": 1, "valid_loss": value, "bleu": value, "best": False, "seconds": 1.0}
        append_history(folder, {"update": update, **entry})
    return kept


@pytest.fixture
def make(tmp_path, tokenizers):
    """A model directory with kept weights."""

    def directory(values=LOSSES, metric="loss", name="model", **training):
        training = {"keep_last": 3, "keep_best": 4, **training}
        config = toy_config(
            Path("nowhere"), training=training, validation={"metric": metric, "compute_bleu": metric == "bleu"}
        )
        folder = tmp_path / name
        create_model_directory(folder, config, tokenizers)
        model = build_model(config, tokenizers)
        save_trained(folder, model, {"validation": {}}, CORPUS)
        return folder, keep(folder, model, values, metric)

    return directory


def assert_mean(folder, kept, updates):
    found, _ = load_arrays(folder / "model.safetensors")
    assert found.keys() == kept[updates[0]].keys()
    for name, array in found.items():
        expected = np.mean([kept[update][name].astype(np.float64) for update in updates], axis=0)
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, expected.astype(np.float32), err_msg=name)


@pytest.mark.parametrize(
    ("asked", "updates"),
    [
        ({"last": 3}, [10, 8, 6]),
        ({"last": 1}, [10]),
        ({"best": 1}, [6]),
        ({"best": 4}, [6, 10, 4, 8]),
    ],
)
def test_the_mean_is_numpys(make, tmp_path, asked, updates):
    folder, kept = make()
    validations = average_checkpoints(folder, tmp_path / "mean", **asked)
    assert [about["update"] for about in validations] == updates
    assert_mean(tmp_path / "mean", kept, updates)


def test_best_goes_by_the_metrics_own_direction_and_skips_what_is_no_number(make, tmp_path):
    folder, kept = make({2: 10.0, 4: 30.0, 6: math.nan, 8: 20.0}, "bleu")
    average_checkpoints(folder, tmp_path / "mean", best=2)
    assert_mean(tmp_path / "mean", kept, [4, 8])
    with pytest.raises(TrainingError, match="the best 4 validations cannot be averaged: the run has 3"):
        average_checkpoints(folder, tmp_path / "more", best=4)


def test_the_directory_translates_and_tells_what_it_is(make, tmp_path):
    folder, kept = make()
    average_checkpoints(folder, tmp_path / "mean", last=2)
    translator = Translator.load(tmp_path / "mean")
    for name, array in named_weights(translator.model).items():
        np.testing.assert_allclose(array, (kept[8][name] + kept[10][name]) / 2, atol=1e-7, err_msg=name)
    assert len(translator.translate(["the dog sees cat here", ""])) == 2
    metadata, before = (json.loads((at / "metadata.json").read_text()) for at in (tmp_path / "mean", folder))
    assert metadata["scores"]["averaged"] == [10, 8]
    assert metadata["scores"]["by"] == "last"
    assert metadata["scores"]["validations"][1]["loss"] == 3.0
    for key in ("versions", "parameters", "precision", "corpus", "sha256"):
        assert metadata[key] == before[key], key
    assert sorted(file.name for file in (tmp_path / "mean").iterdir()) == [
        "config.yaml", "joint.spm", "metadata.json", "model.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize(("which", "number", "lost"), [("last", 3, 8), ("last", 4, 4), ("best", 2, 10), ("best", 4, 8)])
def test_a_gap_is_an_error_that_names_the_update_and_the_key(make, tmp_path, which, number, lost):
    """As after a resume that keeps more than before; what lies beyond the gap was kept earlier, or as a best one."""
    folder, kept = make()
    (folder / "checkpoints" / f"update-{lost:08d}.safetensors").unlink()
    asked = f"the {which} {number} validations cannot be averaged: the weights of update {lost} were not kept"
    limit = {"last": 3, "best": 4}[which]
    with pytest.raises(TrainingError, match=rf"{asked}.* training\.keep_{which}, which is {limit} here"):
        average_checkpoints(folder, tmp_path / "mean", **{which: number})
    assert not (tmp_path / "mean").exists()
    average_checkpoints(folder, tmp_path / "mean", **{which: 1})
    assert_mean(tmp_path / "mean", kept, [10 if which == "last" else 6])


def test_more_than_there_are_is_an_error(make, tmp_path):
    folder, kept = make({2: 1.0, 4: 2.0}, keep_last=1)
    for which in ("last", "best"):
        with pytest.raises(TrainingError, match=rf"the {which} 3 validations cannot be averaged: the run has 2\."):
            average_checkpoints(folder, tmp_path / "mean", **{which: 3})
    assert not (tmp_path / "mean").exists()
    average_checkpoints(folder, tmp_path / "mean", last=2)  # the recipe keeps one, and the other was a best one
    assert_mean(tmp_path / "mean", kept, [4, 2])


def test_requests_that_are_unclear_or_would_overwrite(make, tmp_path):
    folder, _ = make()
    for asked in ({}, {"last": 1, "best": 1}):
        with pytest.raises(TrainingError, match="give either 'last' or 'best'"):
            average_checkpoints(folder, tmp_path / "mean", **asked)
    with pytest.raises(TrainingError, match="'last' is 0"):
        average_checkpoints(folder, tmp_path / "mean", last=0)
    for used in (folder, folder / "config.yaml"):
        with pytest.raises(ModelDirectoryError, match="not an empty directory"):
            average_checkpoints(folder, used, last=1)
    with pytest.raises(ModelDirectoryError, match="nowhere: no such folder"):
        average_checkpoints(tmp_path / "nowhere", tmp_path / "mean", last=1)
    (tmp_path / "empty").mkdir()
    average_checkpoints(folder, tmp_path / "empty", last=1)


def test_damaged_and_foreign_files_leave_nothing_behind(make, tmp_path):
    folder, kept = make()
    path = folder / "checkpoints" / "update-00000008.safetensors"
    name = next(iter(kept[8]))
    path.write_bytes(path.read_bytes().replace(kept[8][name].tobytes(), bytes(kept[8][name].nbytes)))
    with pytest.raises(ModelDirectoryError, match=r"00000008\.safetensors: .*its arrays do not match the checksum"):
        average_checkpoints(folder, tmp_path / "mean", last=2)
    about = {"update": 8, "epoch": 1, "metric": "loss", "value": 3.0, "loss": 3.0, "bleu": None}
    save_arrays(path, {**kept[8], name: np.zeros((2, 3), np.float32)}, about)
    with pytest.raises(ModelDirectoryError, match=r"00000008\.safetensors: has different weights from .*-00000010"):
        average_checkpoints(folder, tmp_path / "mean", last=2)
    assert not (tmp_path / "mean").exists()


@pytest.mark.parametrize("wrong", [{"update": "8"}, {"metric": "chrf"}, {"value": None}, {"bleu": "9"}, {"epoch": []}])
def test_what_is_known_of_a_validation_has_its_types(make, tmp_path, wrong):
    folder, kept = make()
    about = {"update": 8, "epoch": 1, "metric": "loss", "value": 3.0, "loss": 3.0, "bleu": None}
    save_arrays(folder / "checkpoints" / "update-00000008.safetensors", kept[8], about | wrong)
    with pytest.raises(ModelDirectoryError, match=r"00000008\.safetensors: has arrays, but no weights kept"):
        average_checkpoints(folder, tmp_path / "mean", last=2)


def test_a_failure_while_writing_leaves_nothing_that_is_in_the_way(make, tmp_path, monkeypatch):
    folder, _ = make()
    with monkeypatch.context() as patch:
        patch.setattr("seq2seq.model_directory.contents.save_weights", interrupt)
        with pytest.raises(KeyboardInterrupt):
            average_checkpoints(folder, tmp_path / "mean", last=2)
    assert not (tmp_path / "mean").exists()
    average_checkpoints(folder, tmp_path / "mean", last=2)


def interrupt(*_arguments):
    raise KeyboardInterrupt


def test_the_kinds_of_the_tokenizers_are_those_of_the_model(make, tmp_path):
    folder, _ = make()
    described = json.loads((folder / "metadata.json").read_text()) | {"tokenizers": {"joint.spm": "char"}}
    (folder / "metadata.json").write_text(json.dumps(described))
    average_checkpoints(folder, tmp_path / "mean", last=1)
    assert json.loads((tmp_path / "mean" / "metadata.json").read_text())["tokenizers"] == {"joint.spm": "char"}


def test_the_command_prints_what_it_averaged(make, tmp_path, capsys):
    folder, kept = make()

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["average", str(folder), *arguments])
        return end.value.code or 0

    assert run("--best", "2", "-o", str(tmp_path / "mean")) == 0
    rows = [line.split()[:3] for line in capsys.readouterr().out.split("\n")]
    assert ["6", "1", "1.000"] in rows
    assert ["10", "1", "1.500"] in rows
    assert_mean(tmp_path / "mean", kept, [6, 10])
    assert run("-o", str(tmp_path / "x")) == 2
    assert run("--best", "1", "--last", "1", "-o", str(tmp_path / "x")) == 2
    (folder / "checkpoints" / "update-00000008.safetensors").unlink()
    assert run("--last", "2", "-o", str(tmp_path / "x")) == 1
    assert "training.keep_last" in capsys.readouterr().err
