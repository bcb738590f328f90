"""What a run computes on: device, precision, determinism and replicas, set up before TensorFlow starts."""

from typing import NamedTuple

import numpy as np

from seq2seq.config import Config, Precision
from seq2seq.config.precision import PRECISIONS
from seq2seq.devices.determinism import enable_determinism, reserve_cublas_workspace
from seq2seq.devices.device import Device, device_defaults, set_tf32, set_up_device
from seq2seq.devices.replicas import Replicas
from seq2seq.errors import ConfigError, TrainingError


class Machine(NamedTuple):
    """What a run computes on.

    device     the one that is chosen here; replicas on several are of its kind
    precision  what the recipe says, or else what suits the device
    replicas   the copies of the model, and this worker's place among others
    """

    device: Device
    precision: Precision
    replicas: Replicas


def set_up_machine(config: Config) -> Machine:
    """Find the device, and set precision, determinism and replicas as the recipe says.

    Raises:
        ConfigError: `training.precision` is `tf32`, and there is no GPU that has it.
        TrainingError: It is too late for `training.deterministic` on a GPU; or see `Replicas`.
    """
    training = config.training
    if training.deterministic:
        reserve_cublas_workspace()  # before anything starts TensorFlow, as the next line is: memory would not grow then
    device = set_up_device()
    precision: Precision = device.precision if training.precision == "auto" else training.precision
    set_tf32(precision)
    asked = training.deterministic
    if device_defaults(device).deterministic if asked is None else asked:
        enable_determinism(device)
    return Machine(device, precision, Replicas(training.distribution))


def with_batch_tokens(config: Config, device: Device) -> Config:
    """The recipe with `batching.max_tokens`; where it leaves them open, those that suit the device.

    Raises:
        ConfigError: A sentence that the filters keep may have more tokens than a batch.
    """
    tokens = config.batching.max_tokens or device_defaults(device).batch_tokens
    longest = config.corpora.filters.max_tokens
    if longest > tokens:
        raise ConfigError(
            f"'data.filters.max_tokens' is {longest}, and the recipe gives no 'batching.max_tokens', which makes them "
            f"{tokens} in this run: such a sentence fits no batch. Set 'batching.max_tokens', or lower "
            "'data.filters.max_tokens'."
        )
    return config.model_copy(update={"batching": config.batching.model_copy(update={"max_tokens": tokens})})


def check_workers(machine: Machine, config: Config) -> None:
    """See that all workers would compute alike: each has chosen by its own device what the recipe leaves open.

    Raises:
        TrainingError: Two of them differ in precision or in the tokens of a batch.
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
        f"workers on unlike devices have chosen unlike precisions or batches ({each}). Set training.precision and "
        "batching.max_tokens in the recipe."
    )
