"""Filters: each drops what it names and nothing else, and the counts add up."""

import unicodedata

import pytest

from seq2seq.config import FilterConfig
from seq2seq.corpora import SentencePair, filters
from seq2seq.corpora.filters import FilterReport, filter_pairs
from seq2seq.corpora.readers import Mixture

OFF = {"drop_empty": False, "drop_duplicates": False, "max_characters": None, "max_ratio": None}


def run(pairs: list[tuple[str, str]], **options: object) -> tuple[list[tuple[str, str]], FilterReport]:
    """The pairs kept by the given filters alone, all others off, and the report."""
    report = FilterReport()
    numbered = [SentencePair(*pair, f"file:{number}") for number, pair in enumerate(pairs, start=1)]
    kept = [pair[:2] for pair in filter_pairs(numbered, FilterConfig(**{**OFF, **options}), report)]
    assert report.read == len(pairs)
    assert report.kept == len(kept) == len(pairs) - report.dropped.total()
    return kept, report


NASTY = [("", ""), (" ", "a"), ("a", "b"), ("a", "b"), ("x" * 5000, "y"), ("<s>", "\ufffd")]


def test_without_filters_everything_passes_untouched() -> None:
    kept, report = run(NASTY)
    assert kept == NASTY
    assert report.dropped == {}


def test_origin_and_order_are_kept() -> None:
    pairs = [SentencePair(f"s{i}", f"t{i}", f"file:{i}") for i in range(5)]
    assert list(filter_pairs(pairs, FilterConfig(), FilterReport())) == pairs


def test_pairs_are_read_and_counted_a_chunk_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "CHUNK_SIZE", 3)
    report = FilterReport()
    pairs = (SentencePair("s" * (i % 2), "t" * i, f"file:{i}") for i in range(1, 1_000_000))
    flow = filter_pairs(pairs, FilterConfig(), report)
    assert [next(flow).origin for _ in range(3)] == ["file:1", "file:3", "file:5"]
    assert (report.read, report.kept, report.dropped) == (6, 3, {"empty side": 3})


@pytest.mark.parametrize("chunk", [1, 2, 5, 100])
def test_chunks_change_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "CHUNK_SIZE", chunk)
    texts = [("a", "b"), ("", "c"), ("a", "b"), ("d", "e"), ("a", "b"), ("d", "e"), ("f", "g")]
    kept, report = run(texts, drop_empty=True, drop_duplicates=True)
    assert kept == [texts[i] for i in (0, 3, 6)]
    assert report.dropped == {"empty side": 1, "duplicate": 3}


@pytest.mark.parametrize(
    "blank", ["", " ", "\t", "\u00a0", "\u3000 \r", "\u200b", "\ufeff\u200e", "\xad", "\0", "\x85\u200d"]
)
def test_empty_drops_a_blank_side(blank: str) -> None:
    kept, report = run([(blank, "a"), ("a", "b"), ("a", blank), (blank, blank)], drop_empty=True)
    assert kept == [("a", "b")]
    assert report.dropped == {"empty side": 3}


def test_max_characters_counts_characters_on_either_side() -> None:
    fits, over = "ü" * 7, "ü" * 8
    kept, report = run([(fits, fits), (over, "a"), ("a", over), (over, over), (f"  {fits}  ", "a")], max_characters=7)
    assert kept == [(fits, fits), (f"  {fits}  ", "a")]
    assert report.dropped == {"over 7 characters": 3}


@pytest.mark.parametrize(
    ("source", "target", "dropped"),
    [
        (19, 1, False),  # below 20 characters a ratio says little
        (20, 1, True),
        (1, 20, True),
        (19, 0, False),
        (20, 0, True),
        (30, 10, False),  # exactly the ratio
        (31, 10, True),
        (10, 31, True),
        (10, 30, False),
    ],
)
def test_ratio_from_20_characters_on(source: int, target: int, dropped: bool) -> None:
    pairs = [("s" * source, "t" * target)]
    kept, report = run(pairs, max_ratio=3.0)
    assert kept == ([] if dropped else pairs)
    assert report.dropped == ({"length ratio over 3": 1} if dropped else {})


def test_ratio_names_its_value() -> None:
    assert run([("s" * 26, "t" * 10)], max_ratio=2.5)[1].dropped == {"length ratio over 2.5": 1}


def texts(source: int, target: int, count: int) -> list[tuple[str, str]]:
    """Different pairs with as many characters on each side, give or take a few."""
    return [("s" * (source + place % 3), f"{place:03}".ljust(target, "t")) for place in range(count)]


