"""Lack of memory: the errors that it comes as, and batches that get smaller when they do not fit."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import tensorflow as tf

from seq2seq.errors import OutOfMemoryError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Texts of errors of several types that mean lack of memory; the last, that a copy to the GPU had no room there.
MEMORY_TEXT = re.compile(
    r"(?i)oom when allocating|out of memory|failed to allocate|cuda_error_out_of_memory"
    r"|(cudnn|cublas)_status_alloc_failed|dst tensor is not initialized"
)
# Texts that mean it as a rule: cuDNN's recurrent layers allocate within one call and give one answer to any failure,
# and the handles of cuDNN and cuBLAS are made at the first operation that needs them.
LIKELY_MEMORY_TEXT = re.compile(
    r"(?i)dornn|(cudnn|cublas)_status_(not_initialized|execution_failed)|cudnn_status_internal_error"
)
# Other resources that a ResourceExhaustedError is about.
OTHER_TEXT = re.compile(r"(?i)no space left on device|quota exceeded|too many open files|message larger than max")
MAX_ERROR_CHARACTERS = 200  # characters of an error


def describe_out_of_memory(error: BaseException) -> str | None:
    """How to begin a sentence about an error that is, or very likely is, lack of memory; None for any other.

    Returns:
        `out of memory`, or `probably out of memory (...)` with the line of TensorFlow's that it was told by.
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
    for line in text.splitlines():  # the first one may be about the graph
        if LIKELY_MEMORY_TEXT.search(line):
            return f"probably out of memory ({type(error).__name__}: {line.strip()[:MAX_ERROR_CHARACTERS]})"
    return None


class BatchSplitter:
    """Batches in parts that fit into memory, as far as that is known from those that did not.

    Every item of a batch is computed independently of the others, so the parts give what the whole would.

    max_size    size above which a batch is divided before it is tried, in the unit of those who use it; no limit at
                first
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
            compute: Gives the result of some items.
            size: How much memory some items take, in any unit.
            explain: What to say of items, given what `describe_out_of_memory` said.
            on_warning: Called with `explain` of the first batch that does not fit, and of no later one.

        Raises:
            OutOfMemoryError: One item alone does not fit; says `explain` of it.
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
            # Only here, where nothing holds the error any more: its traceback keeps alive what was computed.
            half = len(part) // 2
            waiting += [part[half:], part[:half]]
