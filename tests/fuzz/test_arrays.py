"""Array files with a byte changed or an end cut off: an error each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.errors import ModelDirectoryError
from seq2seq.storage.arrays import load_about, load_arrays, save_arrays

ARRAYS = {"decoder/cell/kernel": np.arange(12, dtype=np.float32).reshape(3, 4), "count": np.array(7)}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("arrays") / "arrays.safetensors"


@pytest.fixture(scope="module")
def whole(path):
    save_arrays(path, ARRAYS, {"update": 3})
    return path.read_bytes()


@given(place=st.integers(0, 10**6), byte=st.integers(1, 255), cut=st.booleans())
def test_every_byte_counts(path, whole, place, byte, cut):
    data = bytearray(whole)
    place %= len(data)
    data[place] ^= byte
    path.write_bytes(data[:place] if cut else data)
    with pytest.raises(ModelDirectoryError, match=r"arrays\.safetensors: "):
        load_arrays(path)
    if cut or place < len(data) - sum(array.nbytes for array in ARRAYS.values()):
        with pytest.raises(ModelDirectoryError, match=r"arrays\.safetensors: "):
            load_about(path)
    else:
        assert load_about(path) == {"update": 3}


@given(content=st.binary(max_size=300))
def test_bytes_of_any_kind_are_an_error(path, content):
    path.write_bytes(content)
    with pytest.raises(ModelDirectoryError, match=r"arrays\.safetensors: "):
        load_arrays(path)
