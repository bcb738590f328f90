"""Which device TensorFlow computes on, set up before its first operation."""

from contextlib import suppress
from typing import NamedTuple

import tensorflow as tf

from seq2seq.config import Precision


class Device(NamedTuple):
    """A device's name and the precision that suits it."""

    name: str
    precision: Precision
    is_gpu: bool


def find_device() -> Device:
    """Choose the first GPU, with memory growth on, or else the CPU.

    `mixed_bfloat16` suits a GPU of compute capability 8.0 (Ampere) or later, `float32` everything else.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return Device("CPU", "float32", is_gpu=False)
    for gpu in gpus:
        with suppress(RuntimeError):  # TensorFlow has started already: growth is whatever it was then
            tf.config.experimental.set_memory_growth(gpu, True)
    details = tf.config.experimental.get_device_details(gpus[0])
    has_bfloat16 = details.get("compute_capability", (0, 0)) >= (8, 0)
    name = f"GPU ({details.get('device_name', 'unknown')})"
    return Device(name, "mixed_bfloat16" if has_bfloat16 else "float32", is_gpu=True)
