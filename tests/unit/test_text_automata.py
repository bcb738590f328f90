"""Automata over tokens do what a regular expression says of the characters, whatever tokens spell them."""

import re

import numpy as np
import pytest

from seq2seq.data.tokenizer import EOS_ID, UNK_ID
from seq2seq.inference.automata import DONE, START, AutomatonCompiler
from seq2seq.inference.demand_compiler import DemandCompiler
from seq2seq.inference.demands import Demand
from seq2seq.inference.segments import Part
from seq2seq.model_directory.directory import load_tokenizers
from seq2seq.model_directory.pretrained import find_model
from seq2seq.text.scripts import is_word_character

SENTENCES = (
    "Der Lehrer kauft ein Buch.",
    "Die Lehrerin hat die Bücher gekauft, ein Buch.",
    "Kauft der Lehrer das Buch?",
    "Ich glaube, dass der Lehrer ein Bier trinkt.",
)
PHRASES = (
    "ein Buch",
    "Lehrer",
    "Lehrerin",
    "der",
    "die Bücher",
    "kauft",
    "ein",
    "Buch.",
    "Bier trinkt",
    ",",
    "in",
    "e",
)


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizers(find_model("phrasebook-en-de")).target


@pytest.fixture(scope="module")
def compiler(tokenizer):
    return AutomatonCompiler(tokenizer)


def spellings(tokenizer, text, number=4):
    """The tokenizer's own token ids of a text, and others that spell the same."""
    sampled = [
        tokenizer._processor.encode(text, enable_sampling=True, alpha=0.1, nbest_size=-1) for _ in range(number - 1)
    ]
    return [tokenizer.encode(text), *sampled]


def accepts(automaton, tokens):
    state = START
    for token in [*tokens, EOS_ID]:
        if automaton.blocked[state, token]:
            return False
        state = automaton.next_states[state, token]
    return True


def begins(phrase, text):
    """Whether a phrase occurs, and its last word may be the beginning of a longer one."""
    first = f"[{phrase[0]}{phrase[0].upper()}]" if phrase[0].islower() else re.escape(phrase[0])
    return re.search(r"(?<!\w)" * is_word_character(phrase[0]) + first + re.escape(phrase[1:]), text)


def occurs(phrase, text):
    first = f"[{phrase[0]}{phrase[0].upper()}]" if phrase[0].islower() else re.escape(phrase[0])
    ends = [r"(?<!\w)" * is_word_character(phrase[0]), r"(?!\w)" * is_word_character(phrase[-1])]
    return bool(re.search(f"{ends[0]}{first}{re.escape(phrase[1:])}{ends[1]}", text))


def test_phrases_are_found_as_a_regular_expression_finds_them(tokenizer, compiler):
    found = 0
    for sentence in SENTENCES:
        for tokens in spellings(tokenizer, sentence):
            for phrase in PHRASES:
                there = occurs(phrase, sentence)
                found += there
                assert accepts(compiler.required((phrase,)), tokens) == there, (phrase, sentence)
                is_accepted = accepts(compiler.forbidden((phrase,)), tokens)
                assert not (there and is_accepted), (phrase, sentence)
                assert is_accepted or begins(phrase, sentence), (phrase, sentence)
            pairs = [("Bier", "Buch"), ("Lehrerin", "Buch")]
            assert [accepts(compiler.required(pair), tokens) for pair in pairs] == [
                any(occurs(phrase, sentence) for phrase in pair) for pair in pairs
            ]
    assert found > 40


def test_a_prefix_may_be_spelled_in_any_way_and_end_within_a_word(tokenizer, compiler):
    for sentence in SENTENCES:
        for tokens in spellings(tokenizer, sentence):
            for end in range(1, len(sentence)):
                assert accepts(compiler.prefix(sentence[:end]), tokens), (sentence[:end], sentence)
    other = tokenizer.encode("Der Lehrerin hilft er.")
    assert accepts(compiler.prefix("Der Lehrer"), other)
    assert not accepts(compiler.prefix("Der Lehrer "), other), "a space completes the word"
    assert not accepts(compiler.prefix("Die"), other)
    assert not accepts(compiler.prefix("Der Lehrerin hilft er. Dann"), other), "it may not end before its end"


@pytest.mark.parametrize(
    ("kind", "text"), [("prefix", "Der Lehrer kauft ein Bu"), ("required", ("ein Buch", "Bier")), ("required", ("an",))]
)
def test_advancing_leads_to_the_end_in_the_remaining_number_of_tokens(tokenizer, compiler, kind, text):
    automaton = getattr(compiler, kind)(text)
    for state in range(len(automaton.remaining)):
        here, steps = state, 0
        while automaton.remaining[here]:
            token = automaton.advance[here, 0]
            assert not automaton.blocked[here, token]
            here, steps = automaton.next_states[here, token], steps + 1
        assert steps <= automaton.remaining[state] < 30
        assert automaton.blocked[state, EOS_ID] == (automaton.remaining[state] > 0)
    assert automaton.remaining[DONE] == 0
    assert not automaton.blocked[DONE].any()


