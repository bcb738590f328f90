"""A disk that is full, by a limit on the size of files or a small file system: what was there stays, and can be used.

The limit is this process's own and is lifted again; the file system is mounted where that is allowed.
"""

import re
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from seq2seq.corpora import SentencePair
from seq2seq.data.encoded import encode_corpus
from seq2seq.errors import StorageError
from seq2seq.model_directory import LAST
from seq2seq.model_directory.directory import load_tokenizers
from seq2seq.model_directory.history import append_history, read_history, truncate_history
from seq2seq.model_directory.model import load_model
from seq2seq.storage.arrays import load_arrays
from seq2seq.storage.files import atomic_write, wrap_storage_errors
from seq2seq.training import train
from seq2seq.training.checkpoints import BEST
from tests.command import run
from tests.runs import InterruptAfter, assert_same_run, often_saved
from tests.toy import pairs, toy_config, write_corpus

pytestmark = pytest.mark.usefixtures("shared_graphs")
AGAIN = "and run the same command again"
ENTRY = {"epoch": 1, "update": 2, "valid_loss": 1.5, "bleu": None, "best": True, "seconds": 3.0}


@contextmanager
def largest_file(size):
    """No file grows beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, train=60, valid=4)
    return folder


@pytest.fixture(scope="module")
def config(corpus):
    return toy_config(corpus, training={"learning_rate": 0.08})  # so that a validation is the best


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """What a run leaves on a disk that is never full."""
    folder = tmp_path_factory.mktemp("whole") / "model"
    train(config, folder)
    return folder


@pytest.fixture(scope="module")
def interrupted(config, tmp_path_factory):
    """A run after its first validation, with a model and a checkpoint."""
    folder = tmp_path_factory.mktemp("interrupted") / "model"
    train(config, folder, [InterruptAfter(10)])
    return folder


def partials(folder):
    return [path.name for path in Path(folder).rglob("*.partial")]


def just_too_large(file):
    """A limit that this file, and none written before it, goes beyond."""
    return largest_file(file.stat().st_size - 1000)


def test_a_run_goes_on_from_the_last_good_checkpoint(config, whole, interrupted, tmp_path):
    """Whichever file had no room."""
    folder = shutil.copytree(interrupted, tmp_path / "model")
    before = (folder / LAST).read_bytes()
    for file, recipe in (("model.safetensors", config), (BEST, config), (LAST, often_saved(config))):
        with just_too_large(whole / file), pytest.raises(StorageError) as error:
            train(recipe, folder)
        assert str(error.value).startswith(f"{folder / file}: the file would be too large: ")
        assert "kB needed, the limit is " in str(error.value)
        assert AGAIN in str(error.value)
        assert (folder / LAST).read_bytes() == before
        load_arrays(folder / LAST)
        load_model(folder)
        assert not partials(folder)
    train(config, folder)
    assert_same_run(folder, whole)


def test_a_new_run_says_so_too_and_can_begin_again(config, whole, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    with largest_file(1000):
        assert run("train", recipe, "-o", tmp_path / "model") == 1
    error = capsys.readouterr().err
    assert re.match(
        rf"error: {tmp_path}/model/encoded/train\.[^/]*/source\.tokens\.bin: the file would be too large", error
    )
    assert not partials(tmp_path)
    assert not (tmp_path / "model" / "encoded" / "train").exists()
    assert run("train", recipe, "-o", tmp_path / "model") == 0
    assert_same_run(tmp_path / "model", whole)


@pytest.mark.parametrize("room", [0, 1, 40])
def test_a_half_written_line_of_the_history_does_no_harm(tmp_path, room):
    append_history(tmp_path, ENTRY)
    size = (tmp_path / "history.jsonl").stat().st_size
    with largest_file(size + room), pytest.raises(StorageError, match=r"history\.jsonl: the file would be too large"):
        append_history(tmp_path, ENTRY | {"update": 4})
    assert (tmp_path / "history.jsonl").stat().st_size == size + room
    assert [entry["update"] for entry in read_history(tmp_path)] == [2]
    truncate_history(tmp_path, 1)
    append_history(tmp_path, ENTRY | {"update": 4})
    assert [entry["update"] for entry in read_history(tmp_path)] == [2, 4]


def test_a_full_disk_says_how_much_is_free(tmp_path):
    with pytest.raises(StorageError) as error, wrap_storage_errors(tmp_path / "file", 5 * 10**18):
        raise OSError(28, "No space left on device")
    assert str(error.value).startswith(f"{tmp_path}/file: no space left: 5.0 EB needed, ")
    assert "free. Free some space and run the same command again." in str(error.value)
    with pytest.raises(StorageError, match="the disk quota is used up"), wrap_storage_errors(tmp_path / "file"):
        raise OSError(122, "Disk quota exceeded")
    with (
        pytest.raises(StorageError, match=r"file: cannot be written: Read-only file system\."),
        wrap_storage_errors(tmp_path / "file"),
    ):
        raise OSError(30, "Read-only file system")
    with pytest.raises(FileNotFoundError), wrap_storage_errors(tmp_path / "file"):
        (tmp_path / "other").read_bytes()


def test_what_fails_when_it_is_put_on_disk_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("old")

    def fail(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(StorageError, match="no space left"), atomic_write(tmp_path / "file") as partial:
        partial.write_text("new")
    assert (tmp_path / "file").read_text() == "old"
    assert not partials(tmp_path)


def test_translations_are_whole_or_partial(whole, tmp_path, capsys):
    (tmp_path / "source").write_text("".join(f"{source}\n" for source, _ in pairs(300, 3)))
    (tmp_path / "out").write_text("old")
    command = ("translate", whole, "-i", tmp_path / "source", "--beam-size", 1, "--max-length", 4, "-o")
    with largest_file(500):
        assert run(*command, tmp_path / "out") == 1
    assert f"error: {tmp_path}/out: the file would be too large" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "old"
    assert (tmp_path / "out.partial").stat().st_size == 500
    assert run(*command, tmp_path / "out") == 0
    assert len((tmp_path / "out").read_bytes().split(b"\n")) == 301
    assert not partials(tmp_path)
    if Path("/dev/full").exists():
        assert run(*command, "/dev/full") == 1
        assert "error: /dev/full: cannot be written: No space left on device." in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_stdout_is_one_error():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "seq2seq", "train", "quickstart", "--dump-config"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "error: stdout: cannot be written: No space left on device.\n"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 kB, and what makes it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            return False

    if not mount("size=200k"):
        pytest.skip("needs the right to mount a file system")
    try:
        yield folder, lambda: mount("remount,size=2m")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def test_a_disk_that_is_really_full(config, whole, small_disk, corpus):
    folder, enlarge = small_disk
    with pytest.raises(StorageError, match=r"no space left: .*needed, .* free\. Free some") as error:
        train(config, folder / "model")
    assert not partials(folder)
    if (folder / "model" / LAST).exists():
        load_arrays(folder / "model" / LAST)
    assert str(folder) in str(error.value)
    assert enlarge()
    train(config, folder / "model")
    assert_same_run(folder / "model", whole)


def test_an_encoding_that_does_not_fit_vanishes(whole, small_disk):
    folder, _ = small_disk
    tokenizers = load_tokenizers(whole)
    many = (SentencePair("the dog sees the bird", "der Hund", f"file:{number}") for number in range(30_000))
    with pytest.raises(StorageError, match=r"no space left: .* free"):
        encode_corpus(many, *tokenizers, folder / "train")
    assert not list(folder.iterdir())
