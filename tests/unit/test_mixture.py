"""Several corpora read as one: whose sentences an epoch has, and that the ids are the parts' own."""

from pathlib import Path

import numpy as np
import pytest

from seq2seq.config import CorpusConfig
from seq2seq.config.data import DataConfig
from seq2seq.corpora import SentencePair, open_corpus
from seq2seq.data.batching import batch_dataset, plan_batches
from seq2seq.data.encoded import EncodedCorpus, encode_corpus
from seq2seq.data.mixture import EncodedMixture, apportion
from seq2seq.data.tokenizer import Tokenizer

SIZES = (7, 40, 13)


class Numbers(Tokenizer):
    """Stands in for a tokenizer: a sentence is written in ids."""

    vocabulary_size = 1000

    def __init__(self) -> None:
        pass

    def __reduce__(self):
        return Numbers, ()

    def encode_batch(self, texts: list[str], *, are_clean: bool = False) -> list[list[int]]:
        return [[int(token) for token in text.split()] for text in texts]


def encoded(folder: Path, number: int, size: int) -> EncodedCorpus:
    """Sentence i of part n starts with 100 n + i and is 1 to 9 tokens long."""
    generator = np.random.default_rng(number)

    def text(i: int) -> str:
        return " ".join(map(str, [100 * number + i, *generator.integers(4, 99, generator.integers(0, 9))]))

    pairs = [SentencePair(text(i), text(i), f"part{number}:{i + 1}") for i in range(size)]
    return encode_corpus(pairs, Numbers(), Numbers(), folder / f"part{number}", f"print {number}")


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> list[EncodedCorpus]:
    folder = tmp_path_factory.mktemp("mixture")
    return [encoded(folder, number, size) for number, size in enumerate(SIZES, start=1)]


@pytest.mark.parametrize(
    ("weights", "total", "counts"),
    [
        ([1, 1], 10, [5, 5]),
        ([1, 2], 9, [3, 6]),
        ([1, 1, 1], 10, [4, 3, 3]),  # quotas 3.33 each: the first of equal remainders
        ([5, 3, 2], 11, [6, 3, 2]),  # 5.5, 3.3, 2.2
        ([7, 2, 1], 6, [4, 1, 1]),  # 4.2, 1.2, 0.6: the last has the largest remainder
        ([100, 1, 1], 12, [10, 1, 1]),  # 11.76, 0.12, 0.12: nobody gets nothing
        ([1e-9, 1, 1e-9], 3, [1, 1, 1]),
        ([2.5], 4, [4]),
        ([0.06, 0.38, 0.04], 51, [7, 40, 4]),  # 6.375, 40.375, 4.25: equal remainders, though not in binary
        ([0.27, 0.96, 0.16, 0.02], 68_070, [13_035, 46_346, 7724, 965]),  # .68, .53, .23, .53
    ],
)
def test_a_total_is_divided_by_largest_remainder(weights, total, counts) -> None:
    assert apportion(weights, total).tolist() == counts


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 1.3, 5.0, 1000.0])
def test_temperature_evens_out_the_shares(parts, temperature) -> None:
    counts = EncodedMixture(parts, temperature=temperature).counts
    powers = [size ** (1.0 / temperature) for size in SIZES]
    quotas = [60 * power / sum(powers) for power in powers]
    assert counts.sum() == 60
    assert all(abs(count - max(quota, 1)) <= 2 for count, quota in zip(counts, quotas, strict=True))
    if temperature == 5.0:
        # 7 ** 0.2, 40 ** 0.2, 13 ** 0.2 are 1.476, 2.091, 1.670: quotas 16.91, 23.96, 19.13
        assert counts.tolist() == [17, 24, 19]
    if temperature == 1000.0:
        assert counts.tolist() == [20, 20, 20]


def test_large_sizes_are_divided_exactly() -> None:
    sizes = np.array([123_456_789, 3, 98_765_431, 7_777_777])
    assert apportion(sizes / sizes.max(), int(sizes.sum())).tolist() == sizes.tolist()


def test_without_shares_every_sentence_comes_once(parts) -> None:
    for mixture in (EncodedMixture(parts), EncodedMixture(parts, weights=[3.5, 20.0, 6.5])):
        assert mixture.epoch_indices(seed=1, epoch=1) is None
        assert mixture.counts.tolist() == list(SIZES)


