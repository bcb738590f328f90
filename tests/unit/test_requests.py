"""Requests: what a translation must begin with, contain and avoid, in every search, and what is said if it cannot."""

import json

import pytest

from seq2seq import SearchOptions, Translator
from seq2seq.errors import ArgumentError, CorpusError
from seq2seq.inference.demands import Demand
from seq2seq.inference.requests import Request, demands_of
from tests.command import run

SENTENCE = "The teacher buys a book."
SEARCHES = {
    "greedy": {"beam_size": 1},
    "beam": {"beam_size": 5},
    "sample": {"sample": True, "seed": 3},
    "beam without repetition": {"beam_size": 4, "no_repeat_ngram_size": 2},
}
REQUESTS = [
    Request(SENTENCE, include=["ein Bier|zwei Biere"]),
    Request(SENTENCE, prefix="Die Lehrerin k"),
    Request(SENTENCE, exclude=["Lehrer", "Buch"]),
    Request("The dog is big.", prefix="Der ", include=["Katze", "klein"], exclude=["Hund"]),
]


@pytest.fixture(scope="module")
def translator():
    return Translator.load("phrasebook-en-de")


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_does_what_is_asked(translator, name):
    options = SearchOptions(**SEARCHES[name])
    found = translator.translate([*REQUESTS, SENTENCE], options)
    for request, translation in zip(REQUESTS, found, strict=False):
        assert translation.unsatisfied == ()
        for demand in demands_of(request):
            assert demand.is_met(translation.text), (demand, translation.text)
    (alone,) = translator.translate([SENTENCE], options)
    assert (alone.text, alone.score) == (found[-1].text, found[-1].score), (
        "what is asked of other lines changes nothing"
    )
    for request, together in zip(REQUESTS, found, strict=False):
        (alone,) = translator.translate([request], options)
        assert alone.tokens == together.tokens
        assert alone.score == pytest.approx(together.score, abs=1e-5)


def test_what_is_so_anyway_changes_nothing(translator):
    (plain,) = translator.translate([SENTENCE])
    request = Request(SENTENCE, prefix=plain.text[:6], include=["Lehrer|Lehrerin", "ein Buch"], exclude=["Hund"])
    (asked,) = translator.translate([request])
    assert (asked.text, asked.tokens) == (plain.text, plain.tokens)
    assert asked.score == pytest.approx(plain.score, abs=1e-5)


def test_what_cannot_be_done_is_said(translator):
    found = translator.translate(
        [
            Request(SENTENCE, include=["☃", "Katze"], exclude=["☃"]),
            Request(SENTENCE, prefix="☃ Der"),
            Request(" ", include=["Katze"]),
        ]
    )
    assert [translation.unsatisfied for translation in found] == [
        ("include: ☃",),
        ("prefix: ☃ Der",),
        ("include: Katze",),
    ]
    assert found[0].as_dict()["unsatisfied"] == ["include: ☃"]


@pytest.mark.parametrize(
    ("asked", "as_if", "missing"),
    [
        ({"include": ["die Katze|eine Katze"], "exclude": ["Katze"]}, {"exclude": ["Katze"]}, "include: die Katze"),
        ({"terms": {"book": "Heft|Hefte"}, "exclude": ["Heft|Hefte"]}, {"exclude": ["Heft|Hefte"]}, "include: Heft"),
        ({"include": ["Buch|Heft"], "exclude": ["Buch"]}, {"include": ["Heft"], "exclude": ["Buch"]}, None),
        ({"prefix": "Der Hund ", "exclude": ["Hund"]}, {"prefix": "Der Hund "}, "exclude: Hund"),
        ({"prefix": "☃ Buch ", "exclude": ["Buch"]}, {"exclude": ["Buch"]}, "prefix: ☃ Buch"),
    ],
)
def test_of_requests_that_contradict_each_other_one_is_left_out(translator, asked, as_if, missing):
    found, expected = translator.translate([Request(SENTENCE, **asked), Request(SENTENCE, **as_if)])
    assert found.text == expected.text
    assert expected.unsatisfied == ()
    assert [each.startswith(missing) for each in found.unsatisfied] == [True] * bool(missing)


def test_an_excluded_phrase_across_two_sentences_is_said(translator):
    (found,) = translator.translate([Request("The dog sleeps. The cat is big.", exclude=["schläft. Die"])])
    assert found.num_groups == 2
    assert found.unsatisfied == ("exclude: schläft. Die",)


def test_a_glossary_is_used_where_its_terms_are(translator, tmp_path):
    path = tmp_path / "glossary.tsv"
    path.write_text("book\tBier|Biere\nteacher\tBäcker|Bäckers|Bäckern\n", encoding="utf-8")
    options = SearchOptions(glossary=str(path))
    found = translator.translate([SENTENCE, "The dog sleeps.", f"{SENTENCE} The dog sleeps."], options)
    assert all(word in found[0].text for word in ("Bier", "Bäcker"))
    assert found[1].text == translator.translate(["The dog sleeps."])[0].text
    assert (found[2].num_groups, found[2].text) == (2, f"{found[0].text} {found[1].text}")
    (known,) = translator.translate([Request(SENTENCE, prefix="Ein B")], options)
    assert known.text.startswith("Ein B")
    assert "Bier" in known.text


@pytest.fixture
def glossary(tmp_path):
    """A function that writes a glossary and returns search options that use it."""

    def options(*terms, **values):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.tsv"  # a translator reads a file once
        path.write_text("".join(f"{term}\n" for term in terms), encoding="utf-8")
        return SearchOptions(glossary=str(path), **values)

    return options


