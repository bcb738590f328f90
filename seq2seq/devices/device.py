"""The device that TensorFlow uses: its selection before the first operation, its precision, and its batch sizes."""

import warnings
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import tensorflow as tf

from seq2seq.config import SearchOptions
from seq2seq.config.precision import PRECISIONS, TF32_CAPABILITY, Capability, Precision, best_precision
from seq2seq.devices import gpu_trial
from seq2seq.devices.forks import check_process
from seq2seq.errors import ConfigError, Seq2SeqWarning


class DeviceWarning(Seq2SeqWarning):
    """A GPU exists but is not used."""


class Device(NamedTuple):
    """A device.

    Attributes:
        name: Name for display.
        precision: The precision that `auto` selects on it.
        is_gpu: Whether it is a GPU.
        capability: Compute capability, e.g. (9, 0); (0, 0) for a CPU.
    """

    name: str
    precision: Precision
    is_gpu: bool
    capability: Capability = (0, 0)


class Defaults(NamedTuple):
    """Values that null stands for on a kind of device.

    Attributes:
        batch_tokens: `batching.max_tokens`: tokens without padding per training batch, of all replicas together.
        search_batch_tokens: `search.batch_tokens`: padded source tokens times hypotheses of a search.
        search_logits: Hypotheses times vocabulary of a search; None: no limit besides `search_batch_tokens`.
        deterministic: `training.deterministic`.
    """

    batch_tokens: int
    search_batch_tokens: int
    search_logits: int | None
    deterministic: bool


# Memory that a search can expect, in bytes. TensorFlow has no public way to query the memory of a GPU, so this is the
# 16 GiB of smaller ones for training, such as a T4.
ASSUMED_GPU_MEMORY = 16 * 2**30
# float32 tensors of hypotheses times vocabulary that exist at the same time in a step of a search: logits,
# log-probabilities, scores, and intermediate results.
LOGIT_COPIES = 5

# Products of 1,000 rows keep a CPU busy. On a GPU, the time of an update, or of a step of a search, is mostly spent on
# launching operations, regardless of their size. A search needs other memory as well, so a quarter is for the logits.
CPU_DEFAULTS = Defaults(batch_tokens=1_000, search_batch_tokens=16_000, search_logits=None, deterministic=True)
GPU_DEFAULTS = Defaults(
    batch_tokens=8_000,
    search_batch_tokens=128_000,
    search_logits=ASSUMED_GPU_MEMORY // 4 // (4 * LOGIT_COPIES),
    deterministic=False,
)


@cache
def set_up_device() -> Device:
    """Select the first GPU that works, or else the CPU, and let GPU memory grow as needed.

    The selection is made once per process, and must precede TensorFlow's first operation. A GPU on which a small
    operation fails (`gpu_trial.run_trial`) is hidden from TensorFlow.

    A `DeviceWarning` gives the reason and the remedy if a GPU fails, or if there is an NVIDIA driver but TensorFlow
    finds no GPU. There is no warning if CUDA_VISIBLE_DEVICES hides all GPUs.

    Raises:
        ForkError: See `check_process`.
    """
    check_process()
    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        gpus = _those_that_compute(gpus)
    elif (
        gpu_trial.DRIVER_FILE.exists() and not gpu_trial.is_gpu_hidden() and not tf.config.list_physical_devices("GPU")
    ):
        cause, remedy = gpu_trial.diagnose_missing_gpu()
        warnings.warn(
            f"the device is the CPU: there is an NVIDIA driver, but TensorFlow finds no GPU: {cause}. {remedy}. Or set "
            f"{gpu_trial.VISIBLE_DEVICES}=-1 to use the CPU without this warning.",
            DeviceWarning,
            stacklevel=1,
        )
    if not gpus:
        return Device("CPU", "float32", is_gpu=False)
    for gpu in gpus:
        with suppress(RuntimeError):  # TensorFlow has started already, and the setting cannot change
            tf.config.experimental.set_memory_growth(gpu, True)
    details = tf.config.experimental.get_device_details(gpus[0])
    capability = tuple(details.get("compute_capability", (0, 0)))
    return Device(f"GPU ({_name(gpus[0])})", best_precision(capability), True, capability)


