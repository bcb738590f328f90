"""Filters and the planner: nothing is lost, nothing twice, nothing out of its order."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.config import FilterConfig
from seq2seq.corpora import SentencePair
from seq2seq.corpora.filters import FilterReport, filter_pairs
from seq2seq.data.batching import plan_batches
from seq2seq.data.mixture import apportion
from seq2seq.text.cleaning import clean
from tests.fuzz.texts import broken, sentences

texts = st.one_of(sentences, broken, st.text("ab", max_size=90))
pairs = st.lists(st.tuples(texts, texts), max_size=30).map(
    lambda sides: [SentencePair(*pair, f"file:{number}") for number, pair in enumerate(sides, start=1)]
)
filters = st.builds(
    FilterConfig,
    drop_empty=st.booleans(),
    drop_duplicates=st.booleans(),
    max_characters=st.none() | st.integers(1, 60),
    max_ratio=st.none() | st.floats(1.1, 5.0),
)


class Measured(list):
    """Pairs that are judged by the usual length ratio of the text that they are from."""

    def __init__(self, kept, length_ratio):
        super().__init__(kept)
        self.length_ratio = length_ratio


@given(pairs, filters)
def test_every_pair_is_kept_or_counted_and_keeps_its_place(given_pairs, config):
    report = FilterReport()
    kept = list(filter_pairs(given_pairs, config, report))
    assert report.read == len(given_pairs) == report.kept + report.dropped.total()
    assert report.kept == len(kept)
    places = {pair.origin: place for place, pair in enumerate(given_pairs)}
    assert [places[pair.origin] for pair in kept] == sorted({places[pair.origin] for pair in kept})
    found = [given_pairs[places[pair.origin]] for pair in kept]
    assert kept == [SentencePair(clean(pair.source), clean(pair.target), pair.origin) for pair in found]


@given(pairs, filters)
def test_what_was_filtered_passes_the_same_filters(given_pairs, config):
    report = FilterReport()
    once = list(filter_pairs(given_pairs, config, report))
    again = FilterReport()
    measured = Measured(once, *(report.length_ratios or [1.0]))
    assert list(filter_pairs(measured, config, again)) == once
    assert not again.dropped


lengths = st.lists(st.integers(1, 60) | st.integers(1, 2000), min_size=1, max_size=80)


@given(st.data(), lengths, st.integers(2, 300), st.integers(1, 100), st.integers(0, 2**31 - 1), st.integers(1, 99))
def test_a_plan_has_every_row_once_in_batches_that_fit(data, source, tokens, pool, seed, epoch):
    source = np.array(source, np.int32)
    target = np.array(data.draw(st.lists(st.integers(1, 2000), min_size=len(source), max_size=len(source))), np.int32)
    rows = data.draw(
        st.none() | st.lists(st.integers(0, len(source) - 1), min_size=1, max_size=120).map(np.array), "rows"
    )
    asked = {"max_tokens": tokens, "shuffle_buffer": pool, "seed": seed, "epoch": epoch, "indices": rows}
    before = None if rows is None else rows.copy()
    plan, again = plan_batches(source, target, **asked), plan_batches(source, target, **asked)
    np.testing.assert_array_equal(plan.indices, again.indices)
    np.testing.assert_array_equal(plan.bounds, again.bounds)
    np.testing.assert_array_equal(rows, before, err_msg="an argument was changed")
    batches = [plan.batch(index) for index in range(len(plan))]
    assert all(map(len, batches))
    planned = np.sort(np.concatenate(batches))
    np.testing.assert_array_equal(planned, np.arange(len(source)) if rows is None else np.sort(rows))
    for batch in batches:
        assert len(batch) == 1 or max(source[batch].sum(), target[batch].sum()) <= tokens
    assert plan.shapes().shape == (len(plan), 3)
    assert 0 <= plan.padding_ratio() < 1


@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=12), st.integers(0, 10**9))
def test_shares_add_up_and_no_part_goes_without(weights, more):
    total = len(weights) + more
    counts = apportion(weights, total)
    assert counts.sum() == total
    assert counts.min() >= 1


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=12), st.integers(1, 1000), st.integers(-1000, 1000))
def test_whole_quotas_are_given_exactly(sizes, times, exponent):
    """Also where the weights' sum would overflow or underflow."""
    weights = [math.ldexp(size, exponent) for size in sizes]
    assert apportion(weights, times * sum(sizes)).tolist() == [times * size for size in sizes]
