"""Elements that are no text, in every function that takes several of them: the place is named, and what is there."""

import numpy as np
import pandas as pd
import pytest

from seq2seq import (
    GenerationOptions,
    LanguageModel,
    Seq2Seq,
    TextGenerator,
    Tokenizer,
    TokenizerConfig,
    Tokenizers,
    Translator,
    evaluate,
    make_dataset,
    train_pairs,
)
from seq2seq.errors import ArgumentError, CorpusError
from seq2seq.evaluation.metrics import score_texts
from tests.toy import toy_tokenizer

# Elements, and how each is described.
NO_TEXT = {
    "None": (None, "None"),
    "NaN": (float("nan"), "nan"),
    "a NaN of NumPy": (np.float32("nan"), "nan"),
    "bytes": (b"a dog", "bytes"),
    "an integer": (7, "7"),
    "a number of NumPy": (np.int64(7), "7"),
    "a truth value": (True, "True"),
    "a list": (["a", "dog"], "a list of 2"),
    "a tuple": (("a", "dog"), "a tuple of 2"),
    "an empty list": ([], "an empty list"),
    "a dict": ({"text": "a"}, "a dict of 1"),
    "an array": (np.array(["a", "b"]), "an array"),
    "a missing value of pandas": (pd.NA, "NAType"),
}


@pytest.fixture(scope="module")
def entries():
    tokenizer = toy_tokenizer()
    size = tokenizer.vocabulary_size
    model = Seq2Seq(size, size, {"size": 4}, {"units": 4}, {"units": 4})
    translator = Translator(model, tokenizer, tokenizer)
    generator = TextGenerator(LanguageModel(size, {"size": 4}, {"units": 4}), tokenizer, GenerationOptions())
    options = TokenizerConfig(vocabulary_size=20)
    return {
        "translate": translator.translate,
        "translate_stream": lambda texts: list(translator.translate_stream(texts)),
        "encode_batch": tokenizer.encode_batch,
        "Tokenizer.train": lambda texts: Tokenizer.train(texts, options, lambda message: None),
        "token_log_probs": generator.token_log_probs,
        "perplexity": generator.perplexity,
        "hypotheses": lambda texts: score_texts(texts, ["a", "b", "c"], bootstrap=False),
        "references": lambda texts: score_texts(["a", "b", "c"], texts, bootstrap=False),
        "evaluate": lambda texts: evaluate(translator, [(text, "ein Hund") for text in texts]),
        "evaluate, references": lambda texts: evaluate(translator, [("a dog", text) for text in texts]),
        "make_dataset": lambda texts: make_dataset(
            [(text, "ein Hund") for text in texts], Tokenizers(*2 * (tokenizer,))
        ),
        "make_dataset, dicts": lambda texts: make_dataset([{"source": text, "target": "b"} for text in texts]),
        "make_dataset, columns": lambda texts: make_dataset({"source": ["a", "b", "c"], "target": list(texts)}),
        "train_pairs": lambda texts: train_pairs([(text, "ein Hund") for text in texts]),
        "train_pairs, valid": lambda texts: train_pairs([("a", "b"), ("c", "d")], valid=[(t, "x") for t in texts]),
    }


NAMES = (
    *("translate", "translate_stream", "encode_batch", "Tokenizer.train", "token_log_probs", "perplexity"),
    *("hypotheses", "references", "evaluate", "evaluate, references", "make_dataset", "make_dataset, dicts"),
    *("make_dataset, columns", "train_pairs", "train_pairs, valid"),
)


@pytest.mark.parametrize("what", NO_TEXT)
@pytest.mark.parametrize("name", NAMES)
def test_the_place_and_what_is_there_are_named(entries, name, what):
    assert set(NAMES) == set(entries)
    element, described = NO_TEXT[what]
    with pytest.raises((ArgumentError, CorpusError)) as error:
        entries[name](["the dog", element, "the cat"])
    message = str(error.value)
    assert "[1]" in message, message
    assert "expected" in message
    assert f"found {described}" in message or described in message, message
    assert "\n" not in message
    if name == "train_pairs, valid":
        assert message.startswith("valid[1]")


@pytest.mark.parametrize("name", ["translate", "translate_stream", "Tokenizer.train"])
def test_from_a_generator_too(entries, name):
    with pytest.raises(ArgumentError, match=r"\[1\]: expected a string( or Request)?, found nan"):
        entries[name](text for text in ["the dog", float("nan")])


@pytest.mark.parametrize("name", ["translate", "encode_batch", "perplexity", "hypotheses", "Tokenizer.train"])
def test_a_table_is_no_list_of_its_columns(entries, name):
    table = pd.DataFrame({"source": ["the dog", "the cat", "a"], "target": ["b", "c", "d"]})
    with pytest.raises(
        ArgumentError,
        match=r"expected a list of strings( or Request objects)?, found a table\. Pass one column: table\[name\]",
    ):
        entries[name](table)
    if name != "hypotheses":
        entries[name](table["source"])


def test_a_missing_cell_of_a_table(entries):
    for missing in (None, float("nan"), pd.NA):
        for column in (["x", missing, "y"], [missing, "x", "y"]):
            for dtype in (object, "string"):
                table = pd.DataFrame({"en": ["a", "b", "c"], "de": pd.Series(column, dtype=dtype)})
                place = column.index(missing) if missing is not pd.NA else [one is pd.NA for one in column].index(True)
                with pytest.raises(CorpusError, match=rf"pairs\[{place}\]: expected the target as text.*dropna"):
                    make_dataset(table)
                with pytest.raises(CorpusError, match=rf"pairs\[{place}\]: expected the target as text"):
                    make_dataset([{"en": "a", "de": cell} for cell in column])
                with pytest.raises(CorpusError, match=rf"pairs\[{place}\]: expected the target as text"):
                    make_dataset(np.array([["a", cell] for cell in column], object))


def test_an_array_of_pairs():
    made = make_dataset(np.array([["the dog", "der Hund"], ["the cat", "der Kater"]]))
    assert made.batches.cardinality() > 0
