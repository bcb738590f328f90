"""Lines that are too long for the model: where they are divided, and that the pieces make one translation."""

from random import Random

import keras
import numpy as np
import pytest

from seq2seq.config import SearchOptions, TokenizerConfig
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.inference.results import Hypothesis, Translation, join_segments
from seq2seq.inference.segments import split_line
from seq2seq.inference.translator import Translator
from seq2seq.models.build import build_model
from tests.conftest import randomize
from tests.toy import pairs, toy_config

pytestmark = pytest.mark.usefixtures("shared_searches")

LONG = "the dog sees bird here. the king, the man loves cat and dog! the cat finds tree and bird today"


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    sentences = [side for pair in pairs(200, 1) for side in pair]
    symbols = (".", ",", "!")
    tokenizer = Tokenizer.train(sentences, TokenizerConfig(vocabulary_size=53, user_defined_symbols=symbols))
    keras.utils.set_random_seed(2)
    model = build_model(toy_config(tmp_path_factory.mktemp("toy")), Tokenizers(tokenizer, tokenizer))
    randomize(model, seed=5, scale=0.7)
    return Translator(model, tokenizer, tokenizer)


def options(**values):
    own = {"beam_size": 2, "max_length_factor": 1.0, "max_length_extra": 4, "split_sentences": False}
    return SearchOptions(**own | values)


def tokens(text):
    """One token a word, and each mark of its own: `a. b` is " a", ".", " b"."""
    made = []
    for word in text.split(" "):
        letters = [letter for letter in word if not letter.isalnum()]
        made.append(" " + word[: len(word) - len(letters)])
        made.extend(letters)
    return made


@pytest.mark.parametrize(
    ("surfaces", "most", "expected"),
    [
        (tokens("a b. c d"), 6, ["a b. c d"]),
        (tokens("a b. c d"), 5, ["a b. c d"]),
        (tokens("a b. c d e"), 5, ["a b.", "c d e"]),  # a sentence before a word
        (tokens("a, b. c, d e"), 6, ["a, b.", "c, d e"]),  # a sentence before a clause
        (tokens("a. b. c d e"), 6, ["a. b.", "c d e"]),  # the last one that fits
        (tokens("a b, c d e"), 5, ["a b,", "c d e"]),  # a clause before a word
        (tokens("a b c d e"), 3, ["a b c", "d e"]),  # a word
        (tokens("a b c! d e"), 4, ["a b c!", "d e"]),  # one that just fits
        (tokens("a b. c. d e"), 3, ["a b.", "c.", "d e"]),
        ([" a", " (", "b", ".", ")", " c", " d"], 6, ["a (b.)", "c d"]),  # with what closes it
        (["a", ".”", " b", " c"], 3, ["a.”", "b c"]),
        ([" a", " 3", ".", "5", " b", " c"], 5, ["a 3.5 b", "c"]),  # a number has no end inside
        ([" wo", "rd", " an", "other"], 3, ["word", "another"]),
        ([" wo", "rd", "oid", "s", " b"], 3, ["wordoid", "s b"]),  # nothing but letters
        (["他", "说", "，", "好", "。", "」", "他", "走", "了"], 7, ["他说，好。」", "他走了"]),
        (["他", "说", "，", "好", "吗", "？", "走", "了"], 5, ["他说，", "好吗？走了"]),
        (["好", "!", "他", "走", "了"], 4, ["好!", "他走了"]),
        (["好", "", "", "雪", "走"], 3, ["好", "雪", "走"]),  # a character in three tokens
        (["", "", "雪"], 2, ["", "雪"]),  # that do not fit
    ],
)  # fmt: skip
def test_a_line_is_divided_at_the_best_place(surfaces, most, expected):
    pieces = split_line(surfaces, most)
    assert ["".join(surfaces[place] for place in piece).strip() for piece in pieces] == expected


