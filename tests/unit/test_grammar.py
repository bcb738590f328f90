"""The grammar of the embedded corpus: forms of words, and sentences that agree."""

import re
from collections import Counter
from itertools import islice, pairwise
from random import Random

import numpy as np
import pytest

from seq2seq.errors import CorpusError
from seq2seq.phrasebook.grammar import Grammar
from seq2seq.phrasebook.grammar.derivation import NoWordError
from seq2seq.phrasebook.grammar.lexicon import flatten, inflect
from seq2seq.phrasebook.grammar.phenomena import split_words


@pytest.fixture(scope="module")
def grammar():
    return Grammar()


def sentences(grammar, seed, category="sentence"):
    random = Random(seed).random
    while True:
        node = grammar.draw(random, category)
        yield grammar.linearize(node, "english").text, grammar.linearize(node, "german").text


def lexeme(grammar, part, key):
    return next(word for word in grammar.rules.lexicon[part] if word[0]["key"] == key)


@pytest.mark.parametrize(
    ("verb", "forms"),
    [
        ("read", {"present.2s": "liest", "present.2p": "lest", "past.3p": "lasen", "imperative": "lies"}),
        (
            "work",
            {"present.1s": "arbeite", "present.2s": "arbeitest", "present.2p": "arbeitet"},
        ),
        ("drive", {"present.2s": "fährst", "present.2p": "fahrt", "past.1s": "fuhr", "auxiliary": "ist"}),
        ("invite", {"prefix": "ein", "present.2s": "lädst", "present.2p": "ladet", "infinitive": "einladen"}),
        (
            "collect",
            {"present.1s": "sammle", "present.2s": "sammelst", "imperative": "sammle"},
        ),
        ("give", {"present.2s": "gibst", "imperative": "gib", "past.3p": "gaben", "case": "accusative"}),
        ("wait for", {"preposition": "auf", "case": "accusative", "present.2p": "wartet", "imperative": "warte"}),
        ("help", {"case": "dative", "preposition": "", "participle": "geholfen", "imperative": "hilf"}),
        ("sit", {"present.2s": "sitzt", "present.2p": "sitzt", "past.3p": "saßen"}),
    ],
)
def test_german_verbs(grammar, verb, forms):
    german = lexeme(grammar, "verb", verb)[1]
    assert {form: german[form] for form in forms} == forms


@pytest.mark.parametrize(
    ("noun", "forms"),
    [
        ("teacher", ["Lehrer", "Lehrers", "Lehrer", "Lehrer", "Lehrer", "Lehrern"]),
        ("woman", ["Frau", "Frau", "Frau", "Frau", "Frauen", "Frauen"]),
        ("student", ["Student", "Studenten", "Studenten", "Studenten", "Studenten", "Studenten"]),
        ("car", ["Auto", "Autos", "Auto", "Auto", "Autos", "Autos"]),
        ("tree", ["Baum", "Baumes", "Baum", "Baum", "Bäume", "Bäumen"]),
    ],
)
def test_german_nouns(grammar, noun, forms):
    german = lexeme(grammar, "noun", noun)[1]
    singular = [german[f"singular.{case}"] for case in ("nominative", "genitive", "dative", "accusative")]
    assert [*singular, german["plural.nominative"], german["plural.dative"]] == forms


@pytest.mark.parametrize(
    ("part", "word", "forms"),
    [
        ("verb", "cry", {"present.3s": "cries", "past": "cried", "ing": "crying", "participle": "cried"}),
        ("verb", "write", {"present.3s": "writes", "past": "wrote", "ing": "writing", "participle": "written"}),
        ("verb", "get up", {"present.3s": "gets", "particle": "up", "past": "got", "ing": "getting"}),
        ("verb", "watch", {"present.3s": "watches", "past": "watched", "ing": "watching"}),
        ("noun", "child", {"plural": "children", "genitive": "child's"}),
        ("noun", "cherry", {"plural": "cherries"}),
        ("adjective", "big", {"comparative": "bigger"}),
        ("adjective", "expensive", {"comparative": "more expensive"}),
    ],
)
def test_english_words(grammar, part, word, forms):
    english = lexeme(grammar, part, word)[0]
    assert {form: english[form] for form in forms} == forms


def test_a_paradigm_makes_what_an_entry_does_not_give():
    paradigm = {"parts": ["one", "many"], "forms": {"many": ["one", ["y$", "ies"], ["$", "s"]], "both": "one|many"}}
    assert inflect(paradigm, "fly") == {"one": "fly", "many": "flies", "both": "fly|flies"}
    assert inflect(paradigm, "man, men")["both"] == "man|men"
    assert inflect(paradigm, {"parts": "cat", "both": "X"})["both"] == "X"
    assert flatten({"a": {"b": "c"}, "d": "e"}) == {"a.b": "c", "d": "e"}
    with pytest.raises(CorpusError, match="'a, b, c' has 3 parts, but the paradigm 2: one, many"):
        inflect(paradigm, "a, b, c")
    with pytest.raises(CorpusError, match="is made from 'some', which is not an earlier form"):
        inflect({"parts": ["one"], "forms": {"many": "some"}}, "a")


def test_a_seed_gives_the_same_sentences_and_another_one_others(grammar):
    first, again, other = (list(islice(sentences(grammar, seed), 200)) for seed in (1, 1, 2))
    assert first == again
    assert len(set(first) & set(other)) < 5


