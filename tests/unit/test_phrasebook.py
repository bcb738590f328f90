"""The embedded corpus: the same everywhere, splits that share nothing, German that agrees with tables written here."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from math import prod
from pathlib import Path

import pytest

from seq2seq.errors import CorpusError
from seq2seq.phrasebook import phrasebook as module
from seq2seq.phrasebook.phrasebook import DEFAULT_PAIRS, assign_split, fingerprint, generate_pairs, load_grammar

SIZES = {"train": 12_000, "valid": 400, "test": 400, "compositional": 400}
SPLITS = {split: list(generate_pairs(split, pairs)) for split, pairs in SIZES.items()}
SAMPLE = [pair for pairs in SPLITS.values() for pair in pairs]

# Gender, singular and plural, written down apart from the lexicon.
MASCULINE = """Lehrer Arzt Mann Bäcker Gast Vater Bruder Onkel Freund Hund Vogel Apfel Kuchen Keks Käse Reis Tee
    Kaffee Saft Brief Schlüssel Ring Regenschirm Mantel Hut Tisch Stuhl Koffer
    Garten Wald Park Markt Strand Bahnhof"""
WEAK = "Student Junge Bauer Nachbar Kollege"
WEAK_OBLIQUE = "Studenten Jungen Bauern Nachbarn Kollegen"
FEMININE = """Frau Krankenschwester Königin Mutter Schwester Tante Großmutter Katze Maus Kuh Orange Banane Tomate
    Brezel Butter Suppe Milch Zeitung Postkarte Geschichte Kamera Uhr Jacke Bank Tasche Tür
    Schule Kirche Stadt Bibliothek Küche Schweiz Sonne"""
NEUTER = """Kind Mädchen Pferd Schwein Ei Brot Fleisch Wasser Buch Gedicht Bild Messer Hemd Kleid Auto Fahrrad Boot
    Bett Sofa Fenster Dorf Hotel Museum Büro Wetter"""
PLURAL = """Lehrer Ärzte Studenten Männer Jungen Bäcker Bauern Gäste Frauen Krankenschwestern Königinnen Kinder
    Mädchen Hunde Vögel Katzen Mäuse Kühe Pferde Schweine Äpfel Orangen Bananen Tomaten Eier Kuchen Kekse Brezeln
    Zeitungen Bücher Briefe Postkarten Geschichten Gedichte Schlüssel Ringe Regenschirme Kameras Uhren Bilder Messer
    Mäntel Hüte Jacken Hemden Kleider Autos Fahrräder Boote Tische Stühle Bänke Betten Sofas Koffer Taschen Türen
    Fenster Onkel Nachbarn Kollegen Freunde Brüder Schwestern Tanten Großmütter Väter Mütter"""
DATIVE_PLURAL = """Lehrern Ärzten Studenten Männern Jungen Bäckern Bauern Gästen Frauen Krankenschwestern Königinnen
    Kindern Mädchen Autos Fahrrädern Booten Onkeln Nachbarn Kollegen Freunden Brüdern Schwestern Tanten Großmüttern
    Bäckern Gästen Hunden Vögeln Katzen Mäusen Kühen Pferden Schweinen Büchern Briefen Kleidern Tischen Stühlen"""

GENITIVE = {"m": "Lehrers Arztes Bäckers Studenten Jungen Bauern", "f": FEMININE, "n": "Kindes Mädchens"}
NOUNS = {
    **{(case, "f"): FEMININE.split() for case in ("nominative", "accusative", "dative")},
    **{(case, "n"): NEUTER.split() for case in ("nominative", "accusative", "dative")},
    **{(case, "p"): PLURAL.split() for case in ("nominative", "accusative")},
    **{(case, "m"): (MASCULINE + " " + WEAK_OBLIQUE).split() for case in ("accusative", "dative")},
    **{("genitive", gender): nouns.split() for gender, nouns in GENITIVE.items()},
    ("nominative", "m"): (MASCULINE + " " + WEAK).split(),
    ("dative", "p"): DATIVE_PLURAL.split(),
}

# Determiners for each case and gender, with the ending of an adjective that follows.
DETERMINED = {
    ("nominative", "m"): "der=e dieser=e ein=er kein=er mein=er unser=er sein=er",
    ("accusative", "m"): "den=en diesen=en einen=en keinen=en meinen=en unseren=en seinen=en ihren=en",
    ("dative", "m"): "dem=en diesem=en einem=en keinem=en meinem=en unserem=en seinem=en ihrem=en",
    ("nominative", "f"): "die=e diese=e eine=e keine=e meine=e unsere=e seine=e ihre=e",
    ("accusative", "f"): "die=e diese=e eine=e keine=e meine=e unsere=e seine=e ihre=e",
    ("dative", "f"): "der=en dieser=en einer=en keiner=en meiner=en unserer=en seiner=en ihrer=en",
    ("nominative", "n"): "das=e dieses=e ein=es kein=es mein=es unser=es sein=es",
    ("accusative", "n"): "das=e dieses=e ein=es kein=es mein=es unser=es sein=es",
    ("dative", "n"): "dem=en diesem=en einem=en keinem=en meinem=en unserem=en seinem=en ihrem=en",
    ("nominative", "p"): "die=en diese=en keine=en meine=en unsere=en seine=en ihre=en",
    ("accusative", "p"): "die=en diese=en keine=en meine=en unsere=en seine=en ihre=en",
    ("dative", "p"): "den=en diesen=en keinen=en meinen=en unseren=en seinen=en ihren=en",
    ("genitive", "m"): "des=en dieses=en meines=en unseres=en seines=en ihres=en",
    ("genitive", "f"): "der=en dieser=en meiner=en unserer=en seiner=en ihrer=en",
    ("genitive", "n"): "des=en dieses=en meines=en unseres=en seines=en ihres=en",
}
ENDINGS = {key: dict(entry.split("=") for entry in row.split()) for key, row in DETERMINED.items()}
DETERMINERS = "|".join(sorted({determiner for row in ENDINGS.values() for determiner in row}))
PHRASE = rf"({DETERMINERS}) (?:((?!und)[a-zäöüß]+) )?([A-ZÄÖÜ][a-zäöüß]+)"

FINITE = r"(\w+(t|e|en|rn)|bin|sind|war|wird|will|kann|muss|darf|soll|weiß)"
CONJUNCTIONS = r"\b(and|but|because|although|if|that|whether|who|whom)\b|^\w+, |^M"  # and what begins with a name
SIMPLE = [(source, target) for source, target in SAMPLE if not re.search(CONJUNCTIONS, source, re.IGNORECASE)]


def readings(determiner: str, adjective: str, noun: str) -> set[str]:
    """The cases in which the three words agree; empty if they never do. The tables do not have every noun."""
    return {
        case
        for (case, gender), nouns in NOUNS.items()
        if noun in nouns
        and determiner in ENDINGS[case, gender]
        and (not adjective or adjective.endswith(ENDINGS[case, gender][determiner]))
    }


def lower_first(text: str) -> str:
    return text[0].lower() + text[1:]


def german(pattern: str, pairs: list[tuple[str, str]] = SIMPLE) -> list[str]:
    """The German of the pairs whose English matches, with a small letter first; there must be some."""
    found = [lower_first(target) for source, target in pairs if re.search(pattern, source)]
    assert len(found) >= 5, f"{len(found)} sentences match {pattern}"
    return found


# The corpus


def test_defaults():
    assert {split: len(list(generate_pairs(split))) for split in ("valid", "test")} == {"valid": 500, "test": 1000}
    assert DEFAULT_PAIRS["train"] == 100_000


def test_a_source_occurs_once_in_all_splits_together():
    assert Counter(source for source, _ in SAMPLE).most_common(1)[0][1] == 1


def test_splits_are_told_by_the_sentence_whatever_the_seed():
    for seed in (1, 2):
        for split in ("train", "valid", "test"):
            assert {assign_split(source) for source, _ in generate_pairs(split, 100, seed)} == {split}
    shares = Counter(assign_split(f"sentence {number}") for number in range(20_000))
    assert [round(shares[split] / 20_000, 1) for split in ("train", "valid", "test")] == [0.8, 0.1, 0.1]


def test_fewer_pairs_are_the_first_ones_and_another_seed_gives_others():
    assert list(generate_pairs("train", 50)) == SPLITS["train"][:50]
    assert len(set(generate_pairs("train", 500, 2)) & set(SPLITS["train"])) < 25


@pytest.mark.parametrize("count", [0, 1, 10, 25, 30])
def test_repeats_are_left_out_within_chunks_and_beyond(monkeypatch, count):
    monkeypatch.setattr(module, "CHUNK_SIZE", 4)
    drawn = [(str(number * number % 50), "x") for number in range(100)]
    expected = list(dict.fromkeys(drawn))
    assert 10 < len(expected) < 25
    assert list(module._without_repeats(iter(drawn), count)) == expected[:count]


def test_another_process_with_another_hash_seed_yields_the_same_pairs():
    code = (
        "import hashlib; from seq2seq.phrasebook.phrasebook import generate_pairs;"
        "print(hashlib.sha256(repr(list(generate_pairs('test', 400))).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == hashlib.sha256(repr(SPLITS["test"]).encode()).hexdigest()


@pytest.mark.parametrize("split", ["dev", "Train", ""])
def test_unknown_split(split: str):
    with pytest.raises(CorpusError, match=rf"unknown split '{split}'. Accepted: train, valid, test, compositional"):
        generate_pairs(split)


def test_the_basic_lexicon_has_fewer_words_and_every_rule():
    full, basic = load_grammar(), load_grammar("basic")
    words = [{lexeme[0]["key"] for part in ("noun", "verb", "adjective") for lexeme in grammar.rules.lexicon[part]}
             for grammar in (full, basic)]  # fmt: skip
    assert words[1] < words[0]
    assert len(words[0]) > 1200
    assert 350 < len(words[1]) < 450
    random = module.make_random("basic", 1)
    for rule in full.rules.rules:
        if rule.startswith("sentence."):
            assert basic.linearize(basic.draw(random, rule), "german").text
    with pytest.raises(CorpusError, match=r"unknown lexicon 'tiny'. Accepted: full, basic\."):
        generate_pairs("train", lexicon="tiny")


def test_a_fingerprint_is_of_the_grammar_and_of_what_is_asked():
    assert fingerprint("test") == fingerprint("test", DEFAULT_PAIRS["test"], 1)
    assert (
        len({fingerprint("test", pairs, seed) for pairs in (5, 6) for seed in (1, 2)} | {fingerprint("valid", 5)}) == 5
    )


def test_a_fingerprint_changes_with_the_grammars_data_and_not_with_its_code(tmp_path, monkeypatch):
    folder = tmp_path / "grammar"
    shutil.copytree(Path(module.__file__).with_name("grammar"), folder)
    before = fingerprint("train")
    monkeypatch.setattr(module, "files", lambda package: folder)
    assert fingerprint("train") == before
    code, data = folder / "syntax.py", folder / "german" / "words.yaml"
    code.write_text(code.read_text(encoding="utf-8") + "# reformatted\n", encoding="utf-8")
    assert fingerprint("train") == before
    data.write_text(data.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")
    edited = fingerprint("train")
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    assert len({before, edited, fingerprint("train")}) == 3


def test_the_pairs_are_those_of_the_version():
    """Where they are others and the grammar's data is the same, `VERSION` is to be raised: it tells encoded corpora."""
    pairs = [
        list(generate_pairs(split, 200, lexicon=lexicon)) for split in DEFAULT_PAIRS for lexicon in module.LEXICONS
    ]
    digest = hashlib.sha256(repr(pairs).encode()).hexdigest()
    assert (module.VERSION, digest) == (1, "799fe6a718351191e02b88756cc916497e1b63b54f1f2a09dc9f8083f9530e91")


