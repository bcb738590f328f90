"""Whole runs: one trace, history, what is delivered, ends, memory, what is shown."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from seq2seq.data.batching import replica_batches
from seq2seq.errors import TrainingError
from seq2seq.inference.translator import Translator
from seq2seq.model_directory import LOCK_FILE
from seq2seq.model_directory.directory import read_metadata
from seq2seq.model_directory.history import read_history
from seq2seq.models.translation import Seq2Seq
from seq2seq.storage.arrays import load_arrays
from seq2seq.storage.locks import pid_file
from seq2seq.training import StopReason, checkpoints, run, setup, train
from seq2seq.training.checkpoints import BEST, lock_run
from seq2seq.training.run_state import plan_epoch
from tests.documents import documented_fields
from tests.random_state import random_state_untouched
from tests.runs import InterruptAfter
from tests.toy import GATHERING, toy_config, write_corpus

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("shared_graphs")


def test_the_callers_random_numbers_are_left_alone(corpus, tmp_path):
    config = toy_config(corpus, training={"epochs": 1}, validation={"compute_bleu": True})
    with random_state_untouched():
        assert not train(config, tmp_path, [InterruptAfter(3)]).end
        assert train(config, tmp_path).end


def test_each_function_is_traced_once(corpus, tmp_path, monkeypatch):
    loops, make = [], run.TrainingLoop
    monkeypatch.setattr(run, "TrainingLoop", lambda *args, **parts: loops.append(make(*args, **parts)) or loops[-1])
    config = toy_config(corpus, training={"epochs": 3}, validation={"compute_bleu": True})
    train(config, tmp_path)
    (loop,) = loops
    shapes = {tuple(shape) for shape in plan_epoch(config, loop.data.train, 1).shapes().tolist()}
    assert len(shapes) > 3, "the batches vary"
    assert loop.model.step_function().experimental_get_tracing_count() == 1
    assert loop.model.loss_sums_function().experimental_get_tracing_count() == 1
    assert loop.validator.translator.searcher.num_graphs() == 1


def test_a_run_leaves_a_model_that_translates(corpus, tmp_path):
    report = train(toy_config(corpus, validation={"compute_bleu": True}), tmp_path)
    assert report.end == (StopReason.EPOCHS, "2 epochs are done")
    entries = read_history(tmp_path)
    assert [entry["epoch"] for entry in entries] == [1, 2]
    assert entries[1]["valid_loss"] < entries[0]["valid_loss"]
    assert entries[1]["valid_perplexity"] == pytest.approx(np.exp(entries[1]["valid_loss"]))
    assert all(entry["bleu"] is not None for entry in entries)
    assert report.best == min(entry["valid_loss"] for entry in entries)
    page = "docs/files-and-formats.md"
    of_options = {"train_consistency", "train_distillation"}
    assert set(documented_fields(page, "### `history.jsonl`")) == set(entries[0]) | of_options
    assert set(documented_fields(page, "### `metadata.json`")) == set(read_metadata(tmp_path))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "config.yaml", "joint.spm", "model.safetensors", "metadata.json", "history.jsonl", "checkpoints", "encoded",
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
    delivered, _ = load_arrays(tmp_path / "model.safetensors")
    checkpoint, _ = load_arrays(tmp_path / BEST)
    for name, value in delivered.items():
        np.testing.assert_array_equal(checkpoint[f"weights/{name}"], value)


def test_a_run_that_learns_nothing_says_so_and_is_never_the_best(corpus, tmp_path):
    """It leaves a model all the same, and becomes the best once it has learnt something."""
    screen = io.StringIO()
    stuck = toy_config(corpus, training={"learning_rate": 1e-7, "epochs": 2})
    report = train(stuck, tmp_path, console=Console(file=screen, width=400))
    said = screen.getvalue()
    assert said.count("better than token frequencies, so it is not marked as best") == 2, (
        "when it begins, and at the end"
    )
    assert "a higher learning rate (it is 1e-07): --set training.learning_rate=2e-07" in said
    assert "its translations are meaningless" in said
    assert "  *best*\n" not in said
    assert report.best is None
    assert [entry["best"] for entry in report.history] == [False, False]
    assert not (tmp_path / BEST).exists()
    assert json.loads((tmp_path / "metadata.json").read_text())["scores"]["validation"]["epoch"] == 2
    learning = toy_config(corpus, training={"learning_rate": 0.01, "epochs": 5})
    report = train(learning, tmp_path, console=Console(file=screen, width=400))
    assert report.history[-1]["best"]
    assert report.best == report.history[-1]["valid_loss"]
    assert "  *best*\n" in screen.getvalue()


def test_ends_after_updates_even_within_an_epoch(corpus, tmp_path):
    report = train(toy_config(corpus, training={"updates": 3, "accumulation_steps": 2, "epochs": None}), tmp_path)
    assert (report.updates, report.end.reason) == (3, StopReason.UPDATES)
    assert read_history(tmp_path)[-1]["update"] == 3


def test_the_end_is_validated_whatever_the_schedule(corpus, tmp_path):
    config = toy_config(corpus, training={"epochs": 1}, validation={"interval_updates": 99})
    report = train(config, tmp_path)
    assert [entry["update"] for entry in report.history] == [report.updates]
    assert (tmp_path / "model.safetensors").exists()


def test_fewer_batches_than_an_update_needs_is_an_error(corpus, tmp_path):
    with pytest.raises(
        TrainingError, match=r"\d+ batches in 1 epoch, but an update needs 500 \(training.accumulation_steps\)"
    ):
        train(toy_config(corpus, training={"epochs": 1, "accumulation_steps": 500}), tmp_path)


@pytest.mark.parametrize("count", [1, 2])
def test_a_corpus_smaller_than_a_batch_trains(count, tmp_path):
    write_corpus(tmp_path, train=60, valid=count)
    source = tmp_path / "train.tsv"
    source.write_text("".join(source.read_text(encoding="utf-8").splitlines(keepends=True)[:count]), encoding="utf-8")
    config = toy_config(tmp_path, tokenizer={"vocabulary_size": 25})
    assert train(config, tmp_path / "run").end


def test_a_batch_that_does_not_fit_into_memory_is_said_before_training(corpus, tmp_path, monkeypatch):
    def exhausted(*arguments):
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")

    monkeypatch.setattr("seq2seq.models.translation.Seq2Seq.train_batch", exhausted)
    with pytest.raises(
        TrainingError, match=r"out of memory at a batch of \d+ sentences of .* Lower batching.max_tokens"
    ):
        train(toy_config(corpus), tmp_path)


@pytest.mark.parametrize("function", ["step_function", "loss_sums_function"])
def test_a_batch_that_does_not_fit_later_is_said_with_its_shape(function, corpus, tmp_path, monkeypatch):
    def exhausted(*arguments):
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")

    monkeypatch.setattr(run, "try_largest_batches", lambda *arguments: None)
    monkeypatch.setattr(Seq2Seq, function, lambda self: exhausted)
    with pytest.raises(TrainingError, match=r"out of memory at a batch of \d+ sentences of \d+ source and \d+ target"):
        train(toy_config(corpus, training={"epochs": 1}), tmp_path)


def test_the_trial_updates_after_each_batch_and_undoes_it(corpus, tmp_path, monkeypatch):
    tried, undone = [], []

    def count(*arguments):
        tried.append(replica_batches(*arguments))
        return tried[-1]

    def undo(model, arrays, origin):
        undone.append((int(model.optimizer.iterations), int(model.update.batches)))
        checkpoints.restore(model, arrays, origin)
        left = checkpoints.snapshot(model)
        assert left.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(left[name], array, err_msg=name)

    monkeypatch.setattr(setup, "replica_batches", count)
    monkeypatch.setattr(setup, "restore", undo)
    config = toy_config(corpus, training={**GATHERING, "ema_decay": 0.9, "epochs": None, "updates": 2})
    assert not train(config, tmp_path, [InterruptAfter(2)]).end
    assert train(config, tmp_path).end, "one batch was gathered, or two"
    assert undone == [(len(tried) // 2, 0), (len(tried) // 2, 0)]


def test_the_trial_says_how_much_memory_training_takes(corpus, tmp_path):
    screen = io.StringIO()
    train(
        toy_config(corpus, training={"epochs": None, "updates": 1}), tmp_path, console=Console(file=screen, width=200)
    )
    found = re.search(r"peak memory: ([\d.]+) GiB with the largest batches", screen.getvalue())
    assert found
    assert 0.2 < float(found[1]) < 30


def test_a_terminal_shows_live_progress(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("seq2seq.training.loop.ETA_BATCHES", 10)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160)
    folder = tmp_path / "[v1]"
    config = toy_config(corpus, training={"epochs": 2}, validation={"compute_bleu": True})
    report = train(config, folder, [InterruptAfter(15)], console)
    assert not report.end
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
    assert report.end.reason is StopReason.CALLBACK
    assert watch.seen == tuple(range(len(watch.seen)))
    assert [epoch for epoch, _ in watch.epochs] == [0]


def test_a_second_run_is_refused_with_the_first_ones_process_id(corpus, tmp_path):
    holder = "import sys; from pathlib import Path; from tests import no_plots\n"
    holder += "from seq2seq.training.checkpoints import lock_run\n"
    holder += "with lock_run(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", holder, tmp_path], cwd=ROOT, stdin=pipe, stdout=pipe, text=True
    ) as first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(TrainingError, match=rf"process {first.pid} on \S+ is training into it"):
            train(toy_config(corpus, training={"epochs": 1}), tmp_path)
        first.kill()
        first.wait()
    with lock_run(tmp_path):
        assert pid_file(tmp_path / LOCK_FILE).read_text().split()[0] == str(os.getpid()), (
            "a killed process holds nothing"
        )
    assert not pid_file(tmp_path / LOCK_FILE).exists()


def test_nothing_left_to_train_on_says_what_was_dropped(tmp_path):
    write_corpus(tmp_path, train=30)
    config = toy_config(tmp_path, data={"filters": {"max_tokens": 2}, **{
        name: {"tsv": str(tmp_path / f"{name}.tsv")} for name in ("train", "valid")}})  # fmt: skip
    with pytest.raises(TrainingError, match=r"no train pairs are left \(read: 30; dropped: 30 over 2 tokens"):
        train(config, tmp_path / "run")