def test_every_rule_says_something_in_both_languages(grammar):
    drawn = {node.rule.name for node in (grammar.draw(Random(seed).random) for seed in range(1500))}
    assert drawn == {rule.name for rule in grammar.rules.categories["sentence"][0]}
    for english, german in islice(sentences(grammar, 3), 3000):
        for text in (english, german):
            assert text[0].isupper() or text[0].isdigit(), text
            assert text[-1] in ".?", text
            assert "  " not in text, text
            assert " ," not in text, text
            assert not set(text) & set("{}@_*"), text


def test_a_source_has_one_target(grammar):
    known = {}
    for english, german in islice(sentences(grammar, 5), 20_000):
        assert known.setdefault(english, german) == german, english


ARTICLES = {
    "der": "mfp",
    "die": "fp",
    "das": "n",
    "den": "mp",
    "dem": "mn",
    "ein": "mn",
    "eine": "f",
    "einen": "m",
    "kein": "mn",
}


def test_articles_have_the_gender_of_their_nouns(grammar):
    """What stands right before a noun that no other word is spelled like, against the dictionary's gender."""
    genders = {}
    for noun in grammar.rules.lexicon["noun"]:
        for form, text in noun[1].items():
            if form.startswith(("singular.", "plural.")):
                genders.setdefault(text, set()).add(noun[1]["gender"] if form.startswith("singular") else "p")
    checked = 0
    for english, german in islice(sentences(grammar, 6), 4000):
        words = german.rstrip(".?").replace(",", " ,").split()
        for before, article, noun in zip(["", *words], words, words[1:], strict=False):
            if before != "," and article in ARTICLES and noun in genders:  # a comma begins a relative clause
                assert genders[noun] & set(ARTICLES[article]), (english, german)
                checked += 1
    assert checked > 1000


def test_what_no_word_fits_is_said():
    with pytest.raises(NoWordError, match="has no verb with"):
        Grammar().draw(Random(1).random, "clause.motion", human="nobody")


# Phenomena


def test_every_phenomenon_occurs_and_decides_words_of_the_sentence(grammar):
    phenomena = grammar.phenomena["german"]
    random = Random(7).random
    seen = Counter()
    for derivation in islice((grammar.draw(random) for _ in range(2_000)), 2_000):
        words = split_words(grammar.linearize(derivation, "german").text)
        for name in phenomena:
            places = phenomena.affected_positions(derivation, name)
            assert max(places, default=0) < len(words)
            seen[name] += bool(places)
        assert grammar.linearize(derivation, "german") == grammar.linearize(derivation, "german")
    assert min(seen.values()) >= 5


@pytest.mark.parametrize(
    ("rule", "name", "pattern"),
    [
        ("sentence.price", "price", r"^\d+,\d\d$"),
        ("sentence.comparison", "comparative", r"^(\w+er|als)$"),
        ("sentence.reason", "pronoun", r"^(er|sie|es)$"),
        ("sentence.existence", "number", r"^(zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf)$"),
        ("sentence.distance", "long distance", r"^(muss|müssen|ein|aus|dir|euch|Ihnen)$"),
        ("sentence.call", "formal and informal address", r"^(du|Sie|ihr|\w+s?t|\w+n|seid|sind)$"),
        ("sentence.statement", "negation with nicht", r"^nicht$"),
        ("sentence.statement", "negation with kein", r"^keine?[nmr]?$"),
        ("sentence.statement", "perfect", r"^(habe|hat|haben|bin|ist|sind)$"),
    ],
)
def test_what_a_phenomenon_decides(grammar, rule, name, pattern):
    random = Random(3).random
    found = 0
    for _ in range(400):
        derivation = grammar.draw(random, rule)
        words = split_words(grammar.linearize(derivation, "german").text)
        for place in grammar.phenomena["german"].affected_positions(derivation, name):
            assert re.match(pattern, words[place]), (words, words[place])
            found += 1
    assert found > 10


def test_long_distances_grow_with_the_links(grammar):
    phenomena = grammar.phenomena["german"]
    random = Random(3).random
    means = []
    for links in range(1, 9):
        derivations = [grammar.draw(random, "sentence.distance", links=str(links)) for _ in range(30)]
        distances = [
            phenomena.distance(node, phenomena.affected_positions(node, "long distance")) for node in derivations
        ]
        means.append(np.mean(distances))
    assert all(later > earlier + 2 for earlier, later in pairwise(means)), means


def named(combinations):
    """Concept and form of lexemes in forms."""
    return [(lexeme[0]["key"], form) for lexeme, form in combinations]


def test_what_is_held_out_is_a_word_in_a_form(grammar):
    held_out = named(grammar.held_out_combinations["german"])
    assert ("key", "singular.accusative") in held_out
    assert ("give", "infinitive") in held_out
    assert not any(form == "nominative" for _, form in held_out), "the part of an entry, which is no form"
    found = 0
    for node in (grammar.draw(Random(seed).random) for seed in range(1500)):
        sentence = grammar.linearize(node, "german")
        grammar.linearize(grammar.draw(Random(0).random), "german")  # what else is said has no influence
        assert grammar.is_held_out(sentence) == bool({*named(sentence.used_forms)} & {*held_out})
        found += grammar.is_held_out(sentence)
    assert 15 < found < 300
