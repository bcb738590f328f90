"""Items that are read one by one and processed in chunks."""

from itertools import chain

import pytest

from seq2seq.corpora.chunks import chunks


def numbers(count, error=None):
    yield from range(count)
    if error:
        raise error


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
def test_chunks_hold_all_items_in_order(count):
    found = list(chunks(numbers(count), 3))
    assert list(chain.from_iterable(found)) == list(range(count))
    assert [len(chunk) for chunk in found] == [3] * (count // 3) + [count % 3] * (count % 3 > 0)


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_items_before_an_error_come_before_it(count):
    found = []
    with pytest.raises(ZeroDivisionError):
        found.extend(chunks(numbers(count, ZeroDivisionError()), 3))
    assert list(chain.from_iterable(found)) == list(range(count))


def test_an_interruption_is_not_put_off():
    found = []
    with pytest.raises(KeyboardInterrupt):
        found.extend(chunks(numbers(4, KeyboardInterrupt()), 3))
    assert found == [[0, 1, 2]]


def test_the_sizes_of_items_add_up_and_a_chunk_may_end_early():
    assert list(chunks([1, 2, 5, 1, 1], 3, size=int)) == [[1, 2], [5], [1, 1]]
    waiting = iter([False, True, False, False, True])
    assert list(chunks(range(5), 3, is_complete=lambda: next(waiting))) == [[0, 1], [2, 3, 4]]
