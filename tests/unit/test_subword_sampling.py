"""Random segmentations: drawn from the stated distribution, of the same text, anew in each epoch."""

from collections import Counter
from itertools import product
from math import exp, sqrt
from pathlib import Path

import numpy as np
import pytest

from seq2seq import make_dataset
from seq2seq.config import TokenizerConfig
from seq2seq.config.data import SubwordSamplingConfig
from seq2seq.data.batching import plan_batches
from seq2seq.data.bpe_dropout import BPEDropoutSampler
from seq2seq.data.encoded import encode_corpus
from seq2seq.data.mixture import EncodedMixture
from seq2seq.data.subword_sampling import SubwordSampling
from seq2seq.data.subword_units import SubwordUnits, Vocabulary
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.data.unigram_sampler import UnigramSampler
from seq2seq.errors import ConfigError, TokenizerError
from seq2seq.training.display import Display
from seq2seq.training.preparation import prepare_data
from seq2seq.training.run_state import count_batches, plan_epoch
from tests.toy import language_model_config, pairs, toy_config, write_corpus

TEXT = ["banana ananas nab naban abanana ban bananas anna bann sanan basan"] * 20
DRAWS = 20_000
PAIRS = pairs(80, 3)


@pytest.fixture(scope="module")
def fruit():
    """Tokenizers with a dozen pieces and more than a dozen segmentations of `banana`."""
    return {
        kind: Tokenizer.train(TEXT, TokenizerConfig(model_type=kind, vocabulary_size=18)) for kind in ("unigram", "bpe")
    }


def piece_scores(tokenizer: Tokenizer) -> dict[str, float]:
    scores = zip(tokenizer.pieces(range(tokenizer.vocabulary_size)), tokenizer.frequency_scores(), strict=True)
    return dict(list(scores)[4:])


def draw(sampler, count: int) -> Counter:
    """Segmentations of the first unit, by the token ids."""
    ids, counts = sampler.sample(np.zeros(count, np.int64), np.random.default_rng(5))
    return Counter(tuple(part.tolist()) for part in np.split(ids, np.cumsum(counts)[:-1]))


def assert_frequencies(found: Counter, expected: dict[tuple[int, ...], float]) -> None:
    """Within 4.5 standard deviations of the expected ones, for each segmentation."""
    assert sum(expected.values()) == pytest.approx(1.0)
    assert found.keys() <= expected.keys()
    for segmentation, probability in expected.items():
        deviation = sqrt(DRAWS * probability * (1 - probability))
        assert abs(found[segmentation] - DRAWS * probability) <= 4.5 * deviation + 1e-6, segmentation


def segmentations(text: str, pieces) -> list[list[str]]:
    if not text:
        return [[]]
    starts = [text[:end] for end in range(1, len(text) + 1) if text[:end] in pieces]
    return [[start, *rest] for start in starts for rest in segmentations(text[len(start) :], pieces)]


@pytest.mark.parametrize("alpha", [0.05, 0.5, 1.0, 3.0])
def test_unigram_samples_have_the_probability_to_the_power_of_alpha(fruit, alpha):
    tokenizer = fruit["unigram"]
    pieces = piece_scores(tokenizer)
    weights = {
        tuple(tokenizer.ids(parts)): exp(alpha * sum(pieces[part] for part in parts))
        for parts in segmentations("▁banana", pieces)
    }
    assert len(weights) > 12
    unit = np.array(tokenizer.encode("banana"), np.int32)
    found = draw(UnigramSampler([unit], Vocabulary(tokenizer), alpha), DRAWS)
    assert_frequencies(found, {ids: weight / sum(weights.values()) for ids, weight in weights.items()})


