"""Deterministic computation: TensorFlow's deterministic operations, and the settings of cuBLAS and cuDNN.

This module does not import TensorFlow, so that `reserve_cublas_workspace` can be called first.
"""

import os
from typing import TYPE_CHECKING

from seq2seq.devices.forks import tensorflow_has_started
from seq2seq.errors import TrainingError

if TYPE_CHECKING:
    from seq2seq.devices.device import Device

CUBLAS_WORKSPACE_ENV = "CUBLAS_WORKSPACE_CONFIG"
# The two values in NVIDIA's documentation: 8 buffers of 4 MiB, or of 16 KiB; the first is faster.
WORKSPACE_VALUES = (":4096:8", ":16:8")
# Scattering to distinct indices, as in all of our operations, is deterministic. TensorFlow cannot know that, and would
# scatter on the host: for the output layer's gradient, it would copy all probabilities of a batch there and back.
SCATTER_DETERMINISM_ENV = "TF_DISABLE_SCATTER_OP_DETERMINISM"


def reserve_cublas_workspace() -> None:
    """Request workspaces of fixed size, which make cuBLAS and cuDNN's recurrent layers deterministic.

    The libraries read the environment variable when they start, with TensorFlow's first operation on a GPU. After that,
    this function does nothing, and `enable_determinism` reports that it is too late.

    Source: cuBLAS documentation, "Results reproducibility"; cuDNN release notes, known issues of recurrent layers.
    """
    if not tensorflow_has_started():
        os.environ.setdefault(CUBLAS_WORKSPACE_ENV, WORKSPACE_VALUES[0])


def enable_determinism(device: "Device") -> None:
    """Make TensorFlow's operations deterministic for the rest of the process; this cannot be undone.

    It covers a single device, not the sums that NCCL computes over several GPUs.

    Raises:
        TrainingError: The device is a GPU whose libraries started, or would start, without
            `reserve_cublas_workspace`.
    """
    import tensorflow as tf

    found = os.environ.get(CUBLAS_WORKSPACE_ENV)
    if device.is_gpu and found not in WORKSPACE_VALUES:
        how = "is not set, and TensorFlow has started" if found is None else f"is {found!r}"
        raise TrainingError(
            f"training.deterministic is true, but the environment variable {CUBLAS_WORKSPACE_ENV} {how}: on "
            f"{device.name}, results of recurrent layers may differ from run to run. Start the process with "
            f"{CUBLAS_WORKSPACE_ENV}={WORKSPACE_VALUES[0]}."
        )
    if device.is_gpu:
        os.environ.setdefault(SCATTER_DETERMINISM_ENV, "1")
    tf.config.experimental.enable_op_determinism()
