"""Helpers for tests of whole training runs: interrupt them, and compare the files that they leave."""

import os
import shutil
import signal
from pathlib import Path

import keras
import numpy as np

from seq2seq.config import Config
from seq2seq.model_directory import LAST
from seq2seq.model_directory.history import read_history
from seq2seq.storage.arrays import load_arrays
from seq2seq.training import TrainingReport, train
from seq2seq.training.averaging import list_kept_weights

TIMES = ("seconds", "cpu_seconds", "tokens_per_second")


class InterruptAfter(keras.callbacks.Callback):
    """Send this process a SIGINT, as Ctrl-C does, after some batches of this session."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


class CopyAfter(keras.callbacks.Callback):
    """Copy the directory of a run after these numbers of batches: the state that a crash would leave."""

    def __init__(self, directory: Path, *batches: int):
        super().__init__()
        self.directory, self.counts, self.batches = directory, batches, 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        if self.batches in self.counts:
            shutil.copytree(self.directory, copy_of(self.directory, self.batches))


def copy_of(directory: Path, batches: int) -> Path:
    return directory.with_name(f"after-{batches}")


def often_saved(config: Config) -> Config:
    """The recipe with a checkpoint after every batch."""
    return config.model_copy(update={"training": config.training.model_copy(update={"checkpoint_minutes": 1e-9})})


def assert_resumes_exactly(config: Config, directory: Path, *batches: int) -> TrainingReport:
    """Train with frequent checkpoints, then resume from the state that crashes after some batches would have left."""
    config = often_saved(config)
    report = train(config, directory, [CopyAfter(directory, *batches)])
    for count in batches:
        assert_goes_on(config, directory, count)
    return report


def assert_goes_on(config: Config, directory: Path, batches: int) -> None:
    """Check that the copy of a run with frequent checkpoints ends as the run did."""
    copy = copy_of(directory, batches)
    saved = final_state(copy)[1]
    assert saved["total_batches"] == batches - 1 or saved["rollbacks"], "the last checkpoint is of the batch before"
    assert train(config, copy).end
    assert_same_run(directory, copy)


def final_state(directory: Path) -> tuple[dict[str, np.ndarray], dict]:
    arrays, about = load_arrays(directory / LAST)
    for name in ("seconds", "cpu_seconds"):
        about["run_state"].pop(name)
    return arrays, about["run_state"]


def timeless(history: list[dict]) -> list[dict]:
    return [{key: value for key, value in entry.items() if key not in TIMES} for entry in history]


def assert_same_run(directory: Path, other: Path) -> None:
    """Check that last checkpoint, history, kept weights and delivered model are equal, bit for bit."""
    arrays, progress = final_state(directory)
    others, other_progress = final_state(other)
    assert other_progress == progress
    assert_same_arrays(others, arrays)
    assert timeless(read_history(other)) == timeless(read_history(directory))
    kept, other_kept = list_kept_weights(directory), list_kept_weights(other)
    assert [(file.name, about) for file, about in other_kept] == [(file.name, about) for file, about in kept]
    files = [[file for file, _ in files] for files in (kept, other_kept)]
    for file, other_file in [*zip(*files, strict=True), (directory / "model.safetensors", other / "model.safetensors")]:
        assert_same_arrays(load_arrays(other_file)[0], load_arrays(file)[0])


def assert_same_arrays(arrays: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert arrays.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(arrays[name], value, err_msg=name)
