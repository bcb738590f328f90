"""Pretrained models: found by name, used everywhere, never changed; what ships is what was measured."""

from pathlib import Path

import pytest

from seq2seq import Translator, evaluate, load_config, open_corpus, train
from seq2seq.errors import ModelDirectoryError
from seq2seq.model_directory.contents import read_contents
from seq2seq.model_directory.directory import read_metadata
from seq2seq.model_directory.pretrained import PRETRAINED, find_model, pretrained_names, refuse_pretrained, short_name
from seq2seq.storage.files import sha256
from tests.command import run

NAME = "phrasebook-en-de"
FOLDER = PRETRAINED / NAME
# Another machine may train another model: `make pretrained` is followed by a change of these two lines.
SHA256 = "42cf3a3643f266cbe46f068d36745a7be767d4621caae82228e80761dd7fac44"
BLEU_IN_FLOAT32 = 93.06  # of the same weights before they were rounded, as `seq2seq quickstart` prints it


def test_the_shipped_file_is_the_one_that_was_measured():
    assert pretrained_names() == [NAME]
    assert sha256(FOLDER / "model.safetensors") == SHA256
    assert read_metadata(FOLDER)["weights_dtype"] == "float16"
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 2_000_000


def test_its_scores_are_those_of_float32():
    pairs = [(pair.source, pair.target) for pair in open_corpus(load_config("quickstart").corpora.test)]
    bleu = evaluate(Translator.load(NAME), pairs).scores[0]
    assert bleu.name == "BLEU"
    assert bleu.score == pytest.approx(BLEU_IN_FLOAT32, abs=0.1)
    (stored, *_) = read_metadata(FOLDER)["scores"]["tests"]["phrasebook-test"]["scores"]
    assert stored["score"] == pytest.approx(BLEU_IN_FLOAT32, abs=0.1)


def test_a_local_path_of_the_same_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (NAME, Path(NAME)):
        assert find_model(name) == FOLDER
    assert short_name(FOLDER) == NAME
    assert find_model(f"models/{NAME}") == Path("models", NAME)
    assert find_model("phrasebook") == Path("phrasebook")
    Path(NAME).mkdir()
    assert find_model(NAME) == Path(NAME)
    assert short_name(FOLDER) == str(FOLDER)
    assert short_name(Path("models", NAME)) == f"models/{NAME}"


def test_a_model_that_is_missing_brings_the_name_to_mind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelDirectoryError) as error:
        read_metadata(Path("runs/phrasebok-en-de"))
    assert str(error.value).endswith(f" Did you mean '{NAME}'? Pretrained models: {NAME}.")


def test_commands_take_the_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("export", NAME, NAME, "--dtype", "float32") == 0, "beside it, under its own name"
    assert (tmp_path / NAME / "model.safetensors").stat().st_size > 1.9 * (FOLDER / "model.safetensors").stat().st_size
    ours, theirs = read_contents(tmp_path / NAME), read_contents(FOLDER)
    assert ours.weights.keys() == theirs.weights.keys()
    assert all((ours.weights[name] == theirs.weights[name]).all() for name in ours.weights)
    capsys.readouterr()
    monkeypatch.chdir("/")
    assert run("inspect", NAME) == 0
    assert f"seq2seq translate {NAME} -i FILE" in capsys.readouterr().out
    assert run("translate", NAME, "The teacher buys a book.", "-q") == 0
    assert capsys.readouterr().out == "Der Lehrer kauft ein Buch.\n"


def test_a_recipe_takes_the_name(tmp_path):
    overrides = {
        "data.train.pairs": 60,
        "data.valid.pairs": 10,
        "data.test": None,
        "training.epochs": 1,
        "training.warm_start": NAME,
        "tokenizer.from_model": NAME,
        "validation": {"metric": "loss", "compute_bleu": False},
    }
    report = train(load_config("quickstart", overrides), tmp_path / "tuned")
    assert report.history[-1]["valid_loss"] < 1, "it starts from a model that knows the phrasebook"


@pytest.mark.parametrize("command", [("quantize", NAME), ("shortlist", NAME), ("train", "quickstart", "-o", FOLDER)])
def test_nobody_writes_into_it(command, capsys):
    before = {file: file.read_bytes() for file in FOLDER.rglob("*")}
    assert run(*command) == 1
    assert f"{NAME}: is a pretrained model, which cannot be changed. Copy it with `seq2seq export {NAME} my-model`" in (
        capsys.readouterr().err
    )
    assert {file: file.read_bytes() for file in FOLDER.rglob("*")} == before
    refuse_pretrained(Path("my-model"))


def test_nobody_writes_into_a_package_behind_a_link(tmp_path, monkeypatch):
    link = tmp_path / "pretrained"
    link.symlink_to(PRETRAINED)
    monkeypatch.setattr("seq2seq.model_directory.pretrained.PRETRAINED", link)
    for folder in (find_model(NAME), FOLDER, FOLDER / "checkpoints"):
        with pytest.raises(ModelDirectoryError, match="is a pretrained model"):
            refuse_pretrained(folder)
