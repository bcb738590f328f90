"""Replicas of a model for data-parallel training: on one device, all devices of a machine, or several machines."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from seq2seq.devices.out_of_memory import describe_out_of_memory
from seq2seq.errors import TrainingError

Distribution = Literal["none", "mirrored", "multi_worker"]
# Errors of a collective operation after the loss of a worker.
LOST_WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
WORKER_MISMATCH = "is joining a group with"  # ... incompatible device type, or another size; an InternalError
# The environment variable by which TensorFlow, Kubeflow and others tell a worker its role.
CLUSTER_ENV = "TF_CONFIG"


def replica_id() -> int:
    """Index of the replica that runs the code being traced, counted from 0; 0 outside `strategy.run`."""
    context = tf.distribute.get_replica_context()
    return 0 if context is None else int(tf.get_static_value(context.replica_id_in_sync_group))


def local_replica_count(strategy: tf.distribute.Strategy) -> int:
    """Number of replicas of a strategy in this process."""
    return 1 if strategy.num_replicas_in_sync == 1 else len(strategy.extended.worker_devices)


def sum_over_replicas(values: Any) -> Any:
    """Sum a tensor, or a nested structure of tensors, over all replicas; call it on each, within `strategy.run`."""
    context = tf.distribute.get_replica_context()
    return values if context.num_replicas_in_sync == 1 else context.all_reduce(tf.distribute.ReduceOp.SUM, values)


def run_on_replicas(strategy: tf.distribute.Strategy, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function on all replicas; a single replica calls it directly, which works within Keras's own `run`, too."""
    return function(*arguments) if strategy.num_replicas_in_sync == 1 else strategy.run(function, args=arguments)


class Replicas:
    """The synchronised copies of a model, and the worker processes they belong to.

    Every worker runs the same program on its replicas' shares of each batch. Facts that only one worker knows, e.g. a
    request to stop, are shared with all by `any_worker` before anything depends on them. Create the object before
    TensorFlow's first operation.

    Args:
        distribution: `none`: one device; `mirrored`: all GPUs of this machine, or else all its logical CPU devices;
            `multi_worker`: those of all workers in the environment variable `TF_CONFIG`.

    Attributes:
        strategy: Strategy in whose scope the model and its optimizer are created.
        num_replicas: Number of replicas of all workers.
        worker_index: Index of this worker, counted from 0; 0 is the chief.
        num_workers: Number of workers.

    Raises:
        TrainingError: `TF_CONFIG` is missing, or does not contain this worker.

    Source: Sergeev and Del Balso (2018), synchronous data parallelism with all-reduce.
    """

    def __init__(self, distribution: Distribution = "none") -> None:
        self.worker_index, self.num_workers = _place_in_cluster() if distribution == "multi_worker" else (0, 1)
        make = {
            "none": tf.distribute.get_strategy,
            "mirrored": tf.distribute.MirroredStrategy,
            "multi_worker": tf.distribute.MultiWorkerMirroredStrategy,
        }
        self.strategy: tf.distribute.Strategy = make[distribution]()
        self.num_replicas = self.strategy.num_replicas_in_sync
        if self.num_replicas == 1:
            self.strategy = tf.distribute.get_strategy()  # a single replica needs no mirroring

    @property
    def is_chief(self) -> bool:
        """Whether this worker is the chief, which writes files."""
        return self.worker_index == 0

    @property
    def local_replicas(self) -> range:
        """Indices of the replicas of this worker."""
        local = self.num_replicas // self.num_workers
        return range(self.worker_index * local, (self.worker_index + 1) * local)

    def any_worker(self, *flags: bool) -> list[bool]:
        """The logical OR of each flag over all workers. All workers must call this at the same point."""
        return [bool(count) for count in self.sum_over_workers(np.array(flags, np.float32))]

    def sum_over_workers(self, values: np.ndarray) -> np.ndarray:
        """The sum of an array over all workers, float32. All workers must call this at the same point."""
        if self.num_workers == 1:
            return values
        # Each replica of a worker contributes the worker's values.
        total = self.strategy.run(lambda: sum_over_replicas(tf.constant(values, tf.float32)))
        return self.strategy.experimental_local_results(total)[0].numpy() / len(self.local_replicas)

    def gather_texts(self, texts: Sequence[str]) -> list[str]:
        """Gather the texts of all workers: text i is text `i // num_workers` of worker `i % num_workers`."""
        if self.num_workers == 1:
            return list(texts)
        mine = tf.strings.unicode_decode(json.dumps(list(texts)) + "\n", "UTF-8")  # int32, which can be gathered
        values = self.strategy.experimental_distribute_values_from_function(
            lambda replica: mine if replica.replica_id_in_sync_group == self.local_replicas.start else mine[:0]
        )
        gathered = tf.strings.unicode_encode(self.strategy.gather(values, axis=0), "UTF-8")
        lists = [json.loads(line) for line in gathered.numpy().splitlines()]
        return [lists[place % self.num_workers][place // self.num_workers] for place in range(sum(map(len, lists)))]

    def barrier(self) -> None:
        """Wait until all workers have called this."""
        self.any_worker(False)


@contextmanager
def report_lost_workers(replicas: Replicas) -> Iterator[None]:
    """Convert TensorFlow's errors about other workers to an error that says what to do.

    Raises:
        TrainingError: Another worker ended or cannot be reached; or there is not enough memory, for which TensorFlow
            raises some of the same errors.
    """
    worker = f"worker {replicas.worker_index} of {replicas.num_workers}"
    try:
        yield
    except (tf.errors.OpError, MemoryError) as error:
        if shortage := describe_out_of_memory(error):
            raise TrainingError(
                f"{f'{worker}: ' if replicas.num_workers > 1 else ''}{shortage}. Lower batching.max_tokens, "
                "data.filters.max_tokens or the sizes of the model's layers."
            ) from error
        if replicas.num_workers == 1 or not isinstance(error, LOST_WORKER_ERRORS):
            raise
        if WORKER_MISMATCH in str(error.message):
            raise TrainingError(
                f"{worker}: the workers have different kinds or numbers of devices. Give all workers the same devices, "
                "or hide all GPUs with CUDA_VISIBLE_DEVICES=-1."
            ) from error
        raise TrainingError(
            f"{worker} lost another worker, which ended or cannot be reached ({type(error).__name__}). Look at its "
            "output, then start all workers again, or fewer: training resumes from the last checkpoint."
        ) from error


def _place_in_cluster() -> tuple[int, int]:
    """The index of this worker and the number of workers, from `TF_CONFIG`."""
    text = os.environ.get(CLUSTER_ENV, "")
    try:
        about = json.loads(text)
        workers, task = about["cluster"]["worker"], about["task"]
        kind, number = task["type"], int(task["index"])
    except (ValueError, KeyError, TypeError) as error:
        found = f"damaged ({type(error).__name__}: {error}): {text}" if text else "not set"
        raise TrainingError(
            f"training.distribution is multi_worker, but the environment variable {CLUSTER_ENV} is {found}. "
            "Give --workers and --worker-index, or let the cluster manager set the variable."
        ) from None
    if kind != "worker" or not 0 <= number < len(workers):
        raise TrainingError(
            f"{CLUSTER_ENV}: this task is {kind} {number}, but there are workers 0 to {len(workers) - 1}. "
            "Every task must be one of these workers; worker 0 is the chief."
        )
    return number, len(workers)
