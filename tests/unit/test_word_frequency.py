"""Words by their frequency and of two systems, against loops over the words."""

import math
from collections import Counter

import pandas as pd
import pytest

from seq2seq.analysis.plots import translations as figures
from seq2seq.analysis.words import accuracy_by_frequency, compare_words, word_counts, word_matches, word_scores
from seq2seq.errors import EvaluationError

TRAIN = ["a man sees a dog .", "a man and a woman .", "two men see a dog ."]
REFERENCES = ["a man sees a zebra .", "two dogs and a man .", "a woman ."]
HYPOTHESES = ["a man sees a a dog .", "two men and a man .", ""]
OTHER = ["a man sees a zebra .", "two dogs and the dog .", "a woman"]
COUNTS = word_counts(TRAIN)


def by_hand(hypotheses, low, high):
    """Matched, reference and hypothesis words with a frequency from `low` to `high`, word by word."""
    matched = reference = hypothesis = 0
    for ours, theirs in zip(hypotheses, REFERENCES, strict=True):
        left = ours.split()
        for word in theirs.split():
            if low <= COUNTS.get(word, 0) <= high:
                reference += 1
                if word in left:
                    left.remove(word)
                    matched += 1
        hypothesis += sum(low <= COUNTS.get(word, 0) <= high for word in ours.split())
    return matched, reference, hypothesis


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我要去Oslo打篮球。", ["我", "要", "去", "Oslo", "打", "篮", "球", "。"]),
        ("3 o'clock, 1.5 Ünï_x!", ["3", "o'clock", ",", "1.5", "Ünï_x", "!"]),
        ("か\u3099ที่นี่", ["か\u3099", "ที่", "นี่"]),
    ],
)
def test_each_character_of_a_script_without_spaces_is_a_word(text, words):
    assert list(word_counts([text]).elements()) == words


def test_counts_and_matches():
    assert Counter(" ".join(TRAIN).split()) == COUNTS
    matches = word_matches(HYPOTHESES, REFERENCES).set_index(["sentence", "word"])
    assert matches.loc[(0, "a")].tolist() == [2, 3, 2]
    assert matches.loc[(0, "zebra")].tolist() == [1, 0, 0]
    assert matches.loc[(0, "dog")].tolist() == [0, 1, 0]
    assert matches["reference"].sum() == sum(len(line.split()) for line in REFERENCES)
    with pytest.raises(EvaluationError, match="1 hypothesis for 3 references"):
        word_matches(["a"], REFERENCES)


@pytest.mark.parametrize("hypotheses", [HYPOTHESES, OTHER, REFERENCES])
def test_accuracy_by_frequency(hypotheses):
    table = accuracy_by_frequency(word_matches(hypotheses, REFERENCES), COUNTS, edges=(1, 2, 4, 50), samples=50)
    assert table["words"].tolist() == ["0", "1", "2-3", "4-49", "50-"]
    for row, (low, high) in zip(table.to_dict("records"), [(0, 0), (1, 1), (2, 3), (4, 49), (50, 99)], strict=True):
        matched, reference, hypothesis = by_hand(hypotheses, low, high)
        assert (row["matched"], row["reference"], row["hypothesis"]) == (matched, reference, hypothesis)
        for name, over, under in (
            ("recall", matched, reference),
            ("precision", matched, hypothesis),
            ("f1", 2 * matched, reference + hypothesis),
        ):
            if under:
                assert row[name] == pytest.approx(over / under)
                assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
            else:
                assert math.isnan(row[name])
                assert math.isnan(row[f"{name}_low"])
    assert table["types"].tolist() == [2, 4, 2, 1, 0]


@pytest.mark.parametrize("edges", [(), (0, 5), (3, 3), (5, 2)])
def test_edges_must_rise(edges):
    with pytest.raises(EvaluationError, match="in ascending order, from 1 or more"):
        accuracy_by_frequency(word_matches(HYPOTHESES, REFERENCES), COUNTS, edges)


def test_missed_words_come_first():
    words = word_scores(word_matches(HYPOTHESES, REFERENCES), COUNTS).set_index("word")
    assert words["missed"].is_monotonic_decreasing
    assert words.loc["zebra", ["frequency", "missed", "added"]].tolist() == [0, 1, 0]
    assert words.loc["a", ["frequency", "reference", "hypothesis", "matched"]].tolist() == [5, 4, 4, 3]
    assert words.loc["men", ["missed", "added"]].tolist() == [0, 1]


def test_two_systems_differ_in_the_words_that_one_of_them_gets():
    first, second = (word_matches(texts, REFERENCES) for texts in (HYPOTHESES, OTHER))
    found = compare_words(first, second, COUNTS).set_index("word")
    expected = {}
    for word in {word for line in REFERENCES for word in line.split()}:
        pairs = []
        for ours, other, theirs in zip(HYPOTHESES, OTHER, REFERENCES, strict=True):
            pairs.append([min(text.split().count(word), theirs.split().count(word)) for text in (ours, other)])
        if any(a != b for a, b in pairs):
            expected[word] = [sum(a for a, _ in pairs), sum(b for _, b in pairs)]
    assert {word: [row["first"], row["second"]] for word, row in found.iterrows()} == expected
    assert found.loc["man", ["first_only", "second_only", "gain"]].tolist() == [1, 0, -1]
    assert found["gain"].is_monotonic_decreasing
    assert "the" not in found.index  # no reference has it
    swapped = compare_words(second, first, COUNTS).set_index("word")
    pd.testing.assert_series_equal(swapped["gain"].sort_index(), -found["gain"].sort_index())
    with pytest.raises(EvaluationError, match="different references"):
        compare_words(first, word_matches(OTHER[:2], REFERENCES[:2]), COUNTS)


def test_bars_are_the_shares():
    tables = {
        name: accuracy_by_frequency(word_matches(texts, REFERENCES), COUNTS, (1, 4), samples=20)
        for name, texts in (("one", HYPOTHESES), ("two", OTHER))
    }
    (axes,) = figures.plot_accuracy_by_frequency(tables, "precision").axes
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers if hasattr(bars, "patches")]
    for drawn, table in zip(heights, tables.values(), strict=True):
        assert drawn == pytest.approx((100 * table["precision"]).tolist(), nan_ok=True)
    assert len({bar.get_hatch() for bar in axes.patches}) == 2, "systems are told apart without colours"
    assert axes.get_ylabel() == "precision (%)"
    assert [label.get_text().split("\n")[0] for label in axes.get_xticklabels()] == ["0", "1-3", "4-"]
