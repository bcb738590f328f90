"""The probe: items that are judged by the words a phenomenon decides, and what is made of the answers."""

from collections import Counter
from types import SimpleNamespace

import pytest

from seq2seq.analysis.challenge.sets import (
    INTERVENING_PHRASES,
    LONG_DISTANCE,
    Accuracy,
    ChallengeItem,
    draw_challenge_sets,
    evaluate_challenge_sets,
    training_lexicon,
)
from seq2seq.errors import EvaluationError
from seq2seq.inference.translator import Translator
from seq2seq.phrasebook.grammar import Grammar
from seq2seq.phrasebook.phrasebook import assign_split, generate_pairs

ITEMS = 3


@pytest.fixture(scope="module")
def sets():
    return draw_challenge_sets(ITEMS, seed=5, lexicon="basic")


class Answers(Translator):
    """A translator that answers each source from a table."""

    def __init__(self, answers):
        self.answers = answers

    def translate(self, sentences, options=None, *, attention=True, on_progress=lambda done: None):
        on_progress(len(sentences))
        return [SimpleNamespace(text=self.answers[sentence]) for sentence in sentences]


def test_sets_are_of_all_phenomena_unseen_and_without_repeats(sets):
    names = Counter(item.phenomenon for item in sets)
    assert names.pop(LONG_DISTANCE) == ITEMS * len(INTERVENING_PHRASES)
    assert set(names.values()) == {ITEMS}
    assert len(names) == 28
    assert all(assign_split(item.source) == "test" for item in sets)
    assert len({(item.phenomenon, item.source) for item in sets}) == len(sets)
    seen = {source for source, _ in generate_pairs("train", 3000, lexicon="basic")}
    assert not seen & {item.source for item in sets}


def test_a_seed_gives_the_same_sets_and_another_one_others(sets):
    assert draw_challenge_sets(ITEMS, seed=5, lexicon="basic") == sets
    assert draw_challenge_sets(ITEMS, seed=6, lexicon="basic") != sets


def test_no_reference_has_a_combination_that_training_holds_out(monkeypatch):
    held_out, say = {}, Grammar.linearize

    def noted(grammar, node, language):
        sentence = say(grammar, node, language)
        held_out[sentence.text] = grammar.is_held_out(sentence)
        return sentence

    monkeypatch.setattr(Grammar, "linearize", noted)
    drawn = draw_challenge_sets(30, seed=1, lexicon="basic")
    assert any(held_out.values())
    assert not [item.reference for item in drawn if held_out[item.reference]]


def test_a_reference_is_right_and_a_translation_without_the_decided_words_is_wrong(sets):
    for item in sets:
        assert item.is_correct(item.reference), item
        words = item.reference.split()
        assert not item.is_correct(words[0] if 0 not in item.positions else words[-1]), item


@pytest.mark.parametrize(
    ("hypothesis", "right"),
    [
        ("Die Katze hat den Hund gesehen.", True),
        ("Die Katze hat einen Vogel gesehen.", True),  # other words are not judged
        ("Die Katze ist den Hund gesehen.", False),
        ("Die Katze den Hund gesehen hat.", False),  # the word is there, and not where it belongs
        ("", False),
    ],
)
def test_only_decided_words_are_judged_where_they_stand(hypothesis, right):
    item = ChallengeItem("perfect", "The cat has seen the dog.", "Die Katze hat den Hund gesehen.", (2,))
    assert item.is_correct(hypothesis) is right


def test_what_is_right_is_counted_by_phenomenon_and_by_distance(sets):
    answers = {item.source: "falsch" if item.phenomenon == "past" else item.reference for item in sets}
    done = []
    report = evaluate_challenge_sets(Answers(answers), ITEMS, seed=5, lexicon="basic", on_progress=done.append)
    assert done == [len(sets)]
    by_name = {accuracy.name: accuracy for accuracy in report.by_phenomenon}
    assert by_name["past"].correct == 0
    assert all(accuracy.correct == accuracy.total for name, accuracy in by_name.items() if name != "past")
    assert sum(accuracy.total for accuracy in report.by_distance) == ITEMS * len(INTERVENING_PHRASES)
    starts = [int(accuracy.name.split("-")[0]) for accuracy in report.by_distance]
    assert starts == sorted(starts)
    assert starts[-1] > 16
    values = report.as_dict()
    assert values["by_phenomenon"][0].keys() == {"name", "total", "correct", "accuracy", "low", "high"}


def test_wilson_intervals():
    # 8 of 10 is the textbook example: 0.49 to 0.94
    low, high = Accuracy("x", 10, 8).interval
    assert (low, high) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    low, high = Accuracy("x", 25, 25).interval
    assert (low, high) == pytest.approx((0.8668, 1.0), abs=1e-4)
    ends = [(Accuracy("x", n, 0).interval[0], Accuracy("x", n, n).interval[1]) for n in range(1, 400)]
    assert all(low >= 0 and high <= 1 for low, high in ends), "rounding does not exceed a share"


def test_the_lexicon_is_that_of_the_training():
    def config(*parts):
        return SimpleNamespace(data=SimpleNamespace(train=SimpleNamespace(parts=lambda: parts)))

    file = SimpleNamespace(phrasebook=None, lexicon=None)
    assert training_lexicon(config(SimpleNamespace(phrasebook="train", lexicon=None))) == "full"
    assert training_lexicon(config(file, SimpleNamespace(phrasebook="train", lexicon="basic"))) == "basic"
    assert training_lexicon(config(file)) == "basic"


@pytest.mark.parametrize(("items", "lexicon", "message"), [(0, "full", "at least one"), (1, "huge", "full, basic")])
def test_what_cannot_be_drawn_is_said(items, lexicon, message):
    with pytest.raises(EvaluationError, match=message):
        draw_challenge_sets(items, lexicon=lexicon)
