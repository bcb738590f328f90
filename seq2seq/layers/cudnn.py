"""GRU and LSTM by cuDNN: weights in its layout, and one call for both directions of a layer."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import tensorflow as tf

from seq2seq.layers.custom_gradient import custom_gradient


class CuDNNWeights(NamedTuple):
    """GRU or LSTM weights in Keras's layout, with G gates (`GRUCell`: z, r, n; `LSTMCell`: i, f, g, o).

    Attributes:
        kernel: (I, G * U).
        recurrent_kernel: (U, G * U).
        bias: (2, G * U) for a GRU, for inputs and state; (G * U,) for an LSTM.
    """

    kernel: tf.Tensor
    recurrent_kernel: tf.Tensor
    bias: tf.Tensor


def run_cudnn(
    mode: Literal["gru", "lstm"],
    inputs: tf.Tensor,
    lengths: tf.Tensor,
    weights: Sequence[CuDNNWeights],
    initial: Sequence[Sequence[tf.Tensor]],
) -> tuple[tf.Tensor, list[list[tf.Tensor]]]:
    """Run a GRU or an LSTM over whole sequences, forwards or in both directions with one call.

    bfloat16 is cast to float32: TensorFlow's cuDNN kernel for bfloat16 computes in float32 too, but in the backward
    pass it gives cuDNN a reserve space that was never written, so that the gradients depend on whatever was in memory
    (docs/keras-and-tensorflow-pitfalls.md).

    Args:
        mode: `gru` or `lstm`.
        inputs: (B, T, I) compute dtype, right-padded.
        lengths: (B,) int32, 1 to T.
        weights: One entry for each of D directions: forward, or forward and backward. The backward direction reads
            each row from its last token to its first.
        initial: For each direction its initial states, h or h and c, each (B, U).

    Returns:
        Outputs (B, T, D * U), the directions side by side, zero at padded positions; and for each direction the states
        after the last token that it reads, each (B, U). All have the dtype of the inputs.
    """
    dtype = inputs.dtype
    wide = tf.float32 if dtype == tf.bfloat16 else dtype
    parameters = tf.cast(_packed(mode, weights), wide)
    x, *states = (tf.cast(value, wide) for value in (inputs, *map(tf.stack, zip(*initial, strict=True))))
    # TensorFlow's kernel passes states to cuDNN as they lie in memory, which cuDNN reads as (D, B, U). Batch-major
    # tensors have to be (B, D, U), which lies the same way only for one direction.
    both = len(weights) > 1
    if both:
        x = tf.transpose(x, [1, 0, 2])
    else:
        states = [tf.reshape(state, [-1, 1, state.shape[-1]]) for state in states]
    outputs, *last, _, _ = tf.raw_ops.CudnnRNNV3(
        input=x,
        input_h=states[0],
        input_c=states[1] if mode == "lstm" else tf.zeros((), wide),
        params=parameters,
        sequence_lengths=lengths,
        rnn_mode=mode,
        direction="bidirectional" if both else "unidirectional",
        is_training=True,
        time_major=both,
    )
    outputs, *last = (tf.cast(value, dtype) for value in (outputs, *last[: len(states)]))
    outputs = tf.transpose(outputs, [1, 0, 2]) if both else outputs
    ends = [tf.unstack(state, len(weights), axis=0 if both else 1) for state in last]
    return outputs, [list(direction) for direction in zip(*ends, strict=True)]


def _packed(mode: str, weights: Sequence[CuDNNWeights]) -> tf.Tensor:
    """All weights as one vector in cuDNN's layout.

    First come the matrices of each direction, for the inputs and for the state, then the biases in the same order. Each
    of them is divided by gates (in the order r, z, n for a GRU), and a matrix is transposed, (U, I) per gate.

    Source:
        NVIDIA's documentation of cudnnGetRNNWeightParams for gates and pseudo-layers; jax.experimental.rnn, which found
        by experiment that the biases of all directions follow all matrices.
    """
    parts: list[tf.Tensor] = []
    for one in weights:
        parts += [one.kernel, one.recurrent_kernel]
    for one in weights:
        # cuDNN adds two biases; Keras's LSTM has one.
        parts += tf.unstack(one.bias) if mode == "gru" else [tf.zeros_like(one.bias), one.bias]
    rows = [part.shape[0] if len(part.shape) == 2 else 1 for part in parts]

    def turn(pieces: Sequence[tf.Tensor]) -> tf.Tensor:
        joined = tf.concat([tf.reshape(piece, [-1, piece.shape[-1]]) for piece in pieces], axis=0)
        joined = _swapped(joined, axis=1) if mode == "gru" else joined
        return tf.concat([tf.reshape(part, [-1]) for part in tf.split(tf.transpose(joined), rows, axis=1)], axis=0)

    @custom_gradient
    def pack(*pieces: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        width = pieces[0].shape[-1]

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            # The reverse, in as few operations; TensorFlow's own gradient would slice out each piece.
            flat = tf.split(upstream, [width * row for row in rows])
            joined = tf.transpose(tf.concat([tf.reshape(part, [width, -1]) for part in flat], axis=1))
            joined = _swapped(joined, axis=1) if mode == "gru" else joined
            return [tf.reshape(part, piece.shape) for part, piece in zip(tf.split(joined, rows), pieces, strict=True)]

        return turn(pieces), gradient

    return pack(*parts)


def _swapped(matrix: tf.Tensor, axis: int) -> tf.Tensor:
    """Reorder a GRU's gates from z, r, n to cuDNN's r, z, n, or back."""
    z, r, n = tf.split(matrix, 3, axis=axis)
    return tf.concat([r, z, n], axis=axis)