def test_what_the_compositional_split_holds_out_was_seen_apart():
    """No combination is in train; each of its words is there in other forms, and each form with other words."""
    grammar = load_grammar()
    parts = {id(lexeme): part for part, lexemes in grammar.rules.lexicon.items() for lexeme in lexemes}

    def named(combinations):
        return [(parts[id(lexeme)], lexeme[0]["key"], form) for lexeme, form in combinations]

    held_out = named(grammar.held_out_combinations["german"])
    assert len(held_out) > 20
    train = Counter()
    texts = dict(SPLITS["train"])
    random = module.make_random("train", 1)
    for _ in range(20_000):
        derivation = grammar.draw(random)
        if grammar.linearize(derivation, "english").text in texts:
            train.update(named(grammar.linearize(derivation, "german").used_forms))
    assert not set(train) & set(held_out)
    words, forms = Counter(), Counter()
    for (part, word, form), number in train.items():
        words[part, word] += number
        forms[part, form] += number
    for part, word in {(part, word) for part, word, _ in held_out}:
        assert words[part, word], (part, word)
        assert sum(forms[part, form] for *which, form in held_out if which == [part, word]) > 20, (part, word)


def test_more_than_ten_to_the_tenth_pairs_can_be_said():
    """One rule alone, a statement with a transitive verb in the past, counted without names and numbers."""
    lexicon = load_grammar().rules.lexicon

    def having(part, key, value):
        return [word[0] for word in lexicon[part] if value in word[0].get(key, "").split()]

    people = having("noun", "class", "person")
    adjectives = {
        name: len(having("adjective", "class", name)) for name in {word[0]["class"] for word in lexicon["adjective"]}
    }

    def with_adjective(noun):
        return sum(adjectives[name] for name in noun["adjectives"].split()) + 1 if noun.get("adjectives") else 1

    subjects = sum(map(with_adjective, people))
    determiners, times = len(lexicon["determiner"]), len(having("time", "tense", "past"))
    ways = 0
    for verb in having("verb", "direct", "yes"):
        if verb["frame"] == "transitive" and {"human", "anyone"} & set(verb["subject"].split()):
            nouns = {id(noun): noun for name in verb["object"].split() for noun in having("noun", "class", name)}
            ways += sum(map(with_adjective, nouns.values()))
    assert prod((subjects, determiners, ways, determiners, times)) > 10**10


