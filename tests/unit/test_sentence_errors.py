"""The table of sentences: what is counted in each, and how two systems differ."""

import numpy as np
import pytest
from sacrebleu import sentence_chrf

from seq2seq.analysis.error_analysis import compare_sentences, sentence_errors, unattended_words
from seq2seq.analysis.plots.translations import plot_score_comparison, plot_scores_and_lengths
from seq2seq.errors import EvaluationError
from seq2seq.evaluation.word_counts import copied_words, count_looped_words, count_repeated_ngrams
from seq2seq.inference.results import Hypothesis, Translation
from tests.toy import toy_tokenizer

SOURCES = ["the dog sees Anna .", "the cat", "a bird"]
REFERENCES = ["der Hund sieht Anna .", "die Katze", "ein Vogel"]
TEXTS = ["der Hund sieht sees sees .", "die Katze", ""]


@pytest.fixture(scope="module")
def tokenizer():
    return toy_tokenizer()


def translation(text, attention, **more):
    tokens = ["x"] * len(attention)
    return Translation([], [Hypothesis(text, -0.5, tokens, np.zeros(len(tokens), np.float32), attention)], **more)


def attending(tokenizer, source, rows):
    """Weights that lie on some places of the source alone, alike."""
    weights = np.zeros((len(rows), len(tokenizer.encode(source)) + 1), np.float32)
    for row, places in enumerate(rows):
        weights[row, places] = 1 / len(places)
    return weights


@pytest.fixture(scope="module")
def table(tokenizer):
    translations = [
        translation(text, attending(tokenizer, source, [[0], [-1]]))
        for text, source in zip(TEXTS, SOURCES, strict=True)
    ]
    return sentence_errors(SOURCES, REFERENCES, translations, tokenizer, {"the": 9, "dog": 2, ".": 3, "a": 1})


@pytest.mark.parametrize(
    ("text", "looped"),
    [
        ("", 0),
        ("a b c a b", 0),  # again, but not at once
        ("a a", 1),
        ("a a a a", 3),
        ("x a b a b y", 2),
        ("a b c d a b c d", 4),
        ("a b c d e a b c d e", 0),  # longer than what is looked for
        ("the man in a man in a hat", 3),
    ],
)
def test_loops(text, looped):
    assert count_looped_words(text.split()) == looped


@pytest.mark.parametrize(
    ("hypothesis", "reference", "n", "repeated"),
    [
        ("a b a b a b", "a b", 2, 3),  # a b twice too often, b a once
        ("a b a b", "a b and a b", 2, 0),  # the reference repeats it too
        ("a a a", "", 1, 2),
        ("a", "a", 2, 0),
    ],
)
def test_repeats_beyond_the_reference(hypothesis, reference, n, repeated):
    assert count_repeated_ngrams(hypothesis.split(), reference.split(), n) == repeated


def test_copies():
    source, reference = ["Anna", "sees", "3", "dogs", "."], ["Anna", "sieht", "drei", "Hunde", "!"]
    assert copied_words(source, ["Anna", "sees", "dogs", "3", "."], reference) == ["sees", "dogs"]


def test_words_without_attention(tokenizer):
    source = "the dogs sees ."
    pieces = tokenizer.pieces(tokenizer.encode(source))
    assert pieces.index("▁s") == 4  # the dogs are several pieces
    rows = [[0], [pieces.index("▁s") - 1], [-1]]  # a word is attended by any of its pieces
    weights = attending(tokenizer, source, rows)
    assert unattended_words(source, translation("x", weights), tokenizer) == ["sees"]  # a mark is no word
    assert unattended_words(source, translation("x", weights / 10), tokenizer) == ["the", "dogs", "sees"]
    # Half a look and half a look are one.
    together = attending(tokenizer, source, [[0], [-2, pieces.index("▁s")], [-2, pieces.index("▁s")]])
    assert unattended_words(source, translation("x", together), tokenizer, min_attention=0.9) == ["dogs"]
    for nothing in (translation("x", weights[:, :0]), translation("x", weights, num_segments=2)):
        assert unattended_words(source, nothing, tokenizer) is None


def test_the_table_has_a_row_for_each_sentence(table):
    assert table["hypothesis"].tolist() == TEXTS
    assert table["exact"].tolist() == [False, True, False]
    expected = [sentence_chrf(ours, [theirs]).score for ours, theirs in zip(TEXTS, REFERENCES, strict=True)]
    assert table["chrf"].tolist() == pytest.approx(expected)
    assert table["chrf"].tolist()[1:] == pytest.approx([100, 0])
    assert table["length_ratio"].tolist() == pytest.approx([6 / 5, 1, 0])
    assert table["looped"].tolist() == [1, 0, 0]
    assert table["copied"].tolist() == ["sees sees", "", ""]
    assert table["unattended"].tolist() == ["dog sees Anna", "cat", "bird"]
    assert table["unseen"].tolist() == ["sees Anna", "cat", "bird"]
    assert (table["score"] == -0.5).all()


def test_texts_must_be_aligned(tokenizer):
    with pytest.raises(EvaluationError, match="3 sources, 3 references and 0 translations"):
        sentence_errors(SOURCES, REFERENCES, [], tokenizer)


def test_two_systems(table, tokenizer):
    better = [REFERENCES[0], "die Katzen", ""]
    nothing = np.zeros((1, 0), np.float32)
    other = sentence_errors(SOURCES, REFERENCES, [translation(text, nothing) for text in better], tokenizer)
    assert other["unattended"].isna().all()
    assert other["unseen"].isna().all()
    found = compare_sentences(table, other)
    assert found.index.tolist() == [0, 1]  # the third is the same
    assert found["gain"].tolist() == pytest.approx((other["chrf"] - table["chrf"])[:2].tolist())
    assert found["gain"].iloc[0] > 0 > found["gain"].iloc[1]
    with pytest.raises(EvaluationError, match="differ"):
        compare_sentences(table, other[:2])
    (axes,) = plot_score_comparison(found, "one", "two").axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["two is closer (1)", "one is closer (1)"]
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [found[["chrf_first", "chrf_second"]].iloc[0]])


def test_sentences_are_drawn(table):
    scores, lengths = plot_scores_and_lengths(table).axes
    assert sum(bar.get_height() for bar in scores.patches) == len(table)
    np.testing.assert_allclose(lengths.collections[0].get_offsets(), [[2, 2], [2, 0]])
    np.testing.assert_allclose(lengths.collections[1].get_offsets(), [[5, 6]])
    assert "chrF2" in scores.get_xlabel()
    assert lengths.get_ylabel() == "words of the translation"