def runs_on_gpu() -> bool:
    """Whether TensorFlow computes on a GPU; hidden ones do not count. Initialises TensorFlow's devices."""
    return bool(tf.config.list_logical_devices("GPU"))


def set_tf32(precision: Precision) -> None:
    """Turn TF32 products off for `float32`, and on for other precisions, in the whole process until the next call.

    Call this before each computation of a model of this precision, since another model may have run in between. cuDNN
    reads the setting when a traced graph first runs at a given size, cuBLAS at each product.

    Raises:
        ConfigError: The precision is unknown; or it is `tf32`, and the device does not support it.
        ForkError: See `check_process`.
    """
    check_process()
    if precision not in PRECISIONS:
        raise ConfigError(f"found precision {precision!r}, expected one of: {', '.join(PRECISIONS)}.")
    if precision == "tf32" and (device := set_up_device()).capability < TF32_CAPABILITY:
        major, minor = device.capability
        found = f"a {device.name} of compute capability {major}.{minor}" if device.is_gpu else "the CPU"
        raise ConfigError(
            f"precision tf32 needs a GPU of compute capability {TF32_CAPABILITY[0]}.{TF32_CAPABILITY[1]} or later, "
            f"found {found}. Use float32."
        )
    tf.config.experimental.enable_tensor_float_32_execution(precision != "float32")


def device_defaults(device: Device) -> Defaults:
    """The default values for a device."""
    return GPU_DEFAULTS if device.is_gpu else CPU_DEFAULTS


def search_batch_limits(options: SearchOptions, vocabulary_size: int, device: Device) -> tuple[int, int]:
    """The maximum size of a search batch: `options.batch_tokens`, or else the default of the device.

    Every hypothesis has `vocabulary_size` logits at each step, one per target token.

    Returns:
        Padded source tokens times hypotheses; and hypotheses of all sentences together.
    """
    if options.batch_tokens is not None:
        return options.batch_tokens, options.batch_tokens  # each hypothesis has at least one token
    tokens, logits = device_defaults(device).search_batch_tokens, device_defaults(device).search_logits
    return tokens, tokens if logits is None else logits // vocabulary_size


def _those_that_compute(gpus: list[Any]) -> list[Any]:
    """The GPUs that work; the others are hidden from TensorFlow. A success is cached and not tried again."""
    names = [_name(gpu) for gpu in gpus]
    if gpu_trial.load_cached_trial(names) is not None:
        return gpus
    try:
        trial = gpu_trial.run_trial()
    except OSError:  # no process can be started, so nothing is known
        return gpus
    failures = {gpu: failure for gpu in gpus if (failure := trial.failure(gpu.name))}
    if not failures:
        if trial.passed:
            gpu_trial.cache_trial(names, "".join(f"{name}\n" for name in names))
        return gpus
    left = [gpu for gpu in gpus if gpu not in failures]
    try:
        tf.config.set_visible_devices(left, "GPU")
    except RuntimeError:
        left, used = gpus, "can no longer be hidden, since TensorFlow has started"
    else:
        used = "is not used" if left else "is not used, and the device is the CPU"
    for gpu, failure in failures.items():
        cause, remedy = gpu_trial.explain_failure(failure, trial.log)
        message = f"GPU {gpu.name.rpartition(':')[2]} ({_name(gpu)}) fails and {used}: {cause}. {remedy}."
        warnings.warn(message, DeviceWarning, stacklevel=1)
    return left


def _name(gpu: Any) -> str:
    return tf.config.experimental.get_device_details(gpu).get("device_name", "unknown")
