"""Scalars, sample translations and an attention map for TensorBoard. The step is the update."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from seq2seq.extras import from_extra

FOLDER = "tensorboard"
EVERY = 50  # updates between the scalars of training
PIXELS = 16  # side of an attention weight's square
# Tags, and where `history.jsonl` has their values.
VALIDATION = {
    "validation/loss": "valid_loss",
    "validation/perplexity": "valid_perplexity",
    "validation/bleu": "bleu",
    "validation/gradient_norm": "gradient_norm",
    "validation/learning_rate": "learning_rate",
}


class TensorBoard:
    """Writes event files into `tensorboard/` of a model directory.

    Raises:
        MissingExtraError: The extra `tensorboard` is not installed.
    """

    def __init__(self, directory: Path) -> None:
        with from_extra("tensorboard", needed_by="training.tensorboard"):
            import tensorboard  # noqa: F401  TensorFlow's writer does without; said before the first update
        self._writer = tf.summary.create_file_writer(str(directory / FOLDER))

    def start(self, update: int) -> None:
        """Begin a session after an update: readers forget what an earlier session wrote of later ones.

        They take the first such mark in a folder for its beginning and purge at the others, so each session leaves one.
        """
        start = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
        event = tf.compat.v1.Event(wall_time=time.time(), step=update + 1, session_log=start)
        tf.raw_ops.ImportEvent(writer=self._writer._resource, event=event.SerializeToString())

    def training(self, update: int, numbers: Mapping[str, float]) -> None:
        """Scalars of training, as `train/` and their names."""
        with self._writer.as_default(step=update):
            for name, value in numbers.items():
                tf.summary.scalar(f"train/{name}", value)
        self._writer.flush()

    def validation(
        self, entry: Mapping[str, Any], samples: Sequence[tuple[str, str, str]], attention: np.ndarray
    ) -> None:
        """What a validation found.

        Args:
            entry: Its line of the history.
            samples: Source, translation and reference of some sentences; none writes none.
            attention: (T, S) weights of a translation, 0 to 1; an empty array draws nothing.
        """
        with self._writer.as_default(step=entry["update"]):
            for tag, name in VALIDATION.items():
                if entry[name] is not None:
                    tf.summary.scalar(tag, entry[name])
            if samples:
                tf.summary.text("translations", _table(samples))
            if attention.size:
                tf.summary.image("attention", attention_image(attention)[None])
        self._writer.flush()


def attention_image(weights: np.ndarray) -> np.ndarray:
    """Weights (T, S), 0 to 1, as a picture (T * PIXELS, S * PIXELS, 1) uint8: a row a target token, 1 is white."""
    grey = np.rint(255.0 * weights).clip(0, 255).astype(np.uint8)
    return np.kron(grey, np.ones((PIXELS, PIXELS), np.uint8))[..., None]


def _table(samples: Sequence[tuple[str, str, str]]) -> str:
    """Markdown, in which a bar would end a cell."""
    rows = [("source", "translation", "reference"), ("---",) * 3, *samples]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
