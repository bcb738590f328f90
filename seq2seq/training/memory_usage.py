"""Memory: how much a run took so far, and what to change when it does not suffice."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from seq2seq.data.batching import BatchPlan
from seq2seq.devices.device import runs_on_gpu
from seq2seq.devices.out_of_memory import describe_out_of_memory
from seq2seq.errors import TrainingError
from seq2seq.training.preparation import TrainingData

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


def peak_memory() -> int | None:
    """Most bytes held so far: of the first GPU, or else by this process; None where the system does not tell."""
    if runs_on_gpu():
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def describe_batch(data: TrainingData, plan: BatchPlan, index: int) -> str:
    """A batch's sentences and lengths."""
    sentences, source, target = plan.shapes()[index]
    return f"{sentences} sentences of {data.describe_size(source, target)}"


@contextmanager
def explain_out_of_memory(data: TrainingData, plan: BatchPlan, index: int, replicas: int = 1) -> Iterator[None]:
    """Turn lack of memory at a batch, whatever error it comes as, into one that says what to change.

    Raises:
        TrainingError: The batch does not fit into memory.
    """
    try:
        yield
    except (tf.errors.OpError, MemoryError) as error:
        shortage = describe_out_of_memory(error)
        if shortage is None:
            raise
        shared = f", shared by {replicas} replicas" if replicas > 1 else ""
        raise TrainingError(
            f"{shortage} at a batch of {describe_batch(data, plan, index)}{shared}. Lower batching.max_tokens or "
            "data.filters.max_tokens, and raise training.accumulation_steps to keep the update as large."
        ) from error
