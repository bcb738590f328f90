"""Out-of-memory errors: their detection, and batches that are split when they do not fit."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import tensorflow as tf

from seq2seq.errors import OutOfMemoryError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Texts of errors of several types that mean out of memory; the last one means that a copy did not fit on the GPU.
MEMORY_TEXT = re.compile(
    r"(?i)oom when allocating|out of memory|failed to allocate|cuda_error_out_of_memory"
    r"|(cudnn|cublas)_status_alloc_failed|dst tensor is not initialized"
)
# Texts that usually mean out of memory: cuDNN's recurrent layers allocate within one call and report every failure in
# the same way, and the handles of cuDNN and cuBLAS are created at the first operation that needs them.
LIKELY_MEMORY_TEXT = re.compile(
    r"(?i)dornn|(cudnn|cublas)_status_(not_initialized|execution_failed)|cudnn_status_internal_error"
)
# Other resources that a ResourceExhaustedError may be about.
OTHER_TEXT = re.compile(r"(?i)no space left on device|quota exceeded|too many open files|message larger than max")
MAX_ERROR_CHARACTERS = 200


def describe_out_of_memory(error: BaseException) -> str | None:
    """Describe an error that is, or very likely is, caused by running out of memory.

    Returns:
        The beginning of a sentence: `out of memory`, or `probably out of memory (...)` with the line of TensorFlow's
        message that suggests it; None for any other error.
    """
    if isinstance(error, MemoryError):
        return "out of memory"
    if not isinstance(error, tf.errors.OpError):
        return None
    text = str(error.message)
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return None if OTHER_TEXT.search(text) else "out of memory"
    if MEMORY_TEXT.search(text):
        return "out of memory"
    for line in text.splitlines():  # the first line may be about the graph
        if LIKELY_MEMORY_TEXT.search(line):
            return f"probably out of memory ({type(error).__name__}: {line.strip()[:MAX_ERROR_CHARACTERS]})"
    return None


class BatchSplitter:
    """A splitter of batches into parts that fit into memory; it learns the limit from parts that did not.

    The items of a batch are computed independently, so the results do not depend on the split.

    Attributes:
        max_size: Size above which a batch is split before it is tried, in the unit of the caller; initially no limit.
    """

    def __init__(self) -> None:
        self.max_size = math.inf

    def run(
        self,
        batch: Sequence[Item],
        compute: Callable[[Sequence[Item]], Result],
        *,
        size: Callable[[Sequence[Item]], int],
        explain: Callable[[Sequence[Item], str], str],
        on_warning: Callable[[str], None],
    ) -> Iterator[tuple[Sequence[Item], Result]]:
        """Yield the parts of a batch in order, each with its result: the whole, or halves of what does not fit.

        Args:
            batch: At least one item.
            compute: Function that computes the result for some items.
            size: Function that estimates the memory for some items, in any unit.
            explain: Function that returns a message, given the items and the result of `describe_out_of_memory`.
            on_warning: Called with the message of `explain` for the first batch that does not fit, but for no later
                one.

        Raises:
            OutOfMemoryError: A single item does not fit; the message is that of `explain`.
        """
        waiting = [batch]
        while waiting:
            part = waiting.pop()
            if len(part) == 1 or size(part) <= self.max_size:
                try:
                    result = compute(part)
                except (tf.errors.OpError, MemoryError) as error:
                    if (shortage := describe_out_of_memory(error)) is None:
                        raise
                    if len(part) == 1:
                        raise OutOfMemoryError(explain(part, shortage)) from error
                    if self.max_size == math.inf:
                        on_warning(explain(part, shortage))
                    self.max_size = size(part) // 2
                else:
                    yield part, result
                    continue
            # Not in the handler above: the traceback of the error keeps the computed tensors alive.
            half = len(part) // 2
            waiting += [part[half:], part[:half]]
