"""Each public callable with wrong values in each parameter: it works, or says at the door which parameter is wrong.

New names of `seq2seq` and functions with `check_arguments` are found by themselves.
"""

import importlib
import inspect
import pkgutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

import seq2seq
from seq2seq.analysis.attention import translation_map
from seq2seq.arguments import check_arguments
from seq2seq.config import Section
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.errors import Seq2SeqError
from seq2seq.inference.text_generator import TextGenerator
from seq2seq.inference.translator import Translator
from seq2seq.models.language_model import LanguageModel
from seq2seq.models.translation import Seq2Seq
from tests.toy import toy_tokenizer

WRONG = {
    "None": None,
    "int": 3,
    "negative": -1,
    "float": 1.5,
    "text": "text",
    "bytes": b"text",
    "texts": ["a", "b"],
    "mixed": ["a", 3],
    "empty": [],
    "dict": {"a": 1},
    "empty dict": {},
    "ids": np.arange(3),
    "floats": np.zeros((2, 2, 2)),
    "no columns": np.zeros((2, 0)),
    "array of texts": np.array([["a"]]),
    "path": Path("nosuch"),
    "class": Section,
    "object": object(),
}
TINY = {"embeddings": {"size": 4}, "encoder": {"units": 4}, "decoder": {"units": 4}}
# Of required parameters. What is not here gets an object, which is refused: so nothing long begins.
BY_NAME = {
    "source_vocabulary_size": 9,
    "target_vocabulary_size": 9,
    "vocabulary_size": 9,
    "sentences": ["the dog"],
    "sentence": "the dog",
    "text": "the dog",
    "lines": ["the dog"],
    "hypotheses": ["the dog"],
    "references": ["the dog"],
    "source": "the dog",
    "target": "the dog",
    "token_ids": [5, 6],
    "pieces": ["a"],
    "units": 4,
    "kind": "gru",
    "source_lengths": [3, 4],
    "target_lengths": [2, 4],
    "max_tokens": 9,
    "shuffle_buffer": 2,
    "seed": 1,
    "epoch": 1,
}
FEW = {"items": 1, "per_label": 1}  # in place of a default that takes seconds
# Their methods run in graphs, at every step, where a check would cost as much as what it checks.
MODELS = {"Seq2Seq", "LanguageModel"}


NO_CALLABLES = {"__version__", "Config", "Seq2SeqError"}


@pytest.fixture(scope="module")
def samples():
    tokenizer = toy_tokenizer()
    size = tokenizer.vocabulary_size
    model = Seq2Seq(size, size, **TINY)
    language_model = LanguageModel(size, {"size": 4}, {"units": 4})
    translator = Translator(model, tokenizer, tokenizer, seq2seq.SearchOptions(beam_size=1, max_length=4))
    (translation,) = translator.translate(["the dog"])
    known = [
        tokenizer,
        model,
        language_model,
        translator,
        translator.scorer,
        TextGenerator(language_model, tokenizer),
        translation,
    ]
    return {type(one): one for one in [*known, Tokenizers(tokenizer, tokenizer), translation_map(translation)]}


def modules():
    for module in pkgutil.walk_packages(seq2seq.__path__, "seq2seq."):
        if not module.name.startswith(("seq2seq.cli", "seq2seq.__main__", "seq2seq.bulk.apache_beam")):
            yield importlib.import_module(module.name)


def public_callables():
    """By name, with the class that a method needs an instance of."""
    found = {name: (getattr(seq2seq, name), None) for name in seq2seq.__all__ if name not in NO_CALLABLES}
    decorated = check_arguments()(lambda: None).__code__
    for module in modules():
        for name, value in vars(module).items():
            if getattr(value, "__module__", "") != module.__name__ or name.startswith("_"):
                continue
            if getattr(value, "__code__", None) is decorated:
                found.setdefault(name, (value, None))
            for method, function in vars(value).items() if inspect.isclass(value) else ():
                plain = getattr(function, "__func__", function)
                public = name in seq2seq.__all__ and not method.startswith("_") and inspect.isfunction(plain)
                if method == "__init__" and getattr(plain, "__code__", None) is decorated:
                    found.setdefault(name, (value, None))
                elif name not in MODELS and (public or getattr(plain, "__code__", None) is decorated):
                    found[f"{name}.{method}"] = (getattr(value, method), value if function is plain else None)
    return found


CALLABLES = public_callables()


def sample(parameter, samples):
    if parameter.name in BY_NAME:
        return BY_NAME[parameter.name]
    by_type = {kind.__name__: value for kind, value in samples.items()}
    return by_type.get(getattr(parameter.annotation, "__name__", str(parameter.annotation)), object())


def check(call, name):
    """What a call with a wrong `name` may do."""
    try:
        call()
    except (ValidationError, AttributeError, KeyError, IndexError) as error:
        pytest.fail(f"{type(error).__name__} from inside: {error}")
    except Seq2SeqError:
        pass
    except (TypeError, ValueError) as error:
        if name not in str(error):
            pytest.fail(f"{type(error).__name__} does not name '{name}': {error}")


@pytest.mark.parametrize("name", CALLABLES)
@pytest.mark.filterwarnings("ignore")
def test_wrong_arguments_are_refused_at_the_door(name, samples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, owner = CALLABLES[name]
    if owner is not None and owner not in samples:
        return
    given = (samples[owner],) if owner else ()
    parameters = list(inspect.signature(function).parameters.values())[len(given) :]
    named = [one for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    required = [one for one in named if one.default is one.empty or one.name in FEW]
    others = {one.name: FEW.get(one.name) or sample(one, samples) for one in required}
    if function in (Seq2Seq, LanguageModel):
        others |= {key: value for key, value in TINY.items() if key in inspect.signature(function).parameters}
    for parameter in named:
        for value in WRONG.values():
            check(partial(function, *given, **others | {parameter.name: value}), parameter.name)
    check(partial(function, *given, **others, nosuch=1), "nosuch")


SECTIONS = [value for value, _ in CALLABLES.values() if inspect.isclass(value) and issubclass(value, Section)]


@pytest.mark.parametrize("section", SECTIONS)
def test_sections_say_what_recipes_say(section):
    for value in WRONG.values():
        with pytest.raises(seq2seq.errors.ConfigError, match=f"^{section.__name__} takes keyword arguments"):
            section(value)
        for key in section.model_fields:
            check(partial(section, **{key: value}), key)


@pytest.mark.filterwarnings("ignore")
def test_models_say_how_they_are_called(samples):
    model = samples[Seq2Seq]
    model.compile("sgd")
    for value in WRONG.values():
        for method in (model, model.fit, model.evaluate, model.compile):
            check(partial(method, value), "")
