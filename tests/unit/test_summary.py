"""What is said of translated text when it is done."""

import math
from dataclasses import replace

import numpy as np
import pytest

from seq2seq.config import SearchOptions
from seq2seq.inference.results import Hypothesis, Translation, blank_translation, join_segments
from seq2seq.inference.summary import MIN_LOW_LOSS, TranslationSummary, UnknownCharacters, low_log_prob


def translation(log_probs=(-0.1, -0.3), coverage=(1.0, 1.0, 0.5), unknown=""):
    source = [*(f"▁{n}" for n in range(len(coverage) - 1)), "</s>"]
    tokens = ["▁x"] * (len(log_probs) - 1) + ["</s>"]
    one = Hypothesis("x", sum(log_probs), tokens, np.array(log_probs, np.float32), np.zeros((len(tokens), 0)))
    one = Hypothesis(**{**vars(one), "coverage": np.array(coverage, np.float32)})
    return Translation(source, [one], unknown_tokens=len(unknown), unknown_characters=tuple(unknown))


def test_a_translation_tells_how_sure_and_how_complete_it_is():
    one = translation(log_probs=(-0.5, -1.0), coverage=(0.05, 0.9, 0.2, 0.0))
    assert one.mean_log_prob == pytest.approx(-0.75)
    assert one.unattended_share == pytest.approx(1 / 3), "the last one is </s>"
    assert one.as_dict()["unattended_share"] == pytest.approx(1 / 3)
    joined = join_segments(
        [translation(coverage=(0.05, 0.9, 0.2, 0.0), unknown="ь"), translation(coverage=(0.0, 0.0), unknown="ëь")]
    )
    assert joined.unattended_share == pytest.approx(2 / 4), "each segment has a </s> of its own"
    assert joined.unknown_tokens == 3
    assert joined.unknown_characters == ("ь", "ë")
    assert joined.as_dict()["unknown_characters"] == ["ь", "ë"]


def test_a_blank_is_neither_good_nor_bad():
    blank = blank_translation()
    assert math.isnan(blank.mean_log_prob)
    assert math.isnan(blank.unattended_share)
    values = blank.as_dict()
    assert (values["unattended_share"], values["translations"][0]["score"]) == (None, None)
    summary = TranslationSummary(low_log_prob=0.0)
    summary.add(1, blank)
    assert (summary.sentences, summary.tokens, summary.low.count, summary.unattended.count) == (0, 0, 0, 0)
    assert summary.describe(0.0).startswith("0 sentences, 1 blank line in 0.0 s, ")


def test_a_summary_names_the_first_lines_to_check():
    summary = TranslationSummary(low_log_prob=-1.0)
    for number in range(1, 9):
        summary.add(number, translation(log_probs=(-1.5, -1.0) if number > 1 else (-1.0, -1.0)))
    summary.add(9, translation(unknown="ë\u0301ь"))
    summary.add(10, translation(coverage=(0.0, 0.0, 1.0, 1.0, 0.0)))
    summary.add(11, translation(coverage=(0.0, 0.0, 1.0, 1.0, 1.0, 0.0)))
    summary.seconds = 11.0
    unknown = "1 line has characters that the model does not know: ë, U+0301, ь (line 9)\n"
    to_check = (
        f"{unknown}11 sentences in 11.0 s, 2 tokens/s, after 4.3 s of loading the model. Lines to check: 1 with "
        "unknown characters (line 9), 7 with low scores (lines 2, 3, 4, 5, 6, ...), 1 with unattended source text "
        "(line 10)"
    )
    assert summary.describe(loading=4.26) == to_check
    for number in (3, 7):
        summary.add(number, replace(blank_translation(), repeats=True))
    to_check = to_check.replace("11 sentences in", "11 sentences, 2 blank lines in")
    remedy = ", 2 with repetition (lines 3, 7). Against repetition: --no-repeat-ngram-size 3"
    assert summary.describe(loading=4.26) == to_check + remedy
    summary.no_repeat_ngram_size = 4
    assert summary.describe(loading=4.26) == to_check + remedy
    summary.no_repeat_ngram_size = 3
    assert summary.describe(loading=4.26) == to_check + remedy.rpartition(". ")[0]


def test_unknown_characters_are_named_once():
    unknown = UnknownCharacters()
    assert unknown.describe("model") == ""
    for number, characters in enumerate(["ab", "", "ba", "c", "d", "e", "a", "fghijkl"], start=1):
        unknown.add(number, characters)
    assert unknown.describe("tokenizer") == (
        "7 lines have characters that the tokenizer does not know: a, b, c, d, e, f, g, h, i, j, ... (lines 1, 3, 4, "
        "5, 6, ...)"
    )


@pytest.mark.parametrize(
    ("size", "count", "said"),
    [
        (1, 1, "1 line of several sentences was translated sentence by sentence (line 2)"),
        (1, 3, "3 lines of several sentences were translated sentence by sentence (lines 2, 3, 4)"),
        (2, 3, "3 lines of several sentences were translated in groups of up to 2 sentences (lines 2, 3, 4)"),
    ],
)
def test_what_was_done_with_several_sentences_is_said_once(size, count, said):
    summary = TranslationSummary(group_size=size)
    summary.add(1, translation())
    for number in range(count):
        summary.add(2 + number, replace(translation(), num_groups=2))
    assert summary.describe(0.0).splitlines()[0] == f"{said}; --no-split-sentences turns this off"


def test_a_summary_says_nothing_of_what_is_not_there():
    summary = TranslationSummary()
    assert (
        summary.describe(loading=0.0) == "0 sentences in 0.0 s, including compiling, after 0.0 s of loading the model"
    )
    summary.add(1, translation(log_probs=(-50.0, -50.0)))
    summary.seconds = 4.0
    assert summary.describe(0.0) == "1 sentence in 4.0 s, including compiling, after 0.0 s of loading the model"


def test_a_translation_is_printed_as_its_text():
    one = translation()
    assert str(one) == str(one.hypotheses[0]) == "x"
    assert repr(one).startswith("Translation('x', score=-0.400")


@pytest.mark.parametrize(
    ("scores", "values", "expected"),
    [
        ({"validation": {"valid_loss": 2.0}}, {"no_repeat_ngram_size": 3}, -2.0),
        ({"validation": {"valid_loss": 2.0}}, {"repetition_penalty": 1.2}, -math.inf),
        ({"validation": {"valid_loss": 2.0}}, {}, -2.0),
        ({"validation": {"valid_loss": 0.01}}, {}, -MIN_LOW_LOSS),
        ({}, {}, -math.inf),
        ({"validation": {"valid_loss": 2.0}}, {"sample": True}, -math.inf),
        ({"validation": {"valid_loss": 2.0}}, {"language_model": "lm"}, -math.inf),
    ],
)
def test_a_score_is_low_below_that_of_what_people_wrote(scores, values, expected):
    assert low_log_prob(scores, SearchOptions(**values)) == expected
