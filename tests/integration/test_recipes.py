"""Every packaged recipe trains at toy size, with the layers and options that it names."""

import os
from pathlib import Path

import pytest

from seq2seq.config import load_config, recipe_names
from seq2seq.errors import CorpusError
from seq2seq.inference.text_generator import TextGenerator
from seq2seq.inference.translator import Translator
from seq2seq.training import train
from tests.toy import write_corpus

pytestmark = pytest.mark.usefixtures("shared_graphs")

SMALL = (
    "batching.max_tokens=200", "embeddings.size=8", "decoder.units=8", "training.updates=2",
    "data.filters.max_tokens=60",
)  # fmt: skip
TRANSLATOR = ("encoder.units=8", "tokenizer.vocabulary_size=56")
LANGUAGE_MODEL = ("tokenizer.vocabulary_size=36",)


@pytest.mark.parametrize("name", recipe_names())
def test_recipe_trains_at_toy_size(name, tmp_path):
    write_corpus(tmp_path, train=60)
    corpora = [f"data.{split}={{tsv: {tmp_path / split}.tsv}}" for split in ("train", "valid")]
    corpora.append("data.test=null")
    recipe = load_config(name)
    is_translator = recipe.task == "translation"
    if is_translator and recipe.teachers.count:
        corpora.append("teachers={count: 1}")
    config = load_config(name, [*SMALL, *(TRANSLATOR if is_translator else LANGUAGE_MODEL), *corpora])
    report = train(config, tmp_path / "run")
    assert report.updates == 2
    assert len(report.history) == 1
    if is_translator:
        assert len(Translator.load(tmp_path / "run").translate(["the dog sees bird here", ""])) == 2
    else:
        assert TextGenerator.load(tmp_path / "run").perplexity(["der Hund sieht Vogel hier"]).sentences == 1


def test_multi30k_says_which_variable_is_missing(tmp_path, monkeypatch):
    monkeypatch.delenv("MULTI30K", raising=False)
    with pytest.raises(CorpusError, match=r"environment variable MULTI30K is not set"):
        train(load_config("multi30k-en-de-small"), tmp_path)


@pytest.mark.skipif(
    not Path(os.environ.get("MULTI30K", "nowhere"), "val.en.gz").exists(),
    reason="MULTI30K does not name a folder with the Multi30k corpus",
)
def test_real_text_passes_through_the_whole_line(tmp_path):
    """The validation part of Multi30k as a training corpus: two updates, real text, real batches."""
    part = "{source: $MULTI30K/val.en.gz, target: $MULTI30K/val.de.gz}"
    overrides = [f"data.{split}={part}" for split in ("train", "valid")] + ["data.test=null"]
    sizes = ("tokenizer.vocabulary_size=900", "embeddings.size=16", "encoder.units=16", "decoder.units=16")
    short = (
        "training.updates=2",
        "training.schedule.warmup_updates=0",
        "validation.compute_bleu=false",
        "validation.metric=loss",
    )
    report = train(load_config("multi30k-en-de-small", [*overrides, *sizes, *short]), tmp_path)
    assert report.history[0]["valid_perplexity"] < 900
