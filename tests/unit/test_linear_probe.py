"""Probes: sentences whose features are known, and classifiers that cannot cheat."""

import re

import numpy as np
import pandas as pd
import pytest

from seq2seq.analysis.challenge.features import (
    INFO_COLUMNS,
    LABELS,
    draw_labelled_sentences,
    lexeme_positions,
    word_classes,
)
from seq2seq.analysis.linear_probe import probe_positions, train_linear_probe
from seq2seq.analysis.plots.translations import plot_probe_accuracy
from seq2seq.errors import ArgumentError, EvaluationError
from seq2seq.evaluation.intervals import bootstrap_ratio_interval
from seq2seq.inference.translator import Translator
from seq2seq.phrasebook.grammar.phenomena import split_words
from seq2seq.phrasebook.phrasebook import assign_split, load_grammar, make_random
from tests.toy import save_random_model, toy_tokenizer

# Number and tense of sentences by their spelling, which the package does not look at.
PLURALS = {"men": "man", "women": "woman", "children": "child", "wives": "wife"}
AUXILIARY = {
    "progressive": r"\b(am|is|are)( not)? \w+ing\b",
    "perfect": r"\b(has|have)( not)? \w+",
    "future": r"\bwill\b",
    "habit": r"^(?!.*\b(did|will)\b)",
    "past": r"^(?!.*\b(does|do|will|is|are)\b)",
}


@pytest.fixture(scope="module")
def number():
    return draw_labelled_sentences("number", 40, seed=3)


@pytest.fixture(scope="module")
def tense():
    return draw_labelled_sentences("tense", 25, seed=3)


@pytest.mark.parametrize("feature", ["number", "tense"])
def test_labels_are_equally_frequent_and_sentences_new(feature, request):
    frame = request.getfixturevalue(feature)
    assert set(frame["label"].value_counts()) == {len(frame) // len(LABELS[feature])}
    assert frame["sentence"].is_unique
    assert all(assign_split(sentence) == "test" for sentence in frame["sentence"])
    for row in frame.to_dict("records"):
        words = split_words(row["sentence"])
        assert row["end"] == len(words)
        assert words[row["noun" if feature == "number" else "verb"]] == row["word"]


def test_a_plural_is_spelled_as_one_and_nothing_else_tells_it(number):
    for row in number.to_dict("records"):
        word, lemma = row["word"], row["lemma"]
        singular = PLURALS.get(word, word.removesuffix("s") if row["label"] == "plural" else word)
        assert singular in (lemma, re.sub("y$", "ie", lemma)), row
        words = split_words(row["sentence"])
        assert row["before"] == row["noun"] - 1
        assert not {"These", "This", "is", "are", "was", "were", "has", "have", "does", "do"} & set(words), row
        assert row["verb"] > row["noun"]


def test_a_tense_is_that_of_the_verb(tense):
    for row in tense.to_dict("records"):
        assert re.search(AUXILIARY[row["label"]], row["sentence"]), row
        if row["label"] == "progressive":
            assert row["word"].endswith("ing")
        if row["label"] in ("habit", "future"):  # of several words the first is the verb
            base = row["lemma"].split()[0]
            assert row["word"] in (base, f"{base}s", f"{base}es", re.sub("y$", "ies", base)), row


def test_the_same_seed_gives_the_same_sentences(number):
    pd.testing.assert_frame_equal(number, draw_labelled_sentences("number", 40, seed=3))
    assert not number["sentence"].equals(draw_labelled_sentences("number", 40, seed=4)["sentence"])


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(ArgumentError, match=r"feature: expected 'number' or 'tense', found the string 'gender'\."):
        draw_labelled_sentences("gender")
    with pytest.raises(EvaluationError, match="'per_label' is 0"):
        draw_labelled_sentences("tense", 0)


def test_the_places_of_a_word_are_where_it_is_said_and_nothing_is_changed():
    grammar, random = load_grammar("basic"), make_random("test", 5)
    found = 0
    for _ in range(200):
        sentence = grammar.draw(random, "sentence.statement")
        clause = sentence["clause"]
        before = {language: grammar.linearize(sentence, language).text for language in grammar.languages}
        for index, language in enumerate(grammar.languages):
            places = lexeme_positions(grammar, sentence, clause, "verb", language)
            assert grammar.linearize(sentence, language).text == before[language]
            words = split_words(before[language])
            forms = {word.lower() for form in clause["verb"][index].values() for word in form.split()}
            assert all(words[place].lower() in forms for place in places)
            found += len(places)
    assert found > 350


def make(rng, groups=20, each=8, width=6):
    """Groups of rows that share a vector, and a label for every group in turn."""
    lemmas = np.repeat([f"g{i}" for i in range(groups)], each)
    own = rng.normal(size=(groups, width)).repeat(each, axis=0)
    labels = np.where(np.arange(groups).repeat(each) % 2, "b", "a")
    return own + 0.01 * rng.normal(size=(groups * each, width)), labels, lemmas


def test_a_probe_finds_what_is_there_in_new_groups(rng):
    vectors, labels, lemmas = make(rng)
    found = train_linear_probe(vectors + 9 * (labels == "b")[:, None], labels, lemmas, lemmas, seed=2)
    assert found.accuracy == found.seen_group_accuracy == 1
    assert (found.low, found.high) == (1, 1)
    assert (found.samples, found.groups, found.majority_baseline) == (160, 20, 0.5)


def test_a_probe_does_not_know_groups_by_heart_and_control_tells_that_it_could(rng):
    """Vectors say which group a row is of and nothing else; with as many numbers as groups all can be learnt."""
    vectors, labels, lemmas = make(rng, groups=30, width=40)
    found = train_linear_probe(vectors, labels, lemmas, lemmas, seed=2)
    assert found.seen_group_accuracy > 0.99
    assert found.control_accuracy > 0.99
    assert abs(found.selectivity) < 0.01
    assert found.low < 0.5 < found.high  # a fold that shared a group with training would be near 1
    assert found.accuracy < 0.8


def test_control_is_by_type(rng):
    """Rows of a type get one label: with vectors that say nothing of the type it cannot be learnt."""
    labels = np.array(["a", "b"] * 100)
    vectors = (labels == "b")[:, None] + 0.1 * rng.normal(size=(200, 3))
    types = np.repeat([f"t{i}" for i in range(50)], 4)
    found = train_linear_probe(vectors, labels, types, types, seed=1)
    assert found.seen_group_accuracy == 1
    assert found.control_accuracy < 0.7
    assert found.majority_baseline == 0.5
    assert found.selectivity == found.seen_group_accuracy - found.control_accuracy > 0.3


@pytest.mark.parametrize(
    ("labels", "groups", "error", "message"),
    [
        ("ab" * 9, "abcdef" * 3, ValueError, "inconsistent numbers of samples"),
        ("a" * 20, "abcdefghij" * 2, ValueError, "at least 2 classes"),
        ("ab" * 10, "abcd" * 5, EvaluationError, "found 4"),
    ],
)
def test_a_probe_says_what_it_lacks(rng, labels, groups, error, message):
    with pytest.raises(error, match=message):
        train_linear_probe(rng.normal(size=(20, 2)), list(labels), list(groups), list(groups))


def test_an_interval_of_shares_is_as_wide_as_theory_says(rng):
    right = rng.random(500) < 0.3
    low, high = bootstrap_ratio_interval(right, np.ones(500), samples=4000, seed=1)
    half = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 500)
    assert low == pytest.approx(right.mean() - half, abs=0.006)
    assert high == pytest.approx(right.mean() + half, abs=0.006)
    # Four copies of each unit say no more than one: the interval stays, and does not halve.
    assert bootstrap_ratio_interval(4 * right, np.full(500, 4), samples=4000, seed=1) == pytest.approx((low, high))