def dropout_distribution(symbols: tuple[str, ...], ranks: dict[str, float], dropout: float) -> dict:
    """Algorithm 1 of the paper, with every subset of the possible merges left out in turn."""
    merges = [place for place in range(len(symbols) - 1) if symbols[place] + symbols[place + 1] in ranks]
    total: dict[tuple[str, ...], float] = Counter()
    for kept in product((False, True), repeat=len(merges)):
        chance = np.prod([1 - dropout if keep else dropout for keep in kept])
        left = [place for place, keep in zip(merges, kept, strict=True) if keep]
        if not left:
            total[symbols] += chance
            continue
        best = max(left, key=lambda place: (ranks[symbols[place] + symbols[place + 1]], -place))
        after = (*symbols[:best], symbols[best] + symbols[best + 1], *symbols[best + 2 :])
        for result, probability in dropout_distribution(after, ranks, dropout).items():
            total[result] += chance * probability
    return total


@pytest.mark.parametrize("dropout", [0.1, 0.6])
def test_bpe_dropout_is_algorithm_1(fruit, dropout):
    tokenizer = fruit["bpe"]
    ranks = piece_scores(tokenizer)
    expected = {
        tuple(tokenizer.ids(parts)): probability
        for parts, probability in dropout_distribution(tuple("▁banana"), ranks, dropout).items()
    }
    assert len(expected) > 12
    unit = np.array(tokenizer.encode("banana"), np.int32)
    found = draw(BPEDropoutSampler([unit], Vocabulary(tokenizer), dropout), DRAWS)
    assert_frequencies(found, expected)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """A corpus by kind of tokenizer, with the tokenizers."""
    found = {}
    for kind in ("unigram", "bpe"):
        text = [side for pair in PAIRS for side in pair]
        tokenizer = Tokenizer.train(text, TokenizerConfig(model_type=kind, vocabulary_size=56))
        corpus = encode_corpus(PAIRS, tokenizer, tokenizer, tmp_path_factory.mktemp(kind) / "train")
        found[kind] = EncodedMixture([corpus]), Tokenizers(tokenizer, tokenizer)
    return found


def sampled(corpora, kind: str, epoch: int = 1, seed: int = 1, max_tokens: int = 100, **options):
    mixture, tokenizers = corpora[kind]
    return SubwordSampling(mixture, tokenizers, SubwordSamplingConfig(**options), seed, max_tokens).read_epoch(epoch)


def sentences(side) -> list[list[int]]:
    return [side.ids(np.array([index])).tolist() for index in range(len(side.lengths))]


BOTH = {
    "unigram": {"source_alpha": 0.2, "target_alpha": 0.2},
    "bpe": {"source_bpe_dropout": 0.3, "target_bpe_dropout": 0.3},
}


@pytest.mark.parametrize("kind", BOTH)
def test_an_epoch_has_the_same_text_in_other_subwords(corpora, kind):
    mixture, tokenizers = corpora[kind]
    epochs = [sampled(corpora, kind, epoch, **BOTH[kind]) for epoch in (1, 2)]
    for name, tokenizer in zip(("source", "target"), tokenizers, strict=True):
        stored = sentences(getattr(mixture, name))
        drawn = [sentences(getattr(epoch, name)) for epoch in epochs]
        for ids in drawn:
            assert [tokenizer.decode(row) for row in ids] == [tokenizer.decode(row) for row in stored]
            assert [row[-1] for row in ids] == [tokenizer.eos_id] * len(stored)
        assert sum(a != b for a, b in zip(*drawn, strict=True)) > len(stored) / 2
        assert sum(a != b for a, b in zip(drawn[0], stored, strict=True)) > len(stored) / 2
        lengths = getattr(epochs[0], name).lengths
        assert lengths.tolist() == list(map(len, drawn[0]))
        assert lengths.dtype == np.int32


