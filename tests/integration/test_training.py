"""Whole runs: exact resume, one trace, history, early stopping, refusals."""

import io
import json
import os
import re
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from seq2seq.data.batching import batch_shares
from seq2seq.errors import ModelDirectoryError, TrainingError
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.metadata import read_history
from seq2seq.storage.arrays import load_arrays
from seq2seq.training import checkpoints, loop, start, train
from seq2seq.training.checkpoints import BEST, LAST
from seq2seq.training.records import OWNER, only_run
from tests.random_state import random_state_untouched
from tests.runs import InterruptAfter, assert_resumes_exactly, assert_same_run, final_state
from tests.toy import toy_config, write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


# Three batches an update: an interruption may come amid what is gathered.
GATHERING = {"epochs": 2, "accumulate": 3, "learning_rate": 0.01, "checkpoint_minutes": 1000.0}


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """A run that nothing interrupts, of `GATHERING`."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert train(toy_config(corpus, training=GATHERING), folder).finished
    return folder


def test_the_callers_random_numbers_are_left_alone(corpus, tmp_path):
    config = toy_config(corpus, training={"epochs": 1}, validation={"bleu": True})
    with random_state_untouched():
        assert not train(config, tmp_path, [InterruptAfter(3)]).finished
        assert train(config, tmp_path).finished


def test_interruptions_change_nothing(corpus, whole, tmp_path):
    config = toy_config(corpus, training=GATHERING)
    for batches in (7, 1, 10):
        assert not train(config, tmp_path, [InterruptAfter(batches)]).finished
    assert train(config, tmp_path).finished
    assert_same_run(whole, tmp_path)


RESUMES = {
    "plateau and early stopping": {
        # A rate at which the loss soon gets worse, so that both counters run.
        "training": {
            "epochs": 8,
            "learning_rate": 0.4,
            "schedule": {"kind": "plateau", "patience": 2, "factor": 0.5},
        },
        "validation": {"patience": 3, "every_updates": 4},
    },
    "float16 loss scale": {
        "training": {"epochs": 2, "precision": "mixed_float16", "accumulate": 2, "learning_rate": 0.01},
        "encoder": {"units": 12, "cell": "lstm"},
        "decoder": {"units": 12, "cell": "lstm"},
    },
}


@pytest.mark.parametrize("name", RESUMES)
def test_resume_is_exact(name, corpus, tmp_path, monkeypatch):
    if "float16" in name:
        # The scale must move within this short run, or restoring it would not be tested.
        monkeypatch.setattr("seq2seq.models.update.GROW_AFTER", 3)
        monkeypatch.setattr("seq2seq.models.update.FIRST_LOSS_SCALE", 2.0**22)
    report = assert_resumes_exactly(toy_config(corpus, **RESUMES[name]), tmp_path / "whole", 18)
    arrays, progress = final_state(tmp_path / "whole")
    if "plateau" in name:
        assert final_state(tmp_path / "after-18")[1]["plateau_factor"] < 1
        assert progress["plateau_factor"] < 1
        assert "no better loss" in report.finished
    if "float16" in name:
        assert arrays["update/loss_scale"] != 2.0**22


class CrashAfter(keras.callbacks.Callback):
    """Raise after some batches: the run dies without its last words."""

    def __init__(self, batches, validations=None):
        super().__init__()
        self.left, self.validations = batches, validations

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("crash")

    def on_epoch_end(self, epoch, logs=None):
        if self.validations:
            raise RuntimeError("crash")


@pytest.mark.parametrize("moment", ["after a validation", "before a second checkpoint"])
def test_a_crash_loses_nothing_but_time(moment, corpus, whole, tmp_path):
    config = toy_config(corpus, training=GATHERING)
    crash = CrashAfter(99, validations=1) if moment == "after a validation" else CrashAfter(5)
    with pytest.raises(RuntimeError, match="crash"):
        train(config, tmp_path, [crash])
    assert train(config, tmp_path).finished
    assert_same_run(whole, tmp_path)


def test_a_second_signal_stops_at_once(corpus, tmp_path):
    class Impatient(InterruptAfter):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            super().on_train_batch_end(batch, logs)
            if self.left == -1:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(toy_config(corpus), tmp_path, [Impatient(1)])


def test_history_after_the_checkpoint_is_dropped_on_resume(corpus, tmp_path):
    config = toy_config(corpus)
    train(config, tmp_path, [InterruptAfter(3)])
    entry = {"epoch": 9, "update": 999, "valid_loss": 1.0, "bleu": None, "best": False, "seconds": 1.0}
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")
    train(config, tmp_path)
    assert 999 not in [entry["update"] for entry in read_history(tmp_path)]


def test_each_function_is_traced_once(corpus, tmp_path, monkeypatch):
    runs = []
    monkeypatch.setattr(loop, "_Run", lambda *args, make=loop._Run: runs.append(make(*args)) or runs[-1])
    train(toy_config(corpus, training={"epochs": 3}, validation={"bleu": True}), tmp_path)
    (run,) = runs
    shapes = {tuple(shape) for shape in run._plan().shapes().tolist()}
    assert len(shapes) > 3, "the batches vary"
    assert run.train_step.experimental_get_tracing_count() == 1
    assert run.validator._sums.experimental_get_tracing_count() == 1
    (search,) = run.validator.translator._searches.values()
    assert search.experimental_get_tracing_count() == 1


def test_a_run_leaves_a_model_that_translates(corpus, tmp_path):
    report = train(toy_config(corpus, validation={"bleu": True}), tmp_path)
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

    config = toy_config(corpus, training={"epochs": 3})
    train(config, tmp_path, [Spoil()])
    entries = read_history(tmp_path)
    best = min(entries, key=lambda entry: entry["valid_loss"])
    assert best["update"] != entries[-1]["update"], "the last is not the best in this test"
    assert json.loads((tmp_path / "metadata.json").read_text())["scores"]["validation"]["update"] == best["update"]
    delivered, _ = load_arrays(tmp_path / "model.weights.h5")
    checkpoint, _ = load_arrays(tmp_path / BEST)
    for name, value in delivered.items():
        np.testing.assert_array_equal(checkpoint[f"weights/{name}"], value)


def test_a_run_that_learns_nothing_says_so_and_is_never_the_best(corpus, tmp_path):
    """It leaves a model all the same, and becomes the best once it has learnt something."""
    screen = io.StringIO()
    stuck = toy_config(corpus, training={"learning_rate": 1e-7, "epochs": 2})
    report = train(stuck, tmp_path, console=Console(file=screen, width=400))
    said = screen.getvalue()
    assert said.count("better than token frequencies, so it is not called best") == 1
    assert "a higher training.learning_rate (it is 1e-07)" in said
    assert "what it writes means nothing" in said
    assert "*best*" not in said
    assert report.best is None
    assert [entry["best"] for entry in report.history] == [False, False]
    assert not (tmp_path / BEST).exists()
    assert json.loads((tmp_path / "metadata.json").read_text())["scores"]["validation"]["epoch"] == 2
    learning = toy_config(corpus, training={"learning_rate": 0.01, "epochs": 5})
    report = train(learning, tmp_path, console=Console(file=screen, width=400))
    assert report.history[-1]["best"]
    assert report.best == report.history[-1]["valid_loss"]
    assert "*best*" in screen.getvalue()


def test_ends_after_updates_even_within_an_epoch(corpus, tmp_path):
    report = train(toy_config(corpus, training={"updates": 3, "accumulate": 2, "epochs": None}), tmp_path)
    assert (report.updates, report.finished) == (3, "3 updates are done")
    assert read_history(tmp_path)[-1]["update"] == 3


def test_the_end_is_validated_whatever_the_schedule(corpus, tmp_path):
    config = toy_config(corpus, training={"epochs": 1}, validation={"every_updates": 99})
    report = train(config, tmp_path)
    assert [entry["update"] for entry in report.history] == [report.updates]
    assert (tmp_path / "model.weights.h5").exists()


def test_a_finished_run_goes_on_when_its_end_moves(corpus, whole, tmp_path):
    shorter = toy_config(corpus, training={**GATHERING, "epochs": 1})
    train(shorter, tmp_path)
    assert train(shorter, tmp_path).finished
    train(toy_config(corpus, training=GATHERING), tmp_path)
    Translator.load(tmp_path)  # its metadata knows the changed recipe
    assert_same_run(whole, tmp_path)


def test_lowering_the_end_of_an_interrupted_run_still_measures_it(corpus, tmp_path):
    train(toy_config(corpus, training={"epochs": 5}), tmp_path, [InterruptAfter(6)])
    report = train(toy_config(corpus, training={"epochs": 5, "updates": 4}), tmp_path)
    assert report.finished
    assert [entry["update"] for entry in report.history] == [6]
    Translator.load(tmp_path)


def test_only_the_end_may_change(corpus, tmp_path):
    train(toy_config(corpus), tmp_path, [InterruptAfter(2)])
    with pytest.raises(TrainingError, match=r"changed: search.length_penalty\."):
        train(toy_config(corpus, search={"beam_size": 4, "length_penalty": 0.5}), tmp_path)
    with pytest.raises(TrainingError, match="was written in float32, and this run would go on in mixed_bfloat16"):
        train(toy_config(corpus, training={"epochs": 2, "precision": "mixed_bfloat16"}), tmp_path)
    search = {"beam_size": 4, "n_best": 5, "sample": True, "temperature": 0.5, "top_k": 9, "top_p": 0.9, "seed": 2}
    assert train(toy_config(corpus, validation={"patience": 9}, search=search), tmp_path).finished
    assert Translator.load(tmp_path).options.n_best == 5


def test_fewer_batches_than_an_update_needs_is_an_error(corpus, tmp_path):
    with pytest.raises(TrainingError, match=r"1 epochs of \d+ batches are fewer than training.accumulate 500"):
        train(toy_config(corpus, training={"epochs": 1, "accumulate": 500}), tmp_path)


@pytest.mark.parametrize("count", [1, 2])
def test_a_corpus_smaller_than_a_batch_trains(count, tmp_path):
    write_corpus(tmp_path, train=60, valid=count)
    source = tmp_path / "train.tsv"
    source.write_text("".join(source.read_text(encoding="utf-8").splitlines(keepends=True)[:count]), encoding="utf-8")
    config = toy_config(tmp_path, tokenizer={"vocabulary_size": 25})
    assert train(config, tmp_path / "run").finished


def test_a_batch_that_does_not_fit_into_memory_is_said_before_training(corpus, tmp_path, monkeypatch):
    def exhausted(*arguments):
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")

    monkeypatch.setattr("seq2seq.models.translation.Seq2Seq.train_step", exhausted)
    with pytest.raises(TrainingError, match=r"out of memory at a batch of \d+ sentences of .* Lower batching.tokens"):
        train(toy_config(corpus), tmp_path)


@pytest.mark.parametrize("step", ["training", "validation"])
def test_a_batch_that_does_not_fit_later_is_said_with_its_shape(step, corpus, tmp_path, monkeypatch):
    def exhausted(*arguments):
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")

    run = loop._Run._train

    def later(self):
        monkeypatch.setattr(loop, "try_largest_batches", lambda *arguments: None)
        monkeypatch.setattr(*((self, "train_step") if step == "training" else (self.validator, "_sums")), exhausted)
        run(self)

    monkeypatch.setattr(loop._Run, "_train", later)
    with pytest.raises(TrainingError, match=r"out of memory at a batch of \d+ sentences of \d+ source and \d+ target"):
        train(toy_config(corpus, training={"epochs": 1}), tmp_path)


def test_the_trial_updates_after_each_batch_and_undoes_it(corpus, tmp_path, monkeypatch):
    tried, undone = [], []

    def count(*arguments):
        tried.append(batch_shares(*arguments))
        return tried[-1]

    def undo(model, arrays, origin):
        undone.append((int(model.optimizer.iterations), int(model.update.batches)))
        checkpoints.restore(model, arrays, origin)
        left = checkpoints.snapshot(model)
        assert left.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(left[name], array, err_msg=name)

    monkeypatch.setattr(start, "batch_shares", count)
    monkeypatch.setattr(start, "restore", undo)
    config = toy_config(corpus, training={**GATHERING, "ema": 0.9, "epochs": None, "updates": 2})
    assert not train(config, tmp_path, [InterruptAfter(2)]).finished
    assert train(config, tmp_path).finished, "one batch was gathered, or two"
    assert undone == [(len(tried) // 2, 0), (len(tried) // 2, 0)]


def test_the_trial_says_how_much_memory_training_takes(corpus, tmp_path):
    screen = io.StringIO()
    train(
        toy_config(corpus, training={"epochs": None, "updates": 1}), tmp_path, console=Console(file=screen, width=200)
    )
    found = re.search(r"peak memory: ([\d.]+) GiB with the largest batches", screen.getvalue())
    assert found
    assert 0.2 < float(found[1]) < 30


def test_a_terminal_shows_live_progress(corpus, tmp_path):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160)
    folder = tmp_path / "[v1]"
    config = toy_config(corpus, training={"epochs": 2}, validation={"bleu": True})
    report = train(config, folder, [InterruptAfter(15)], console)
    assert not report.finished
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    for part in ("epoch 1", "update 10", "loss", "tokens/s", "ETA", "BLEU", f"seq2seq train '{folder}/config.yaml'"):
        assert part in text, part


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


def test_a_second_run_is_refused_with_the_first_ones_process_id(corpus, tmp_path):
    holder = "import sys, time; from pathlib import Path; from seq2seq.training.records import OWNER, only_run\n"
    holder += "with only_run(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holder, tmp_path], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(TrainingError, match=rf"process {first.pid} on \S+ is training into it"):
            train(toy_config(corpus, training={"epochs": 1}), tmp_path)
        first.kill()
        first.wait()
    with only_run(tmp_path):
        assert (tmp_path / OWNER).read_text().split()[0] == str(os.getpid()), "a killed process holds nothing"
    assert not (tmp_path / OWNER).exists()


def test_another_recipe_is_refused_with_its_changes(corpus, tmp_path):
    train(toy_config(corpus, training={"epochs": 1}), tmp_path)
    schedule = {"kind": "inverse_sqrt", "warmup": 3}  # may change
    changed = {"training": {"epochs": 1, "clip_norm": 0.5, "schedule": schedule}, "decoder": {"units": 14}}
    with pytest.raises(TrainingError, match=r"changed: decoder.units, training.clip_norm\."):
        train(toy_config(corpus, **changed), tmp_path)


def test_override_goes_on_with_another_recipe_and_corpus(tmp_path):
    """The epoch begins anew, with the weights and the updates of the run."""
    write_corpus(tmp_path)
    assert not train(toy_config(tmp_path), tmp_path / "run", [InterruptAfter(5)]).finished
    write_corpus(tmp_path, train=200)
    other = toy_config(tmp_path, batching={"tokens": 100, "pool": 40}, training={"clip_norm": 0.5, "epochs": 1})
    screen = io.StringIO()
    report = train(other, tmp_path / "run", console=Console(file=screen, width=200), override=True)
    batches = json.loads((tmp_path / "run/encoded/train/about.json").read_text())["kept"]
    assert batches == 200
    assert report.finished
    assert report.updates > 5 + 200 * 5 / 100
    assert "the recipe changed: batching.tokens, training.clip_norm" in screen.getvalue()
    assert train(other, tmp_path / "run").updates == report.updates, "it is the new recipe's run from then on"
    with pytest.raises(TrainingError, match="does not fit this model"):
        train(toy_config(tmp_path, decoder={"units": 14}), tmp_path / "run", override=True)


def test_a_changed_corpus_is_refused_on_resume(tmp_path):
    write_corpus(tmp_path)
    config = toy_config(tmp_path, training={"epochs": 1})
    train(config, tmp_path / "run", [InterruptAfter(2)])
    write_corpus(tmp_path, train=121)
    with pytest.raises(TrainingError, match="the training or validation corpus"):
        train(config, tmp_path / "run")
    write_corpus(tmp_path, valid=13)
    with pytest.raises(TrainingError, match="the training or validation corpus"):
        train(config, tmp_path / "run")


def test_encoded_corpora_are_made_again_only_when_something_changed(tmp_path):
    write_corpus(tmp_path)
    config = toy_config(tmp_path, training={"updates": 1})
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
