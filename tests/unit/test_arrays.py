"""Array files: bit by bit what was written, and an error for damage and for what only a stranger would write."""

import pickle

import numpy as np
import pytest
import safetensors.numpy

from seq2seq.errors import ModelDirectoryError
from seq2seq.storage.arrays import load_arrays, load_checksum, load_metadata, save_arrays
from tests.models import forge

ARRAYS = {
    "decoder/cell/kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
    "decoder/bias": np.array([0.5, -1.0, np.nan, -0.0], np.float16),
    "big-endian": np.arange(3, dtype=">f4"),
    "transposed": np.arange(12, dtype=np.float64).reshape(3, 4).T,
    "count": np.array(7, np.int64),
    "draws": np.array([2**32 - 1, 0], np.uint32),
    "mask": np.array([True, False, True]),
    "empty": np.zeros((0, 3), np.float32),
    "wide": np.zeros((2_000_000_000, 0), np.float32),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "arrays.safetensors"


@pytest.mark.parametrize("about", [None, {"update": 3}, {"long": "x" * 3000}, {"text": 'a\nb\u2028\0"', "a": None}])
def test_what_is_written_is_read(path, about):
    save_arrays(path, ARRAYS, about)
    arrays, found = load_arrays(path)
    assert found == load_metadata(path) == (about or {})
    # The library reads it by itself.
    for read in (arrays, safetensors.numpy.load_file(path)):
        assert read.keys() == ARRAYS.keys()
        for name, value in ARRAYS.items():
            assert (read[name].dtype, read[name].shape) == (value.dtype.newbyteorder("<"), value.shape)
            assert read[name].tobytes() == value.astype(read[name].dtype).tobytes()
    assert [file.name for file in path.parent.iterdir()] == ["arrays.safetensors"]


def test_nothing_is_a_file_too(path):
    save_arrays(path, {})
    assert load_arrays(path) == ({}, {})


def test_the_checksum_tells_contents_apart(path):
    def checksum(arrays, about):
        save_arrays(path, arrays, about)
        return load_checksum(path)

    changed = ARRAYS | {"count": np.array(8)}
    renamed = {f"{name}s": array for name, array in ARRAYS.items()}
    different = [(ARRAYS, {}), (ARRAYS, {"a": 1}), (changed, {}), (renamed, {})]
    assert len({checksum(*contents) for contents in different}) == 4
    assert checksum(dict(reversed(ARRAYS.items())), {}) == checksum(*different[0])


@pytest.mark.parametrize("array", [np.array("text"), np.array([None]), np.zeros(3, "c8")])
def test_what_the_format_has_no_place_for_is_not_written(path, array):
    with pytest.raises(ValueError, match=f"'w' is {array.dtype}, expected numbers"):
        save_arrays(path, {"w": array})
    assert not list(path.parent.iterdir())


def entry(name="w", dtype="F32", shape="1", start=0, end=4):
    return f',"{name}":{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":[{start},{end}]}}'


FORGED = {
    "metadata twice": (entry() + ',"__metadata__":{"metadata":"{}"}', b"1234", "duplicate field"),
    "overlap": (entry() + entry("v"), b"1234", "invalid offset"),
    "a hole": (entry() + entry("v", start=8, end=12), b"123412341234", "invalid offset"),
    "bytes of no array": (entry(), b"12345678", "not fully covered"),
    "more than the file": (entry(shape=str(2**38), end=2**40), b"1234", "not fully covered"),
    "a terabyte": (entry(shape=str(2**38)), b"1234", "invalid shape"),
    "an endless shape": (entry(shape=f"{2**63},{2**63}", end=0), b"", "overflow"),
    "a negative shape": (entry(shape="-1"), b"1234", "invalid value"),
    "an empty array of exabytes": (entry(shape=f"{2**62},0", end=0), b"", "array is too big"),
    "too many axes": (entry(shape=",".join("1" * 70)), b"1234", "maximum supported dimension"),
    "complex": (entry(dtype="C64", end=8), b"12345678", "'w' is complex64, expected numbers"),
    "bfloat16": (entry(dtype="BF16", end=2), b"12", "bfloat16"),
    "8 bits": (entry(dtype="F8_E4M3", end=1), b"1", "float8"),
    "objects": (entry(dtype="O"), b"1234", "unknown variant"),
    "nested": (',"w":' + "[" * 100_000, b"", "invalid"),
}


@pytest.mark.parametrize("kind", FORGED)
def test_what_only_a_stranger_writes_is_refused(path, kind):
    arrays, data, message = FORGED[kind]
    forge(path, arrays, data)
    with pytest.raises(ModelDirectoryError, match=message) as error:
        load_arrays(path)
    assert str(error.value).startswith(f"{path}: damaged or not written by this version of seq2seq: ")
    assert str(error.value).endswith(". Restore it from a copy that you trust.")


@pytest.mark.parametrize("about", ["", "3", "[1]", '"text"', "[" * 100_000])
def test_what_is_no_mapping_is_refused(path, about):
    forge(path, entry(), b"1234", about)
    for load in (load_metadata, load_arrays):
        with pytest.raises(ModelDirectoryError, match="damaged or not written by this version"):
            load(path)


def test_a_plain_forgery_is_read(path):
    """Or the tests above would show nothing."""
    forge(path, entry(), np.float32(3).tobytes(), '{"a": 1}')
    arrays, about = load_arrays(path)
    assert arrays["w"].tolist() == [3]
    assert about == {"a": 1}


STRANGE = {
    "nothing": b"",
    "a header longer than the file": (2**63).to_bytes(8, "little") + b"{}" * 40,
    "a pickle": pickle.dumps(list(range(100))),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(2000),
    "another program's": safetensors.numpy.save(
        ARRAYS | {"transposed": np.zeros(3)}, {"metadata": "{}", "sha256": "0"}
    ),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_files_of_other_programs_are_refused(path, kind):
    path.write_bytes(STRANGE[kind])
    for load in (load_metadata, load_checksum, load_arrays):
        with pytest.raises(ModelDirectoryError, match=r"arrays\.safetensors: damaged or not written by this version"):
            load(path)