@pytest.mark.parametrize("kind", BOTH)
def test_an_epoch_is_a_pure_function_of_seed_and_epoch(corpora, kind):
    first = sampled(corpora, kind, 3, **BOTH[kind])
    order = np.random.default_rng(0).permutation(len(first))
    again = sampled(corpora, kind, 3, **BOTH[kind])
    for one, other in zip(first.batch(order), again.batch(order), strict=True):
        np.testing.assert_array_equal(one, other)
    other_seed = sampled(corpora, kind, 3, seed=2, **BOTH[kind])
    assert sentences(other_seed.source) != sentences(first.source)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("unigram", {"source_alpha": 1000.0, "target_alpha": 1000.0}),
        ("bpe", {"source_bpe_dropout": 1e-12, "target_bpe_dropout": 1e-12}),
    ],
)
def test_without_randomness_the_segmentation_is_the_best_one(corpora, kind, options):
    drawn, stored = sampled(corpora, kind, **options), corpora[kind][0]
    for name in ("source", "target"):
        assert sentences(getattr(drawn, name)) == sentences(getattr(stored, name))


def test_the_sides_are_sampled_independently(corpora):
    stored = corpora["unigram"][0]
    source, target = (sampled(corpora, "unigram", **{f"{side}_alpha": 0.2}) for side in ("source", "target"))
    assert source.target is stored.target
    assert target.source is stored.source
    both = sampled(corpora, "unigram", **BOTH["unigram"])
    assert sentences(both.source) == sentences(source.source)
    assert sentences(both.target) == sentences(target.target)


@pytest.mark.parametrize("kind", BOTH)
def test_the_same_text_on_both_sides_is_drawn_anew_for_each(corpora, kind):
    mixture, tokenizers = corpora[kind]
    same = mixture.with_sides(source=mixture.target, target=mixture.target)
    drawn = SubwordSampling(same, tokenizers, SubwordSamplingConfig(**BOTH[kind]), 1, 100).read_epoch(1)
    differ = [a != b for a, b in zip(sentences(drawn.source), sentences(drawn.target), strict=True)]
    assert sum(differ) > len(same) / 2


def test_sampling_ends_after_the_last_epoch(corpora):
    options = {**BOTH["unigram"], "last_epoch": 2}
    assert sampled(corpora, "unigram", 3, **options) is corpora["unigram"][0]
    assert sampled(corpora, "unigram", 2, **options).source.lengths.sum() > corpora["unigram"][0].source.lengths.sum()


def test_sentences_and_batches_keep_their_limits(corpora):
    stored = corpora["unigram"][0]
    limit = int(stored.source.lengths.max())
    drawn = sampled(corpora, "unigram", max_tokens=limit, source_alpha=0.01)
    free = sampled(corpora, "unigram", max_tokens=1000, source_alpha=0.01)
    long = free.source.lengths > limit
    assert 0 < long.sum() < len(stored)
    before, without, limited = (sentences(corpus.source) for corpus in (stored, free, drawn))
    assert limited == [b if cut else f for b, f, cut in zip(before, without, long, strict=True)]
    plan = plan_batches(
        drawn.source.lengths, drawn.target.lengths, max_tokens=max(limit, 40), shuffle_buffer=99, seed=1, epoch=1
    )
    for index in range(len(plan)):
        source, target = drawn.batch(plan.batch(index))
        assert (len(source), source.shape[1], target.shape[1]) == tuple(plan.shapes()[index])
        assert (source != 0).sum() <= max(limit, 40)


def test_every_part_of_a_mixture_is_sampled(corpora):
    mixture, tokenizers = corpora["bpe"]
    twice = EncodedMixture([*mixture.parts, *mixture.parts], weights=[1, 3])
    drawn = SubwordSampling(twice, tokenizers, SubwordSamplingConfig(target_bpe_dropout=0.5), 1, 100).read_epoch(1)
    found, text = sentences(drawn.target), [pair[1] for pair in PAIRS]
    kept = [tokenizers.target.decode(row) for row in sentences(twice.target)]
    assert [tokenizers.target.decode(row) for row in found] == kept
    assert set(kept) <= set(text)
    assert found[: len(mixture)] != found[len(mixture) :]
    np.testing.assert_array_equal(drawn.epoch_indices(1, 1), twice.epoch_indices(1, 1))


