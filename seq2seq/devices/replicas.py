"""Where a training step runs: on one device, on all of this machine, or on those of several machines."""

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
# What a collective operation ends with when a peer is gone.
LOST_WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
WORKER_MISMATCH = "is joining a group with"  # ... incompatible device type, or another size; an InternalError
# The environment variable that TensorFlow, Kubeflow and others tell a worker its place by.
CLUSTER_ENV = "TF_CONFIG"


def replica_id() -> int:
    """Which replica the code that is being traced runs on, from 0; 0 outside `strategy.run`."""
    context = tf.distribute.get_replica_context()
    return 0 if context is None else int(tf.get_static_value(context.replica_id_in_sync_group))


def local_replica_count(strategy: tf.distribute.Strategy) -> int:
    """How many replicas of a strategy this process has."""
    return 1 if strategy.num_replicas_in_sync == 1 else len(strategy.extended.worker_devices)


def sum_over_replicas(values: Any) -> Any:
    """The sum of a tensor or a nest of them over all replicas; to be called on each, by `strategy.run`."""
    context = tf.distribute.get_replica_context()
    return values if context.num_replicas_in_sync == 1 else context.all_reduce(tf.distribute.ReduceOp.SUM, values)


def run_on_replicas(strategy: tf.distribute.Strategy, function: Callable[..., Any], *arguments: Any) -> Any:
    """What `strategy.run` gives; with one replica a plain call, which is possible within Keras's own `run`, too."""
    return function(*arguments) if strategy.num_replicas_in_sync == 1 else strategy.run(function, args=arguments)


class Replicas:
    """The copies of a model that learn together, and the worker processes that they belong to.

    Every worker runs the same program on its replicas' shares of each batch. What a worker alone can know, as that
    somebody asked it to stop, is made known to all by `any_worker` before anything depends on it.

    Args:
        distribution: `none`: one device; `mirrored`: all GPUs of this machine, or else all its logical CPU devices;
            `multi_worker`: those of all workers that the environment variable `TF_CONFIG` names. To be made before
            TensorFlow's first operation.

    strategy      whose scope the model and its optimizer are made in
    num_replicas         replicas of all workers
    worker_index  number of this one, from 0, the chief
    num_workers       how many there are

    Raises:
        TrainingError: `TF_CONFIG` is missing or names no such worker.

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
            self.strategy = tf.distribute.get_strategy()  # alone, nothing is to be mirrored

    @property
    def is_chief(self) -> bool:
        """Is this the worker that writes?"""
        return self.worker_index == 0

    @property
    def local_replicas(self) -> range:
        """Numbers of the replicas of this worker."""
        local = self.num_replicas // self.num_workers
        return range(self.worker_index * local, (self.worker_index + 1) * local)

    def any_worker(self, *wishes: bool) -> list[bool]:
        """For each wish, whether any worker has it. All workers ask at the same time."""
        return [bool(count) for count in self.sum_over_workers(np.array(wishes, np.float32))]

    def sum_over_workers(self, values: np.ndarray) -> np.ndarray:
        """The sum over all workers, float32. All workers ask at the same time."""
        if self.num_workers == 1:
            return values
        # Each replica of a worker holds its values.
        total = self.strategy.run(lambda: sum_over_replicas(tf.constant(values, tf.float32)))
        return self.strategy.experimental_local_results(total)[0].numpy() / len(self.local_replicas)

    def gather_texts(self, texts: Sequence[str]) -> list[str]:
        """The texts of all workers, of which text i is number `i // workers` of worker `i % workers`."""
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
        """Until all workers are here."""
        self.any_worker(False)


@contextmanager
def report_lost_workers(replicas: Replicas) -> Iterator[None]:
    """Turn TensorFlow's errors about other workers into one that says what to do.

    Raises:
        TrainingError: Another worker ended or cannot be reached; or memory does not suffice, for which TensorFlow has
            some of the same errors.
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
                f"{worker}: the workers have unlike devices, or not equally many. Give each of them the same, or hide "
                "all GPUs with CUDA_VISIBLE_DEVICES=-1."
            ) from error
        raise TrainingError(
            f"{worker} lost another one, which ended or cannot be reached ({type(error).__name__}). Look at its "
            "output, then start all of them again, or fewer: training resumes from the last checkpoint."
        ) from error


def _place_in_cluster() -> tuple[int, int]:
    """Number of this worker and of all of them, as `TF_CONFIG` says."""
    text = os.environ.get(CLUSTER_ENV, "")
    try:
        about = json.loads(text)
        workers, task = about["cluster"]["worker"], about["task"]
        kind, number = task["type"], int(task["index"])
    except (ValueError, KeyError, TypeError) as error:
        found = f"damaged ({type(error).__name__}: {error}): {text}" if text else "not set"
        raise TrainingError(
            f"training.distribution is multi_worker, and the environment variable {CLUSTER_ENV} is {found}. "
            "Give --workers and --worker-index, or let the cluster manager set it."
        ) from None
    if kind != "worker" or not 0 <= number < len(workers):
        raise TrainingError(
            f"{CLUSTER_ENV}: this task is {kind} {number}, and there are workers 0 to {len(workers) - 1}. "
            "Every task must be one of them; worker 0 is the chief."
        )
    return number, len(workers)