def test_a_line_is_not_divided_within_a_term(translator, glossary):
    limits = {"max_source_tokens": 8, "split_sentences": False}
    text = "The teacher buys a book. The dog is big."
    (plain,) = translator.translate([text], SearchOptions(**limits))
    encoded = translator.tokenizers.source.encode("The teacher buys a book. The")
    assert plain.num_segments > 1
    assert plain.source_tokens[:8] == [*translator.tokenizers.source.pieces(encoded[:-1]), "</s>"]
    (found,) = translator.translate([text], glossary("book. The\tBier. Das", **limits))
    assert found.unsatisfied == ()
    assert "Bier. Das" in found.text
    two = "The dog sleeps. The cat is big."
    assert translator.translate([two])[0].num_groups == 2
    own = Request(two, terms={"sleeps. The cat": "Bier"})
    for found in translator.translate([two, own], glossary("sleeps. The cat\tBier")):
        assert (found.num_groups, found.unsatisfied) == (1, ())
        assert "Bier" in found.text


def test_a_term_that_is_divided_or_cut_off_is_said(translator, glossary):
    term, small = "teacher buys a book\tBier|Biere", {"max_source_tokens": 4}
    (found,) = translator.translate([SENTENCE], glossary(term, **small))
    assert found.num_segments > 1
    assert found.unsatisfied == ("include: Bier|Biere",)
    (found,) = translator.translate([SENTENCE], glossary("book\tBier", "teacher\tHund", long_lines="truncate", **small))
    assert found.truncated_tokens
    assert found.unsatisfied == ("include: Bier",)
    assert "Hund" in found.text


def test_a_line_with_a_prefix_is_not_divided(translator):
    text = f"{SENTENCE} The dog sleeps."
    assert translator.translate([text])[0].num_groups == 2
    (asked,) = translator.translate([Request(text, prefix="Der ")])
    assert asked.num_groups == asked.num_segments == 1


@pytest.mark.parametrize(
    ("demand", "text", "met"),
    [
        (Demand("prefix", ("Der ",)), "Der Hund", True),
        (Demand("prefix", ("Der ",)), "Derer", False),
        (Demand("prefix", ("Der ",)), "Der", True),
        (Demand("include", ("Haus", "Häuser")), "Zwei Häuser.", True),
        (Demand("include", ("Haus",)), "Ein Haushalt.", False),
        (Demand("exclude", ("Haus",)), "Ein Haushalt.", True),
        (Demand("exclude", ("haus",)), "Haus", False),
    ],
)
def test_demands(demand, text, met):
    assert demand.is_met(text) == met


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"in\.jsonl:3: not JSON"),
        ('["a"]', r"in\.jsonl:3: expected a JSON object with the key 'text'"),
        ('{"prefix": "a"}', "key 'text'"),
        ('{"text": "a", "exlude": []}', "unknown key 'exlude'. Did you mean 'exclude'"),
        ("[" * 100_000, "in.jsonl:3: not JSON"),
        ('{"text": 1}', "'text': expected a string, found 1"),
        ('{"text": "a", "include": "b"}', "'include': expected a list of strings, found \"b\""),
        ('{"text": "a", "include": ["|"]}', r"include: '\|' is blank"),
        ('{"text": "a", "exclude": ["b", 2]}', "exclude: expected strings, found .*2"),
        ('{"text": "a", "text": "b"}', r"in\.jsonl:3: the key 'text' occurs twice"),
        ('{"text": "a", "terms": {"b": "c", "b": "d"}}', "the key 'b' occurs twice"),
    ],
)
def test_a_wrong_request_is_an_error_that_names_the_line(line, message):
    with pytest.raises(CorpusError, match=message):
        Request.from_json(line, "in.jsonl:3")


def test_requests_are_checked():
    with pytest.raises(ArgumentError, match="exclude: expected a list of phrases, found the string 'Haus'"):
        Request("a", exclude="Haus")
    assert Request.from_json(" ", "x:1") == Request("")


def test_requests_are_values():
    terms = {"book": "Buch"}
    request = Request(SENTENCE, terms=terms)
    terms["teacher"] = "Lehrer"
    assert request.terms == {"book": "Buch"}
    assert {request, Request(SENTENCE, terms={"book": "Buch"})} == {request}


def test_the_command_reads_requests_and_warns(tmp_path, capsys):
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [{"text": SENTENCE, "include": ["Katze"]}, {"text": SENTENCE, "prefix": "Die L"}, {"text": SENTENCE}]
    source.write_text("\n".join([*map(json.dumps, lines), ""]) + "\n", encoding="utf-8")
    common = ("--input-format", "jsonl", "--exclude", "Buch", "--include", "☃")
    given = ("translate", "phrasebook-en-de", "-i", source, "-o", output, "--format", "jsonl", *common)
    assert run(*given) == 0
    found = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    texts = [one["translations"][0]["text"] for one in found]
    assert "Katze" in texts[0]
    assert texts[1].startswith("Die L")
    assert texts[3] == ""
    assert not any("Buch" in text for text in texts)
    assert [one["unsatisfied"] for one in found] == [["include: ☃"]] * 4
    said = capsys.readouterr().err
    assert f"{source}:2: the translation does not satisfy include: ☃" in said
    assert "4 that do not satisfy their request (lines 1, 2, 3, 4)" in said
    source.write_text('{"text": "\\ud800"}\n', encoding="utf-8")  # half of a surrogate pair
    assert run(*given) == 0
    assert json.loads(output.read_text(encoding="utf-8"))["source"] == "\ud800"
    refused = ("translate", "phrasebook-en-de", "-i", source, "-o", output, "--shard", "1/2", "--prefix", "Der")
    assert run(*refused) == 1
    assert "--input-format jsonl" in capsys.readouterr().err