def test_the_words_of_the_test_sentences_are_known_from_training():
    for side in (0, 1):
        known = {word for pair in SPLITS["train"] for word in re.findall(r"\w+", pair[side].lower())}
        words = [word for pair in SPLITS["test"] for word in re.findall(r"\w+", pair[side].lower())]
        assert sum(word not in known for word in words) < len(words) / 100  # a rare inflected form


def test_both_sides_end_in_the_same_mark():
    assert all(source[-1] == target[-1] for source, target in SAMPLE)


# English


def test_a_and_an():
    for source, _ in SAMPLE:
        assert not re.search(r"\b[Aa] (?!uni|use|euro|one)[aeiou]|\b[Aa]n (?!hour|honest)[^aeiou\d]", source), source


# German noun phrases


def test_determiner_adjective_and_noun_agree():
    known = {noun for nouns in NOUNS.values() for noun in nouns}
    phrases = [
        (words, target)
        for _, target in SAMPLE
        for words in re.findall(rf"(?<!, )\b{PHRASE}", lower_first(target))  # a comma begins a relative clause
        if words[2] in known
    ]
    assert len(phrases) > 2_500
    for words, target in phrases:
        assert readings(*words), f"{' '.join(words)} in {target}"


def test_a_subject_at_the_start_is_nominative():
    known = {noun for nouns in NOUNS.values() for noun in nouns}
    starts = [match for _, target in SAMPLE if (match := re.match(PHRASE, lower_first(target))) and match[3] in known]
    assert len(starts) > 300
    for match in starts:
        assert "nominative" in readings(*match.groups(default="")), match.string