def test_the_way_is_spelled_as_the_tokenizer_does(tokenizer, compiler):
    automaton, spelled, state = compiler.required(("ein Buch", "zwei Bücher")), [], START
    assert tokenizer.pieces(automaton.advance[START].tolist()) == [
        tokenizer.pieces(tokenizer.encode(variant))[0] for variant in ("ein Buch", "zwei Bücher")
    ]
    while automaton.remaining[state]:
        spelled.append(int(automaton.advance[state, 0]))
        state = automaton.next_states[state, spelled[-1]]
    assert spelled == tokenizer.encode("ein Buch")


def test_what_the_vocabulary_cannot_spell_has_no_automaton(tokenizer, compiler):
    assert UNK_ID in tokenizer.encode("☃")
    assert compiler.required(("☃",)) is compiler.forbidden(("☃",)) is compiler.prefix("☃ Der") is None
    assert accepts(compiler.required(("☃", "Buch")), tokenizer.encode("Das Buch"))
    assert compiler.prefix("") is compiler.prefix(" ") is None
    unknown = [*tokenizer.encode("ein"), UNK_ID, *tokenizer.encode("Buch")]
    assert not accepts(compiler.required(("ein Buch",)), unknown)


def test_automata_are_stacked_into_one_table(tokenizer, compiler):
    prefix, phrase = compiler.prefix("Der"), compiler.required(("Buch",))
    asked = (
        [Demand("prefix", ("Der",)), Demand("include", ("Buch",), positions=(1, 2))],
        [],
        [Demand("include", ("Buch",))],
    )
    parts = [Part(line, 0, "", [5, 6, 7], demands=demands) for line, demands in enumerate(asked)]
    automata = DemandCompiler(tokenizer).stack(parts)
    assert automata.sources.tolist() == [[[0, 0, 0, 0], [0, 1, 1, 0]], [[0] * 4] * 2, [[0] * 4] * 2]
    assert automata.initial[1].tolist() == [0, 0]
    assert automata.initial[0, 1] == automata.initial[2, 0]
    assert len(automata.remaining) == len(prefix.remaining) + len(phrase.remaining) - 1
    rng = np.random.default_rng(1)
    for start, single in ((automata.initial[0, 0], prefix), (automata.initial[2, 0], phrase)):
        here, alone = start, START
        for token in rng.integers(EOS_ID + 1, tokenizer.vocabulary_size, 200):
            assert (automata.blocked[here] == single.blocked[alone]).all()
            assert automata.remaining[here] == single.remaining[alone]
            assert automata.advance[here, 0] == single.advance[alone, 0]
            here, alone = automata.next_states[here, token], single.next_states[alone, token]
            assert (here == 0) == (alone == 0)
            if alone == 0:
                here, alone = start, START


def test_phrases_in_scripts_without_spaces_need_no_boundaries(tmp_path):
    from seq2seq.config.data import TargetTokenizerConfig
    from seq2seq.data.tokenizer import Tokenizer

    text = ["我们买书。", "他们在API里买书。", "她买我们的书。", "API的书很好。", "wir kaufen"]
    tokenizer = Tokenizer.train(text, TargetTokenizerConfig(vocabulary_size=60, byte_fallback=False), lambda _: None)
    compiler = AutomatonCompiler(tokenizer)
    assert accepts(compiler.required(("买书",)), tokenizer.encode("我们买书。"))
    assert accepts(compiler.required(("API",)), tokenizer.encode("他们在API里买书。"))
    assert not accepts(compiler.required(("AP",)), tokenizer.encode("他们在API里买书。"))
    assert not accepts(compiler.forbidden(("我们",)), tokenizer.encode("她买我们的书。"))


def test_bytes_spell_what_no_piece_has(tmp_path):
    from seq2seq.config.data import TargetTokenizerConfig
    from seq2seq.data.tokenizer import Tokenizer

    config = TargetTokenizerConfig(vocabulary_size=290, byte_fallback=True)
    tokenizer = Tokenizer.train(["das Buch ist gut", "das gute Buch"], config, lambda _: None)
    compiler = AutomatonCompiler(tokenizer)
    tokens = tokenizer.encode("das Buch 书 ist gut")
    assert any(piece.startswith("<0x") for piece in tokenizer.pieces(tokens))
    assert accepts(compiler.required(("书",)), tokens)
    assert not accepts(compiler.required(("中",)), tokens)
    assert accepts(compiler.prefix("das Buch 书"), tokens)
    assert not accepts(compiler.forbidden(("书 ist",)), tokens)


def test_the_most_recently_used_automata_are_kept(tokenizer, monkeypatch):
    compiler = AutomatonCompiler(tokenizer)
    first, second = compiler.prefix("Der"), compiler.required(("Buch",))
    assert compiler.prefix("Der") is first
    assert compiler.forbidden(("Buch",)) is not second
    monkeypatch.setattr("seq2seq.inference.automata.MAX_KEPT_ENTRIES", first.next_states.size + second.next_states.size)
    assert compiler.required(("Buch",)) is second
    assert compiler.prefix("Der") is first
    assert compiler.prefix("Die") is compiler.prefix("Die")
    assert compiler.prefix("Der") is first
    assert compiler.required(("Buch",)) is not second, "it was not used for longest"