@pytest.mark.parametrize("weights", [[1, 1, 1], [50, 5, 5], [1, 1, 20]])
def test_a_part_is_repeated_in_whole_passes_or_sampled(parts, weights) -> None:
    mixture = EncodedMixture(parts, weights=weights)
    assert mixture.counts.sum() == len(mixture) == 60
    start = 0
    for size, count in zip(SIZES, mixture.counts, strict=True):
        rows = mixture.epoch_indices(seed=3, epoch=2)
        mine = rows[(rows >= start) & (rows < start + size)]
        assert len(mine) == count
        times = np.bincount(mine - start, minlength=size)
        assert set(times) <= {count // size, count // size + 1}, "nobody comes twice more often than another"
        start += size
    assert len(rows) == 60


def test_samples_are_a_function_of_seed_and_epoch_and_differ_between_epochs(parts) -> None:
    mixture = EncodedMixture(parts, weights=[1, 1, 1])
    drawn = {
        key: frozenset(mixture.epoch_indices(*key)[mixture.epoch_indices(*key) >= 7].tolist())
        for key in ((1, 1), (1, 2), (2, 1))
    }
    assert len(set(drawn.values())) == 3
    for seed, epoch in drawn:
        np.testing.assert_array_equal(mixture.epoch_indices(seed, epoch), mixture.epoch_indices(seed, epoch))
    seen = {row for epoch in range(1, 30) for row in mixture.epoch_indices(1, epoch)}
    assert seen == set(range(60)), "in time everybody comes"


def test_ids_are_gathered_across_parts_in_the_order_asked(parts) -> None:
    mixture = EncodedMixture(parts)
    assert len(mixture) == 60
    for place, side in enumerate(("source", "target")):
        joined, singles = getattr(mixture, side), [getattr(part, side) for part in parts]
        rows = [
            single.tokens[single.offsets[i] : single.offsets[i + 1]]
            for single in singles
            for i in range(len(single.lengths))
        ]
        assert joined.lengths.tolist() == [len(row) for row in rows]
        for asked in ([0], [59, 6, 7, 46, 47, 0], [8, 8, 2, 8], list(range(60)), []):
            gathered = mixture.batch(np.array(asked, np.int64))[place]
            width = max((len(rows[i]) for i in asked), default=0)
            assert gathered.dtype == np.int32
            assert gathered.tolist() == [[*rows[i], *[0] * (width - len(rows[i]))] for i in asked]


def test_token_ids_stay_memory_mapped(parts) -> None:
    joined = EncodedMixture(parts).source
    for side, part in zip(joined.parts, parts, strict=True):
        assert side is part.source
        assert isinstance(side.tokens, np.memmap)
    assert EncodedMixture(parts[:1]).source.lengths is parts[0].source.lengths


def test_batches_hold_what_was_drawn(parts) -> None:
    mixture = EncodedMixture(parts, weights=[4, 1, 1])
    rows = mixture.epoch_indices(seed=5, epoch=1)
    plan = plan_batches(
        mixture.source.lengths, mixture.target.lengths, max_tokens=40, shuffle_buffer=16, seed=5, epoch=1, indices=rows
    )
    assert sorted(plan.indices) == sorted(rows)
    firsts = [int(row[0]) for source, _ in batch_dataset(mixture, plan).as_numpy_iterator() for row in source]
    by_part = np.bincount(np.array(firsts) // 100, minlength=4)[1:]
    assert by_part.tolist() == mixture.counts.tolist() == [40, 10, 10]


def test_one_part_is_that_corpus(parts) -> None:
    """The plan of a single corpus is what it was before there were mixtures: permute, sort pools, cut, permute."""
    one, mixture = parts[1], EncodedMixture(parts[1:2])
    assert mixture.fingerprint == one.fingerprint
    source, target = mixture.source.lengths, mixture.target.lengths
    plan = plan_batches(
        source, target, max_tokens=30, shuffle_buffer=9, seed=4, epoch=2, indices=mixture.epoch_indices(4, 2)
    )
    generator = np.random.default_rng([4, 2])
    order = generator.permutation(40).tolist()
    batches: list[list[int]] = []
    for start in range(0, 40, 9):
        batch: list[int] = []
        for row in sorted(order[start : start + 9], key=lambda row: (target[row], source[row])):
            if batch and max(source[[*batch, row]].sum(), target[[*batch, row]].sum()) > 30:
                batches.append(batch)
                batch = []
            batch.append(row)
        batches.append(batch)
    expected = [batches[i] for i in generator.permutation(len(batches))]
    assert [plan.batch(index).tolist() for index in range(len(plan))] == expected
    for index in range(len(plan)):
        for ours, theirs in zip(mixture.batch(plan.batch(index)), one.batch(plan.batch(index)), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_fingerprint_changes_with_parts_and_their_order(parts) -> None:
    prints = {EncodedMixture(chosen).fingerprint for chosen in (parts, parts[:2], parts[::-1], parts[:1])}
    assert len(prints) == 4
    assert EncodedMixture(parts, weights=[1, 2, 3]).fingerprint == EncodedMixture(parts).fingerprint


def test_a_mixture_is_read_one_part_after_the_other(tmp_path: Path) -> None:
    for name, lines in (("a", "one\teins\ntwo\tzwei\n"), ("b", "three\tdrei\n")):
        (tmp_path / f"{name}.tsv").write_text(lines)
    specs = [{"tsv": str(tmp_path / "a.tsv"), "weight": 9}, {"tsv": str(tmp_path / "b.tsv"), "weight": 1}]
    spec = CorpusConfig(mixture=specs)
    corpus = open_corpus(spec)
    assert [pair.source for pair in corpus] == [pair.source for pair in corpus] == ["one", "two", "three"]
    assert [pair.origin.rpartition("/")[2] for pair in corpus] == ["a.tsv:1", "a.tsv:2", "b.tsv:1"]
    assert [part.name() for part in spec.parts()] == [part["tsv"] for part in specs]
    turned = open_corpus(CorpusConfig(mixture=specs[::-1]))
    assert len({corpus.fingerprint(), turned.fingerprint(), open_corpus(spec.parts()[0]).fingerprint()}) == 3


@pytest.mark.parametrize("corpus", [{"temperature": 2.0}, {}])
def test_shares_are_for_training_only(corpus) -> None:
    part = {"phrasebook": "valid"} | ({} if corpus else {"weight": 2})
    for name in ("valid", "test"):
        corpora = {
            "train": {"phrasebook": "train"},
            "valid": {"phrasebook": "valid"},
            name: corpus | {"mixture": [part]},
        }
        with pytest.raises(
            ValueError, match=f"'{name}' is read completely: leave out 'temperature' and the parts' 'weight'"
        ):
            DataConfig(**corpora)
