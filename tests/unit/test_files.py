"""Files and folders that are whole or not there, and their checksums."""

import errno
import hashlib
import os
import platform
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from seq2seq.corpora.downloads.corpus import DownloadedCorpus
from seq2seq.errors import CorpusError, StorageError
from seq2seq.storage.files import atomic_folder, atomic_write, sha256


@pytest.mark.parametrize("keep", [False, True])
def test_a_file_is_old_or_new(tmp_path, keep):
    path = tmp_path / "file"
    path.write_text("old")
    with suppress(CorpusError), atomic_write(path, keep=keep) as partial:
        partial.write_text("ne")
        raise CorpusError("the text ends here")
    assert path.read_text() == "old"
    assert (tmp_path / "file.partial").exists() == keep
    with atomic_write(path, keep=keep) as partial:
        assert not partial.exists()
        partial.write_text("new")
    assert path.read_text() == "new"
    assert not partial.exists()


def test_two_writers_of_a_file_do_not_meet(tmp_path):
    path = tmp_path / "file"
    with atomic_write(path) as first, atomic_write(path) as second:
        assert first != second
        second.write_text("second")
        first.write_text("first")
    assert path.read_text() == "first", "the last one that ended"
    with atomic_folder(tmp_path / "folder") as one:
        (one / "mine").write_text("one")
        with atomic_folder(tmp_path / "folder") as other:
            assert list(other.iterdir()) == []
            (other / "mine").write_text("other")
        assert [file.name for file in one.iterdir()] == ["mine"]
    assert (tmp_path / "folder" / "mine").read_text() == "one"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    """Of files and folders; what a living process writes, and what is another file's, stays."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    node = platform.node()
    for process in (ended.pid, os.getppid()):
        (tmp_path / f"file.{node}.{process}.abc.partial").write_text("half")
        (tmp_path / f"folder.{node}.{process}.abc.partial").mkdir()
        (tmp_path / f"folder.{node}.{process}.abc.partial" / "part").write_text("half")
    others = [f"other.{node}.{ended.pid}.abc.partial", f"file.elsewhere.{ended.pid}.abc.partial", "file.txt.partial"]
    for name in others:
        (tmp_path / name).write_text("half")
    with atomic_write(tmp_path / "file") as partial:
        partial.write_text("whole")
    with atomic_folder(tmp_path / "folder"):
        pass
    left = {f"{name}.{node}.{os.getppid()}.abc.partial" for name in ("file", "folder")}
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder", *others, *left}


@pytest.mark.parametrize("name", ["a" * 255, "д" * 127, "語" * 85, "[x]*?" * 40])
def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path, name):
    with atomic_write(tmp_path / name) as partial:
        partial.write_text("whole")
    with atomic_folder(tmp_path / f"{name[:-1]}f"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name[:-1]}f"}


def test_a_file_that_cannot_be_replaced_is_written(tmp_path, monkeypatch):
    """As one that is mounted into a container by itself."""
    (tmp_path / "file").write_text("old and long")

    def busy(self, target):
        raise OSError(errno.EBUSY, "Device or resource busy", str(self))

    monkeypatch.setattr(Path, "replace", busy)
    with atomic_write(tmp_path / "file") as partial:
        partial.write_text("new")
    assert (tmp_path / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_old_or_new(tmp_path):
    folder = tmp_path / "deep" / "folder"
    for content in ("first", "second"):
        with atomic_folder(folder) as partial:
            assert list(partial.iterdir()) == []
            (partial / content).write_text(content)
        assert [file.name for file in folder.iterdir()] == [content]
    with suppress(CorpusError), atomic_folder(folder) as partial:
        (partial / "third").write_text("third")
        raise CorpusError("the text ends here")
    assert [file.name for file in folder.iterdir()] == ["second"]
    assert [file.name for file in folder.parent.iterdir()] == ["folder"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageError, match="file/folder: cannot be written"),
        atomic_folder(tmp_path / "file/folder"),
    ):
        pass


def test_the_record_of_a_corpus_is_old_or_new(tmp_path, monkeypatch):
    corpus = DownloadedCorpus("name", ("en", "de"), "licence", "citation", tmp_path)
    corpus.write_record(files={"a": 1})

    def fail(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(StorageError, match=r"SOURCE\.json: no space left"):
        corpus.write_record(files={"a": 2})
    assert corpus.read_record()["files"] == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["SOURCE.json"]


def test_the_checksum_of_a_file(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_the_working_directory_is_written_as_any_other_folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with atomic_folder(Path()) as partial:
        (partial / "file").write_text("x")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["here", "here/file"]


def test_a_link_to_a_folder_stays_one(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to("here")
    with atomic_folder(tmp_path / "link") as partial:
        (partial / "file").write_text("x")
    assert (tmp_path / "link").is_symlink()
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["file"]