@pytest.mark.parametrize(
    ("source", "target"),
    [(60, 15), (15, 60), (90, 20), (66, 14), (120, 24), (30, 30), (33, 28), (40, 100)],
    ids=["en-zh", "zh-en", "en-ja", "de-zh", "fi-yue", "en-de", "de-nl", "zh-km"],
)
@pytest.mark.parametrize("count", [10, 300])
def test_the_usual_ratio_of_a_corpus_is_no_reason_to_drop_its_pairs(source: int, target: int, count: int) -> None:
    good = texts(source, target, count)
    bad = [(target_side * 30, source_side[:2]) for source_side, target_side in good[: 3 * count // 10]]
    for pairs in (good, bad + good, good + bad):
        kept, report = run(pairs, max_ratio=4.0)
        assert kept == good
        assert report.dropped.total() == len(pairs) - len(good)
        (ratio,) = report.length_ratios
        assert ratio == pytest.approx(target / source, rel=0.25)


def test_both_directions_drop_the_same_pairs() -> None:
    pairs = [*texts(60, 15, 50), ("a" * 90, "b" * 5), ("a" * 30, "b" * 40), ("a" * 22, "b" * 2), ("a" * 30, "b" * 2)]
    there, report = run(pairs, max_ratio=4.0)
    back, _ = run([(target, source) for source, target in pairs], max_ratio=4.0)
    assert [(source, target) for target, source in back] == there
    assert 0 < report.dropped["length ratio over 4"] < 4
    assert f"length ratio over 4 (usual: {report.length_ratios[0]:.2f} target characters" in str(report)


def test_a_few_pairs_do_not_justify_themselves() -> None:
    assert run(texts(60, 10, 2), max_ratio=4.0)[1].dropped == {"length ratio over 4": 2}
    assert filters.usual_length_ratio([]) == filters.usual_length_ratio(texts(5, 19, 100)) == 1.0
    assert filters.usual_length_ratio([("", "t" * 40), ("s" * 40, " ")] * 50) == 1.0, "blank sides have no ratio"


def test_each_part_of_a_mixture_has_its_own_ratio() -> None:
    dense, spaced = texts(60, 15, 40), texts(40, 41, 60)
    report = FilterReport()
    mixture = Mixture([[SentencePair(*pair, "") for pair in part] for part in (dense, spaced)])
    kept = [pair[:2] for pair in filter_pairs(mixture, FilterConfig(**{**OFF, "max_ratio": 2.0}), report)]
    assert kept == dense + spaced
    assert report.length_ratios == [pytest.approx(0.246, abs=0.005), 1.0]


def test_a_ratio_is_measured_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "usual_length_ratio", None)
    kept, report = run(texts(60, 10, 3))
    assert (len(kept), report.length_ratios) == (3, [])


def test_duplicates_drop_later_exact_repetitions() -> None:
    pairs = [("a", "b"), ("a", "c"), ("b", "a"), ("a", "b"), ("a", "b"), ("a", "b "), ("ab", ""), ("", "ab")]
    kept, report = run(pairs, drop_duplicates=True)
    assert kept == [pairs[i] for i in (0, 1, 2, 5, 6, 7)]
    assert report.dropped == {"duplicate": 2}


def test_many_duplicates_among_many() -> None:
    numbers = [number * number % 7919 for number in range(20_000)]
    kept, report = run([(f"s{number}", "t") for number in numbers], drop_duplicates=True)
    assert kept == [(f"s{number}", "t") for number in dict.fromkeys(numbers)]
    assert report.dropped == {"duplicate": 20_000 - len(kept)}


def test_no_character_moves_the_border_of_the_sides() -> None:
    pairs = [("a\tb", "c"), ("a", "b\tc")]
    assert run(pairs, drop_duplicates=True)[0] == [("a b", "c"), ("a", "b c")]


def test_cleaning_changes_text_and_drops_nothing() -> None:
    composed = "café Å 한국 ，…ｆｕｌｌ"
    decomposed = unicodedata.normalize("NFD", composed)
    assert decomposed != composed
    kept, report = run([(decomposed, "x\u00a0y"), ("x\u200by", decomposed)])
    assert kept == [(composed, "x y"), ("xy", composed)]
    assert report.dropped == {}


def test_cleaning_comes_before_lengths_ratios_and_duplicates() -> None:
    odd, clean = ("e\u0301\u200b" * 5, "x\u3000y"), ("é" * 5, "x y")
    kept, report = run([odd, clean], max_characters=5, drop_duplicates=True)
    assert kept == [clean]
    assert report.dropped == {"duplicate": 1}
    assert run([("x" * 20, "\u200b".join("y" * 10) + "\u00a0" * 99)], max_ratio=2.0)[0], "20 to 10 characters"


def test_first_reason_counts() -> None:
    long = "x" * 40
    usual = texts(30, 30, 5)
    pairs = [
        ("", long),  # blank, too long, ratio
        (long, "y"),  # too long, ratio
        ("x" * 30, "y"),  # ratio
        ("ok", "gut"),
        ("ok", "gut"),  # duplicate
        ("", long),  # blank again, though a repetition
        (long, "y"),
        ("x" * 30, "y"),
        *usual,
    ]
    kept, report = run(pairs, drop_empty=True, max_characters=35, max_ratio=4.0, drop_duplicates=True)
    assert kept == [("ok", "gut"), *usual]
    assert report.dropped == {
        "empty side": 2,
        "over 35 characters": 2,
        "length ratio over 4": 2,
        "duplicate": 1,
    }
