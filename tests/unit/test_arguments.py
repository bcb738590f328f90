"""What wrong arguments are answered with, and what is taken for what it stands for."""

import copy
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import keras
import numpy as np
import pytest
import tensorflow as tf

import seq2seq
from seq2seq import (
    CorpusConfig,
    DecoderConfig,
    EmbeddingsConfig,
    EncoderConfig,
    SearchOptions,
    Seq2Seq,
    TextGenerator,
    Tokenizer,
    TokenizerConfig,
    Translator,
    evaluate,
    load_config,
    open_corpus,
    save_model,
    train,
)
from seq2seq.analysis.attention import translation_map
from seq2seq.analysis.plots.translations import plot_attention_heads
from seq2seq.arguments import AtLeastOne, Dims, Pair, check_arguments
from seq2seq.errors import ArgumentError, ConfigError, Seq2SeqError
from seq2seq.layers import GRUCell
from seq2seq.layers.cells import make_cell
from seq2seq.models.language_model import LanguageModel
from tests.toy import pairs, toy_tokenizer

SMALL = {"encoder": {"units": 4}, "decoder": {"units": 4}}
IDS = np.array([[4, 5, 3], [6, 3, 0]])


@pytest.fixture(scope="module")
def tokenizer():
    return toy_tokenizer()


@pytest.fixture(scope="module")
def translator(tokenizer):
    model = Seq2Seq(tokenizer.vocabulary_size, tokenizer.vocabulary_size, {"size": 4}, **SMALL)
    return Translator(model, tokenizer, tokenizer, SearchOptions(beam_size=1, max_length=5))


def says(call, text, error=ArgumentError):
    """Whether a call is refused in these words; dots are any."""
    with pytest.raises(error, match="^" + re.escape(text).replace(r"\.\.\.", ".*") + "$"):
        call()


def test_errors_are_what_python_would_have_raised():
    assert issubclass(ArgumentError, Seq2SeqError)
    assert issubclass(ArgumentError, TypeError)
    assert issubclass(ArgumentError, ValueError)
    assert issubclass(ConfigError, ValueError)


def test_sections_in_python():
    says(
        lambda: EncoderConfig(unit=3),
        "EncoderConfig: unknown key 'unit'. Did you mean 'units'? Accepted: bidi...",
        ConfigError,
    )
    says(
        lambda: EncoderConfig("lstm"),
        "EncoderConfig takes keyword arguments: cell='lstm'. Accepted: bidi...",
        ConfigError,
    )
    says(
        lambda: EmbeddingsConfig(64),
        "EmbeddingsConfig takes keyword arguments: size=64. Accepted: dropout, ...",
        ConfigError,
    )
    says(
        lambda: EncoderConfig({"units": 4}),
        "EncoderConfig takes keyword arguments: **values. Accepted: ...",
        ConfigError,
    )
    says(
        lambda: EncoderConfig(units=3),
        "EncoderConfig: 'units' is 3: a bidirectional encoder needs an even number.",
        ConfigError,
    )
    says(
        lambda: EncoderConfig(units="x"),
        "EncoderConfig: 'units': found 'x'. Input should be a valid integer, ...",
        ConfigError,
    )
    says(
        lambda: CorpusConfig(mixture=[{"tsb": "x"}]),
        "CorpusConfig: unknown key 'mixture.0.tsb'. Did you mean 'mixture.0.tsv'? Accepted in mixture.0: ...",
        ConfigError,
    )
    assert EncoderConfig(units=4) == EncoderConfig(**{"units": 4})


def test_overrides_of_a_recipe_as_a_dict():
    values = {"training.epochs": 2, "training.learning_rate": 3e-3, "data.train": {"tsv": "a: b.tsv"}}
    config = load_config("quickstart", values)
    assert (config.training.epochs, config.training.learning_rate) == (2, 3e-3)
    assert config.data.train == CorpusConfig(tsv="a: b.tsv")
    says(
        lambda: load_config("quickstart", {"training.epoch": 2}),
        "quickstart: unknown key 'training.epoch'. Did you mean 'training.epochs'? Accepted in training: ...",
        ConfigError,
    )
    says(
        lambda: load_config("quickstart", {"training.epochs": object()}),
        "'training.epochs': found <object ...>, expected a value that YAML can represent.",
        ConfigError,
    )
    says(
        lambda: load_config("quickstart", "training.epochs=2"),
        "load_config: overrides: expected a list of strings or a dict from strings to objects, found one string. "
        "Pass [text].",
    )


