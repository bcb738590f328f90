"""Tasks that the GPU check runs in a process of their own: `child.py TASK ARGUMENTS`, started by `parts/children.py`.

The last line on standard output is the answer, in JSON.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from seq2seq.devices.determinism import enable_determinism, reserve_cublas_workspace
from seq2seq.devices.device import set_up_device


def load(folder: str, sentences: int) -> dict[str, Any]:
    """Compute translations and losses of a model directory, on the device that this process sees."""
    from parts.loading import measure

    return measure(Path(folder), sentences)


def determinism(size: list[int], rows: int, longest: int, updates: int, precision: str) -> dict[str, str]:
    """Compute checksums of all weights after updates with deterministic operations."""
    from parts.models import ModelSize, Trainer, copy_sentences

    reserve_cublas_workspace()
    enable_determinism(set_up_device())
    random, size = np.random.default_rng(4), ModelSize(*size)
    batches = [tf.constant(copy_sentences(random, rows, longest, size.vocabulary)) for _ in range(4)]
    trainer = Trainer("luong", size, precision, 2e-3, smoothing=0.1)
    trainer.learn(batches, updates)
    return {weight.path: hashlib.sha256(weight.numpy().tobytes()).hexdigest() for weight in trainer.model.weights}


if __name__ == "__main__":
    found = {"load": load, "determinism": determinism}[sys.argv[1]](**json.loads(sys.argv[2]))
    print("\n" + json.dumps(found))
