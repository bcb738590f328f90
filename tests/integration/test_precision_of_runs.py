"""A precision from the command line or a recipe to whatever computes."""

import json

import keras
import pytest
import tensorflow as tf

from seq2seq.config import dump_config
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.devices import device
from seq2seq.devices.device import Device
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import create_model_directory, read_metadata
from seq2seq.models.build import build_model
from seq2seq.training import train
from tests.command import run
from tests.toy import (
    language_model_config,
    pairs,
    save_random_model,
    save_trained,
    toy_config,
    toy_tokenizer,
    write_corpus,
)

pytestmark = pytest.mark.usefixtures("shared_graphs")

set_tf32 = tf.config.experimental.enable_tensor_float_32_execution
tf32_is_on = tf.config.experimental.tensor_float_32_execution_enabled
NO_TF32 = "error: precision tf32 needs a GPU of compute capability 8.0 or later, found the CPU. Use float32.\n"


def make_language_model(folder):
    config, tokenizers = language_model_config(folder.parent), Tokenizers(toy_tokenizer(), toy_tokenizer())
    create_model_directory(folder, config, tokenizers)
    save_trained(folder, build_model(config, tokenizers), {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("precision")
    save_random_model(folder / "model", toy_tokenizer(), search={"beam_size": 1, "max_length": 8})
    make_language_model(folder / "language_model")
    for name, side in (("source.txt", 0), ("reference.txt", 1)):
        (folder / name).write_text("".join(f"{pair[side]}\n" for pair in pairs(6, 5)), encoding="utf-8")
    return folder


@pytest.fixture
def loads(monkeypatch):
    """The precisions that translators were loaded in."""
    found, load = [], Translator.load

    def spy(path, precision="float32", **others):
        found.append(precision)
        return load(path, precision, **others)

    monkeypatch.setattr(Translator, "load", spy)
    return found


def test_translate_loads_the_precision_that_it_is_given(folder, tmp_path, loads):
    files = ("-i", folder / "source.txt", "-o", tmp_path / "out", "--format", "jsonl")
    for given in ("mixed_bfloat16", "mixed_float16", "float32"):
        assert run("translate", folder / "model", *files, "--precision", given) == 0
    assert run("translate", folder / "model", *files) == 0
    assert loads == ["mixed_bfloat16", "mixed_float16", "float32", "float32"]


def test_evaluate_translates_in_the_precision_that_it_is_given(folder, loads):
    files = ("--source", folder / "source.txt", "--reference", folder / "reference.txt")
    assert run("evaluate", folder / "model", *files, "--precision", "mixed_bfloat16") == 0
    assert run("evaluate", folder / "model", *files) == 0
    assert loads == ["mixed_bfloat16", "float32"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("translate", "model", "--precision", "tf32"), 1, NO_TF32),
        (
            ("evaluate", "model", "--source", "source.txt", "--reference", "reference.txt", "--precision", "tf32"),
            1,
            NO_TF32,
        ),
        (("generate", "language_model", "--precision", "tf32"), 1, NO_TF32),
        (("perplexity", "language_model", "-i", "source.txt", "--precision", "tf32"), 1, NO_TF32),
        (
            ("evaluate", "--hypotheses", "source.txt", "--reference", "reference.txt", "--precision", "float32"),
            2,
            "--precision float32 is for a model, but there is no MODEL",
        ),
        (("translate", "model", "--precision", "float16"), 2, "'float16' is not one of"),
        (
            ("translate", "model", "-i", "source.txt", "--int8", "--precision", "mixed_bfloat16"),
            1,
            "'int8' is true, and the model is loaded in mixed_bfloat16",
        ),
    ],
)
def test_a_precision_that_means_nothing_is_refused(folder, monkeypatch, capsys, arguments, code, said):
    monkeypatch.chdir(folder)
    assert run(*arguments) == code
    written = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert " ".join(said.split()) in written


def test_a_shard_of_another_precision_is_refused(folder, tmp_path, capsys):
    files = ("-i", folder / "source.txt", "-o", tmp_path / "out")
    begun = ("translate", folder / "model", *files, "--shard")
    assert run(*begun, "1/2", "--precision", "mixed_bfloat16") == 0
    manifest = json.loads((tmp_path / "out.manifest.json").read_text())
    assert manifest["job"]["precision"] == "mixed_bfloat16"
    capsys.readouterr()
    assert run(*begun, "2/2") == 1
    assert "precision was mixed_bfloat16 and is now float32" in capsys.readouterr().err


class AnotherModel(keras.callbacks.Callback):
    """What runs a model of another precision after each batch; `seen` is the switch as training left it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(tf32_is_on())
        set_tf32(not self.seen[0])


def test_training_keeps_its_precision_whatever_runs_beside_it(tmp_path, monkeypatch):
    before = tf32_is_on()
    monkeypatch.setattr(device, "set_up_device", lambda: Device("GPU (fake)", "mixed_bfloat16", True, (8, 0)))
    write_corpus(tmp_path, train=40)
    other = AnotherModel()
    config = toy_config(tmp_path, training={"epochs": 1, "precision": "tf32"})
    try:
        assert train(config, tmp_path / "run", [other]).end
    finally:
        set_tf32(before)
    assert len(other.seen) > 1
    assert all(other.seen)
    assert read_metadata(tmp_path / "run")["precision"] == "tf32"
    assert "precision: tf32" in dump_config(config)
    assert Translator.load(tmp_path / "run").model.precision == "float32"
