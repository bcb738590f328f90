"""Precisions, numbers that all of them represent exactly, and distances of results."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from seq2seq.config.precision import TF32_CAPABILITY
from seq2seq.layers import GRUCell, LSTMCell, Recurrence

# Bounds on |ours - reference| / |reference|, Euclidean norms; tf32 is only reported.
BOUNDS = {"float32": 1e-5, "tf32": None, "mixed_float16": 1e-2, "mixed_bfloat16": 5e-2}
SPOILT = range(8, 25)  # powers of two: sizes of the blocks of memory that are filled with NaN


def precisions(gpus: Sequence[Any]) -> list[str]:
    """The precisions to compare: without a GPU, tf32 is float32, and GPUs before Ampere lack both it and bfloat16."""
    if not gpus:
        return [precision for precision in BOUNDS if precision != "tf32"]
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    return list(BOUNDS) if capability >= TF32_CAPABILITY else ["float32", "mixed_float16"]


def held_by_all(values: np.ndarray) -> np.ndarray:
    """Round values to numbers that bfloat16, float16, TF32 and float32 all represent exactly."""
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
    """Make every GRU and LSTM use one implementation, which a model on the CPU needs if there is a GPU."""
    for layer in layers:
        if isinstance(layer, Recurrence) and type(layer.cell) in (GRUCell, LSTMCell):
            layer.implementation = implementation


def reference_implementation(gpus: Sequence[Any]) -> str:
    """Implementation on the CPU for comparison: `fused`, or `reference` if `fused` takes the place of cuDNN."""
    return "fused" if gpus else "reference"


def spoil_memory(device: str) -> None:
    """Fill free memory with NaN, so that an operation that reads uninitialised memory cannot look correct."""
    powers = SPOILT if "GPU" in device else SPOILT[:12]
    with tf.device(device):
        blocks = [tf.fill([2**power], float("nan")) for power in powers for _ in range(2)]
        for block in blocks:
            block[-1].numpy()  # written before the memory is freed
