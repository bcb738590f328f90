"""Fine-tuning: a run that starts from another run's weights and tokenizers."""

import io
import re
import shutil

import numpy as np
import pytest
from rich.console import Console

from seq2seq.errors import CorpusError, ModelDirectoryError, TokenizerError
from seq2seq.storage.arrays import load_arrays
from seq2seq.training import train
from tests.runs import CopyAfter, assert_goes_on, often_saved
from tests.toy import toy_config, write_corpus

pytestmark = pytest.mark.usefixtures("shared_graphs")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, train=60)
    return folder


@pytest.fixture(scope="module")
def old(corpus, tmp_path_factory):
    """A model directory."""
    folder = tmp_path_factory.mktemp("old") / "run"
    train(toy_config(corpus, training={"epochs": 1}), folder)
    return folder


@pytest.fixture
def other_corpus(tmp_path):
    """Another corpus: of its own it would have another tokenizer."""
    words = ("old", "new", "big", "red", "low", "hot", "wet")
    lines = [f"my {word} house is red\tmein {word} Haus ist rot\n" for word in words]
    (tmp_path / "train.tsv").write_text("".join(lines * 4), encoding="utf-8")
    (tmp_path / "valid.tsv").write_text("".join(lines[:3]), encoding="utf-8")
    return tmp_path


def fine_tuning(corpus, old, **training):
    return toy_config(
        corpus,
        tokenizer={"from_model": str(old), "vocabulary_size": 999},
        training={"epochs": 2, "warm_start": str(old), **training},
    )


def test_starts_from_exactly_the_old_weights_and_keeps_the_old_tokenizers(old, other_corpus, tmp_path):
    screen = io.StringIO()
    config = fine_tuning(other_corpus, old, freeze=["*/*"], ema_decay=0.5)
    train(config, tmp_path / "new", console=Console(file=screen, width=250))
    before, _ = load_arrays(old / "model.safetensors")
    after, _ = load_arrays(tmp_path / "new" / "model.safetensors")
    assert after.keys() == before.keys()
    for name, value in before.items():
        assert np.array_equal(after[name], value) == (name != "output_bias"), name
    assert (tmp_path / "new" / "joint.spm").read_bytes() == (old / "joint.spm").read_bytes()
    said = screen.getvalue()
    assert f"Warm start\nfrom     {old}" in re.sub(" +\n", "\n", said)
    assert f"{len(before)} of {len(before)}, 100.0% of the parameters" in said
    assert f"{sum(value.size for value in before.values()):,}, {before['output_bias'].size} of them trained" in said


def test_resuming_does_not_start_from_the_old_weights_again(old, other_corpus, tmp_path):
    shutil.copytree(old, tmp_path / "copy")
    config = often_saved(fine_tuning(other_corpus, tmp_path / "copy", freeze=["encoder/*"]))
    train(config, tmp_path / "whole", [CopyAfter(tmp_path / "whole", 4)])
    shutil.rmtree(tmp_path / "copy")
    assert_goes_on(config, tmp_path / "whole", 4)


def test_the_old_tokenizers_must_fit_the_recipe(old, other_corpus, tmp_path, monkeypatch):
    config = toy_config(
        other_corpus,
        tokenizer={"from_model": str(old), "joint": False},
        embeddings={"size": 12, "tied": "target"},
    )
    with pytest.raises(TokenizerError, match=r"has one joint tokenizer, but tokenizer.joint is false\. Set it to true"):
        train(config, tmp_path / "new")
    with pytest.raises(ModelDirectoryError, match=r"^tokenizer\.from_model: nowhere: no such folder"):
        train(toy_config(other_corpus, tokenizer={"from_model": "nowhere"}), tmp_path / "new")
    monkeypatch.delenv("OLD_RUNS", raising=False)
    with pytest.raises(CorpusError, match="the environment variable OLD_RUNS is not set"):
        train(toy_config(other_corpus, tokenizer={"from_model": "$OLD_RUNS/run"}), tmp_path / "new")
