"""Array files with a byte changed or an end cut off: an error each, and no HDF5 that never ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.errors import ModelDirectoryError
from seq2seq.storage.arrays import load_arrays, save_arrays

ARRAYS = {"decoder/cell/kernel": np.arange(12, dtype=np.float32).reshape(3, 4), "count": np.array(7)}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("arrays") / "arrays.h5"


@pytest.fixture(scope="module")
def whole(path):
    save_arrays(path, ARRAYS, {"update": 3})
    return path.read_bytes()


@given(place=st.integers(0, 10**6) | st.integers(0, 300), byte=st.integers(1, 255), cut=st.booleans())
def test_every_byte_counts(path, whole, place, byte, cut):
    data = bytearray(whole)
    place %= len(data)
    data[place] ^= byte
    path.write_bytes(data[:place] if cut else data)
    if not cut and whole.index(b"\0\0\0\0") <= place < 512:
        load_arrays(path)  # between the head and HDF5, where nobody reads
        return
    with pytest.raises(ModelDirectoryError, match=r"arrays\.h5: "):
        load_arrays(path)
