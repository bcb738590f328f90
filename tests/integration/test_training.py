"""Whole runs: exact resume, one trace, history, early stopping, refusals."""

import json
import os
import signal

import keras
import numpy as np
import pytest

from seq2seq.errors import ModelDirectoryError, TrainingError
from seq2seq.model_directory import load_arrays
from seq2seq.training import loop, train
from seq2seq.training.checkpoints import BEST, LAST, read_history
from seq2seq.translator import Translator
from tests.toy import toy_config, write_corpus

TIMES = ("seconds", "tokens_per_second")


class InterruptAfter(keras.callbacks.Callback):
    """Send this process a SIGINT, as Ctrl-C does, after some batches of this session."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


def final_state(directory):
    arrays, about = load_arrays(directory / LAST)
    about["progress"].pop("seconds")
    return arrays, about["progress"]


def timeless(history):
    return [{key: value for key, value in entry.items() if key not in TIMES} for entry in history]


RESUMES = {
    "dropout, mid-epoch and mid-accumulation": {
        "training": {"epochs": 3, "accumulate": 3, "learning_rate": 0.01},
    },
    "plateau and early stopping": {
        # A rate at which the loss soon gets worse, so that both counters run.
        "training": {
            "epochs": 8,
            "learning_rate": 0.15,
            "schedule": {"kind": "plateau", "patience": 2, "factor": 0.5},
        },
        "validation": {"metric": "loss", "patience": 3, "every_updates": 4, "bleu": False},
    },
    "float16 loss scale": {
        "training": {"epochs": 2, "precision": "mixed_float16", "accumulate": 2, "learning_rate": 0.01},
        "validation": {"bleu": False, "metric": "loss"},
        "encoder": {"units": 12, "cell": "lstm"},
        "decoder": {"units": 12, "cell": "lstm"},
    },
}


@pytest.mark.parametrize("name", RESUMES)
def test_resume_is_exact(name, corpus, tmp_path, monkeypatch):
    if "float16" in name:
        # The scale must move within this short run, or restoring it would not be tested.
        monkeypatch.setattr("seq2seq.update.GROW_AFTER", 3)
        monkeypatch.setattr("seq2seq.update.FIRST_LOSS_SCALE", 2.0**22)
    config = toy_config(corpus, **RESUMES[name])
    whole = train(config, tmp_path / "whole")
    assert whole.finished
    sessions = 0
    for batches in (7, 1, 10, None):
        sessions += 1
        callbacks = [] if batches is None else [InterruptAfter(batches)]
        report = train(config, tmp_path / "parts", callbacks)
        if report.finished:
            break
    assert sessions >= 3, "the run was interrupted at least twice"
    arrays, progress = final_state(tmp_path / "whole")
    resumed, resumed_progress = final_state(tmp_path / "parts")
    assert resumed_progress == progress
    assert resumed.keys() == arrays.keys()
    for key, value in arrays.items():
        np.testing.assert_array_equal(resumed[key], value, err_msg=key)
    assert timeless(read_history(tmp_path / "parts")) == timeless(read_history(tmp_path / "whole"))
    if "plateau" in name:
        assert progress["plateau_factor"] < 1
        assert "no better loss" in whole.finished
    if "float16" in name:
        assert arrays["update/loss_scale"] != 2.0**22


def test_history_after_the_checkpoint_is_dropped_on_resume(corpus, tmp_path):
    config = toy_config(corpus, validation={"metric": "loss", "bleu": False})
    train(config, tmp_path, [InterruptAfter(3)])
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write(json.dumps({"update": 999}) + "\n")
    train(config, tmp_path)
    assert 999 not in [entry["update"] for entry in read_history(tmp_path)]


def test_each_function_is_traced_once(corpus, tmp_path, monkeypatch):
    runs = []
    monkeypatch.setattr(loop, "_Run", lambda *args, make=loop._Run: runs.append(make(*args)) or runs[-1])
    train(toy_config(corpus, training={"epochs": 3}), tmp_path)
    (run,) = runs
    shapes = {tuple(shape) for shape in run._plan().shapes().tolist()}
    assert len(shapes) > 3, "the batches vary"
    assert run.train_step.experimental_get_tracing_count() == 1
    assert run.validator.test_step.experimental_get_tracing_count() == 1
    (search,) = run.validator.translator._searches.values()
    assert search.experimental_get_tracing_count() == 1


def test_a_run_leaves_a_model_that_translates(corpus, tmp_path):
    report = train(toy_config(corpus), tmp_path)
    assert report.finished == "2 epochs are done"
    entries = read_history(tmp_path)
    assert [entry["epoch"] for entry in entries] == [1, 2]
    assert entries[1]["valid_loss"] < entries[0]["valid_loss"]
    assert entries[1]["valid_perplexity"] == pytest.approx(np.exp(entries[1]["valid_loss"]))
    assert all(entry["bleu"] is not None for entry in entries)
    assert report.best == min(entry["valid_loss"] for entry in entries)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "config.yaml", "joint.spm", "model.weights.h5", "metadata.json", "history.jsonl", "checkpoints", "encoded",
    }  # fmt: skip
    assert (tmp_path / BEST).exists()
    (translation,) = Translator.load(tmp_path).translate(["the dog sees the cat"])
    assert isinstance(translation.text, str)


def test_the_delivered_model_is_the_best_one(corpus, tmp_path):
    class Spoil(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                for weight in self.model.weights:
                    weight.assign(5 * weight)

    config = toy_config(corpus, training={"epochs": 3}, validation={"metric": "loss", "bleu": False})
    train(config, tmp_path, [Spoil()])
    entries = read_history(tmp_path)
    best = min(entries, key=lambda entry: entry["valid_loss"])
    assert best["update"] != entries[-1]["update"], "the last is not the best in this test"
    assert json.loads((tmp_path / "metadata.json").read_text())["scores"]["validation"]["update"] == best["update"]
    delivered, _ = load_arrays(tmp_path / "model.weights.h5")
    checkpoint, _ = load_arrays(tmp_path / BEST)
    for name, value in delivered.items():
        np.testing.assert_array_equal(checkpoint[f"weights/{name}"], value)


def test_ends_after_updates_even_within_an_epoch(corpus, tmp_path):
    report = train(toy_config(corpus, training={"updates": 3, "accumulate": 2, "epochs": None}), tmp_path)
    assert (report.updates, report.finished) == (3, "3 updates are done")
    assert read_history(tmp_path)[-1]["update"] == 3


def test_the_end_is_validated_whatever_the_schedule(corpus, tmp_path):
    config = toy_config(
        corpus, training={"epochs": 1}, validation={"metric": "loss", "bleu": False, "every_updates": 99}
    )
    report = train(config, tmp_path)
    assert [entry["update"] for entry in report.history] == [report.updates]
    assert (tmp_path / "model.weights.h5").exists()


def test_a_finished_run_goes_on_when_its_end_moves(corpus, tmp_path):
    off = {"metric": "loss", "bleu": False}
    train(toy_config(corpus, training={"epochs": 1}, validation=off), tmp_path / "a")
    assert train(toy_config(corpus, training={"epochs": 1}, validation=off), tmp_path / "a").finished
    train(toy_config(corpus, training={"epochs": 2}, validation=off), tmp_path / "a")
    train(toy_config(corpus, training={"epochs": 2}, validation=off), tmp_path / "b")
    a, b = final_state(tmp_path / "a"), final_state(tmp_path / "b")
    assert a[1] == b[1]
    for key, value in a[0].items():
        np.testing.assert_array_equal(b[0][key], value, err_msg=key)


def test_callbacks_see_logs_and_can_stop_training(corpus, tmp_path):
    class Watch(keras.callbacks.Callback):
        seen, epochs = (), ()

        def on_train_batch_end(self, batch, logs=None):
            self.seen = (*self.seen, batch)
            assert float(logs["loss"]) > 0

        def on_epoch_end(self, epoch, logs=None):
            self.epochs = (*self.epochs, (epoch, logs["val_loss"]))
            self.model.stop_training = True

    watch = Watch()
    report = train(toy_config(corpus, training={"epochs": 5}), tmp_path, [watch])
    assert report.finished == "a callback stopped it"
    assert watch.seen == tuple(range(len(watch.seen)))
    assert [epoch for epoch, _ in watch.epochs] == [0]


def test_another_recipe_is_refused_with_its_changes(corpus, tmp_path):
    train(toy_config(corpus, training={"epochs": 1}), tmp_path)
    with pytest.raises(TrainingError, match=r"changed: decoder.units, training.learning_rate\."):
        train(toy_config(corpus, training={"epochs": 1, "learning_rate": 0.5}, decoder={"units": 14}), tmp_path)


def test_a_changed_corpus_is_refused_on_resume(tmp_path):
    write_corpus(tmp_path)
    config = toy_config(tmp_path, training={"epochs": 1})
    train(config, tmp_path / "run", [InterruptAfter(2)])
    write_corpus(tmp_path, train=121)
    with pytest.raises(TrainingError, match="corpus"):
        train(config, tmp_path / "run")


def test_encoded_corpora_are_made_again_only_when_something_changed(tmp_path):
    write_corpus(tmp_path)
    config = toy_config(tmp_path, training={"updates": 1}, validation={"metric": "loss", "bleu": False})
    tokens = tmp_path / "run" / "encoded" / "train" / "source.tokens.bin"
    train(config, tmp_path / "run")
    before = tokens.stat().st_mtime_ns
    train(config, tmp_path / "run")
    assert tokens.stat().st_mtime_ns == before
    (tmp_path / "run" / LAST).unlink()
    (tmp_path / "run" / "metadata.json").unlink()
    write_corpus(tmp_path, train=121)
    train(config, tmp_path / "run")
    assert tokens.stat().st_mtime_ns != before


def test_nothing_left_to_train_on_says_what_was_dropped(tmp_path):
    write_corpus(tmp_path, train=30)
    config = toy_config(tmp_path, data={"filters": {"max_tokens": 2}, **{
        name: {"tsv": str(tmp_path / f"{name}.tsv")} for name in ("train", "valid")}})  # fmt: skip
    with pytest.raises(TrainingError, match=r"no train pairs are left of 30 read; dropped: 30 over 2 tokens"):
        train(config, tmp_path / "run")


def test_a_damaged_checkpoint_is_an_error(corpus, tmp_path):
    config = toy_config(corpus, training={"epochs": 1})
    train(config, tmp_path, [InterruptAfter(2)])
    content = bytearray((tmp_path / LAST).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / LAST).write_bytes(content)
    with pytest.raises(ModelDirectoryError, match=r"last\.h5"):
        train(config, tmp_path)
