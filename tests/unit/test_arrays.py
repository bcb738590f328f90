"""Array files: what is damaged is refused before HDF5 opens it, and so is what only a stranger would write."""

import h5py
import numpy as np
import pytest

from seq2seq.errors import ModelDirectoryError
from seq2seq.storage.arrays import load_about, load_arrays, save_arrays
from tests.models import forge

ARRAYS = {
    "decoder/cell/kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
    "decoder/bias": np.array([0.5, -1.0], np.float16),
    "count": np.array(7, np.int64),
    "mask": np.array([True, False]),
    "empty": np.zeros((0, 3), np.float32),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "arrays.h5"


@pytest.mark.parametrize("about", [None, {"update": 3}, {"long": "x" * 3000}, {"text": "a\nb\u2028\0", "value": None}])
def test_what_is_written_is_read(path, about):
    save_arrays(path, ARRAYS, about)
    arrays, found = load_arrays(path)
    assert found == load_about(path) == (about or {})
    assert arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], value)
        assert arrays[name].dtype == value.dtype
    assert [file.name for file in path.parent.iterdir()] == ["arrays.h5"]


def test_other_programs_read_it_as_hdf5(path):
    save_arrays(path, ARRAYS, {"update": 3})
    with h5py.File(path, "r") as file:
        np.testing.assert_array_equal(file["decoder/cell/kernel"][()], ARRAYS["decoder/cell/kernel"])


def many_zeros(file):
    """A terabyte, of which none is stored."""
    dataset = h5py.h5d.create(file.id, b"w", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((2**38,)))
    assert dataset.get_storage_size() == 0


def from_another_file(file):
    layout = h5py.VirtualLayout((4,), "f")
    layout[:] = h5py.VirtualSource("/etc/hostname", "a", (4,))
    file.create_virtual_dataset("w", layout)


def around_in_a_circle(file):
    group = file.create_group("a")
    group["b"] = group
    file["w"] = np.zeros(3, "f")


FORGED = {
    "external link": (lambda file: file.update(w=h5py.ExternalLink("/etc/hostname", "a")), "'w' is a link"),
    "soft link": (lambda file: file.update(w=h5py.SoftLink("/a")), "'w' is a link"),
    "link in a group": (lambda file: file.create_group("a/b").update(w=h5py.SoftLink("/a")), "'a/b/w' is a link"),
    "external bytes": (
        lambda file: file.create_dataset("w", (4,), "u1", external=[("/etc/hostname", 0, 4)]),
        "'w' is an array that lies in other files",
    ),
    "virtual": (from_another_file, "'w' is an array that lies in other files"),
    "chunks": (lambda file: file.create_dataset("w", (2**38,), "f", chunks=(1024,)), "in pieces"),
    "compressed": (lambda file: file.create_dataset("w", data=np.zeros(9), compression="gzip"), "in pieces"),
    "a terabyte": (many_zeros, r"'w' is an array of shape \(274877906944,\), larger than the file"),
    "text": (lambda file: file.update(w="text"), "'w' is no array of numbers"),
    "objects": (lambda file: file.create_dataset("w", (2,), h5py.ref_dtype), "'w' is no array of numbers"),
    "lists": (lambda file: file.create_dataset("w", (2,), h5py.vlen_dtype(np.int32)), "'w' is no array of numbers"),
    "records": (lambda file: file.create_dataset("w", (2,), [("a", "f"), ("b", "S9")]), "'w' is no array of numbers"),
    "bytes": (lambda file: file.create_dataset("w", data=np.void(b"pickle")), "'w' is no array of numbers"),
    "nothing": (lambda file: file.update(w=h5py.Empty("f")), "'w' is no array of numbers"),
    "a type": (lambda file: file.update(w=np.dtype("f")), "'w' is no array of numbers"),
}


@pytest.mark.parametrize("kind", FORGED)
def test_what_only_a_stranger_writes_is_refused(path, kind):
    fill, message = FORGED[kind]
    forge(path, fill)
    with pytest.raises(ModelDirectoryError, match=message) as error:
        load_arrays(path)
    assert str(path) in str(error.value)


def test_a_circle_of_groups_ends(path):
    forge(path, around_in_a_circle)
    assert list(load_arrays(path)[0]) == ["w"]


def test_a_plain_forgery_is_read(path):
    """Or the tests above would show nothing."""
    forge(path, lambda file: file.update(w=np.arange(3)), {"a": 1})
    arrays, about = load_arrays(path)
    assert arrays["w"].tolist() == [0, 1, 2]
    assert about["a"] == 1
