"""Runs with a moving average of the weights, frozen weights and a schedule: what is delivered, kept and resumed."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.data.encoded import EncodedCorpus
from seq2seq.model_directory import LAST
from seq2seq.model_directory.history import read_history
from seq2seq.model_directory.model import load_model
from seq2seq.storage.arrays import load_arrays, save_arrays
from seq2seq.training import train
from seq2seq.training.averaging import list_kept_weights
from seq2seq.training.checkpoints import BEST
from seq2seq.training.optimization import learning_rate
from tests.runs import CopyAfter, assert_goes_on, assert_same_arrays, assert_same_run, often_saved
from tests.toy import toy_config, write_corpus

pytestmark = pytest.mark.usefixtures("shared_graphs")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, train=60)
    return folder


@pytest.fixture(scope="module")
def config(corpus):
    recipe = toy_config(
        corpus,
        training={
            "epochs": 5,
            "accumulation_steps": 2,
            "learning_rate": 0.1,
            "ema_decay": 0.8,
            "freeze": ["encoder/layer_0/*"],
            "schedule": {"type": "cosine", "warmup_updates": 3, "decay_updates": 9, "min_learning_rate": 1e-3},
            "keep_last": 2,
            "keep_best": 1,
        },
    )
    return often_saved(recipe)


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "whole"
    train(config, folder, [CopyAfter(folder, 8)])
    return folder


def test_resume_is_exact(config, whole):
    assert_goes_on(config, whole, 8)


def measured_loss(folder, weights):
    """The validation loss of some weights, in one batch."""
    model, _, _ = load_model(folder)
    for weight in model.weights:
        weight.assign(weights[weight.path.partition("/")[2]])
    valid = EncodedCorpus(folder / "encoded" / "valid")
    _, nll, tokens = model.loss_sums(*map(tf.constant, valid.batch(np.arange(len(valid)))))
    return float(nll / tokens)


def split_weights(folder, checkpoint=LAST):
    """Live weights and averages of a checkpoint; what is frozen has no average of its own."""
    state, _ = load_arrays(folder / checkpoint)
    live = {name.removeprefix("weights/"): array for name, array in state.items() if name.startswith("weights/")}
    averages = {
        name.removeprefix("update/average/seq2seq/"): array for name, array in state.items() if "/average/" in name
    }
    assert live.keys() - averages.keys() == {name for name in live if name.startswith("encoder/layer_0/")}
    return live, live | averages


def test_what_is_measured_and_kept_are_the_averages(whole):
    live, averages = split_weights(whole)
    history = read_history(whole)
    last_file, about = list_kept_weights(whole)[-1]
    assert about["update"] == history[-1]["update"]
    assert_same_arrays(load_arrays(last_file)[0], averages)
    assert measured_loss(whole, averages) == pytest.approx(history[-1]["valid_loss"], abs=1e-5)
    assert abs(measured_loss(whole, live) - history[-1]["valid_loss"]) > 1e-3, "the two differ in this test"


def test_what_is_delivered_are_the_best_averages(whole):
    best = min(read_history(whole), key=lambda entry: entry["valid_loss"])
    delivered, _ = load_arrays(whole / "model.safetensors")
    live, averages = split_weights(whole, BEST)
    (kept,) = [file for file, about in list_kept_weights(whole) if about["update"] == best["update"]]
    assert_same_arrays(load_arrays(kept)[0], delivered)
    assert_same_arrays(averages, delivered)
    assert any(not np.array_equal(live[name], value) for name, value in delivered.items()), "a rollback needs live ones"
    assert measured_loss(whole, delivered) == pytest.approx(best["valid_loss"], abs=1e-5)


def test_averages_do_not_change_how_the_weights_move(config, whole, tmp_path):
    plain = config.model_copy(
        update={"training": config.training.model_copy(update={"ema_decay": None, "keep_last": 9})}
    )
    train(plain, tmp_path)
    live, _ = split_weights(whole)
    state, _ = load_arrays(tmp_path / LAST)
    for name, value in live.items():
        np.testing.assert_array_equal(state[f"weights/{name}"], value, err_msg=name)
    assert len(list_kept_weights(tmp_path)) == 5


def test_the_newest_and_the_best_are_kept(whole):
    history = read_history(whole)
    updates = [entry["update"] for entry in history]
    assert len(updates) == 5
    best = min(history, key=lambda entry: entry["valid_loss"])["update"]
    kept = list_kept_weights(whole)
    assert [about["update"] for _, about in kept] == sorted({*updates[-2:], best})
    for _, about in kept:
        entry = history[updates.index(about["update"])]
        assert about == {
            "update": entry["update"],
            "epoch": entry["epoch"],
            "metric": "loss",
            "value": entry["valid_loss"],
            "loss": entry["valid_loss"],
            "bleu": None,
        }


def test_weights_kept_after_the_checkpoint_are_dropped_on_resume(config, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    late = {"update": 999, "epoch": 99, "metric": "loss", "value": 0.0, "loss": 0.0, "bleu": None}
    save_arrays(tmp_path / "run" / "checkpoints" / "update-00000999.safetensors", {}, late)
    train(config, tmp_path / "run")
    assert_same_run(whole, tmp_path / "run")


def test_the_learning_rate_follows_its_schedule(config, whole):
    for entry in read_history(whole):
        # The last batch of an epoch may be the first of an update.
        possible = [learning_rate(config.training, entry["update"] + more) for more in (0, 1)]
        assert np.float32(entry["learning_rate"]) in np.array(possible, np.float32)
