"""Weights kept for averaging: the newest and the best of them stay."""

import numpy as np
import pytest

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig
from seq2seq.errors import ModelDirectoryError
from seq2seq.models.base import named_weights
from seq2seq.models.translation import Seq2Seq
from seq2seq.storage.arrays import load_arrays
from seq2seq.training.averaging import list_kept_weights, prune_kept, save_kept_weights, truncate_kept


@pytest.fixture(scope="module")
def model():
    return Seq2Seq(7, 7, EmbeddingsConfig(size=2), EncoderConfig(units=2), DecoderConfig(units=2))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.safetensors").write_bytes(b"not one of them")
    return tmp_path


def keep(folder, model, metric, values, first=10):
    for number, value in enumerate(values):
        loss, bleu = (value, None) if metric == "loss" else (9.0, value)
        entry = {"update": first * (number + 1), "epoch": number + 1, "valid_loss": loss, "bleu": bleu}
        save_kept_weights(folder, model, entry, metric)


def updates(folder):
    return [about["update"] for _, about in list_kept_weights(folder)]


def test_a_file_holds_the_weights_and_what_was_measured(folder, model):
    keep(folder, model, "loss", [2.5])
    keep(folder, model, "bleu", [31.0], first=123456789)
    (first, about), (second, other) = list_kept_weights(folder)
    assert first == folder / "checkpoints" / "update-00000010.safetensors"
    assert second.name == "update-123456789.safetensors", "wider than the others, and still the last"
    assert about == {"update": 10, "epoch": 1, "metric": "loss", "value": 2.5, "loss": 2.5, "bleu": None}
    assert other == {"update": 123456789, "epoch": 1, "metric": "bleu", "value": 31.0, "loss": 9.0, "bleu": 31.0}
    arrays, stored = load_arrays(first)
    assert stored == about
    assert arrays.keys() == named_weights(model).keys()
    for name, value in named_weights(model).items():
        np.testing.assert_array_equal(arrays[name], value)


def test_listing_reads_no_arrays(folder, model):
    keep(folder, model, "loss", [2.5])
    file = folder / "checkpoints" / "update-00000010.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert updates(folder) == [10]
    with pytest.raises(ModelDirectoryError, match="do not match the checksum"):
        load_arrays(file)
    file.write_bytes(b"rubbish")
    with pytest.raises(ModelDirectoryError, match=r"update-00000010\.safetensors: damaged"):
        list_kept_weights(folder)


NAN = float("nan")


@pytest.mark.parametrize(
    ("metric", "values", "last", "best", "kept"),
    [
        ("loss", [1.0, 5.0, 2.0, 4.0, 3.0], 2, 0, [40, 50]),
        ("loss", [1.0, 5.0, 2.0, 4.0, 3.0], 0, 2, [10, 30]),
        ("bleu", [1.0, 5.0, 2.0, 4.0, 3.0], 0, 2, [20, 40]),
        ("loss", [1.0, 5.0, 2.0, 4.0, 3.0], 1, 3, [10, 30, 50]),
        ("bleu", [1.0, 5.0, 2.0, 4.0, 3.0], 1, 2, [20, 40, 50]),
        ("loss", [1.0, 5.0], 5, 5, [10, 20]),
        ("loss", [1.0, 5.0], 0, 0, []),
        ("bleu", [3.0, 3.0, 3.0], 0, 1, [10]),
        ("loss", [NAN, 5.0, NAN], 1, 2, [20, 30]),
        ("bleu", [NAN, 5.0, NAN], 0, 3, [20]),
    ],
)
def test_the_newest_and_the_best_stay(folder, model, metric, values, last, best, kept):
    keep(folder, model, metric, values)
    prune_kept(folder, last, best)
    assert updates(folder) == kept
    assert (folder / "checkpoints" / "last.safetensors").exists()


def test_what_comes_after_an_update_can_be_cut(folder, model):
    keep(folder, model, "loss", [1.0, 2.0, 3.0])
    truncate_kept(folder, 20)
    assert updates(folder) == [10, 20]
    truncate_kept(folder, -1)
    assert updates(folder) == []
    assert list_kept_weights(folder / "nowhere") == []
