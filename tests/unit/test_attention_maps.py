"""Attention maps: their numbers against loops, their weights against single steps and NumPy."""

import math

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.analysis.attention import (
    AttentionMap,
    coverage,
    coverage_deviation,
    entropy,
    hard_alignment,
    merge_subwords,
    source_token_statistics,
    target_token_statistics,
    teacher_forced_map,
    translation_map,
)
from seq2seq.analysis.attention_text import render_attention
from seq2seq.config import SearchOptions
from seq2seq.data.tokenizer import BOS_ID, EOS_ID, Tokenizers
from seq2seq.inference.results import Hypothesis, Translation, blank_translation
from seq2seq.inference.translator import Translator
from seq2seq.layers.attention.base import record_head_weights
from seq2seq.models.build import build_model
from tests.conftest import randomize
from tests.reference import softmax
from tests.toy import toy_config, toy_tokenizer

SOURCE, TARGET = "the dog sees bird today", "der Hund sieht heute"


@pytest.fixture(scope="module")
def tokenizer():
    return toy_tokenizer()


def translator(folder, tokenizer, **decoder):
    config = toy_config(folder, encoder={"dropout": 0.0}, decoder=decoder)
    model = build_model(config, Tokenizers(tokenizer, tokenizer))
    randomize(model, seed=5, scale=0.7)
    return Translator(model, tokenizer, tokenizer, SearchOptions(beam_size=2, max_length=12))


def random_map(rng, source, target):
    weights = rng.dirichlet(np.ones(len(source)), size=len(target)).astype("f")
    return AttentionMap(source, target, weights, rng.normal(size=len(target)).astype("f"), weights[None])


def test_entropy_is_that_of_the_definition(rng):
    weights = rng.dirichlet(np.ones(5), size=(2, 3))
    weights[1, 2] = [0.5, 0, 0.5, 0, 0]
    found = entropy(weights)
    for b in range(2):
        for t in range(3):
            expected = -sum(w * math.log(w) for w in weights[b, t] if w > 0)
            assert found[b, t] == pytest.approx(expected)
    assert np.exp(entropy(np.full((1, 5), 0.2))) == pytest.approx(5)
    assert entropy(np.eye(4)).tolist() == [0, 0, 0, 0]


def test_coverage_and_its_deviation_are_those_of_the_definition(rng):
    weights = rng.dirichlet(np.ones(4), size=(2, 3))
    for b in range(2):
        got = [sum(weights[b, t, s] for t in range(3)) for s in range(4)]
        np.testing.assert_allclose(coverage(weights)[b], got)
        expected = sum(math.log(1 + (1 - c) ** 2) for c in got) / 4
        assert coverage_deviation(weights)[b] == pytest.approx(expected)
    assert coverage_deviation(np.eye(3)[[2, 0, 1]]) == 0
    assert hard_alignment(np.eye(3)[[2, 0, 1]]).tolist() == [2, 0, 1]


def test_words_have_their_pieces_weights(rng):
    source, target = ["▁the", "▁do", "g", "s", "</s>"], ["▁", "die", "▁Hu", "nd", "e", ".", "</s>"]
    pieces = random_map(rng, source, target)
    words = merge_subwords(pieces)
    assert words.source_tokens == ["the", "dogs", "</s>"]
    assert words.target_tokens == ["die", "Hunde", ".", "</s>"]
    of_source, of_target = [[0], [1, 2, 3], [4]], [[0, 1], [2, 3, 4], [5], [6]]
    for t, rows in enumerate(of_target):
        assert words.log_probs[t] == pytest.approx(sum(pieces.log_probs[r] for r in rows), abs=1e-6)
        for s, columns in enumerate(of_source):
            expected = np.mean([sum(pieces.weights[r, c] for c in columns) for r in rows])
            assert words.weights[t, s] == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(words.head_weights[0], words.weights)


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (["▁我", "要去", "打", "篮", "球", "。", "</s>"], ["我", "要去", "打", "篮", "球", "。", "</s>"]),
        (
            ["▁", "私", "は", "Ke", "ras", "を", "使う", "、", "G", "PU"],
            ["私", "は", "Keras", "を", "使う", "、", "GPU"],
        ),
        (["▁한", "국", "▁사람"], ["한국", "사람"]),  # Korean has spaces
        (["▁ท", "ี", "่", "น", "ี่"], ["ที่", "นี่"]),  # vowels and tones belong to the letter before
        (["▁打", "<0xE7>", "<0xAF>", "<0xAE>", "<0xE7>", "<0x90>", "<0x83>", "x"], ["打", "篮", "球", "x"]),
        (["▁a", "<0xC3>", "<0xA9>", "b", "<0xE7>", "c"], ["aéb<0xE7>c"]),  # a byte that is no character stays
    ],
)
def test_pieces_of_a_script_without_spaces_are_words_as_they_are(rng, pieces, words):
    found = merge_subwords(random_map(rng, pieces, pieces))
    assert found.source_tokens == found.target_tokens == words
    np.testing.assert_allclose(found.weights.sum(axis=1), 1, rtol=1e-5)