def test_text_without_spaces_is_cut_where_no_piece_joins_it(tmp_path):
    text = ["我们喜欢学习，我们不喜欢睡觉", "学习很好，睡觉也很好"] * 20
    tokenizer = Tokenizer.train(text, TokenizerConfig(vocabulary_size=24))
    corpus = encode_corpus(zip(text, text, strict=True), tokenizer, tokenizer, tmp_path / "corpus")
    vocabulary = Vocabulary(tokenizer)
    units = SubwordUnits(corpus.target, vocabulary)
    found = [vocabulary.text(unit) for unit in units.distinct]
    assert max(len(unit) for unit in found if unit) < 10
    assert len(units.offsets) == 41
    assert "".join(str(found[n]) for n in units.numbers[units.offsets[0] : units.offsets[1] - 1]) == "▁" + text[0]


def test_the_sampling_of_a_run_is_that_of_its_recipe(tmp_path):
    write_corpus(tmp_path, train=40)
    options = {"joint": True, "vocabulary_size": 56, "sampling": {"source_alpha": 0.1, "last_epoch": 2}}
    config = toy_config(tmp_path, tokenizer=options)
    data = prepare_data(config, tmp_path / "on", Display())
    batches = [len(plan_epoch(config, data.read_epoch(epoch), epoch)) for epoch in range(1, 6)]
    assert count_batches(config, data, batches[0]).up_to(5) == pytest.approx(sum(batches), abs=1)
    assert batches[0] > batches[-1]
    assert data.read_epoch(1).source.lengths.sum() > data.train.source.lengths.sum()
    assert data.read_epoch(1).target is data.train.target
    off = prepare_data(toy_config(tmp_path), tmp_path / "off", Display())
    assert off.read_epoch(1) is off.train
    sampling = {"vocabulary_size": 36, "sampling": {"target_alpha": 0.1}}
    lines = prepare_data(language_model_config(tmp_path, tokenizer=sampling), tmp_path / "lm", Display())
    assert lines.read_epoch(1).target.lengths.sum() > lines.train.target.lengths.sum()
    assert lines.read_epoch(1).source is lines.train.source


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"sampling": {"source_bpe_dropout": 0.1}},
            "'sampling.source_bpe_dropout' is for bpe models, but 'model_type'",
        ),
        ({"model_type": "char", "sampling": {"target_alpha": 1.0}}, "is for unigram models, but 'model_type' is char"),
        (
            {"sampling": {"source_alpha": 0.1, "source_bpe_dropout": 0.1}},
            "'source_alpha' is for unigram models and 'source_bpe_dropout' for BPE models: give one of them",
        ),
    ],
)
def test_methods_that_do_not_fit_the_tokenizer(options, expected):
    with pytest.raises(ConfigError, match=expected):
        TokenizerConfig(**options)


def test_a_given_tokenizer_of_another_kind(corpora, tmp_path):
    with pytest.raises(
        TokenizerError, match=r"source_alpha is for unigram.*a bpe model. Use .*source_bpe_dropout inst"
    ):
        sampled(corpora, "bpe", source_alpha=0.2)
    given = {"source_model": "a.spm", "target_model": "b.spm", "sampling": {"source_bpe_dropout": 0.1}}
    assert TokenizerConfig(**given).sampling.methods().keys() == {"source"}


def test_language_models_have_no_source_to_sample():
    with pytest.raises(ConfigError, match=r"'tokenizer\.sampling\.source_alpha' is for 'task: translation'"):
        language_model_config(Path(), tokenizer={"sampling": {"source_alpha": 0.2}})


def test_datasets_for_fit_cannot_sample():
    options = TokenizerConfig(vocabulary_size=55, joint=True, sampling=SubwordSamplingConfig(source_alpha=0.2))
    with pytest.raises(ConfigError, match="Keras's `fit` needs the same number"):
        make_dataset(PAIRS, options)
