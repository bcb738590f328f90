"""Precisions, the numbers that all of them hold exactly, and how far results are apart."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from seq2seq.config.precision import TF32_CAPABILITY
from seq2seq.layers import GRUCell, LSTMCell, Recurrence

# On |ours - reference| / |reference|, Euclidean norms; tf32 is reported.
BOUNDS = {"float32": 1e-5, "tf32": None, "mixed_float16": 1e-2, "mixed_bfloat16": 5e-2}
SPOILT = range(8, 25)  # powers of two: numbers in the blocks of memory that are spoilt


def precisions(gpus: Sequence[Any]) -> list[str]:
    """The precisions to compare: without a GPU tf32 is float32, and GPUs before Ampere have neither it nor bfloat16."""
    if not gpus:
        return [precision for precision in BOUNDS if precision != "tf32"]
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    return list(BOUNDS) if capability >= TF32_CAPABILITY else ["float32", "mixed_float16"]


def held_by_all(values: np.ndarray) -> np.ndarray:
    """Values rounded to what bfloat16, float16, TF32 and float32 all hold: none of them rounds these further."""
    return tf.cast(tf.cast(tf.cast(values, tf.bfloat16), tf.float16), tf.float32).numpy()


def distance(ours: np.ndarray, reference: np.ndarray) -> float:
    """|ours - reference| / |reference|, Euclidean norms; NaN or infinite where ours is not finite."""
    norm, difference = float(np.linalg.norm(reference)), float(np.linalg.norm(ours - reference))
    if norm == 0.0:
        return 0.0 if difference == 0.0 else float("inf")
    return difference / norm


def worst(values: Iterable[float]) -> float:
    """The largest value; NaN if there is one, which Python's `max` may overlook."""
    return float(np.max(list(values)))


def set_implementation(layers: Sequence[object], implementation: str) -> None:
    """Have every GRU and LSTM run by one implementation, as a model on the CPU needs where there is a GPU."""
    for layer in layers:
        if isinstance(layer, Recurrence) and type(layer.cell) in (GRUCell, LSTMCell):
            layer.implementation = implementation


def reference_implementation(gpus: Sequence[Any]) -> str:
    """What runs on the CPU to compare with: `fused`, or `reference` where `fused` stands in for cuDNN."""
    return "fused" if gpus else "reference"


def spoil_memory(device: str) -> None:
    """Leave NaN in free memory, so that an operation that reads what nobody wrote cannot look right."""
    powers = SPOILT if "GPU" in device else SPOILT[:12]
    with tf.device(device):
        blocks = [tf.fill([2**power], float("nan")) for power in powers for _ in range(2)]
        for block in blocks:
            block[-1].numpy()  # it is written before the memory is given back