def test_tables_say_what_the_maps_say(rng):
    maps = [random_map(rng, [*"abc", "</s>"], list("xy")), random_map(rng, ["d", "</s>"], list("uvw"))]
    table = target_token_statistics(maps)
    assert table["sentence"].tolist() == [0, 0, 1, 1, 1]
    assert table["token"].tolist() == list("xyuvw")
    for row in table.itertuples():
        weights = maps[row.sentence].weights
        at = max(range(weights.shape[1]), key=lambda s: weights[row.position, s])
        assert row.attended == at
        assert row.attended_token == maps[row.sentence].source_tokens[at]
        assert row.weight == weights[row.position, at]
        assert row.effective_tokens == pytest.approx(math.exp(row.entropy))
        if row.position:
            assert row.jump == at - max(range(weights.shape[1]), key=lambda s: weights[row.position - 1, s])
        else:
            assert math.isnan(row.jump)


def test_hints_are_of_words_with_little_and_with_much_attention():
    weights = np.array([[0.9, 0.1, 0, 0], [0.9, 0.1, 0, 0], [0.7, 0.3, 0, 0]], "f")
    found = AttentionMap(["a", "b", "c", "</s>"], list("xyz"), weights, np.zeros(3, "f"))
    table = source_token_statistics([found])
    np.testing.assert_allclose(table["coverage"], [2.5, 0.5, 0, 0])
    assert table["hint"].tolist() == ["over", "", "under", ""]
    assert source_token_statistics([found], low=0.6, high=2.6)["hint"].tolist() == ["", "under", "under", ""]
    with pytest.raises(ValueError, match=r"low is 3\.0, expected at most high, which is 2\.0"):
        source_token_statistics([found], low=3)


def test_a_translation_has_its_map(tmp_path, tokenizer):
    made = translator(tmp_path, tokenizer, attention="additive", heads=1)
    options = SearchOptions(beam_size=3, n_best=2, max_length=9)
    translation, blank = made.translate([SOURCE, " "], options)
    found = translation_map(translation, rank=1)
    assert found.target_tokens == translation.hypotheses[1].tokens
    np.testing.assert_array_equal(found.weights, translation.hypotheses[1].attention)
    assert found.weights.shape == (len(found.target_tokens), len(found.source_tokens))
    table = target_token_statistics([translation_map(blank), merge_subwords(translation_map(blank)), found])
    assert set(table["sentence"]) == {2}
    assert set(source_token_statistics([translation_map(blank), found])["sentence"]) == {1}
    with pytest.raises(ValueError, match=r"expected attention over \d+ source tokens, found 0 columns"):
        translation_map(made.translate([SOURCE], options, attention=False)[0])


