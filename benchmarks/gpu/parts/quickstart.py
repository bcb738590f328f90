"""A whole run of the packaged recipe `quickstart`, as with `seq2seq train`: data, trial, training, BLEU."""

import importlib.util
import io
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from parts.report import Check, NotRunError

BLEU = 90.0  # minimum on the validation sentences; a run on a CPU had 92.3
SECONDS = 90.0  # maximum duration of training
NEEDED = ("pydantic", "yaml", "sentencepiece", "sacrebleu", "rich", "safetensors", "joblib", "filelock")
TOY = (
    "training.updates=4", "batching.max_tokens=200", "embeddings.size=8", "encoder.units=8", "decoder.units=8",
    "decoder.heads=2", "tokenizer.vocabulary_size=150", "data.train.pairs=300", "data.valid.pairs=20",
    "validation.compute_bleu=false", "validation.metric=loss", "search.max_length_factor=0.5",
)  # fmt: skip


def run(check: Check) -> dict[str, Any]:
    """Train within a time limit; the directory is kept for the part `loading`."""
    folder, report, printed = train(check, toy=check.toy)
    print(printed)
    last = report.history[-1] if report.history else {}
    end = report.end
    complete = end is not None and end.reason.value == "epochs"
    check.hold(f"quickstart: not finished within {SECONDS:.0f} s", complete or check.toy)
    if not check.toy:
        bleu = last.get("bleu") or 0.0
        check.hold(f"quickstart: BLEU {bleu:.2f} on the validation sentences, at least {BLEU} expected", bleu >= BLEU)
    if check.gpus:
        grows = tf.config.experimental.get_memory_growth(check.gpus[0])
        check.hold("quickstart: memory growth is off", bool(grows))
        check.hold("quickstart: the run says nothing of its peak memory", "peak memory" in printed)
    found = {"finished": end and end.message, "updates": report.updates, "seconds": report.seconds, "last": last}
    return found | {"printed": printed.splitlines(), "directory": str(folder)}


class _StopAfter(keras.callbacks.Callback):
    """Stop a run that takes longer than a number of seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.until = time.monotonic() + seconds

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if time.monotonic() > self.until:
            self.model.stop_training = True


def train(check: Check, toy: bool) -> tuple[Path, Any, str]:
    """Train; return the model directory, the report of the run, and its output.

    Raises:
        NotRunError: Packages are missing.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise NotRunError(f"a whole run needs {', '.join(missing)}")
    from rich.console import Console

    from seq2seq.config import load_config
    from seq2seq.training import train as train_model

    holder = check.closing.enter_context(tempfile.TemporaryDirectory(prefix="gpu-check-"))
    folder, console = Path(holder) / "run", Console(file=io.StringIO(), width=120)
    config = load_config("quickstart", list(TOY) if toy else [])
    report = train_model(config, folder, [_StopAfter(SECONDS)], console)
    check.shared["directory"] = folder
    return folder, report, console.file.getvalue()
