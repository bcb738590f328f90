"""Sequences in rectangles: padded, and dealt into batches of falling length under a budget."""

import numpy as np
import pytest

from seq2seq.data.padding import batches_by_length, pad, pad_concatenated
from seq2seq.data.tokenizer import PAD_ID


def test_sequences_are_padded_on_the_right_to_the_longest():
    sequences = [[5, 6], [], [7, 8, 9], [4]]
    padded = pad(sequences)
    assert padded.dtype == np.int32
    assert padded.tolist() == [ids + [PAD_ID] * (3 - len(ids)) for ids in sequences]


@pytest.mark.parametrize(("sequences", "shape"), [([], (0, 0)), ([[], []], (2, 0)), ([[3]], (1, 1))])
def test_padding_of_little(sequences, shape):
    assert pad(sequences).shape == shape


def test_joined_sequences_are_padded_as_their_lists():
    sequences = [[5, 6], [], [7, 8, 9], [4]]
    joined = np.array([5, 6, 7, 8, 9, 4], np.uint16)
    assert np.array_equal(pad_concatenated(joined, np.array([2, 0, 3, 1])), pad(sequences))


def test_ids_that_do_not_fill_their_lengths_are_refused():
    with pytest.raises(ValueError, match="2"):
        pad_concatenated([5, 6], [2, 1])


def test_batches_fall_in_length_and_keep_to_the_budget():
    lengths = np.random.default_rng(1).integers(1, 30, 200)
    batches = list(batches_by_length(lengths, lambda longest: 60 // longest))
    order = [index for batch in batches for index in batch]
    assert order == np.argsort(-lengths, kind="stable").tolist()
    for batch, following in zip(batches, [*batches[1:], []], strict=True):
        longest = lengths[batch[0]]
        assert len(batch) * longest <= 60
        assert not following or (len(batch) + 1) * longest > 60  # no smaller than it had to be


def test_a_sequence_beyond_the_budget_is_a_batch_of_its_own():
    assert list(batches_by_length([3, 90, 80], lambda longest: 60 // longest)) == [[1], [2], [0]]


def test_empty_sequences_are_in_no_batch():
    assert list(batches_by_length([0, 2, 0, 5], lambda longest: 60 // longest)) == [[3, 1]]
    assert list(batches_by_length([0, 0], lambda longest: 1)) == []