def test_what_is_given_in_place_of_something_else(tokenizer, translator):
    source, target = (list(side) for side in zip(*pairs(5, 1), strict=True))
    says(
        lambda: open_corpus("a.tsv"),
        "open_corpus: spec: expected CorpusConfig or TextConfig, found the string 'a.tsv'. "
        "Pass CorpusConfig(tsv=FILE), or CorpusConfig(source=FILE, target=FILE).",
    )
    says(
        lambda: Seq2Seq(9, 9, DecoderConfig()),
        "Seq2Seq: embeddings: expected EmbeddingsConfig, found DecoderConfig. Is it 'decoder'? Pass decoder=...",
    )
    says(
        lambda: Tokenizer.train(source, 500),
        "Tokenizer.train: config: expected TargetTokenizerConfig, found 500. "
        "Pass TokenizerConfig(vocabulary_size=500).",
    )
    says(
        lambda: tokenizer.encode(source),
        "Tokenizer.encode: text: expected a string, found a list of 5. encode_batch takes several texts.",
    )
    says(
        lambda: evaluate(translator, source, target),
        "evaluate: pairs[0]: expected a (source, target) pair of strings, found the string 'the ...'. "
        "Pass list(zip(sources, references)).",
    )
    says(
        lambda: train("quickstart", "nowhere"),
        "train: config: expected TranslationConfig or LanguageModelConfig, found the string 'quickstart'. "
        "load_config('quickstart') reads a recipe.",
    )
    says(
        lambda: plot_attention_heads(translator.translate(["the dog"])[0]),
        "plot_attention_heads: attention_map: expected AttentionMap, found Translation. "
        "translation_map(translation) makes one.",
    )
    says(
        lambda: translator.translate("the dog"),
        "Translator.translate: sentences: expected a list of strings or Request objects, found one string. "
        "Pass [text].",
    )
    says(
        lambda: translator.translate(["the dog", 3]),
        "Translator.translate: sentences[1]: expected a string or Request, found 3.",
    )
    says(
        lambda: translator.translate(text for text in ["the dog", None]),
        "Translator.translate: sentences[1]: expected a string or Request, found None.",
    )
    says(
        lambda: translator.translate(["the dog"], beam_size=3),
        "Translator.translate: unknown argument 'beam_size'. Accepted: sentences, options, attention, on_progress.",
    )
    says(
        lambda: Seq2Seq(9, 9, precison="tf32"),
        "Seq2Seq: unknown argument 'precison'. Did you mean 'precision'? Accepted: source_vocabulary_size, ...",
    )


def test_what_can_be_taken_is_taken(tokenizer, translator, tmp_path):
    model = Seq2Seq(np.int64(9), 9, {"size": 4}, **SMALL)
    assert model.sections["embeddings"] == EmbeddingsConfig(size=4)
    folder = str(tmp_path / "model")
    save_model(translator.model, tokenizer, folder)
    for place in (folder, Path(folder)):
        assert Translator.load(place).translate(np.array(["the dog"]))[0].text
    assert len(open_corpus({"mixture": [{"phrasebook": "valid"}]}).parts) == 1
    encoded = seq2seq.encode_corpus(pairs(4, 1), tokenizer, tokenizer, str(tmp_path / "encoded"))
    assert len(encoded) == 4
    plan = seq2seq.plan_batches([3, 4], (2, 4), max_tokens=9, shuffle_buffer=2, seed=1, epoch=1)
    assert sorted(plan.indices.tolist()) == [0, 1]
    (one,) = translator.translate(["the dog"], {"beam_size": 1, "max_length": 2})
    assert len(one.tokens) <= 2
    ids = tokenizer.encode("the dog")
    for given in (np.array(ids), tf.constant(ids), list(map(np.int64, ids)), list(tf.constant(ids)), tuple(ids)):
        assert tokenizer.decode(given) == "the dog"
        assert tokenizer.pieces(given) == tokenizer.pieces(ids)


def test_fit_takes_ids(translator):
    model = translator.model
    source, target = (list(side) for side in zip(*pairs(5, 1), strict=True))
    model.compile(keras.optimizers.serialize(keras.optimizers.SGD(0.125)))
    assert model.optimizer.learning_rate == 0.125
    expected = (
        "expected batches of token ids, found text. seq2seq.make_dataset(pairs) makes batches, and "
        "seq2seq.train_pairs(pairs) trains on text."
    )
    for x, y in [(source, target), (np.array(source), None), (list(zip(source, target, strict=True)), None)]:
        says(lambda x=x, y=y: model.fit(x, y), f"Seq2Seq.fit: {expected}")
    says(lambda: model.evaluate(source, target), f"Seq2Seq.evaluate: {expected}")
    for x, y in [([4, 5, 3], [4, 5, 3]), ([4, 5, 3], None)]:
        says(
            lambda x=x, y=y: model.fit(x, y),
            "Seq2Seq.fit: expected batches of token ids, found a list of numbers. Pass arrays (sentences, tokens), "
            "padded with 0.",
        )
    assert IDS.dtype == np.int64
    for x, y in [(IDS, IDS), (IDS.tolist(), IDS.tolist()), ((IDS.tolist(), IDS.tolist()), None)]:
        assert np.isfinite(model.fit(x, y, verbose=0).history["loss"][0])