@pytest.mark.parametrize(
    "decoder",
    [
        {"attention": "general"},
        {"attention": "additive", "coverage": True},
        {"attention": "scaled_dot", "heads": 3, "layer_norm": True, "layers": 2},
        {"attention": "additive", "heads": 2, "type": "cgru"},
        {"attention": "general", "heads": 2, "type": "input_feeding"},
    ],
)
def test_a_teacher_forced_map_is_that_of_single_steps(tmp_path, tokenizer, decoder):
    made = translator(tmp_path, tokenizer, **decoder)
    found = teacher_forced_map(made, SOURCE, TARGET)
    source, target = ([*tokenizer.encode(text), EOS_ID] for text in (SOURCE, TARGET))
    assert found.source_tokens == tokenizer.pieces(source)
    assert found.target_tokens == tokenizer.pieces(target)
    memory, state = made.model.encode(tf.constant([source]))
    for t, previous in enumerate([BOS_ID, *target[:-1]]):
        with record_head_weights() as heads:
            logits, state, weights = made.model.decode_step(tf.constant([[previous]]), state, memory)
        np.testing.assert_allclose(found.weights[t], weights[0, 0], atol=1e-5)
        np.testing.assert_allclose(found.head_weights[:, t], heads[0][0, :, 0], atol=1e-5)
        expected = np.log(softmax(logits[0, 0].numpy()))[target[t]]
        assert found.log_probs[t] == pytest.approx(expected, abs=1e-4)
    assert found.head_weights.shape == (decoder.get("heads", 1), len(target), len(source))
    np.testing.assert_allclose(found.head_weights.mean(axis=0), found.weights, atol=1e-6)


def test_heads_are_those_of_the_equations(tmp_path, tokenizer):
    made = translator(tmp_path, tokenizer, attention="scaled_dot", heads=3, cell="gru")
    found = teacher_forced_map(made, SOURCE, TARGET)
    attention = made.model.decoder.attention
    source, target = ([*tokenizer.encode(text), EOS_ID] for text in (SOURCE, TARGET))
    ids = tf.constant([source])
    embedded = made.model.source_embedding(ids)
    states, _ = made.model.encoder(embedded, tf.constant([len(source)]))
    memory, state = made.model.encode(ids)
    width = attention.units // 3
    for t, previous in enumerate([BOS_ID, *target[:-1]]):
        _, state, _ = made.model.decode_step(tf.constant([[previous]]), state, memory)
        query = state.cells[0][0][0, 0].numpy() @ np.asarray(attention.query_kernel)  # a GRU's output is its state
        keys = states[0].numpy() @ np.asarray(attention.key_kernel)
        for h in range(3):
            part = slice(h * width, (h + 1) * width)
            scores = keys[:, part] @ query[part] / math.sqrt(width)
            np.testing.assert_allclose(found.head_weights[h, t], softmax(scores), atol=1e-5)
    assert np.abs(found.head_weights[0] - found.head_weights[1]).max() > 0.01, "or swapped heads would not show"


def test_what_cannot_be_shown_is_refused(tmp_path, tokenizer):
    with pytest.raises(ValueError, match=r"made with 'decoder[.]attention: none'"):
        teacher_forced_map(translator(tmp_path, tokenizer, attention="none"), SOURCE, TARGET)
    with pytest.raises(ValueError, match="the target ' ' has no tokens"):
        teacher_forced_map(translator(tmp_path, tokenizer), SOURCE, " ")


def test_attention_in_text():
    weights = np.array([[0.0, 0.19, 0.21], [0.5, 0.79, 1.0]], np.float32)
    hypothesis = Hypothesis("der Hund", -1.0, ["▁der", "</s>"], np.zeros(2, np.float32), weights)
    assert render_attention(Translation(["▁the", "▁dog", "</s>"], [hypothesis])).split("\n") == [
        "     ┌ ▁the",
        "     │ ┌ ▁dog",
        "     │ │ ┌ </s>",
        "▁der     ░",
        "</s> ▒ ▓ █",
    ]


def test_attention_in_text_is_aligned_by_the_width_of_characters():
    tokens = ["▁我要", "e\u0301", "x", "</s>"]  # 5, 1, 1 and 4 cells
    hypothesis = Hypothesis("", -1.0, tokens, np.zeros(4, np.float32), np.ones((4, 1), np.float32))
    assert render_attention(Translation(["▁去"], [hypothesis])).split("\n") == [
        "      ┌ ▁去",
        "▁我要 █",
        "    e\u0301 █",
        "    x █",
        " </s> █",
    ]


def test_attention_of_a_blank_line_in_text():
    assert render_attention(blank_translation()) == ""
