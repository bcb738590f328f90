"""A file that one process at a time holds, also on file systems without locks."""

import errno
import os
import platform

import pytest

from seq2seq.storage.locks import LockWarning, file_lock, is_locked, pid_file, wait_for_lock

fcntl = pytest.importorskip("fcntl")


def held(holder):
    return RuntimeError(f"held by {holder}")


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def without_locks(request, monkeypatch):
    """As on Lustre, NFS and FUSE, by how they are mounted."""

    def flock(*_):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)
    return os.strerror(request.param)


def test_a_lock_is_refused_while_it_is_held(tmp_path):
    lock = tmp_path / "run.lock"
    assert not is_locked(lock)
    with file_lock(lock, held):
        with pytest.raises(RuntimeError, match=f"held by {os.getpid()} on {platform.node()}"), file_lock(lock, held):
            pass
        assert pid_file(lock).exists()
        assert is_locked(lock)
    assert not pid_file(lock).exists()
    assert not is_locked(lock)
    with file_lock(lock, held):
        pass


def test_without_locks_work_goes_on_with_a_warning(tmp_path, without_locks):
    lock = tmp_path / "run.lock"
    with (
        pytest.warns(LockWarning, match=rf"run\.lock: this file system does not support locks \({without_locks}\)"),
        file_lock(lock, held),
    ):
        assert pid_file(lock).read_text() == f"{os.getpid()} on {platform.node()}\n"
    assert not pid_file(lock).exists()
    with pytest.warns(LockWarning, match=r"run\.lock"), wait_for_lock(lock):
        pass
    for process, lives in ((os.getppid(), True), (2**22 + 1, False)):  # the second is above Linux's highest number
        pid_file(lock).write_text(f"{process} on {platform.node()}\n")
        with pytest.warns(LockWarning):
            assert is_locked(lock) == lives


def test_a_system_without_flock_locks_by_the_file(tmp_path, monkeypatch, recwarn):
    def flock(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)
    lock = tmp_path / "run.lock"
    with file_lock(lock, held), pytest.raises(RuntimeError, match=f"held by {os.getpid()}"), file_lock(lock, held):
        pass
    with file_lock(lock, held):
        pass
    assert not recwarn.list


@pytest.mark.filterwarnings("ignore::seq2seq.storage.locks.LockWarning")
def test_without_locks_a_living_process_of_this_machine_is_still_respected(tmp_path, without_locks):
    lock = tmp_path / "run.lock"
    living = f"{os.getppid()} on {platform.node()}"
    for holder, respected in ((living, True), (f"{2**22 + 1} on {platform.node()}", False), ("7 on elsewhere", False)):
        pid_file(lock).write_text(f"{holder}\n")
        if respected:
            with pytest.raises(RuntimeError, match=f"held by {holder}"), file_lock(lock, held):
                pass
            assert pid_file(lock).read_text() == f"{holder}\n", "it is not ours"
        else:
            with file_lock(lock, held):
                pass


def test_a_lock_file_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as error, file_lock(tmp_path / "file" / "run.lock", held):  # noqa: PT011
        pass
    assert str(tmp_path / "file") in str(error.value.filename)