def test_a_model_is_called_with_a_pair(translator):
    model = translator.model
    for arguments in [(IDS,), (IDS, IDS), ()]:
        says(
            lambda arguments=arguments: model(*arguments),
            "Seq2Seq: expected one pair of source and target ids. Call model((source, target)).",
        )
    expected = "expected token ids (sentences, tokens), padded with 0, of an integer type, found"
    says(lambda: model((IDS, IDS / 2)), f"target: {expected} an array of float64 of shape (2, 3).")
    says(lambda: model((IDS[0], IDS)), f"source: {expected} an array of int64 of shape (3,).")
    says(lambda: model(([[4], [4, 3]], IDS)), f"source: {expected} an array of object of shape (2,).")
    np.testing.assert_array_equal(model((IDS, IDS)), model([IDS.tolist(), IDS.astype(np.int32)]))


def test_a_model_is_saved_as_keras_saves(translator, tmp_path):
    translator.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded((IDS, IDS)), translator.model((IDS, IDS)))


@pytest.mark.parametrize("kind", [Seq2Seq, LanguageModel])
def test_precision_is_checked(kind):
    sizes = [9] * len([name for name in inspect.signature(kind).parameters if name.endswith("vocabulary_size")])
    says(
        lambda: kind(*sizes, precision="float16"),
        f"{kind.__name__}: precision: expected 'float32', 'tf32', 'mixed_float16' or 'mixed_bfloat16', found the "
        "string 'float16'. Did you mean 'mixed_float16'?",
    )


def test_a_global_policy_that_is_ignored_is_said():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with pytest.warns(
            UserWarning, match=r"^Keras's global dtype policy 'mixed_bfloat16' is ignored: pass prec"
        ) as w:
            Seq2Seq(9, 9, {"size": 4}, **SMALL)
        assert w[0].filename == __file__
        assert Seq2Seq(9, 9, {"size": 4}, **SMALL, precision="mixed_bfloat16").compute_dtype == "bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


def test_evaluations_have_no_attention(translator):
    report = evaluate(translator, pairs(2, 1), bootstrap=False)
    says(
        lambda: translation_map(report.translations[0]),
        "translation_map: translation: expected attention over ... source tokens, found 0 columns. "
        "Translations of evaluate "
        "and translate_stream have none: use translator.translate(sentences) with a model that has attention.",
    )
    says(
        lambda: translation_map(translator.translate(["the dog"])[0], 1),
        "translation_map: rank: expected 0 to 0, found 1.",
    )
    assert report["bleu"] is report["BLEU"]
    says(lambda: report["meteor"], "there is no score 'meteor'. Measured: BLEU, chrF2, TER.")
    says(lambda: report["blue"], "there is no score 'blue'. Did you mean 'bleu'? Measured: BLEU, chrF2, TER.")


def test_sizes_of_model_and_tokenizers_are_compared(translator, tokenizer, tmp_path):
    size = tokenizer.vocabulary_size
    other = Tokenizer.train([" ".join(pair) for pair in pairs(50, 1)], TokenizerConfig(vocabulary_size=40))
    text = "the tokenizers have ({}, {}) tokens, and the model has ({}, {}). Pass the tokenizers that it "
    text += "was trained with."
    says(lambda: Translator(translator.model, tokenizer, other), text.format(size, 40, size, size))
    says(lambda: save_model(translator.model, other, tmp_path / "no"), text.format(40, 40, size, size))
    model = LanguageModel(size, {"size": 4}, {"units": 4})
    says(lambda: TextGenerator(model, other), text.format(40, 40, size, size))
    with pytest.raises(Seq2SeqError, match="id 3000 is not in the vocabulary of 310 tokens"):
        tokenizer.decode([3000])


def test_layers_and_cells():
    says(lambda: GRUCell("8"), "GRUCell: units: expected an integer, found the string '8'.")
    says(lambda: make_cell("gruu", 8), "make_cell: kind: found 'gruu'. Did you mean 'gru'? Accepted: elman, ...")


