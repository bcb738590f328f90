"""Glossaries: files of DeepL and OmegaT, and where their terms are found."""

import pytest

from seq2seq.corpora.glossary import Glossary, Term, load_glossary
from seq2seq.errors import CorpusError
from seq2seq.text.phrases import find_phrase, split_variants

GLOSSARY = Glossary(
    [
        Term(("house", "houses"), ("Haus", "Häuser")),
        Term(("green house",), ("Gewächshaus",)),
        Term(("IT",), ("EDV",)),
        Term(("a",), ("ein",)),
        Term(("房子",), ("house",)),
        Term(("o'clock",), ("Uhr",)),
    ]
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The house.", ["house"]),
        ("HOUSES, Houses and a green house", ["house", "a", "green house"]),
        ("it is IT", ["IT"]),
        ("warehouse housework house's", ["house"]),
        ("这个房子很大", ["房子"]),
        ("at two o'clock", ["o'clock"]),
        ("a green house", ["a", "green house"]),
        ("", []),
    ],
)
def test_terms_are_found_as_whole_words_the_longest_first(text, found):
    assert [term.source[0] for term in GLOSSARY.find(text)] == found


@pytest.mark.parametrize("order", [1, -1])
def test_a_term_that_is_written_as_the_text_is_comes_before_one_in_lower_case(order):
    terms = [Term(("it",), ("es",)), Term(("IT",), ("EDV",))][::order]
    found = Glossary(terms).find("It is IT, it seems")
    assert {term.target[0]: spans for term, spans in found.items()} == {"es": [(0, 2), (10, 12)], "EDV": [(6, 8)]}


def test_each_occurrence_of_a_term_is_found():
    text = "A house, two houses and a green house"
    found = {term.source[0]: [text[slice(*span)] for span in spans] for term, spans in GLOSSARY.find(text).items()}
    assert found == {"a": ["A", "a"], "house": ["house", "houses"], "green house": ["green house"]}


@pytest.mark.parametrize(
    ("text", "variants", "span"),
    [
        ("Das Haus ist gross", ("Haus",), (4, 8)),
        ("Das Haushalt ist gross", ("Haus",), None),
        ("Groß ist es", ("groß",), (0, 4)),
        ("das haus", ("Haus",), None),
        ("Zwei Häuser, ein Haus", ("Haus", "Häuser"), (5, 11)),
        ("Haushalt Haus", ("Haus",), (9, 13)),
        ("他买书了", ("买书",), (1, 3)),
    ],
)
def test_a_phrase_is_found_as_whole_words(text, variants, span):
    assert find_phrase(text, variants) == span


def test_variants():
    assert split_variants(" Haus | Häuser||Haus ") == ("Haus", "Häuser")
    assert split_variants(" | ") == ()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deepl.tsv", "house\tHaus|Häuser\n\nIT\tEDV\n"),
        ("deepl.csv", '"house","Haus|Häuser"\nIT,EDV\n'),
        ("omegat.utf8", "# comment\nhouse\tHaus|Häuser\tsee there\nIT\tEDV\t\n"),
        ("bom.txt", "\ufeffhouse\tHaus|Häuser\r\nIT\tEDV\r\n"),
    ],
)
def test_files_are_read(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert list(map(str, load_glossary(path).terms)) == ["house = Haus|Häuser", "IT = EDV"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("house\tHaus\nhouse\tHütte\n", r"g\.tsv:2: the source term 'house' is in line 1, too.*'Haus\|Hütte'"),
        ("house\tHaus\ncar\n", r"g\.tsv:2: expected a source term and a target term.*found 1 column\."),
        ("house\tHaus\tx\ty\n", r"g\.tsv:1: expected .* found 4 columns"),
        ("house\tHaus\ncar\t \n", r"g\.tsv:2: the target term is blank"),
        ("\tHaus\n", r"g\.tsv:1: the source term is blank"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_the_line(tmp_path, content, message):
    path = tmp_path / "g.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError, match=message):
        load_glossary(path)