@pytest.mark.parametrize(
    ("surfaces", "most", "term", "expected"),
    [
        (tokens("a b c d e"), 3, "c d", ["a b", "c d e"]),
        (tokens("a b c d e"), 3, "b c", ["a b c", "d e"]),  # it just fits
        (tokens("a b c. d e"), 4, "c. d", ["a b", "c. d e"]),  # a word before a sentence in a term
        (tokens("a b c d e"), 3, "b c d e", ["a", "b c d", "e"]),  # which does not fit
        (["他", "说", "好", "吗", "走", "了"], 3, "好吗", ["他说", "好吗走", "了"]),
        (["他", "说", "好", "吗", "走", "了"], 4, "好吗", ["他说好吗", "走了"]),
        ([" ", "wo", "rd", "oid", " b"], 3, "wordoid", ["word", "oid b"]),  # no segment without text
        ([" a", " ", "wo", "rd"], 3, "word", ["a", "word"]),
    ],
)  # fmt: skip
def test_a_term_is_not_divided_if_it_fits(surfaces, most, term, expected):
    start = "".join(surfaces).index(term)
    pieces = split_line(surfaces, most, [(start, start + len(term))])
    assert ["".join(surfaces[place] for place in piece).strip() for piece in pieces] == expected


def test_pieces_fit_and_nothing_is_lost():
    random = Random(3)
    for _ in range(200):
        surfaces = random.choices([" a", "b", " ", ".", ",", "", "雪", "。", " c.", "”"], k=random.randint(1, 40))
        most = random.randint(1, 12)
        ends = sorted(random.choices(range(len("".join(surfaces)) + 1), k=2))
        pieces = split_line(surfaces, most, [(ends[0], ends[1])])
        assert [place for piece in pieces for place in piece] == list(range(len(surfaces)))
        assert all(1 <= len(piece) <= most for piece in pieces)


def same(ours, theirs, attention=True):
    for a, b in zip(ours.hypotheses, theirs.hypotheses, strict=True):
        assert (a.text, a.tokens) == (b.text, b.tokens)
        assert a.score == pytest.approx(b.score, abs=1e-4)
        np.testing.assert_allclose(a.token_log_probs, b.token_log_probs, atol=1e-4)
        if attention:
            np.testing.assert_allclose(a.attention, b.attention, atol=1e-5)


@pytest.mark.parametrize(
    "values",
    [{"beam_size": 1}, {"n_best": 2, "coverage_penalty": 0.2}, {"sample": True, "n_best": 2}],
)
def test_a_long_line_is_its_pieces(translator, values):
    pieces = ["the dog sees bird here.", "the king,", "the man loves cat and dog!", "the cat finds tree and bird today"]
    sizes = [len(translator.tokenizers.source.encode(piece)) for piece in pieces]
    limit = max(sizes) + 1
    assert sizes[1] + sizes[2] >= limit, "the clause and the sentence after it do not fit together"
    lines = ["the bird", LONG, "", LONG, "the cat sees dog here"]
    results = translator.translate(lines, options(**values, max_source_tokens=limit))
    assert [result.num_segments for result in results] == [1, 4, 1, 4, 1]
    assert len(results) == 5
    for place in (0, 2, 4):
        same(results[place], translator.translate([lines[place]], options(**values))[0])
    alone = translator.translate(pieces, options(**values))
    for long in (results[1], results[3]):
        assert long.truncated_tokens == 0
        assert long.source_tokens == [token for piece in alone for token in piece.source_tokens]
        assert len(long.hypotheses) == values.get("n_best", 1)
        for n, hypothesis in enumerate(long.hypotheses):
            parts = [piece.hypotheses[n] for piece in alone]
            assert hypothesis.text == " ".join(part.text for part in parts if part.text)
            assert hypothesis.tokens == [token for part in parts for token in part.tokens]
            assert hypothesis.tokens.count("</s>") == 4
            log_probs = np.concatenate([part.token_log_probs for part in parts])
            np.testing.assert_allclose(hypothesis.token_log_probs, log_probs, atol=1e-4)
            assert hypothesis.score == pytest.approx(sum(part.score for part in parts), abs=1e-3)
            assert hypothesis.attention.shape == (len(hypothesis.tokens), len(long.source_tokens))
            row = column = 0
            for part in parts:
                rows, columns = part.attention.shape
                block = hypothesis.attention[row : row + rows, column : column + columns]
                np.testing.assert_allclose(block, part.attention, atol=1e-5)
                row, column = row + rows, column + columns
            np.testing.assert_allclose(hypothesis.attention.sum(axis=1), 1.0, atol=1e-5)