@check_arguments(number="Count from 1.")
def public(
    texts: Iterable[str] = (),
    number: AtLeastOne = 1,
    rate: float = 0.5,
    kind: Literal["a", "bc"] = "a",
    table: Mapping[str, Sequence[int]] | None = None,
    array: Annotated[np.ndarray, Dims(2, 2)] | None = None,
    pair: Pair = ("", ""),
    flag: bool = True,
    folder: Path = Path(),
    *,
    sections: Sequence[EncoderConfig] = (),
):
    """What it is given."""
    return locals()


class PlainPath(type(Path())):
    """A path of a class of its own."""


def test_values_are_taken_as_annotated():
    given = {
        "number": np.int32(3),
        "rate": 1,
        "kind": "bc",
        "array": [[1, 2]],
        "pair": ["a", "b"],
        "flag": np.bool_(False),
        "folder": "here",
        "sections": [{"units": 4}],
        "table": {"a": np.arange(2)},
    }
    found = public(**given)
    assert (type(found["number"]), type(found["rate"]), found["flag"]) == (int, float, False)
    assert isinstance(found["array"], np.ndarray)
    assert found["pair"] == ("a", "b")
    assert found["folder"] == Path("here")
    assert found["sections"] == [EncoderConfig(units=4)]
    assert found["table"] == {"a": [0, 1]}
    places = PlainPath("here")
    assert public(folder=places)["folder"] is places, "its own way to read"
    assert type(public(kind=np.str_("bc"))["kind"]) is str
    for three in (tf.constant(3), tf.constant(3, tf.uint8), np.array(3), keras.Variable(3, dtype="int32")):
        assert type(public(number=three)["number"]) is int
        assert type(public(rate=three)["rate"]) is float
    texts = ["a", "b"]
    assert public(texts)["texts"] is texts, "no copy of a list that is right"
    assert list(inspect.signature(public).parameters)[:2] == ["texts", "number"]
    assert public.__doc__ == "What it is given."


def test_what_is_read_later_is_checked_later():
    def read():
        yield "a"
        yield 3

    texts = iter(public(read())["texts"])
    assert next(texts) == "a"
    says(lambda: next(texts), "public: texts[1]: expected a string, found 3.")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"number": 0}, "number: expected an integer of at least 1, found 0. Count from 1."),
        ({"number": np.bool_(True)}, "number: expected an integer of at least 1, found True. Count from 1."),
        ({"number": np.float32(3)}, "number: expected an integer of at least 1, found 3.0. Count from 1."),
        ({"kind": np.str_("b")}, "kind: expected 'a' or 'bc', found the string 'b'. Did you mean 'bc'?"),
        ({"number": True}, "number: expected an integer of at least 1, found True. Count from 1."),
        ({"rate": "0.5"}, "rate: expected a number, found the string '0.5'."),
        ({"kind": "b"}, "kind: expected 'a' or 'bc', found the string 'b'. Did you mean 'bc'?"),
        ({"table": {"a": [1, "b"]}}, "table['a'][1]: expected an integer, found the string 'b'."),
        (
            {"table": {3: []}},
            "table: expected a dict from strings to lists of integers, found a dict of 1. Its key 3 ...",
        ),
        (
            {"array": np.zeros(3)},
            "array: expected an array of numbers of 2 dimensions, found an array of float64 of ...",
        ),
        (
            {"array": ["a"]},
            "array: expected an array of numbers of 2 dimensions, found a list of 1.",
        ),
        ({"pair": ["a"]}, "pair: expected a (source, target) pair of strings, found a list of 1."),
        ({"flag": 1}, "flag: expected True or False, found 1."),
        ({"folder": None}, "folder: expected a path, found None."),
        ({"sections": [3]}, "sections[0]: expected EncoderConfig, found 3."),
        ({"nummer": 3}, "unknown argument 'nummer'. Did you mean 'number'? Accepted: texts, number, rate, ..."),
    ],
)
def test_refusals_name_the_parameter(given, text):
    says(lambda: public(**given), f"public: {text}")


def test_too_few_and_too_many_are_left_to_python():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'config'"):
        Tokenizer.train([])
    with pytest.raises(TypeError, match="positional argument"):
        Tokenizer.load("a", "b")


def test_items_that_are_checked_when_read_can_be_copied():
    @check_arguments()
    def first(texts: Iterable[str]) -> Iterable[str]:
        return copy.copy(texts)

    assert list(first(iter(["a"]))) == ["a"]