# German verbs and word order


@pytest.mark.parametrize(
    ("english", "target"),
    [
        (r"^I ", r"ich (\w+e|bin|war|will|kann|muss|darf|sollte|\w+)\b"),
        (r"^(He|She) ", r"(er|sie) (?!\w+en\b)\w+"),
        (r"^(We|They) ", r"(wir|sie) (\w+e?n|sind)\b"),
        (r"^(Peter|Anna|Emma|Paul) (?!and)", r"(?i:\w+) (?!\w+en\b)\w+"),
        (r"^[A-Z]\w+ and [A-Z]\w+ ", r"(?i:\w+) und (?i:\w+) (\w+e?n|sind)\b"),
    ],
)
def test_subject_and_verb_agree(english: str, target: str):
    for sentence in german(english, SAMPLE):
        assert re.match(target, sentence), sentence


def test_the_verb_comes_second_after_a_time():
    times = "heute|gestern|morgen|jetzt|vorgestern|übermorgen|bald|(letzte|nächste) woche"
    for target in german(r"^(Today|Yesterday|Tomorrow|Now|The day|Soon|Last week|Next week) "):
        rest = re.sub(rf"^(?:{times}) ", "", target.lower())
        assert rest != target.lower(), target
        assert re.fullmatch(FINITE + r"|\w+", rest.split()[0]), target
        assert rest.split()[0] not in {"eine", "ein", "meine", "unsere", "diese", "die", "der", "das", "sie", "er"}, (
            target
        )