def test_a_line_that_just_fits_is_untouched_bit_for_bit(translator):
    length = len(translator.tokenizers.source.encode(LONG)) + 1
    for kind in ("split", "truncate"):
        plain, fits = (
            translator.translate([LONG], options(long_lines=kind, max_source_tokens=limit))[0]
            for limit in (10_000, length)
        )
        assert (fits.num_segments, fits.truncated_tokens) == (1, 0)
        assert (plain.text, plain.score, plain.tokens) == (fits.text, fits.score, fits.tokens)
        np.testing.assert_array_equal(plain.attention, fits.attention)
        np.testing.assert_array_equal(plain.token_log_probs, fits.token_log_probs)
    (split,) = translator.translate([LONG], options(max_source_tokens=length - 1))
    assert split.num_segments == 2, "and one that just does not is divided"


def test_a_cut_line_is_its_first_tokens(translator):
    limit = 9
    ids = translator.tokenizers.source.encode(LONG)
    results = translator.translate(["the bird", LONG, ""], options(long_lines="truncate", max_source_tokens=limit))
    assert [result.truncated_tokens for result in results] == [0, len(ids) - limit + 1, 0]
    assert [result.num_segments for result in results] == [1, 1, 1]
    cut = results[1]
    assert cut.source_tokens == [*translator.tokenizers.source.pieces(ids[: limit - 1]), "</s>"]
    start = translator.tokenizers.source.decode(ids[: limit - 1])
    assert translator.tokenizers.source.encode(start) == ids[: limit - 1], "so that it can be compared"
    same(cut, translator.translate([start], options())[0])


def test_progress_counts_lines(translator):
    counts = []
    lines = ["", LONG, "the bird", LONG]
    translator.translate(lines, options(max_source_tokens=8, batch_tokens=30), on_progress=counts.append)
    assert len(counts) > 4
    assert counts == sorted(counts)
    assert counts[0] in (1, 2)
    assert counts[-1] == 4
    assert set(counts) <= {1, 2, 3, 4}


def hypothesis(text, score, rows, columns, weight):
    weights = np.full((rows, columns), weight, np.float32)
    return Hypothesis(text, score, [text] * rows, np.full(rows, score, np.float32), weights)


def test_joining_takes_as_many_as_the_piece_with_fewest_has():
    one = Translation(["a", "</s>"], [hypothesis("x", -1.0, 2, 2, 0.5), hypothesis("y", -2.0, 1, 2, 0.25)])
    two = Translation(["b", "c", "</s>"], [hypothesis("", -0.5, 1, 3, 0.75)])
    joined = join_segments([one, two, one])
    assert joined.source_tokens == ["a", "</s>", "b", "c", "</s>", "a", "</s>"]
    assert (joined.num_segments, joined.truncated_tokens) == (3, 0)
    (only,) = joined.hypotheses
    assert only.text == "x x", "no doubled space where a piece has no text"
    assert only.score == -2.5
    assert only.tokens == ["x", "x", "", "x", "x"]
    np.testing.assert_array_equal(only.token_log_probs, np.array([-1, -1, -0.5, -1, -1], np.float32))
    expected = np.zeros((5, 7), np.float32)
    expected[:2, :2] = expected[3:, 5:] = 0.5
    expected[2, 2:5] = 0.75
    np.testing.assert_array_equal(only.attention, expected)
    assert join_segments([one]) is one


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["他说，", "好吗？", "走了"], "他说，好吗？走了"),
        (["犬は、", "", "カタカナ。", "「はい」"], "犬は、カタカナ。「はい」"),
        (["他说：“好。”", "“走吧”……", "他走了"], "他说：“好。”“走吧”……他走了"),
        (["他用 Python", "写程序，", "and C"], "他用 Python 写程序， and C"),  # a Latin letter keeps its space
        (["개는 오늘", "나무를"], "개는 오늘 나무를"),  # Korean has spaces
        (["He said …", "“no”", "— twice"], "He said … “no” — twice"),
        (["", ""], ""),
    ],
)
def test_no_space_is_put_between_chinese_or_japanese_characters(texts, expected):
    parts = [Translation(["a"], [hypothesis(text, -1.0, 1, 1, 1.0)]) for text in texts]
    assert join_segments(parts).text == expected
