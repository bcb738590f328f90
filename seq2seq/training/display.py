"""Display of a run: a summary, live progress on a terminal, plain lines elsewhere; and its TensorBoard logs."""

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from seq2seq.errors import TrainingWarning
from seq2seq.extras import require_extra

MIN_SPINNER_SECONDS = 2.0  # shorter waits are not reported
LINE_INTERVAL = 30.0  # seconds between plain lines if there is no terminal
FOLDER = "tensorboard"
LOG_INTERVAL = 50  # updates between the scalars of training
PIXELS_PER_WEIGHT = 16  # side of an attention weight's square
# TensorBoard tags, and the keys of their values in `history.jsonl`.
VALIDATION_SCALARS = {
    "validation/loss": "valid_loss",
    "validation/perplexity": "valid_perplexity",
    "validation/bleu": "bleu",
    "validation/gradient_norm": "gradient_norm",
    "validation/learning_rate": "learning_rate",
}


def make_display(console: Console | None) -> "Display":
    """Display on a console or, by default, in the notebook or terminal in which this process runs, if any."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if console is None and hasattr(shell, "kernel"):
        from seq2seq.training.notebook_display import NotebookDisplay

        return NotebookDisplay()
    if console is None and sys.stderr is not None and sys.stderr.isatty():
        console = Console(stderr=True)
    return Display(console) if console else UnwatchedDisplay()


class Timer:
    """Wall-clock timer, with a count of `tokens` that starts at 0 and that the caller increases."""

    clock = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._since, self.tokens = self.clock(), 0

    def restart(self) -> float:
        """Start again from 0; returns the seconds so far."""
        before, self._since, self.tokens = self._since, self.clock(), 0
        return self._since - before

    def seconds(self) -> float:
        """Seconds so far."""
        return self.clock() - self._since

    def tokens_per_second(self) -> float:
        """Mean speed so far."""
        return self.tokens / max(self.seconds(), 1e-9)


class CPUTimer(Timer):
    """Timer of the CPU time of this process and of its child processes that have ended: user and system."""

    clock = staticmethod(lambda: sum(os.times()[:4]))


class Display:
    """Display of training on a Rich console.

    Args:
        console: Console to print on; by default a quiet one, which prints nothing.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(quiet=True)
        self._since_line = Timer()

    def print(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def warn(self, text: str) -> None:
        """Print a warning about the trained model."""
        self.print(f"warning: {text}")

    def table(self, title: str, rows: Mapping[str, str]) -> None:
        """Print a table of names and values."""
        table = Table(title=escape(title), title_justify="left", show_header=False, box=None, pad_edge=False)
        for name, value in rows.items():
            table.add_row(f"[bold]{name}[/bold]", escape(value))
        self.console.print(table)

    @contextmanager
    def spinner(self, what: str) -> Iterator[None]:
        """Show a spinner during a task of unknown length; print the time it took if that was long."""
        timer = Timer()
        with self.console.status(what):
            yield
        if (seconds := timer.seconds()) > MIN_SPINNER_SECONDS:
            self.print(f"{what}: {seconds:.1f} s")

    @contextmanager
    def progress_bar(self, what: str, unit: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Show a progress bar; yields a function that takes the number of units done so far."""
        with self._bar(TimeElapsedColumn(), TextColumn(f"{{task.completed:,.0f}} {unit}")) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.update(task, completed=done)

    @contextmanager
    def epoch_progress(self, epoch: int, batches: int, done: int) -> Iterator[Callable[[int, Mapping[str, Any]], None]]:
        """Show live progress of an epoch; yields a function that takes batches done and the latest figures."""
        # Without the time of the epoch: the lines of validations have the time of the run.
        with self._bar(TextColumn("{task.fields[numbers]}")) as bar:
            task = bar.add_task(f"epoch {epoch}", total=batches, completed=done, numbers="")

            def show(completed: int, numbers: Mapping[str, Any]) -> None:
                text = describe_progress(numbers)
                bar.update(task, completed=completed, numbers=text)
                if not self.console.is_terminal and self._since_line.seconds() > LINE_INTERVAL:
                    self._since_line.restart()
                    self.print(f"epoch {epoch}  batch {completed:,}/{batches:,}  {text}")

            yield show

    def print_validation(self, entry: Mapping[str, Any], improved: bool) -> None:
        """Print one line per validation; training and validation loss are both without label smoothing."""
        bleu = f"  BLEU {entry['bleu']:.2f}" if entry.get("bleu") is not None else ""
        self.print(
            f"epoch {entry['epoch']}  update {entry['update']:,}  train loss {entry['train_nll']:.3f}  "
            f"valid loss {entry['valid_loss']:.3f}  perplexity {entry['valid_perplexity']:.2f}{bleu}  "
            f"learning rate {entry['learning_rate']:.2g}  {entry['tokens_per_second']:,.0f} tokens/s  "
            f"{format_duration(entry['seconds'])}{'  *best*' if improved else ''}"
        )
        self._since_line.restart()

    def _bar(self, *columns: ProgressColumn) -> Progress:
        return Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            *columns,
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )


class UnwatchedDisplay(Display):
    """Display without a terminal or a notebook: silent, except for Python warnings about the trained model."""

    def warn(self, text: str) -> None:
        warnings.warn(text, TrainingWarning, stacklevel=5)  # where `train` was called


def describe_progress(numbers: Mapping[str, Any]) -> str:
    """Format the latest figures of an epoch as one line, without an ETA while it is None."""
    eta = "" if numbers["eta"] is None else f"  ETA {format_duration(numbers['eta'])}"
    return (
        f"update {numbers['update']:,} of {numbers['planned_updates']:,}  loss {numbers['loss']:.3f}  "
        f"{numbers['tokens_per_second']:,.0f} tokens/s{eta}"
    )


def format_duration(seconds: float) -> str:
    """Format seconds as `1:02:03` or `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class TensorBoardWriter:
    """Write event files into `tensorboard/` in a model directory.

    Raises:
        MissingExtraError: The extra `tensorboard` is not installed.
    """

    def __init__(self, directory: Path) -> None:
        with require_extra("tensorboard", needed_by="training.tensorboard"):
            import tensorboard  # noqa: F401  not needed to write its files, but to see them: fail before training
        (directory / FOLDER).mkdir(parents=True, exist_ok=True)
        # TensorBoard reads files in the order of their names, each to its end.
        self._file = tf.io.TFRecordWriter(str(directory / FOLDER / f"events.out.tfevents.{time.time_ns()}"))
        self._write(0, file_version="brain.Event:2")

    def start(self, update: int) -> None:
        """Mark the start of a session after an update: readers then discard later updates of earlier sessions.

        Readers take the first mark in a folder as its start and purge at all others, so every session writes one.
        """
        self._write(update + 1, session_log=tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START))

    def log_training(self, update: int, numbers: Mapping[str, float]) -> None:
        """Write scalars of training, with tags that start with `train/`."""
        values = [_value(f"train/{name}", "scalars", float(value)) for name, value in numbers.items()]
        self._write(update, summary=tf.compat.v1.Summary(value=values))

    def log_validation(
        self, entry: Mapping[str, Any], samples: Sequence[tuple[str, str, str]], attention: np.ndarray
    ) -> None:
        """Write the results of a validation.

        Args:
            entry: History entry of the validation.
            samples: Source, translation and reference of some sentences; if empty, none are written.
            attention: (T, S) attention weights of a translation, 0 to 1; if empty, no picture is written.
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
            sides = [b"%d" % side for side in picture.shape[1::-1]]  # width, height
            values.append(_value("attention", "images", [*sides, tf.io.encode_png(picture).numpy()]))
        self._write(entry["update"], summary=tf.compat.v1.Summary(value=values))

    def _write(self, update: int, **event: Any) -> None:
        self._file.write(tf.compat.v1.Event(wall_time=time.time(), step=update, **event).SerializeToString())
        self._file.flush()


def _value(tag: str, plugin: str, value: Any) -> tf.compat.v1.Summary.Value:
    """Summary for a TensorBoard plugin: a number, a text, or a picture as its width, its height and a PNG file."""
    metadata = tf.compat.v1.SummaryMetadata(plugin_data={"plugin_name": plugin})
    return tf.compat.v1.Summary.Value(tag=tag, metadata=metadata, tensor=tf.make_tensor_proto(value))


def attention_image(weights: np.ndarray) -> np.ndarray:
    """Picture (uint8) of attention weights (T, S), 0 (black) to 1: squares with sides of `PIXELS_PER_WEIGHT`."""
    grey = np.rint(255.0 * weights).clip(0, 255).astype(np.uint8)
    return np.kron(grey, np.ones((PIXELS_PER_WEIGHT, PIXELS_PER_WEIGHT), np.uint8))[..., None]


def _table(samples: Sequence[tuple[str, str, str]]) -> str:
    """Markdown table; bars are escaped, as they would end a cell."""
    rows = [("source", "translation", "reference"), ("---",) * 3, *samples]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