@pytest.mark.parametrize(
    ("english", "german_verb"),
    [
        ("will", "werde|wirst|wird|werdet|werden"),
        ("(?<!watering )can", "kann|kannst|könnt|können"),
        ("must(?! not)", "muss|musst|müsst|müssen"),
        ("should", "sollte|solltest|solltet|sollten"),
        ("wants? to", "will|willst|wollt|wollen"),
    ],
)
def test_an_infinitive_goes_to_the_end_and_in_a_subordinate_clause_before_its_modal_verb(english, german_verb):
    for target in german(rf"\b({english})\b(?!.*\b(must|can)\b)"):
        assert re.search(rf"\b({german_verb})\b.*\w+n[.?]$", target), target
    whole = [pair for pair in SAMPLE if not re.search(r"\b(who|whom|and|but)\b|\bthat\b.*\bthat\b", pair[0])]
    for target in german(rf"\b(says?|knows?|thinks?) that .*\b({english})\b", whole):
        assert re.search(rf", dass .*\w+n ({german_verb})\.$", target), target


def test_negation_has_nicht_or_kein_as_often_as_not():
    for source, target in SAMPLE:
        negations = re.findall(r"\bnot\b|cannot\b", source)
        assert len(negations) == len(re.findall(r"\b(?:nicht|kein\w*)\b", target)), (source, target)


@pytest.mark.parametrize(
    ("english", "target"),
    [
        (r"^Mrs? \w+, (can|must|are|have|will|do) ", r"(Herr|Frau) \w+, (\w+n|sind) Sie\b"),
        (r"^(Children|Friends), (can|must|are|have|will|do) ", r"(Kinder|Freunde), (\w+t|seid) ihr\b"),
        (r"^[A-Z](?!rs?\b)(?!hildren|riends)\w+, (can|must|are|have|will|do) ", r"\w+, \w+ du\b"),
        (r"^Mrs? \w+, please ", r"(Herr|Frau) \w+, bitte \w+n Sie "),
        (r"^Who ", r"Wer |Wen |Wem "),
        (r"^Where (do|does|did|will) \w+ (go|run|drive|fly|travel)\b", "Wohin "),
        (r"^Where (do|does|did|will) \w+ (sit|live|stay|stand)\b", "Wo "),
        (r"^If it rains, ", "Wenn es regnet, "),
    ],
)
def test_openings(english: str, target: str):
    found = [german for source, german in SAMPLE if re.search(english, source)]
    assert len(found) >= 3
    for sentence in found:
        assert re.match(target, sentence), sentence
