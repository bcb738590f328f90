"""The same bits each time: TensorFlow's deterministic operations, and what cuBLAS and cuDNN need for it.

Importing this imports no TensorFlow, so that `reserve_cublas_workspace` can be called before.
"""

import os
from typing import TYPE_CHECKING

from seq2seq.devices.forks import tensorflow_has_started
from seq2seq.errors import TrainingError

if TYPE_CHECKING:
    from seq2seq.devices.device import Device

CUBLAS_WORKSPACE_ENV = "CUBLAS_WORKSPACE_CONFIG"
# The two of NVIDIA's documentation: 8 buffers of 4 MiB, or of 16 KiB; the first is faster.
WORKSPACE_VALUES = (":4096:8", ":16:8")
# Scattering is deterministic where no place comes twice, as in all of ours. TensorFlow cannot know that, and would
# scatter on the host: of the output layer's gradient, all probabilities of a batch there and back.
SCATTER_DETERMINISM_ENV = "TF_DISABLE_SCATTER_OP_DETERMINISM"


def reserve_cublas_workspace() -> None:
    """Ask for workspaces of fixed size, which make cuBLAS and cuDNN's recurrent layers deterministic.

    They read the variable when they start, with TensorFlow's first operation on a GPU. So this does nothing where
    TensorFlow has started: `enable_determinism` then says that it is too late.

    Source: cuBLAS documentation, "Results reproducibility"; cuDNN release notes, known issues of recurrent layers.
    """
    if not tensorflow_has_started():
        os.environ.setdefault(CUBLAS_WORKSPACE_ENV, WORKSPACE_VALUES[0])


def enable_determinism(device: "Device") -> None:
    """Make TensorFlow's operations deterministic, for the rest of the process: it has no way to turn that off.

    It is meant for one device. What NCCL adds up over several GPUs is not covered.

    Raises:
        TrainingError: The device is a GPU, and its libraries started, or would start, without
            `reserve_cublas_workspace`.
    """
    import tensorflow as tf

    found = os.environ.get(CUBLAS_WORKSPACE_ENV)
    if device.is_gpu and found not in WORKSPACE_VALUES:
        how = "is not set, and TensorFlow has started" if found is None else f"is {found!r}"
        raise TrainingError(
            f"training.deterministic is true, and the environment variable {CUBLAS_WORKSPACE_ENV} {how}: on "
            f"{device.name} recurrent layers may compute other bits each time. Start the process with "
            f"{CUBLAS_WORKSPACE_ENV}={WORKSPACE_VALUES[0]}."
        )
    if device.is_gpu:
        os.environ.setdefault(SCATTER_DETERMINISM_ENV, "1")
    tf.config.experimental.enable_op_determinism()
