"""Array files with a byte changed or an end cut off: an error, or the same contents."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.errors import ModelDirectoryError
from seq2seq.storage.arrays import load_arrays, load_metadata, save_arrays

ARRAYS = {"decoder/cell/kernel": np.arange(12, dtype=np.float32).reshape(3, 4), "count": np.array(7)}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("arrays") / "arrays.safetensors"


@pytest.fixture(scope="module")
def whole(path):
    save_arrays(path, ARRAYS, {"update": 3})
    return path.read_bytes()


@given(place=st.integers(0, 10**6), byte=st.integers(1, 255), cut=st.booleans())
def test_no_byte_changes_what_is_read(path, whole, place, byte, cut):
    data = bytearray(whole)
    place %= len(data)
    data[place] ^= byte
    path.write_bytes(data[:place] if cut else data)
    after_the_header = place >= len(data) - sum(array.nbytes for array in ARRAYS.values())
    with suppress(ModelDirectoryError):
        arrays, about = load_arrays(path)
        # White space or the spelling of a letter in the header: it says the same.
        assert not cut
        assert not after_the_header
        assert about == {"update": 3}
        assert {name: array.tolist() for name, array in arrays.items()} == {
            name: array.tolist() for name, array in ARRAYS.items()
        }
    with suppress(ModelDirectoryError):
        assert load_metadata(path) == {"update": 3}


@given(content=st.binary(max_size=300))
def test_bytes_of_any_kind_are_an_error(path, content):
    path.write_bytes(content)
    with pytest.raises(ModelDirectoryError, match=r"arrays\.safetensors: "):
        load_arrays(path)
