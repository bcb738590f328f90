"""Token ids on disk and token-budget batches: nothing lost, nothing twice, nothing over budget."""

import json
from pathlib import Path

import numpy as np
import pytest

import seq2seq.data.encoded
from seq2seq.config import FilterConfig, TokenizerConfig
from seq2seq.corpora import SentencePair, filters
from seq2seq.corpora.filters import FilterReport, filter_pairs
from seq2seq.data.batching import BatchPlan, batch_dataset, plan_batches
from seq2seq.data.encoded import UNFILTERED, EncodedCorpus, MemoryMappedSide, encode_corpus
from seq2seq.data.tokenizer import EOS_ID, Tokenizer
from seq2seq.errors import CorpusError

WORDS = ["red", "old", "dog", "cat", "sees", "finds", "house", "stone"]


def sentences(count: int, seed: int) -> list[str]:
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, generator.integers(1, 9))) for _ in range(count)]


def pairs_of(sources: list[str], targets: list[str]) -> list[SentencePair]:
    return [
        SentencePair(source, target, f"file:{number}")
        for number, (source, target) in enumerate(zip(sources, targets, strict=True), start=1)
    ]


class ManyPieces(Tokenizer):
    """Stands in for a tokenizer of a large vocabulary: a sentence is written in ids."""

    def __init__(self, vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size

    def __reduce__(self):
        return ManyPieces, (self.vocabulary_size,)

    def encode_batch(self, texts: list[str], *, are_clean: bool = False) -> list[list[int]]:
        return [[int(token) for token in text.split()] for text in texts]


@pytest.fixture(scope="module")
def tokenizers() -> tuple[Tokenizer, Tokenizer]:
    text = sentences(100, seed=1)
    return tuple(Tokenizer.train(text, TokenizerConfig(model_type="bpe", vocabulary_size=size)) for size in (30, 40))


@pytest.fixture(scope="module")
def corpus(tokenizers, tmp_path_factory: pytest.TempPathFactory) -> EncodedCorpus:
    pairs = pairs_of(sentences(90, seed=2), sentences(90, seed=3))
    return encode_corpus(pairs, *tokenizers, tmp_path_factory.mktemp("encoded") / "train", "0123abcd")


def row(side: MemoryMappedSide, index: int) -> list[int]:
    return side.tokens[side.offsets[index] : side.offsets[index + 1]].tolist()


def test_rows_are_the_tokenizers_ids_and_eos(corpus: EncodedCorpus, tokenizers) -> None:
    assert len(corpus) == 90
    for side, tokenizer, seed in ((corpus.source, tokenizers[0], 2), (corpus.target, tokenizers[1], 3)):
        expected = [[*tokenizer.encode(text), EOS_ID] for text in sentences(90, seed)]
        assert [row(side, index) for index in range(90)] == expected
        assert side.lengths.tolist() == [len(ids) for ids in expected]
    assert corpus.fingerprint == "0123abcd"
    assert corpus.report.dropped == {}


@pytest.mark.parametrize("chunk", [1, 7, 90])
def test_chunks_change_nothing(
    corpus: EncodedCorpus, tokenizers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(filters, "CHUNK_SIZE", chunk)
    done: list[int] = []
    pairs = iter(pairs_of(sentences(90, seed=2), sentences(90, seed=3)))
    again = encode_corpus(pairs, *tokenizers, tmp_path / "train", "0123abcd", on_progress=done.append)
    for side in ("source", "target"):
        for name in (f"{side}.tokens.bin", f"{side}.offsets.bin"):
            assert (again.folder / name).read_bytes() == (corpus.folder / name).read_bytes()
    assert done == sorted({*range(chunk, 91, chunk), 90})


def test_other_processes_change_nothing(tokenizers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some are dropped by each filter, in chunks that other processes get; against filters in one piece."""
    sources = [
        *sentences(150, seed=2),
        "",
        *sentences(20, seed=2),
        "red " * 300,
        "e\u0301 old",
        "\u00e9 old",
        *["dog"] * 9,
    ]
    targets = [*sentences(150, seed=3), "a", *sentences(20, seed=3), "red", "cat", "cat", *sentences(9, seed=4)]
    filtering = FilterConfig(max_tokens=6)
    report = FilterReport()
    kept = list(filter_pairs(pairs_of(sources, targets), filtering, report))
    plain = encode_corpus(
        kept, *tokenizers, tmp_path / "plain", filtering=UNFILTERED.model_copy(update={"max_tokens": 6})
    )
    assert plain.report.dropped["over 6 tokens"] > 20
    for few in (0, 1000):
        monkeypatch.setattr(filters, "CHUNK_SIZE", 40)
        monkeypatch.setattr(seq2seq.data.encoded, "MIN_PARALLEL_CHUNKS", few)
        done: list[int] = []
        pairs = iter(pairs_of(sources, targets))
        shared = encode_corpus(pairs, *tokenizers, tmp_path / "c", filtering=filtering, on_progress=done.append)
        assert done == [40, 80, 120, 160, len(sources)]
        assert shared.report.read == len(sources)
        assert shared.report.dropped == report.dropped + plain.report.dropped
        assert shared.report.kept == len(shared) == plain.report.kept
        for name in ("source.tokens.bin", "target.tokens.bin", "source.offsets.bin", "target.offsets.bin"):
            assert (shared.folder / name).read_bytes() == (plain.folder / name).read_bytes()


def test_broken_text_is_reported_while_other_processes_work(tokenizers, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(filters, "CHUNK_SIZE", 10)
    monkeypatch.setattr(seq2seq.data.encoded, "MIN_PARALLEL_CHUNKS", 0)

    def broken():
        yield from pairs_of(sentences(95, seed=2), sentences(95, seed=3))
        raise CorpusError("file:96: expected UTF-8")

    with pytest.raises(CorpusError, match="file:96"):
        encode_corpus(broken(), *tokenizers, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_reopened_corpus_is_the_same(corpus: EncodedCorpus) -> None:
    again = EncodedCorpus(corpus.folder)
    assert again.fingerprint == corpus.fingerprint
    assert row(again.source, 89) == row(corpus.source, 89)
    np.testing.assert_array_equal(again.target.lengths, corpus.target.lengths)


def test_dropped_pairs_are_counted_and_the_rest_stays_aligned(tmp_path: Path) -> None:
    many = ManyPieces(100)
    sources = ["4", "5 5 5 5", "6", "", "7 7 7", " ", "8", "", "9"]
    targets = ["10", "11", "12 12 12 12", "13", "14 14 14", " ", "15", "16 16 16 16 16", "17"]
    corpus = encode_corpus(
        pairs_of(sources, targets),
        many,
        many,
        tmp_path / "c",
        "f",
        filtering=UNFILTERED.model_copy(update={"max_tokens": 4}),
    )
    kept = [(row(corpus.source, index)[0], row(corpus.target, index)[0]) for index in range(len(corpus))]
    assert kept == [(4, 10), (7, 14), (8, 15), (9, 17)]
    assert corpus.report.dropped == {"over 4 tokens": 2, "side without tokens": 3}
    assert corpus.report.kept == len(corpus) == corpus.report.read - 5
    assert EncodedCorpus(tmp_path / "c").report == corpus.report


@pytest.mark.parametrize(
    ("size", "dtype"),
    [(2**16 - 1, np.uint16), (2**16, np.uint16), (2**16 + 1, np.uint32), (10**6, np.uint32)],
)
def test_width_on_disk_follows_the_vocabulary(tmp_path: Path, size: int, dtype: type) -> None:
    pairs = pairs_of([f"4 {size - 1}"], ["5 99"])
    corpus = encode_corpus(pairs, ManyPieces(size), ManyPieces(100), tmp_path / "c", "f")
    assert corpus.source.tokens.dtype == dtype
    assert corpus.target.tokens.dtype == np.uint16
    assert (tmp_path / "c" / "source.tokens.bin").stat().st_size == 3 * np.dtype(dtype).itemsize
    assert corpus.batch(np.array([0]))[0].tolist() == [[4, size - 1, EOS_ID]]


def test_an_interrupted_encoding_leaves_nothing_behind(tmp_path: Path) -> None:
    many, folder = ManyPieces(100), tmp_path / "deep" / "train"

    def interrupted():
        yield SentencePair("4", "5", "file:1")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_corpus(interrupted(), many, many, folder, "f")
    assert not folder.exists()
    assert not list(folder.parent.iterdir())
    corpus = encode_corpus(pairs_of(["6", "7"], ["8", "9"]), many, many, folder, "g")
    assert [row(corpus.source, index) for index in range(2)] == [[6, EOS_ID], [7, EOS_ID]]
    assert [path.name for path in folder.parent.iterdir()] == ["train"]


def test_what_a_tokenizer_raises_is_raised(tmp_path: Path) -> None:
    many = ManyPieces(100)
    with pytest.raises(ValueError, match="invalid literal"):
        encode_corpus(pairs_of(["4", "four"], ["5", "5"]), many, many, tmp_path / "c", "f")
    assert not (tmp_path / "c").exists()


def test_an_encoding_replaces_an_older_one(tmp_path: Path) -> None:
    many = ManyPieces(100)
    encode_corpus(pairs_of(["4"] * 9, ["5"] * 9), many, many, tmp_path / "c", "old")
    corpus = encode_corpus(pairs_of(["6"], ["7"]), many, many, tmp_path / "c", "new")
    assert (len(corpus), corpus.fingerprint) == (1, "new")
    assert json.loads((tmp_path / "c" / "metadata.json").read_text())["fingerprint"] == "new"


def test_empty_corpus(tmp_path: Path) -> None:
    many = ManyPieces(100)
    corpus = encode_corpus([], many, many, tmp_path / "c", "f")
    assert len(corpus) == 0
    assert corpus.batch(np.zeros(0, np.int64))[0].shape == (0, 0)


def test_a_batch_is_padded_on_the_right_in_the_order_asked(corpus: EncodedCorpus) -> None:
    for rows in ([3], [5, 0, 89, 5], list(range(90))):
        gathered = corpus.batch(np.array(rows))[1]
        expected = [row(corpus.target, index) for index in rows]
        longest = max(len(ids) for ids in expected)
        assert gathered.dtype == np.int32
        assert gathered.tolist() == [ids + [0] * (longest - len(ids)) for ids in expected]


def lengths_of(count: int, seed: int, longest: int = 40) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    source = generator.integers(2, longest, count)
    return source, np.maximum(2, source + generator.integers(-9, 10, count))


def groups(plan: BatchPlan) -> list[list[int]]:
    return [plan.batch(index).tolist() for index in range(len(plan))]


PLANS = [
    (1, 60, 10),
    (2, 60, 10),
    (97, 60, 1),
    (500, 60, 64),
    (500, 200, 10_000),
    (500, 1, 64),
    (333, 45, 37),
]


@pytest.mark.parametrize(("count", "tokens", "pool"), PLANS)
@pytest.mark.parametrize("seed", [0, 1])
def test_plan_holds_every_sentence_once_within_the_budget(count, tokens, pool, seed) -> None:
    source, target = lengths_of(count, seed)
    plan = plan_batches(source, target, max_tokens=tokens, shuffle_buffer=pool, seed=seed, epoch=3)
    batches = groups(plan)
    assert sorted(row for batch in batches for row in batch) == list(range(count))
    assert all(batches)
    for batch in batches:
        if len(batch) > 1:
            assert max(source[batch].sum(), target[batch].sum()) <= tokens


def test_a_sentence_over_the_budget_is_alone() -> None:
    source, target = lengths_of(200, seed=5)
    source[[3, 77]], target[150] = 500, 101
    plan = plan_batches(source, target, max_tokens=100, shuffle_buffer=50, seed=1, epoch=1)
    batches = groups(plan)
    for long in (3, 77, 150):
        assert [long] in batches
    assert len(batches) < 150, "the others share batches"


@pytest.mark.parametrize(("tokens", "size"), [(60, 6), (69, 6), (70, 7), (10, 1)])
def test_batches_are_filled_to_the_budget(tokens: int, size: int) -> None:
    equal = np.full(42, 10)
    for source, target in ((equal, equal - 3), (equal - 3, equal)):
        plan = plan_batches(source, target, max_tokens=tokens, shuffle_buffer=42, seed=1, epoch=1)
        assert [len(batch) for batch in groups(plan)] == [size] * (42 // size)


def test_plan_is_a_function_of_seed_and_epoch() -> None:
    source, target = lengths_of(300, seed=6)
    options = {"max_tokens": 120, "shuffle_buffer": 64}

    def plan(seed: int, epoch: int) -> list[list[int]]:
        return groups(plan_batches(source, target, **options, seed=seed, epoch=epoch))

    first = plan(1, 1)
    assert plan(1, 1) == first
    others = [plan(seed, epoch) for seed, epoch in ((1, 2), (2, 1), (0, 1), (1, 0), (2, 2))]
    grouped = [{frozenset(batch) for batch in batches} for batches in (first, *others)]
    for i, one in enumerate(grouped):
        for two in grouped[i + 1 :]:
            assert len(one & two) < len(one) / 2, "other company, not only another order"


def test_batch_order_is_not_sorted_by_length() -> None:
    source, target = lengths_of(2000, seed=7)
    for pool in (100, 2000):
        shapes = plan_batches(source, target, max_tokens=200, shuffle_buffer=pool, seed=1, epoch=1).shapes()
        order = np.corrcoef(np.arange(len(shapes)), shapes[:, 2])[0, 1]
        assert abs(order) < 0.3, "short and long batches come mixed"


def test_batches_do_not_cross_pools() -> None:
    # Sentences of one length sort into nothing: a pool is what its batches hold together.
    lengths = np.full(100, 5)
    plan = plan_batches(lengths, lengths, max_tokens=40, shuffle_buffer=20, seed=1, epoch=1)
    sizes = sorted(len(batch) for batch in groups(plan))
    assert sizes == [4] * 5 + [8] * 10, "20 sentences make batches of 8, 8 and 4"


def test_sorting_saves_padding_and_larger_pools_save_more() -> None:
    source, target = lengths_of(3000, seed=8)
    waste = [
        plan_batches(source, target, max_tokens=400, shuffle_buffer=pool, seed=1, epoch=1).padding_ratio()
        for pool in (20, 100, 3000)
    ]
    assert waste == sorted(waste, reverse=True)
    assert waste[-1] < waste[0] / 2


@pytest.mark.parametrize(("count", "tokens", "pool"), PLANS)
def test_shapes_waste_and_largest_against_padding_by_hand(count, tokens, pool) -> None:
    source, target = lengths_of(count, seed=9)
    plan = plan_batches(source, target, max_tokens=tokens, shuffle_buffer=pool, seed=4, epoch=0)
    padding, positions, shapes = 0, [], []
    for batch in groups(plan):
        sides = [[length[index] for index in batch] for length in (source, target)]
        cells = [[1] * length + [0] * (max(side) - length) for side in sides for length in side]
        padding += sum(cell.count(0) for cell in cells)
        positions.append(sum(len(cell) for cell in cells))
        shapes.append([len(batch), max(sides[0]), max(sides[1])])
    assert plan.shapes().tolist() == shapes
    assert plan.padding_ratio() == pytest.approx(padding / sum(positions))
    assert max(positions) in [positions[index] for index in plan.largest_batches()]
    products = [int(sentences * source * target) for sentences, source, target in plan.shapes()]
    assert max(products) in [products[index] for index in plan.largest_batches()]
    tokens = [sum(target[index] for index in batch) for batch in groups(plan)]
    assert max(tokens) in [tokens[index] for index in plan.largest_batches()]


def test_the_largest_batches_by_each_measure_and_each_once() -> None:
    def largest(targets: list[int]) -> list[int]:
        bounds = np.array([0, 1, 2, 4])
        return BatchPlan(np.arange(4), bounds, np.array([40, 12, 2, 2]), np.array(targets)).largest_batches()

    assert largest([2, 12, 8, 8]) == [0, 1, 2], "positions 42, 24, 20; pairs of them 80, 144, 32; tokens 2, 12, 16"
    assert largest([2, 12, 8, 1]) == [0, 1], "the last batch has 9 tokens, and 7 of padding"
    assert BatchPlan(np.arange(2), np.array([0, 2]), np.array([3, 2]), np.array([2, 2])).largest_batches() == [0]


@pytest.fixture(scope="module")
def plan(corpus: EncodedCorpus) -> BatchPlan:
    return plan_batches(corpus.source.lengths, corpus.target.lengths, max_tokens=80, shuffle_buffer=40, seed=2, epoch=1)


def elements(corpus: EncodedCorpus, plan: BatchPlan, start: int = 0) -> list[tuple[list, list]]:
    return [tuple(side.tolist() for side in batch) for batch in batch_dataset(corpus, plan, start).as_numpy_iterator()]


def test_dataset_elements_are_the_planned_rows(corpus: EncodedCorpus, plan: BatchPlan) -> None:
    batches = list(batch_dataset(corpus, plan).as_numpy_iterator())
    assert len(batches) == len(plan) > 5
    for index, (source, target) in enumerate(batches):
        assert (len(source), source.shape[1], target.shape[1]) == tuple(plan.shapes()[index])
        for place, number in enumerate(plan.batch(index)):
            for padded, side in ((source[place], corpus.source), (target[place], corpus.target)):
                ids = row(side, number)
                assert padded[: len(ids)].tolist() == ids
                assert not padded[len(ids) :].any()


def test_dataset_start_skips_batches(corpus: EncodedCorpus, plan: BatchPlan) -> None:
    everything = elements(corpus, plan)
    for start in (0, 1, len(plan) - 1, len(plan)):
        assert elements(corpus, plan, start) == everything[start:]


def test_dataset_tells_its_size_and_types(corpus: EncodedCorpus, plan: BatchPlan) -> None:
    for start in (0, 3):
        dataset = batch_dataset(corpus, plan, start)
        assert int(dataset.cardinality()) == len(plan) - start
        assert [(spec.dtype.name, spec.shape.as_list()) for spec in dataset.element_spec] == [
            ("int32", [None, None])
        ] * 2
    # A second pass over one dataset gives the same batches.
    dataset = batch_dataset(corpus, plan)
    one, two = ([source.tolist() for source, _ in dataset.as_numpy_iterator()] for _ in range(2))
    assert one == two
