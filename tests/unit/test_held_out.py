"""Validation text that is held out from training: by source sentence, the same one every time, nothing lost."""

import unicodedata
from collections import Counter

import pytest

from seq2seq.config import validate_config
from seq2seq.config.corpus import ValidConfig
from seq2seq.corpora import SentencePair, filters, held_out, open_corpus
from seq2seq.corpora.downloads.splits import assign_split
from seq2seq.corpora.filters import FilterReport, filter_pairs
from seq2seq.corpora.held_out import hash_sources, open_train, open_valid
from seq2seq.errors import CorpusError

# Every third source has two translations.
PAIRS = [
    (f"Sentence number {number}.", f"Satz Nummer {number}, Fassung {variant}.")
    for number in range(600)
    for variant in range(2 if number % 3 == 0 else 1)
]
BOTH = ("source", "target")


def corpora(train, valid, task="translation", **more):
    data = {"train": train, "valid": valid, **more}
    return validate_config({"task": task, "data": data}, "recipe").data


@pytest.fixture
def write(tmp_path):
    def write(pairs, name="text.tsv"):
        path = tmp_path / name
        path.write_text("".join(f"{source}\t{target}\n" for source, target in pairs), encoding="utf-8")
        return {"tsv": str(path)}

    return write


def divide(data, sides=BOTH):
    """What is trained on, by part, and what is held out."""
    train = open_train(data, sides)
    return [[pair[:2] for pair in part] for part in train], [pair[:2] for pair in open_valid(data, train, sides)]


def sources(pairs):
    return {source for source, _ in pairs}


def hash_of(pair):
    return int(hash_sources([SentencePair(*pair, "")])[0])


def two_files(folder):
    for side, name in enumerate(BOTH):
        (folder / name).write_text("".join(f"{pair[side]}\n" for pair in PAIRS), encoding="utf-8")
    return {name: str(folder / name) for name in BOTH}


@pytest.mark.parametrize("amount", [{"fraction": 0.1}, {"pairs": 70}])
@pytest.mark.parametrize("kind", ["tsv", "two files", "mixture", "phrasebook"])
def test_each_source_is_on_one_side_and_no_pair_is_lost(write, tmp_path, kind, amount):
    train = {
        "tsv": lambda: write(PAIRS),
        "two files": lambda: two_files(tmp_path),
        "mixture": lambda: {"mixture": [write(PAIRS[:500], "a.tsv"), write(PAIRS[300:], "b.tsv")]},
        "phrasebook": lambda: {"phrasebook": "train", "pairs": 800, "lexicon": "basic"},
    }[kind]()
    data = corpora(train, amount)
    parts, valid = divide(data)
    whole = [pair[:2] for pair in open_corpus(data.train)]
    assert Counter(pair for part in [*parts, valid] for pair in part) == Counter(whole)
    assert not sources(pair for part in parts for pair in part) & sources(valid)
    assert len(parts) == len(data.train.parts())
    if "fraction" in amount:  # 60 to 80 expected; four standard deviations
        assert abs(len(sources(valid)) - 0.1 * len(sources(whole))) < 4 * (0.09 * len(sources(whole))) ** 0.5
    else:
        assert 70 <= len(set(valid)) <= 71
    assert [pair for pair in whole if pair in set(valid)] == valid, "the order of the corpus"


def test_a_language_model_holds_out_target_sentences(write):
    repeated = [(f"{target} {number}", target) for target, number in [(t, n) for _, t in PAIRS for n in (1, 2)]]
    data = corpora(write(repeated), {"fraction": 0.2}, task="language_model")
    (train,), valid = divide(data, ("target",))
    assert not sources(train) & sources(valid)
    assert len(train) + len(valid) == len(repeated)
    assert all(source == target for source, target in valid)


def test_canonically_equal_sources_stay_together(write):
    composed = [(f"Café número {number}", f"a{number}") for number in range(300)]
    others = [
        (f" {unicodedata.normalize('NFD', source).replace(' ', '  ')}\u00a0", f"b{target}")
        for source, target in composed
    ]
    _, valid = divide(corpora(write(composed + others), {"fraction": 0.1}))
    targets = {target for _, target in valid}
    assert {target for target in targets if target.startswith("b")} == {f"b{t}" for t in targets if t.startswith("a")}
    assert 0 < len(valid) < 300


def test_a_corpus_that_grows_leaves_every_sentence_where_it_was(write):
    before = divide(corpora(write(PAIRS[:500]), {"fraction": 0.1}))
    after = divide(corpora(write([("A new one at the top.", "Neu."), *PAIRS]), {"fraction": 0.1}))
    assert sources(before[0][0]) <= sources(after[0][0])
    assert sources(before[1]) <= sources(after[1])
    halves = divide(corpora(write(PAIRS), {"fraction": 0.5}))
    assert sources(after[1]) <= sources(halves[1]) | {"A new one at the top."}


def test_what_a_download_left_to_train_on_is_divided_anew(write):
    """Its splits and these are independent: a `train.tsv` of 90% has as large a share to hold out as any text."""
    left = [pair for pair in PAIRS if assign_split(pair[0], 1, 0.05) == "train"]
    _, valid = divide(corpora(write(left), {"fraction": 0.1}))
    assert 25 < len(sources(valid)) < 85


