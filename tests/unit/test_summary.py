"""What is said of translated text when it is done."""

import math
from dataclasses import replace

import numpy as np
import pytest

from seq2seq.config import SearchOptions
from seq2seq.inference.results import Hypothesis, Translation, blank_translation, join_segments
from seq2seq.inference.summary import MIN_LOW_LOSS, TranslationSummary, low_log_prob


def translation(log_probs=(-0.1, -0.3), coverage=(1.0, 1.0, 0.5), unknown=0):
    source = [*(f"▁{n}" for n in range(len(coverage) - 1)), "</s>"]
    tokens = ["▁x"] * (len(log_probs) - 1) + ["</s>"]
    one = Hypothesis("x", sum(log_probs), tokens, np.array(log_probs, np.float32), np.zeros((len(tokens), 0)))
    one = Hypothesis(**{**vars(one), "coverage": np.array(coverage, np.float32)})
    return Translation(source, [one], unknown_tokens=unknown)


def test_a_translation_tells_how_sure_and_how_complete_it_is():
    one = translation(log_probs=(-0.5, -1.0), coverage=(0.05, 0.9, 0.2, 0.0))
    assert one.mean_log_prob == pytest.approx(-0.75)
    assert one.unattended_share == pytest.approx(1 / 3), "the last one is </s>"
    assert one.as_dict()["unattended_share"] == pytest.approx(1 / 3)
    joined = join_segments([one, translation(coverage=(0.0, 0.0), unknown=2)])
    assert joined.unattended_share == pytest.approx(2 / 4), "each segment has a </s> of its own"
    assert joined.unknown_tokens == 2


def test_a_blank_is_neither_good_nor_bad():
    blank = blank_translation()
    assert math.isnan(blank.mean_log_prob)
    assert math.isnan(blank.unattended_share)
    values = blank.as_dict()
    assert (values["unattended_share"], values["translations"][0]["score"]) == (None, None)
    summary = TranslationSummary(low_log_prob=0.0)
    summary.add(1, blank)
    assert (summary.sentences, summary.tokens, summary.low.count, summary.unattended.count) == (0, 0, 0, 0)


def test_a_summary_names_the_first_lines_to_check():
    summary = TranslationSummary(low_log_prob=-1.0)
    for number in range(1, 9):
        summary.add(number, translation(log_probs=(-1.5, -1.0) if number > 1 else (-1.0, -1.0)))
    summary.add(9, translation(unknown=3))
    summary.add(10, translation(coverage=(0.0, 0.0, 1.0, 1.0, 0.0)))
    summary.add(11, translation(coverage=(0.0, 0.0, 1.0, 1.0, 1.0, 0.0)))
    summary.seconds = 0.5
    to_check = (
        "11 sentences in 0.5 s, 44 tokens/s, after 4.3 s of loading the model. Lines to check: 1 with unknown "
        "characters (line 9), 7 with low scores (lines 2, 3, 4, 5, 6, ...), 1 with unattended source text (line 10)"
    )
    assert summary.describe(loading=4.26) == to_check
    for number in (3, 7):
        summary.add(number, replace(blank_translation(), repeats=True))
    remedy = ", 2 with repetition (lines 3, 7). Against repetition: --no-repeat-ngram-size 3"
    assert summary.describe(loading=4.26) == to_check + remedy
    summary.no_repeat_ngram_size = 4
    assert summary.describe(loading=4.26) == to_check + remedy
    summary.no_repeat_ngram_size = 3
    assert summary.describe(loading=4.26) == to_check + remedy.partition(". ")[0]


def test_a_summary_says_nothing_of_what_is_not_there():
    summary = TranslationSummary()
    assert summary.describe(loading=0.0) == "0 sentences in 0.0 s, after 0.0 s of loading the model"
    summary.add(1, translation(log_probs=(-50.0, -50.0)))
    summary.seconds = 1.0
    assert summary.describe(0.0) == "1 sentence in 1.0 s, 2 tokens/s, after 0.0 s of loading the model"


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
