"""The embedded corpus: the same everywhere, no sentence twice, and German that agrees with tables written here."""

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from seq2seq.corpora.phrasebook import SEED, SIZES, Grammar, phrasebook

PAIRS = [pair for split in SIZES for pair in phrasebook(split)]


def draw(seed: int, number: int) -> list[tuple[str, str]]:
    grammar = Grammar(seed)
    return [grammar.sentence() for _ in range(number)]


# The language is checked on more sentences than the splits hold, so that rare rules meet a few.
SAMPLE = PAIRS + draw(SEED + 1, 15_000)

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
    Fenster"""
DATIVE_PLURAL = """Lehrern Ärzten Studenten Männern Jungen Bäckern Bauern Gästen Frauen Krankenschwestern Königinnen
    Kindern Mädchen Autos Fahrrädern Booten"""

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
    ("genitive", "m"): "des=en",
    ("genitive", "f"): "der=en",
    ("genitive", "n"): "des=en",
}
ENDINGS = {key: dict(entry.split("=") for entry in row.split()) for key, row in DETERMINED.items()}
DETERMINERS = "|".join(sorted({determiner for row in ENDINGS.values() for determiner in row}))
PHRASE = rf"({DETERMINERS}) (?:((?!und)[a-zäöüß]+) )?([A-ZÄÖÜ][a-zäöüß]+)"
FINITE = r"(\w+(t|e|en|rn)|bin|sind|war|wird|will|kann|muss|darf|soll|weiß)"
NAME = "(?:Peter|Paul|David|Martin|Anna|Maria|Lena|Emma)"
CONJUNCTIONS = r"\b(and|but|because|although|when|that|whether)\b"
SIMPLE = [(source, target) for source, target in SAMPLE if not re.search(CONJUNCTIONS, source, re.IGNORECASE)]


def readings(determiner: str, adjective: str, noun: str) -> set[str]:
    """The cases in which the three words agree; empty if they never do."""
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


def test_sizes():
    assert {split: len(list(phrasebook(split))) for split in SIZES} == {"train": 12_000, "valid": 400, "test": 400}


def test_an_english_sentence_occurs_once_in_all_splits_together():
    assert Counter(source for source, _ in PAIRS).most_common(1)[0][1] == 1


def test_another_process_with_another_hash_seed_yields_the_same_pairs():
    code = (
        "import hashlib; from seq2seq.corpora.phrasebook import SIZES, phrasebook;"
        "pairs = [pair for split in SIZES for pair in phrasebook(split)];"
        "print(hashlib.sha256(repr(pairs).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == hashlib.sha256(repr(PAIRS).encode()).hexdigest()


@pytest.mark.parametrize("split", ["dev", "Train", ""])
def test_unknown_split(split: str):
    with pytest.raises(ValueError, match=rf"unknown split '{split}'. Accepted: train, valid, test"):
        phrasebook(split)


def test_two_draws_agree_on_translations_and_overlap_little():
    first, second = (dict(draw(seed, 5_000)) for seed in (SEED + 2, SEED + 3))
    shared = first.keys() & second.keys()
    assert all(first[source] == second[source] for source in shared)
    # Two catches of n with s fish in both speak of n * n / s fish, and of more if some are caught more easily.
    assert len(first) * len(second) / len(shared) > 100_000


def test_splits_hold_the_same_kinds_of_sentences():
    def share(split: str, pattern: str) -> float:
        return sum(bool(re.search(pattern, source)) for source, _ in phrasebook(split)) / SIZES[split]

    for pattern in (r"\?$", r"\bnot\b", r"because|although|that|whether|when", r"\bwill\b", r"^[A-Z]\w+ (is|are) "):
        assert share("train", pattern) > 0.02
        for split in ("valid", "test"):
            assert abs(share(split, pattern) - share("train", pattern)) < 0.08  # over 3 standard deviations


def test_the_words_of_the_test_sentences_are_known_from_training():
    for side in (0, 1):
        known = {word for pair in phrasebook("train") for word in re.findall(r"\w+", pair[side].lower())}
        words = [word for pair in phrasebook("test") for word in re.findall(r"\w+", pair[side].lower())]
        assert sum(word not in known for word in words) < len(words) / 500  # a rare inflected form


def test_sentences_are_plain_text_of_4_to_14_words():
    for text in (text for pair in PAIRS for text in pair):
        assert re.fullmatch(r"[A-ZÄÖÜ][A-Za-zÄÖÜäöüß', ]+[.?]", text), text
        assert not re.search(r"  | [,.?]", text), text
        assert 4 <= len(text.split()) <= 14, text


def test_both_sides_end_in_the_same_mark():
    assert all(source[-1] == target[-1] for source, target in PAIRS)


# English


def test_a_and_an():
    for source, _ in SAMPLE:
        assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]", source), source


def test_english_subjects_and_verbs_agree():
    for source, _ in SAMPLE:
        assert not re.match(
            rf"(He|She|{NAME}|The (man|child|nurse|dog|mouse)) (are|were|have|do|go|see|eat) ", source
        ), source
        assert not re.match(
            r"(We|They|The (men|children|nurses|dogs|mice)) (is|was|has|does|goes|sees|eats) ", source
        ), source
        assert not re.match(r"I (is|are|were|has|does) ", source), source


# German noun phrases


def test_determiner_adjective_and_noun_agree():
    phrases = [(words, target) for _, target in SAMPLE for words in re.findall(rf"\b{PHRASE}", lower_first(target))]
    assert len(phrases) > 10_000
    for words, target in phrases:
        assert readings(*words), f"{' '.join(words)} in {target}"


def test_a_subject_at_the_start_is_nominative():
    starts = [match for _, target in SAMPLE if (match := re.match(PHRASE, lower_first(target)))]
    assert len(starts) > 2_000
    for match in starts:
        assert "nominative" in readings(*match.groups(default="")), match.string


@pytest.mark.parametrize(
    ("english", "before", "case"),
    [
        ("", "mit|von", "dative"),
        ("", "für", "accusative"),
        (r"\bwait(?!.* (at|in|on) )", "auf", "accusative"),
        (r"\bput", "auf|unter|hinter|neben", "accusative"),
        (r"^There |\b(lying|lies|lie|lay)\b", "auf|unter|hinter|neben", "dative"),
        (r"\b(go|goes|going|went|run|runs|running|ran) to ", "in|an", "accusative"),
        (r"^\w+ (is (helping|thanking|answering)|(helps|thanks|answers))", "hilft|dankt|antwortet", "dative"),
        (r"^\w+ (is (visiting|inviting|asking)|loves|knows)", "besucht|lädt|fragt|liebt|kennt", "accusative"),
    ],
)
def test_prepositions_and_verbs_govern_their_case(english: str, before: str, case: str):
    pronouns = {"accusative": {"mich", "uns", "ihn", "sie"}, "dative": {"mir", "uns", "ihm", "ihr", "ihnen"}}
    checked = 0
    for target in german(english):
        for match in re.finditer(rf"\b(?:{before}) {PHRASE}", target):
            checked += 1
            assert case in readings(*match.groups(default="")), target
        for pronoun in re.findall(rf"\b(?:{before}) (mich|mir|uns|ihn|ihm|sie|ihr|ihnen)\b", target):
            checked += 1
            assert pronoun in pronouns[case], target
    assert checked >= 5


# German verbs and word order


@pytest.mark.parametrize(
    ("english", "target"),
    [
        (r"^I ", r"ich (\w+e|bin|war|will|kann|muss|darf|soll|weiß)\b"),
        (r"^(He|She) ", r"(er|sie) (\w+t|war|wird|will|kann|muss|darf|soll|weiß)\b"),
        (r"^(We|They) ", r"(wir|sie) (\w+e?n|sind)\b"),
        (rf"^{NAME} (?!and)", rf"(?i:{NAME}) (\w+t|war|wird|will|kann|muss|darf|soll|weiß)\b"),
        (rf"^{NAME} and {NAME} ", rf"(?i:{NAME}) und {NAME} (\w+e?n|sind)\b"),
    ],
)
def test_subject_and_verb_agree(english: str, target: str):
    for sentence in german(english, SAMPLE):
        assert re.match(target, sentence), sentence


def test_the_verb_comes_second_after_a_time():
    times = (
        "heute( morgen| abend)?|gestern( morgen| abend)?|morgen|jetzt|sonntags|am abend|am (mon|sams|sonn)tag|"
        "(letzte|nächste) woche|vor zwei tagen|jeden (tag|morgen)|um [a-zäöüß]+ uhr"
    )
    fronted = r"^(Today|Tomorrow|Yesterday|Now|This (morning|evening)|On |At \w+ o|In the ev|Last|Next|Every|Two days)"
    for target in german(fronted):
        rest = re.sub(rf"^(?:{times}) ", "", target.lower())
        assert rest != target.lower(), target
        verb, subject = rest.split()[:2]
        assert re.fullmatch(FINITE, verb), target
        assert verb not in {"eine", "meine", "unsere", "diese", "keine", "die", "sie"}, target
        assert not re.fullmatch(r"nicht|mich|mir|ihn|ihm|den|dem|einen|keinen|einem", subject), target


@pytest.mark.parametrize(
    ("english", "german_verb"),
    [
        ("will", "werde|wird|werden"),
        ("can|cannot", "kann|können"),
        ("must", "muss|müssen"),
        ("may", "darf|dürfen"),
        ("should", "soll|sollen"),
        ("wants? to", "will|wollen"),
    ],
)
def test_an_infinitive_goes_to_the_end_and_in_a_subordinate_clause_before_its_modal_verb(english, german_verb):
    for target in german(rf"\b({english})\b"):
        assert re.search(rf"\b({german_verb}) .*\w+n[.?]$", target), target
    for target in german(rf"\b(that|whether) .*\b({english})\b", SAMPLE):
        assert re.search(rf", (dass|ob) .*\w+n ({german_verb})\.$", target), target


@pytest.mark.parametrize(
    ("english", "auxiliary"),
    [
        ("went|ran|drove|flew|stayed|arrived|got up|came back", "bin|ist|sind"),
        ("ate|drank|read|wrote|bought|saw|helped|gave|slept|sat|put|picked", "habe|hat|haben"),
    ],
)
def test_the_perfect_has_its_auxiliary_and_its_participle_at_the_end(english: str, auxiliary: str):
    past = rf"\b({english})\b.*(yesterday|last week|ago)"
    for target in german(past):
        assert re.search(rf"\b({auxiliary}) .*ge\w+[.?]$", target), target
    for target in german(rf"\b(that|whether) .*{past}", SAMPLE):
        assert re.search(rf", (dass|ob) .*ge\w+ ({auxiliary})\.$", target), target


@pytest.mark.parametrize(
    ("english", "prefix"),
    [
        (r"calling\b", "an"),
        (r"inviting\b", "ein"),
        (r"opening\b", "auf"),
        (r"closing\b", "zu"),
        (r"picking .* up\b", "ab"),
        (r"bringing .* along\b", "mit"),
        (r"coming back\b", "zurück"),
    ],
)
def test_a_separable_verb_splits_in_main_clauses(english: str, prefix: str):
    for target in german(rf"\b(am|is|are) (not )?{english}"):
        assert target.rstrip(".?").endswith(f" {prefix}"), target


def test_a_separable_verb_stays_whole_in_subordinate_clauses():
    verbs = r"calling|inviting|opening|closing|arriving|coming back|picking .* up|bringing .* along"
    for target in german(rf"\b(that|whether) .*\b(am|is|are) (not )?({verbs})\b", SAMPLE):
        assert re.search(r" (an|ein|auf|zu|zurück|ab|mit)(ruf|lad|läd|mach|komm|hol|bring)\w+\.$", target), target


def test_each_negation_has_one_nicht_or_kein():
    for source, target in SAMPLE:
        negations = re.findall(r"\bnot\b|cannot\b", source)
        assert len(negations) == len(re.findall(r"\b(?:nicht|kein\w*)\b", target)), (source, target)


def test_an_indefinite_object_is_negated_by_kein():
    verbs = "eating|drinking|reading|buying|wearing|painting"
    for target in german(rf"\bnot ({verbs}) (a|an) "):
        assert re.search(r"\bkeine?n? ", target), target
    for target in german(rf"\bnot ({verbs}) (the|this|these|my|our) "):
        assert " nicht" in target, target


@pytest.mark.parametrize(
    ("english", "target"),
    [
        ("^Who ", "wer "),
        (r"^Whom .*\b(visit|invite|call|ask)(ing)?\b", "wen "),
        (r"^Whom .*\b(help|thank|answer)(ing)?\b", "wem "),
        (r"^Whom .* (wait|waiting) for\b", "auf wen "),
        (r"^Where .*\b(go|run|drive|fly|put)\b", "wohin "),
        (r"^Where .*\b(sit|live|stay|lie|lying)\b", "wo "),
        (r"^How many ", "wie viele "),
        (r"^(Is|Are|Am|Do|Does|Did|Will|Can|Must|May|Should|Was|Were) ", rf"{FINITE} "),
    ],
)
def test_questions(english: str, target: str):
    for sentence in german(english):
        assert re.match(target, sentence), sentence
        assert sentence.endswith("?"), sentence
