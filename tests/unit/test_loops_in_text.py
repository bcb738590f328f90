"""Text that repeats itself over and over: what counts, and where it is said."""

import json

import numpy as np
import pytest

from seq2seq.inference.repetition import repeats
from seq2seq.inference.translator import Translator
from tests.command import run
from tests.toy import save_random_model, save_trained, toy_tokenizer

pytestmark = pytest.mark.usefixtures("shared_searches")

SENTENCE = "The committee has decided that the proposal is to be discussed again."


@pytest.mark.parametrize(
    "text",
    [
        "der Mann der Mann der Mann der Mann",
        "Saual ka Safen. Saual ka Safen. Saual ka Safen. Saual ka Safen.",
        " ".join([SENTENCE] * 4),
        "Nein, nein, nein, nein!",
        "he said HE SAID he said: he said",
        "a a a a",
        ". . . . .",
        "Bererererer",
        "haha-haha-haha-haha-",
        "我喜欢我喜欢我喜欢我喜欢",
        "不，不，不，不",
        "ฉันฉันฉันฉัน",
        "नहीं नहीं नहीं नहीं",
        "нет нет нет нет",
        "ha ha ha ha, " + "and so on and on",
        "a" * 8,
        "!!!!!!!!",
        "Noooooooooo",
    ],
)
def test_a_loop(text):
    assert repeats(text)
    assert repeats(f"Well, {text} etc.", "a source", "a reference")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "der Mann und der Mann und der Hund",
        "no no no",
        " ".join([SENTENCE] * 3),
        "a" * 7,
        "Hmmm...",
        "10000000 Euro",
        "1000000000000000 Euro",
        "Geschwindigkeitsbegrenzung",
        "the cat and the dog and the bird and the king and the man",
        "我喜欢我喜欢我喜欢",
        "人人都喜欢",
    ],
)
def test_no_loop(text):
    assert not repeats(text)


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        ("Nein nein nein nein!", "no no no no", False),
        ("Ha ha ha ha ha ha!", "Ha ha ha ha ha ha!", False),
        ("哈哈哈哈", "ha ha ha ha", False),
        ("ha ha ha ha", "哈哈哈哈", False),
        ("nein nein nein nein", "no", True),
        ("a" * 20, "a" * 3000, False),
        ("________", "________", False),
        ("Das ist es. " * 5, "a" * 3000, True),
        ("an" * 20, "a" * 3000, True),
        ("a" * 20, "no no no no", False),
        ("a" * 20, "10000000000", True),
    ],
)
def test_a_source_excuses_what_it_does_itself(text, source, expected):
    assert repeats(text, source) == expected
    assert repeats(text, "something", source) == expected


def test_very_long_text():
    for text in ("the dog sees bird. " * 20_000, "x" * 400_000, "qwertzuiop" * 40_000):
        assert repeats(text)


@pytest.fixture(scope="module")
def looping(tmp_path_factory):
    """A model that says the same whatever it is asked, until it has no more room."""
    folder, tokenizer = tmp_path_factory.mktemp("looping") / "model", toy_tokenizer()
    model = save_random_model(folder, tokenizer, search={"beam_size": 2, "max_length_extra": 20})
    bias = np.zeros(tokenizer.vocabulary_size, np.float32)
    bias[tokenizer.ids(["▁Hund"])] = 30.0
    model.output_bias.assign(bias)
    save_trained(folder, model, {})
    return folder


def test_a_translator_says_which_translations_repeat_themselves(looping):
    translator = Translator.load(looping)
    lines = ["the dog sees bird", "", "a" * 3000, "bird bird bird bird bird"]
    assert [result.repeats for result in translator.translate(lines)] == [True, False, True, False]
    options = translator.options.model_copy(update={"no_repeat_ngram_size": 1})
    assert not any(result.repeats for result in translator.translate([lines[0], lines[3]], options))


def test_the_command_names_the_lines_and_the_remedy(looping, tmp_path, capsys):
    lines = ["the dog sees bird", "", "a" * 3000, "bird bird bird bird bird"]
    (tmp_path / "source").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def said(*arguments):
        arguments = "-i", tmp_path / "source", "-o", tmp_path / "out", *arguments
        assert run("translate", looping, *arguments) == 0
        return capsys.readouterr().err

    assert said("--format", "jsonl").endswith(
        "2 with repetition (lines 1, 3). Against repetition: --no-repeat-ngram-size 3\n"
    )
    values = [json.loads(row) for row in (tmp_path / "out").read_text(encoding="utf-8").splitlines()]
    assert [value["repeats"] for value in values] == [True, False, True, False]
    assert "Against" not in said("--no-repeat-ngram-size", 3)
    assert "Against" in said("--repetition-penalty", 1.2)
