"""Scalars, sample translations and an attention map for TensorBoard. The step is the update."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from seq2seq.extras import requires_extra

FOLDER = "tensorboard"
LOG_INTERVAL = 50  # updates between the scalars of training
PIXELS_PER_WEIGHT = 16  # side of an attention weight's square
# Tags, and where `history.jsonl` has their values.
VALIDATION_SCALARS = {
    "validation/loss": "valid_loss",
    "validation/perplexity": "valid_perplexity",
    "validation/bleu": "bleu",
    "validation/gradient_norm": "gradient_norm",
    "validation/learning_rate": "learning_rate",
}


class TensorBoardWriter:
    """Writes event files into `tensorboard/` of a model directory.

    Raises:
        MissingExtraError: The extra `tensorboard` is not installed.
    """

    def __init__(self, directory: Path) -> None:
        with requires_extra("tensorboard", needed_by="training.tensorboard"):
            import tensorboard  # noqa: F401  to write its files takes TensorFlow alone; said before the first update
        (directory / FOLDER).mkdir(parents=True, exist_ok=True)
        # TensorBoard reads files in the order of their names, each to its end.
        self._file = tf.io.TFRecordWriter(str(directory / FOLDER / f"events.out.tfevents.{time.time_ns()}"))
        self._write(0, file_version="brain.Event:2")

    def start(self, update: int) -> None:
        """Begin a session after an update: readers forget what an earlier session wrote of later ones.

        They take the first such mark in a folder for its beginning and purge at the others, so each session leaves one.
        """
        self._write(update + 1, session_log=tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START))

    def log_training(self, update: int, numbers: Mapping[str, float]) -> None:
        """Scalars of training, as `train/` and their names."""
        self._summarize(update, [_value(f"train/{name}", "scalars", float(value)) for name, value in numbers.items()])

    def log_validation(
        self, entry: Mapping[str, Any], samples: Sequence[tuple[str, str, str]], attention: np.ndarray
    ) -> None:
        """What a validation found.

        Args:
            entry: Its line of the history.
            samples: Source, translation and reference of some sentences; none writes none.
            attention: (T, S) weights of a translation, 0 to 1; an empty array draws nothing.
        """
        values = [
            _value(tag, "scalars", float(entry[name]))
            for tag, name in VALIDATION_SCALARS.items()
            if entry[name] is not None
        ]
        if samples:
            values.append(_value("translations", "text", _table(samples)))
        if attention.size:
            picture = attention_image(attention)
            height, width, _ = picture.shape
            values.append(
                _value("attention", "images", [b"%d" % width, b"%d" % height, tf.io.encode_png(picture).numpy()])
            )
        self._summarize(entry["update"], values)

    def _summarize(self, update: int, values: list[tf.compat.v1.Summary.Value]) -> None:
        self._write(update, summary=tf.compat.v1.Summary(value=values))

    def _write(self, update: int, **event: Any) -> None:
        self._file.write(tf.compat.v1.Event(wall_time=time.time(), step=update, **event).SerializeToString())
        self._file.flush()


def _value(tag: str, plugin: str, value: Any) -> tf.compat.v1.Summary.Value:
    """What a plugin of TensorBoard shows: a number, a text, or a picture as its width, its height and a PNG file."""
    metadata = tf.compat.v1.SummaryMetadata(plugin_data={"plugin_name": plugin})
    return tf.compat.v1.Summary.Value(tag=tag, metadata=metadata, tensor=tf.make_tensor_proto(value))


def attention_image(weights: np.ndarray) -> np.ndarray:
    """Weights (T, S), 0 to 1, as a picture (16 T, 16 S, 1) uint8: a row a target token, 1 is white."""
    grey = np.rint(255.0 * weights).clip(0, 255).astype(np.uint8)
    return np.kron(grey, np.ones((PIXELS_PER_WEIGHT, PIXELS_PER_WEIGHT), np.uint8))[..., None]


def _table(samples: Sequence[tuple[str, str, str]]) -> str:
    """Markdown, in which a bar would end a cell."""
    rows = [("source", "translation", "reference"), ("---",) * 3, *samples]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
