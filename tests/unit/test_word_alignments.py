"""Words, alignments from attention and from IBM model 1, symmetrisation and error rate."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq import Translator
from seq2seq.analysis.attention import teacher_forced_map
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.errors import ArgumentError, ConfigError, EvaluationError
from seq2seq.evaluation.alignment import ReferenceAlignment, score_alignments
from seq2seq.inference.aligner import AttentionAligner
from seq2seq.inference.alignment import (
    SYMMETRIZATIONS,
    align_hypothesis,
    attention_between_words,
    links_from_attention,
    symmetrize,
    to_pharaoh,
    words_of,
)
from seq2seq.inference.ibm1 import learn_translation_table
from seq2seq.inference.lexical_aligner import align_by_ibm1
from seq2seq.inference.results import Hypothesis, Translation, blank_translation
from seq2seq.text.words import locate_pieces, word_spans
from tests.command import run
from tests.shortage import with_room_for
from tests.toy import NOUNS, PLACES, VERBS, pairs, save_random_model, toy_tokenizer

pytestmark = pytest.mark.usefixtures("shared_searches")
GOLD = Path(__file__).parents[2] / "benchmarks/alignment.tsv"
TRANSLATIONS = {"the": "der", "and": "und", **NOUNS, **VERBS, **PLACES}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '"Really?!" he said (3,5 %).',
            [
                '"',
                "Really",
                '?!"',
                "he",
                "said",
                "(",
                "3,5",
                "%).",
            ],
        ),
        ("o'clock  - well-known z.B. ...", ["o'clock", "-", "well-known", "z.B", ".", "..."]),
        ("我爱Hi。", ["我", "爱", "Hi", "。"]),
        ("ไทยที่", ["ไ", "ท", "ย", "ที่"]),
        (" ", []),
    ],
)
def test_words(text, words):
    assert words_of(text) == words


def test_tokenized_text_keeps_its_tokens():
    assert words_of("( a. b )", tokenized=True) == ["(", "a.", "b", ")"]


@given(st.text(" a.,(é我ท", max_size=12))
def test_words_are_all_of_a_text_but_its_spaces(text):
    words, spans = words_of(text), word_spans(" ".join(words_of(text)))
    assert all(word and not any(map(str.isspace, word)) for word in words)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


@pytest.mark.parametrize(
    ("pieces", "text", "found"),
    [
        (["▁Der", "▁Hu", "nd", ".", "</s>"], "Der Hund.", ["Der", "Hu", "nd", ".", ""]),
        (["▁", "<unk>", "▁a", "</s>"], "猫猫 a", ["猫", "猫猫 ", "a", ""]),
        (["▁a", "<0xE7>", "<0x8C>", "<0xAB>", "b"], "a猫b", ["a", "猫", "猫", "猫", "b"]),
        (["▁a", "</s>", "▁a", "</s>"], "a a", ["a", "", "a", ""]),
        (["▁a", "<unk>", "</s>"], "a 猫", ["a", " 猫", ""]),
        ([], "a", []),
    ],
)
def test_pieces_are_located_in_their_text(pieces, text, found):
    assert [text[start:end] for start, end in locate_pieces(pieces, text)] == found


# The algorithm of the literature, with loops over all positions.
def grow_diag_final_and(forward, backward, final, size=8):
    union, links = forward | backward, forward & backward
    grown = True
    while grown:
        grown = False
        for i in range(size):
            for j in range(size):
                if (i, j) not in links:
                    continue
                for di, dj in [(-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]:
                    new = i + di, j + dj
                    free = all(new[0] != a for a, _ in links) or all(new[1] != b for _, b in links)
                    if new in union and new not in links and free:
                        links, grown = links | {new}, True
    for side in (forward, backward) if final else ():
        for i, j in sorted(side):
            if all(i != a for a, _ in links) and all(j != b for _, b in links):
                links = links | {(i, j)}
    return links


ONE_EACH = st.dictionaries(st.integers(0, 7), st.integers(0, 7))


@given(ONE_EACH, ONE_EACH)
def test_symmetrization_is_that_of_the_literature(there, back):
    forward, backward = {(s, t) for t, s in there.items()}, set(back.items())
    found = {name: symmetrize(forward, backward, name) for name in SYMMETRIZATIONS}
    assert (found["forward"], found["backward"]) == (forward, backward)
    assert (found["intersection"], found["union"]) == (forward & backward, forward | backward)
    for final, name in enumerate(("grow-diag", "grow-diag-final-and")):
        assert found[name] == grow_diag_final_and(forward, backward, final)


def test_links_follow_the_largest_attention_between_words():
    weights = np.array([[0.2, 0.5, 0.3, 0.0], [0.1, 0.0, 0.9, 0.0], [0.6, 0.0, 0.0, 0.4]], np.float32)
    between = attention_between_words(weights, ["▁a", "b", "▁c", "</s>"], "ab c", ["▁x", "▁y", "z"], "x yz")
    np.testing.assert_allclose(between, [[0.7, 0.3], [0.35, 0.45]], rtol=1e-6)
    assert links_from_attention(between) == ({(0, 0), (1, 1)}, {(0, 0), (1, 1)})
    assert links_from_attention(between[:, :0]) == (set(), set())


def test_ibm_model_1_links_words_that_occur_together():
    table = learn_translation_table([([1, 2], [1, 2]), ([1, 3], [1, 3]), ([2, 3], [3, 2])] * 3, 4, 4)
    assert table.link([1, 2, 3, 1], [3, 1, 2, 1]) == [2, 0, 1, 3]  # of equal words, the one closest to the diagonal
    assert table.link([], [1]) == [None]
    assert table.lookup(np.array([1, 2]), np.array([1, 0])).tolist() == [
        table.probabilities[table.keys == 1 * 4 + 1],
        0,
    ]


@pytest.mark.parametrize("tokens", [False, True])
def test_ibm_model_1_aligns_the_toy_corpus(tokens):
    corpus = [*pairs(300, 1), ("the dog", " ")]
    tokenizer = toy_tokenizer()
    tokenizers = Tokenizers(tokenizer, tokenizer) if tokens else None
    found = align_by_ibm1(corpus[:20] + corpus[-1:], "intersection", further=corpus, tokenizers=tokenizers)
    right = total = 0
    for (source, target), links in zip(corpus[:20], found, strict=False):
        words = source.split(), target.split()
        right += sum(TRANSLATIONS[words[0][i]] == words[1][j] for i, j in links)
        total += len(words[1]) - 1  # "the", which is in every sentence, is as likely to be the empty word
    assert right >= (0.7 if tokens else 1.0) * sum(map(len, found))  # words share pieces: `er` in `der` and `Kater`
    assert right > 0.7 * total
    assert found[-1] == set()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aligned")
    save_random_model(folder / "model", toy_tokenizer(), search={"beam_size": 2, "max_length": 8})
    return folder / "model"


@pytest.fixture(scope="module")
def translator(model):
    return Translator.load(model)


@pytest.fixture(scope="module")
def aligner(translator):
    return AttentionAligner(translator)


PAIRS = [("the dog sees", "der Hund"), (" ", "der"), ("the cat hears bird and tree often", "der Kater. hört oft Vogel")]


def test_attention_of_pairs_is_that_of_teacher_forcing_whatever_the_batch(translator, aligner):
    together = aligner.directions(PAIRS)
    assert together[1] == (set(), set())
    for place in (0, 2):
        source, target = PAIRS[place]
        known = teacher_forced_map(translator, source, target)
        words = known.source_tokens, source, known.target_tokens, target
        assert together[place] == links_from_attention(attention_between_words(known.weights, *words))
        assert aligner.directions([PAIRS[place]]) == [together[place]]
        assert aligner.align([PAIRS[place]], "union") == [set.union(*together[place])]


def test_little_memory_gives_the_same_links_and_one_notice(translator, monkeypatch):
    said, sizes, done = [], [], []
    poor = Translator(translator.model, *translator.tokenizers, on_warning=said.append)
    forcing = poor.scorer.members[0]
    monkeypatch.setattr(forcing, "_read_out", with_room_for(1, "allocator", sizes)(forcing._read_out))
    expected = AttentionAligner(translator).align(PAIRS)
    assert AttentionAligner(poor).align(PAIRS, on_progress=done.append) == expected
    assert (sizes, done) == ([2, 1, 1], [1, 2])
    (notice,) = said
    assert notice.startswith("out of memory at 2 lines of up to ")


def test_a_reverse_model_gives_the_other_direction(translator, aligner):
    found = AttentionAligner(translator, translator).directions(PAIRS[:1])
    swapped = aligner.directions([PAIRS[0][::-1]])
    assert found[0][0] == aligner.directions(PAIRS[:1])[0][0]
    assert found[0][1] == {(s, t) for t, s in swapped[0][0]}


def test_translations_are_aligned_by_the_attention_of_the_search(model, translator, tmp_path, capsys):
    lines = ["the dog sees bird.", " ", "the cat. the king hears tree"]
    (tmp_path / "in").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    translations = translator.translate(lines)
    expected = [
        "" if not line.strip() else to_pharaoh(align_hypothesis(line, one, one.hypotheses[0]))
        for line, one in zip(lines, translations, strict=True)
    ]
    assert translations[2].num_segments == 2
    assert all(expected[::2])
    assert run("translate", model, "-i", tmp_path / "in", "-q", "--format", "aligned") == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows == [f"{one.text} ||| {links}" for one, links in zip(translations, expected, strict=True)]
    assert run("translate", model, "-i", tmp_path / "in", "-q", "--format", "jsonl", "--n-best", 2) == 0
    for row, links in zip(map(json.loads, capsys.readouterr().out.splitlines()), expected, strict=True):
        assert row["translations"][0]["alignment"] == links
        assert row["source_words"] == words_of(row["source"])
        for hypothesis in row["translations"]:
            ends = [tuple(map(int, link.split("-"))) for link in hypothesis["alignment"].split()]
            assert all(s < len(row["source_words"]) and t < len(hypothesis["words"]) for s, t in ends)


def test_a_line_without_its_attention_is_said(model, translator, monkeypatch, capsys):
    monkeypatch.setattr("seq2seq.inference.results.MAX_ATTENTION_WEIGHTS", 1)
    assert run("translate", model, "-q", "--format", "aligned", "the cat. the king hears tree", "the dog") == 0
    printed = capsys.readouterr()
    assert "warning: text:1: too long to keep attention, so its word alignment is empty." in printed.err
    assert "text:2" not in printed.err
    assert [bool(row.partition(" ||| ")[2]) for row in printed.out.splitlines()] == [False, True]


def test_no_attention_is_said(translator, monkeypatch):
    without = Hypothesis("der Hund", -1.0, ["▁der", "▁Hund"], np.zeros(2, "f"), np.zeros((2, 0), "f"))
    with pytest.raises(ArgumentError, match="found no attention"):
        align_hypothesis("the dog", Translation(["▁the", "▁dog", "</s>"], [without]), without)
    blank = blank_translation()
    assert align_hypothesis("", blank, blank.hypotheses[0]) == set()
    monkeypatch.setattr(translator.model, "uses_attention", False)
    with pytest.raises(ConfigError, match=r"'decoder.attention: none' and cannot align.*--ibm1"):
        AttentionAligner(translator)


def test_the_command_writes_a_line_per_pair(model, aligner, tmp_path, capsys):
    for side, name in enumerate(("source", "target")):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in PAIRS), encoding="utf-8")
    files = ["--source", tmp_path / "source", "--target", tmp_path / "target"]
    assert run("align", model, *files, "--symmetrize", "forward") == 0
    links = aligner.align(PAIRS, "forward")
    assert capsys.readouterr().out == "".join(f"{to_pharaoh(one)}\n" for one in links)
    assert run("align", "--ibm1", *files, "--more-source", files[1], "--more-target", files[3], "--tokenized") == 0
    links = align_by_ibm1(PAIRS, further=PAIRS, tokenized=True)
    assert capsys.readouterr().out == "".join(f"{to_pharaoh(one)}\n" for one in links)
    for wrong in (files, ["--ibm1", *files[:2]], [model, *files, "--more-source", files[1]]):
        assert run("align", *wrong) == 2


def test_the_error_rate_is_that_of_the_definition():
    references = [ReferenceAlignment.parse("0-0 1-1 1p2"), ReferenceAlignment.parse("0p0")]
    scores = score_alignments([{(0, 0), (1, 2), (2, 2)}, {(0, 0)}], references)
    assert scores.precision == pytest.approx(3 / 4)
    assert scores.recall == pytest.approx(1 / 2)
    assert scores.error_rate == pytest.approx(1 - (1 + 3) / (4 + 2))
    with pytest.raises(EvaluationError, match="'0:1': expected a link such as 0-1, or 0p1"):
        ReferenceAlignment.parse("0:1")
    with pytest.raises(EvaluationError, match="1 alignment for 2 reference alignments"):
        score_alignments([set()], references)


def test_hand_made_alignments_are_of_words_that_are_there():
    rows = [line.split("\t") for line in GOLD.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 100
    for source, target, links in rows:
        for s, t in ReferenceAlignment.parse(links).possible:
            assert s < len(words_of(source))
            assert t < len(words_of(target))
