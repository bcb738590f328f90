"""Simulated lack of memory: errors as TensorFlow raises them, and computations with room for a number of rows."""

import tensorflow as tf

ALLOCATOR = "OOM when allocating tensor with shape[640,32000] and type float on GPU:0 by allocator GPU_0_bfc"
CUDNN = "Failed to call DoRnnForward with model config: [rnn_mode, rnn_input_mode]: 3, 0"
GRAPH = f"Graph execution error:\n\nDetected at node CudnnRNNV3 defined at (most recent call last):\n{CUDNN}\n\t [[x]]"
# By name: the error, and the beginning of our message about it.
FACES = {
    "allocator": (tf.errors.ResourceExhaustedError, ALLOCATOR, "out of memory"),
    "NumPy": (MemoryError, "Unable to allocate 9.54 TiB for an array", "out of memory"),
    "cuDNN": (tf.errors.InternalError, GRAPH, f"probably out of memory (InternalError: {CUDNN})"),
}


def fail(face: str):
    """Raise the error."""
    kind, text, _ = FACES[face]
    raise kind(None, None, text) if issubclass(kind, tf.errors.OpError) else kind(text)


def with_room_for(rows: int, face: str, sizes: list[int]):
    """Wrap functions so that they fail with more rows; the number of rows of each call is appended to `sizes`."""

    def limit(function):
        def limited(inputs, *more):
            sizes.append(len(inputs))
            if len(inputs) > rows:
                fail(face)
            return function(inputs, *more)

        return limited

    return limit


def limit_searches(patch, rows: int, face: str) -> list[int]:
    """Give every search that is traced from now on room for N sentences; returns the sizes that were tried."""
    from seq2seq.inference import searcher

    sizes: list[int] = []
    trace, limit = searcher.trace_search, with_room_for(rows, face, sizes)

    def limited(steps, structure):
        search = trace(steps, structure)
        return lambda inputs: limit(lambda source: search(inputs))(inputs.source)

    patch.setattr(searcher, "trace_search", limited)
    return sizes
