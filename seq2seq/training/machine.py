"""Device, precision, determinism and replicas of a run, set up before TensorFlow starts."""

from typing import NamedTuple

import numpy as np

from seq2seq.config import Config, Precision
from seq2seq.config.precision import PRECISIONS
from seq2seq.devices.determinism import enable_determinism, reserve_cublas_workspace
from seq2seq.devices.device import Device, device_defaults, set_tf32, set_up_device
from seq2seq.devices.replicas import Replicas
from seq2seq.errors import ConfigError, TrainingError


class Machine(NamedTuple):
    """Device, precision and replicas of a run.

    Attributes:
        device: The chosen device; several replicas run on devices of this kind.
        precision: The precision of the recipe or, if that is `auto`, of the device.
        replicas: The copies of the model, and the index of this worker.
    """

    device: Device
    precision: Precision
    replicas: Replicas


def set_up_machine(config: Config) -> Machine:
    """Choose the device, and set up precision, determinism and replicas according to the recipe.

    Raises:
        ConfigError: `training.precision` is `tf32`, and no GPU supports it.
        TrainingError: It is too late to enable `training.deterministic` on a GPU; or see `Replicas`.
    """
    training = config.training
    if training.deterministic:
        reserve_cublas_workspace()  # before TensorFlow starts; it must not start before the next line, either
    device = set_up_device()
    precision: Precision = device.precision if training.precision == "auto" else training.precision
    set_tf32(precision)
    wanted = training.deterministic
    if device_defaults(device).deterministic if wanted is None else wanted:
        enable_determinism(device)
    return Machine(device, precision, Replicas(training.distribution))


def with_batch_tokens(config: Config, device: Device) -> Config:
    """The recipe with `batching.max_tokens`, which is the device's default if the recipe leaves it open.

    Raises:
        ConfigError: The filters keep sentences with more tokens than fit into a batch.
    """
    tokens = config.batching.max_tokens or device_defaults(device).batch_tokens
    longest = config.corpora.filters.max_tokens
    if longest > tokens:
        raise ConfigError(
            f"'data.filters.max_tokens' is {longest}, but the recipe leaves 'batching.max_tokens' open, which is "
            f"{tokens} in this run: such a sentence does not fit into any batch. Set 'batching.max_tokens', or lower "
            "'data.filters.max_tokens'."
        )
    return config.model_copy(update={"batching": config.batching.model_copy(update={"max_tokens": tokens})})


def check_workers(machine: Machine, config: Config) -> None:
    """Check that all workers use the same settings if the recipe leaves the choice to the device.

    Raises:
        TrainingError: Two workers differ in precision or in the number of tokens of a batch.
    """
    replicas = machine.replicas
    found = np.zeros((replicas.num_workers, 2), np.float32)
    found[replicas.worker_index] = PRECISIONS.index(machine.precision), config.batching.max_tokens
    found = replicas.sum_over_workers(found)
    if len(np.unique(found, axis=0)) == 1:
        return
    each = "; ".join(
        f"worker {worker}: {PRECISIONS[int(precision)]}, {int(tokens):,} tokens"
        for worker, (precision, tokens) in enumerate(found)
    )
    raise TrainingError(
        f"workers on different devices have chosen different precisions or batch sizes ({each}). Set "
        "training.precision and batching.max_tokens in the recipe."
    )
