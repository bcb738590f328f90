"""What tests of whole training runs share: interrupting them, and comparing what they leave behind."""

import os
import signal
from pathlib import Path

import keras
import numpy as np

from seq2seq.arrays import load_arrays
from seq2seq.config import Config
from seq2seq.metadata import read_history
from seq2seq.training import train
from seq2seq.training.checkpoints import LAST, kept_weights

TIMES = ("seconds", "tokens_per_second")


class InterruptAfter(keras.callbacks.Callback):
    """Send this process a SIGINT, as Ctrl-C does, after some batches of this session."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def train_in_parts(config: Config, directory: Path, *batches: int) -> None:
    """Train with an interruption after so many batches, and so many more, until the run has finished."""
    for count in batches:
        assert not train(config, directory, [InterruptAfter(count)]).finished
    assert train(config, directory).finished


def final_state(directory: Path) -> tuple[dict[str, np.ndarray], dict]:
    arrays, about = load_arrays(directory / LAST)
    about["progress"].pop("seconds")
    return arrays, about["progress"]


def timeless(history: list[dict]) -> list[dict]:
    return [{key: value for key, value in entry.items() if key not in TIMES} for entry in history]


def assert_same_run(directory: Path, other: Path) -> None:
    """Last checkpoint, history, kept weights and delivered model are equal, bit for bit."""
    arrays, progress = final_state(directory)
    others, other_progress = final_state(other)
    assert other_progress == progress
    assert_same_arrays(others, arrays)
    assert timeless(read_history(other)) == timeless(read_history(directory))
    kept, other_kept = kept_weights(directory), kept_weights(other)
    assert [(file.name, about) for file, about in other_kept] == [(file.name, about) for file, about in kept]
    files = [[file for file, _ in files] for files in (kept, other_kept)]
    for file, other_file in [*zip(*files, strict=True), (directory / "model.weights.h5", other / "model.weights.h5")]:
        assert_same_arrays(load_arrays(other_file)[0], load_arrays(file)[0])


def assert_same_arrays(arrays: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert arrays.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(arrays[name], value, err_msg=name)