def test_an_interval_of_a_ratio_agrees_with_drawing_one_by_one(rng):
    over, under = rng.integers(0, 3, 40), rng.integers(1, 6, 40)
    drawn = rng.integers(0, 40, (4000, 40))
    ratios = [over[rows].sum() / under[rows].sum() for rows in drawn]
    found = bootstrap_ratio_interval(over, under, samples=4000, seed=9)
    np.testing.assert_allclose(found, np.percentile(ratios, [2.5, 97.5]), atol=0.015)
    assert all(map(np.isnan, bootstrap_ratio_interval(np.zeros(3), np.zeros(3))))
    with pytest.raises(EvaluationError, match=r"found shapes \(3,\) and \(2,\)"):
        bootstrap_ratio_interval(np.zeros(3), np.zeros(2))


def test_words_have_classes():
    classes = word_classes()
    expected = {"bought": "verb", "buying": "verb", "teachers": "noun", "bigger": "adjective", "Berlin": "name"}
    assert {word: classes.get(word) for word in expected} == expected
    assert classes["work"] == "verb", "the first of its classes"
    assert not {"the", "in", "quickly", ""} & set(classes)
    assert set(classes) < set(word_classes("full"))


def test_places_are_probed_in_every_layer(tmp_path, number):
    tokenizer = toy_tokenizer()
    model = save_random_model(tmp_path / "model", tokenizer)
    places = ["before", "noun", "end"]
    probes = probe_positions(
        Translator(model, tokenizer, tokenizer), number[[*INFO_COLUMNS, *places]], regularization=10
    )
    assert list(zip(probes["layer"], probes["position"], strict=True)) == [
        (layer, place) for layer in ("embedding", "encoder") for place in places
    ]
    by_place = probes.set_index(["layer", "position"])["accuracy"]
    # All ends of sentences have the same embedding: nothing can be read off it.
    assert by_place["embedding", "end"] <= 0.55
    # The last letters of the noun are pieces of its own: its embeddings tell the number, and its neighbour's do not.
    assert by_place["embedding", "noun"] > by_place["embedding", "before"] + 0.1
    figure = plot_probe_accuracy(probes, "Number")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == places
    assert "%" in axes.get_ylabel()
    of_encoder = probes[probes["layer"] == "encoder"]
    marks = [container.lines[0] for container in axes.containers[3:]]
    for line, column in zip(marks, ("accuracy", "seen_group_accuracy", "control_accuracy"), strict=True):
        drawn = np.asarray(line.get_ydata(), float)
        np.testing.assert_allclose(drawn, 100 * of_encoder[column].astype(float))
    across = np.concatenate([container.lines[0].get_xdata() for container in axes.containers])
    assert len(set(across.round(3))) == 3 * len(probes), "no mark covers another"
