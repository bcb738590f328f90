"""Detection of forks after TensorFlow has started: its threads do not exist in the child, which would hang."""

import os
import sys

from seq2seq.errors import ForkError

_forked_too_late = False


def tensorflow_has_started() -> bool:
    """Whether TensorFlow's devices are initialised: from then on, its number of threads cannot change."""
    if "tensorflow" not in sys.modules:
        return False
    import tensorflow as tf

    before = tf.config.threading.get_inter_op_parallelism_threads()
    try:
        tf.config.threading.set_inter_op_parallelism_threads(before + 1)
    except RuntimeError:
        return True
    tf.config.threading.set_inter_op_parallelism_threads(before)
    return False


def check_process() -> None:
    """Check that TensorFlow can compute in this process.

    Raises:
        ForkError: The process was forked from one in which TensorFlow had started.
    """
    if _forked_too_late:
        raise ForkError(
            f"process {os.getpid()} was forked after TensorFlow had started, and TensorFlow would hang in it. Spawn "
            "processes instead, e.g. with multiprocessing.get_context('spawn'), and load the model in each; or use "
            "threads, which may share a translator."
        )


def _remember() -> None:
    global _forked_too_late  # noqa: PLW0603
    _forked_too_late = _forked_too_late or tensorflow_has_started()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_remember)
