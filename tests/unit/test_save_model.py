"""`save_model` and `save`: a model in memory becomes a directory that the other commands read."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from seq2seq import (
    EmbeddingsConfig,
    GenerationOptions,
    LanguageModel,
    LanguageModelDecoderConfig,
    Seq2Seq,
    TextGenerator,
    TokenizerConfig,
    Tokenizers,
    Translator,
    save_model,
)
from seq2seq.config import DecoderConfig, EncoderConfig, SearchOptions
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.errors import ArgumentError, ConfigError, ModelDirectoryError
from seq2seq.inference.int8 import quantize_decoder
from seq2seq.inference.shortlist import shortlist_from_pairs
from seq2seq.model_directory.directory import load_model_config, read_metadata, write_metadata
from seq2seq.model_directory.inspection import inspect_model

pytestmark = pytest.mark.usefixtures("shared_searches")

SENTENCES = ["a cat sees a dog", "the dog sees the cat", "a dog sleeps", "the cat sleeps and the dog sees it"]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(SENTENCES, TokenizerConfig(vocabulary_size=30, model_type="bpe"))


@pytest.fixture(scope="module")
def other():
    return Tokenizer.train([text.upper() for text in SENTENCES], TokenizerConfig(vocabulary_size=28, model_type="bpe"))


def batch(tokenizer):
    ids = [[*tokenizer.encode(text), 2] for text in SENTENCES]
    return np.array([row + [0] * (max(map(len, ids)) - len(row)) for row in ids], np.int32)


def small(tokenizers, **embeddings):
    sizes = [tokenizer.vocabulary_size for tokenizer in tokenizers]
    sections = EmbeddingsConfig(size=6, **embeddings), EncoderConfig(units=8), DecoderConfig(units=8, heads=2)
    return Seq2Seq(*sizes, *sections, seed=4)


@pytest.mark.parametrize("joint", [True, False])
def test_a_model_trained_with_fit_translates(tmp_path, tokenizer, other, joint):
    tokenizers = Tokenizers(tokenizer, tokenizer if joint else other)
    model = small(tokenizers, tied="all" if joint else "none")
    model.compile("adam")
    source, target = batch(tokenizers.source), batch(tokenizers.target)
    model.fit(source, target, epochs=2, shuffle=False, verbose=0)
    save_model(model, tokenizers, tmp_path / "model")
    translator = Translator.load(tmp_path / "model")
    direct = Translator(model, *tokenizers)
    options = SearchOptions(beam_size=3, n_best=3)
    found, expected = (
        [(h.text, h.score) for t in one.translate(SENTENCES, options) for h in t.hypotheses]
        for one in (translator, direct)
    )
    assert found == expected
    np.testing.assert_array_equal(translator.model((source, target)), model((source, target)))
    assert {name.name for name in (tmp_path / "model").iterdir()} == {
        "config.yaml",
        "metadata.json",
        "model.safetensors",
        *(["joint.spm"] if joint else ["source.spm", "target.spm"]),
    }


def test_a_language_model_generates(tmp_path, tokenizer):
    decoder = LanguageModelDecoderConfig(units=8)
    model = LanguageModel(
        tokenizer.vocabulary_size, EmbeddingsConfig(size=6), decoder, seed=3, precision="mixed_bfloat16"
    )
    save_model(model, tokenizer, str(tmp_path / "model"))
    generator = TextGenerator.load(tmp_path / "model")
    for ours, theirs in zip(generator.model.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert generator.perplexity(SENTENCES).tokens == sum(len(tokenizer.encode(text)) + 1 for text in SENTENCES)


def test_its_recipe_says_what_is_known(tmp_path, tokenizer):
    save_model(small([tokenizer] * 2), tokenizer, tmp_path)
    config = load_model_config(tmp_path)
    assert (config.seed, config.decoder.heads, config.encoder.units) == (4, 2, 8)
    assert (config.tokenizer.joint, config.tokenizer.vocabulary_size) == (True, 30)
    assert config.data is None
    with pytest.raises(ConfigError, match="has no 'data' section"):
        _ = config.corpora
    described = inspect_model(tmp_path)
    assert described["tokenizers"]["joint"]["model_type"] is None
    assert described["corpus"] == {}
    assert described["training"] is None


def test_what_does_not_fit_is_refused(tmp_path, tokenizer, other):
    model = small([tokenizer] * 2)
    with pytest.raises(ValueError, match=r"the tokenizers have \(30, 28\) tokens, and the model has \(30, 30\)"):
        save_model(model, Tokenizers(tokenizer, other), tmp_path / "model")
    save_model(model, tokenizer, tmp_path / "model")
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    with pytest.raises(ModelDirectoryError, match="model: not an empty directory"):
        save_model(small([tokenizer] * 2), tokenizer, tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelDirectoryError, match="file: not an empty directory"):
        save_model(model, tokenizer, tmp_path / "file")


def test_averages_are_saved_within_their_block(tmp_path, tokenizer):
    model = small([tokenizer] * 2)
    model.compile("adam", ema_decay=0.5)
    ids = batch(tokenizer)
    model.fit(tf.data.Dataset.from_tensors((ids, ids)).repeat(3), epochs=1, verbose=0)
    with model.update.averaged_weights():
        save_model(model, tokenizer, tmp_path / "model")
    saved = Translator.load(tmp_path / "model").model
    for average, weight, live in zip(
        model.update.averages, saved.trainable_variables, model.trainable_variables, strict=True
    ):
        np.testing.assert_array_equal(average, weight)
        assert not np.array_equal(average, live) or not np.any(live)


OPTIONS = SearchOptions(beam_size=3, n_best=2, shortlist=4, length_penalty=0.5)


def texts(translator):
    return [[(h.text, h.score) for h in one.hypotheses] for one in translator.translate(SENTENCES)]


@pytest.fixture
def saved(tmp_path, tokenizer):
    """A directory as training leaves it, with corpora and scores."""
    folder = tmp_path / "trained"
    save_model(small([tokenizer] * 2), tokenizer, folder)
    facts = {"train": [{"name": "/data/a.tsv"}], "valid": {"name": "/data/b.tsv"}}
    values = {"scores": {"validation": {"update": 5}}, "corpus": facts, "versions": {"python": "3.0"}, "more": [1]}
    write_metadata(folder, read_metadata(folder) | values)
    return folder


def test_a_translator_saves_all_that_it_translates_with(tmp_path, tokenizer):
    ids = tokenizer.encode_batch(SENTENCES)
    shortlist = shortlist_from_pairs(zip(ids, ids, strict=True), 30, 30)
    translator = Translator(small([tokenizer] * 2), tokenizer, tokenizer, OPTIONS, shortlist)
    translator.save(tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "moved")
    loaded = Translator.load(str(tmp_path / "moved"))
    assert loaded.options == OPTIONS
    assert texts(loaded) == texts(translator)
    loaded.save(str(tmp_path / "again"))
    assert texts(Translator.load(tmp_path / "again")) == texts(translator)


def test_what_is_known_of_a_model_is_saved_with_it(tmp_path, saved):
    translator = Translator.load(saved)
    quantize_decoder(translator.model, saved)
    translator.options = SearchOptions(int8=True)
    expected = texts(translator)
    translator.save(tmp_path / "copy")
    ours, theirs = read_metadata(tmp_path / "copy"), read_metadata(saved)
    assert ours["sha256"].pop("config.yaml") != theirs["sha256"].pop("config.yaml"), "it has the translator's options"
    assert ours == theirs
    shutil.rmtree(saved)
    assert texts(Translator.load(tmp_path / "copy")) == expected
    translator.save(tmp_path / "without the decoder")
    assert inspect_model(tmp_path / "without the decoder")["scores"] == {"validation": {"update": 5}}


def test_of_weights_that_were_changed_nothing_is_known(tmp_path, saved, tokenizer):
    translator = Translator.load(saved)
    quantize_decoder(translator.model, saved)
    translator.model.compile("sgd")
    ids = batch(tokenizer)
    translator.model.fit(ids, ids, epochs=1, shuffle=False, verbose=0)
    translator.save(tmp_path / "copy")
    assert inspect_model(tmp_path / "copy")["scores"] == {}
    assert inspect_model(tmp_path / "copy")["corpus"] == {}
    assert "decoder.int8.onnx" not in {file.name for file in (tmp_path / "copy").iterdir()}
    for ours, theirs in zip(Translator.load(tmp_path / "copy").model.weights, translator.model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_text_generator_saves_itself(tmp_path, tokenizer):
    model = LanguageModel(tokenizer.vocabulary_size, EmbeddingsConfig(size=6), LanguageModelDecoderConfig(units=8))
    generator = TextGenerator(model, tokenizer, GenerationOptions(n_best=3, top_k=5))
    for name in ("one", "two"):
        generator.save(tmp_path / name)
        loaded = TextGenerator.load(tmp_path / name)
        assert loaded.options == generator.options
        ours, theirs = ([(h.text, h.score) for h in one.generate("a")] for one in (loaded, generator))
        assert ours == theirs
        generator = loaded


def test_search_options_are_those_of_the_task(tmp_path, tokenizer):
    model = small((tokenizer, tokenizer))
    with pytest.raises(ArgumentError, match=r"^search: expected SearchOptions, found GenerationOptions\.$"):
        save_model(model, tokenizer, tmp_path / "no", GenerationOptions())
    with pytest.raises(ArgumentError, match="search: expected SearchOptions or GenerationOptions, found EncoderConfig"):
        save_model(model, tokenizer, tmp_path / "no", EncoderConfig())
    assert not (tmp_path / "no").exists()


def test_a_save_that_fails_leaves_nothing(tmp_path, saved, monkeypatch):
    translator = Translator.load(saved)
    with pytest.raises(ModelDirectoryError, match="trained: not an empty directory"):
        translator.save(saved)
    monkeypatch.setattr(translator.step_sources, "save", lambda folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        translator.save(tmp_path / "copy")
    assert list(tmp_path.iterdir()) == [saved]
