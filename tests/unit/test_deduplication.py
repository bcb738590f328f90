"""Repeated texts are found, whatever order they come in and however many at once."""

import hashlib

import numpy as np
import pytest

from seq2seq.storage.deduplication import Deduplicator, hash_texts


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_hashes_are_new_once(size: int) -> None:
    hashes = np.random.default_rng(size).integers(0, 700, 3000).astype(np.uint64)
    seen, known = set(), Deduplicator()
    for start in range(0, len(hashes), size):
        chunk = hashes[start : start + size]
        expected = [not (value in seen or seen.add(value)) for value in chunk.tolist()]
        assert known.add(chunk).tolist() == expected


def test_hashes_at_the_ends_of_their_range_are_told_apart() -> None:
    hashes = np.array([2**64 - 1, 0, 2**63, 1, 2**64 - 2, 2**63 - 1], np.uint64)
    known = Deduplicator()
    assert known.add(hashes).all()
    assert not known.add(hashes[::-1]).any()


def test_nothing_is_added_by_no_hashes() -> None:
    known = Deduplicator()
    for _ in range(2):
        assert known.add(hash_texts([])).tolist() == []
        known.add(hash_texts(["a"]))


def test_what_is_kept_is_8_bytes_a_hash_in_few_arrays() -> None:
    hashes = np.random.default_rng(1).permutation(2**16).astype(np.uint64)
    known = Deduplicator()
    for start in range(0, len(hashes), 100):
        assert known.add(hashes[start : start + 100]).all()
    assert sum(run.nbytes for run in known._runs) == 8 * len(hashes)
    assert len(known._runs) <= 12


def test_a_hash_is_64_bits_of_blake2b() -> None:
    texts = ["", "a", "straße\n街", "\ud800"]
    expected = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts]
    assert hash_texts(texts).tolist() == [int.from_bytes(digest, "little") for digest in expected]