@pytest.mark.parametrize("count", [1, 2, 50, 599])
def test_a_number_of_pairs_is_of_the_smallest_hashes(write, monkeypatch, count):
    """Pairs that the filters drop do not count: blank and repeated ones, and those with another length."""
    monkeypatch.setattr(held_out, "CHUNK_SIZE", 7)
    monkeypatch.setattr(filters, "CHUNK_SIZE", 13)
    noise = [(source, " ") for source, _ in PAIRS[:200]] + PAIRS[100:300] + [(source, "x" * 90) for source, _ in PAIRS]
    data = corpora(write(noise[:600] + PAIRS + noise[600:]), {"pairs": count})
    train, valid = divide(data)
    kept = [pair for pair in dict.fromkeys(noise[:600] + PAIRS) if pair[1].strip() and "x" not in pair[1]]
    by_source = {source: hash_of((source, target)) for source, target in PAIRS}
    expected, taken = 0, set()
    for source in sorted(by_source, key=by_source.get):
        if expected >= count:
            break
        taken.add(source)
        expected += sum(pair[0] == source for pair in kept)
    assert sources(valid) == taken
    found = [pair[:2] for pair in filter_pairs(open_valid(data, open_train(data)), data.filters, FilterReport())]
    assert len(found) == expected in (count, count + 1)
    assert not sources(train[0]) & taken


def test_fingerprints_follow_text_amount_and_side(write):
    def fingerprints(pairs, amount):
        data = corpora(write(pairs), amount)
        train = open_train(data)
        return train[0].fingerprint(), open_valid(data, train).fingerprint()

    found = [fingerprints(PAIRS, {"fraction": 0.1}), fingerprints(PAIRS, {"fraction": 0.2})]
    found += [fingerprints(PAIRS[:-1], {"fraction": 0.1}), fingerprints(PAIRS, {"pairs": 20})]
    assert len({one for both in found for one in both}) == 8
    assert fingerprints(PAIRS, {"fraction": 0.1}) == found[0]


@pytest.mark.parametrize(
    ("before", "now", "held_out_before"),
    [
        ({"fraction": 0.1}, {"fraction": 0.1}, True),
        ({"fraction": 0.1}, {"fraction": 0.05}, True),
        ({"fraction": 0.1}, {"fraction": 0.2}, False),
        ({"pairs": 50}, {"pairs": 50}, False),
        ({"pairs": 50}, {"fraction": 0.1}, False),
        ({"tsv": "valid.tsv"}, {"fraction": 0.1}, False),
    ],
)
def test_only_a_fraction_holds_the_same_out_of_any_corpus(write, before, now, held_out_before):
    assert ValidConfig(**now).is_within(ValidConfig(**before)) == held_out_before
    if "tsv" not in before:
        earlier, later = divide(corpora(write(PAIRS), before)), divide(corpora(write(PAIRS[300:]), now))
        trained, validated = sources(earlier[0][0]), sources(later[1])
        assert bool(trained & validated) != held_out_before


def test_a_corpus_of_its_own_is_opened_as_it_is(write):
    data = corpora(write(PAIRS), write(PAIRS[:9], "valid.tsv"))
    assert divide(data) == ([PAIRS], PAIRS[:9])


@pytest.mark.parametrize(
    ("pairs", "amount", "expected"),
    [
        (
            PAIRS[:3],
            {"fraction": 0.001},
            "data.valid: with 0.1% held out from data.train, none of its 3 lines is held out. Raise "
            "data.valid.fraction, set a number with data.valid={pairs: N}, or check data.train and data.filters.",
        ),
        (
            PAIRS[:9],
            {"pairs": 9},
            "data.valid: with 9 pairs held out from data.train, none of 9 lines of TEXT is left to train on. Lower "
            "data.valid.pairs, or check data.train and data.filters.",
        ),
        (PAIRS[:9], {"pairs": 10}, "Lower data.valid.pairs"),
        ([PAIRS[0]] * 20, {"pairs": 1}, "data.valid: all lines of TEXT have the same source, and such lines are held"),
        ([("a", " ")] * 20, {"fraction": 0.5}, "all lines of TEXT have the same source"),
        ([("a b", "c"), (" a  b", "d")], {"fraction": 1e-9}, "all lines of TEXT have the same source"),
    ],
)
def test_nothing_on_one_side_is_an_error(write, pairs, amount, expected):
    train = write(pairs)
    with pytest.raises(CorpusError) as error:
        divide(corpora(train, amount))
    assert expected.replace("TEXT", train["tsv"]) in str(error.value)


def test_a_part_of_a_mixture_that_is_held_out_whole_is_named(write):
    by_hash = sorted(PAIRS, key=hash_of)
    small = write(by_hash[:1], "small.tsv")
    with pytest.raises(CorpusError, match=r"none of 1 line of .*small\.tsv is left to train on"):
        divide(corpora({"mixture": [write(by_hash[1:]), small]}, {"pairs": 3}))


def test_what_is_held_out_cannot_be_opened_alone(write):
    with pytest.raises(CorpusError, match="open both with open_train and open_valid"):
        open_corpus(corpora(write(PAIRS), {"fraction": 0.1}).valid)


def test_its_name_says_how_much_it_is(write):
    text = write(PAIRS)
    assert corpora(text, {"fraction": 0.025}).valid.name() == "2.5% held out from data.train"
    assert corpora(text, {"pairs": 1500}).valid.name() == "1,500 pairs held out from data.train"
    model = corpora(text, {"pairs": 1500}, task="language_model")
    assert model.valid.name(("target",)) == "1,500 sentences held out from data.train"
