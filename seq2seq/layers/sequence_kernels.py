"""GRU and LSTM over whole sequences with hand-written gradients, used where cuDNN is not.

The loop holds only what depends on the previous step: one product and the gates, whose values are kept. In the backward
pass, the loop carries only the state's gradient, and the weights' gradient is one product after it. (Recomputing the
gates, in one product for all steps, takes longer than keeping them: a sixth of a training step's operations.)

Shapes:
    T steps, N rows, U units. Everything here is time-major.
"""

from collections.abc import Callable, Iterator

import tensorflow as tf

from seq2seq.layers.cells.base import apply_dropout_mask
from seq2seq.layers.custom_gradient import custom_gradient

Gradient = Callable[..., tuple[tf.Tensor, ...]]
Arrays = tuple[tf.TensorArray, ...]


def gru_sequence(
    projected: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    recurrent_bias: tf.Tensor,
    initial: tf.Tensor,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """States (T, N, U) of a GRU (see `GRUCell`) after each step.

    Args:
        projected: (T, N, 3U), inputs times kernel plus input bias, T at least 1.
        recurrent_kernel: (U, 3U).
        recurrent_bias: (3U,).
        initial: (N, U).
        mask: (N, U), multiplies the hidden state that enters the recurrent product; gets no gradient.
    """

    @custom_gradient
    def run(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, h0: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        steps = tf.shape(x)[0]
        units = kernel.shape[0]
        arrays = tuple(tf.TensorArray(x.dtype, steps, element_shape=h0.shape) for _ in range(5))

        def forward(t: tf.Tensor, h: tf.Tensor, out: Arrays) -> tuple[tf.Tensor, tf.Tensor, Arrays]:
            x_t = x_in.read(t)
            recurrent = tf.nn.bias_add(tf.matmul(apply_dropout_mask(h, mask), kernel), bias)
            both = tf.sigmoid(x_t[:, : 2 * units] + recurrent[:, : 2 * units])
            z, r = both[:, :units], both[:, units:]
            h_n = recurrent[:, 2 * units :]
            n = tf.tanh(x_t[:, 2 * units :] + r * h_n)
            h = n + z * (h - n)
            return t + 1, h, _write(out, t, (h, z, r, n, h_n))

        (x_in,) = _arrays(x)
        _, _, out = tf.while_loop(lambda t, *_: t < steps, forward, (0, h0, arrays))
        states, z, r, n, h_n = (array.stack() for array in out)

        def gradient(d_states: tf.Tensor) -> tuple[tf.Tensor, ...]:
            before = tf.concat([h0[None], states[:-1]], axis=0)
            # d h_t / d pre-activation of each gate, for all steps at once
            by_n = (1 - z) * (1 - n * n)
            by_h_n = by_n * r
            factors = tf.stack([(before - n) * z * (1 - z), by_n * h_n * r * (1 - r), by_h_n], axis=2)
            transposed = tf.transpose(kernel)  # a product with a transposed matrix in the loop takes twice as long

            def back(t: tf.Tensor, dh: tf.Tensor, out: tf.TensorArray) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
                dh += d_in.read(t)
                d_recurrent = tf.reshape(dh[:, None] * factors_in.read(t), [-1, 3 * units])
                d_before = dh * z_in.read(t) + apply_dropout_mask(tf.matmul(d_recurrent, transposed), mask)
                return t - 1, d_before, out.write(t, dh)

            d_in, z_in, factors_in = _arrays(d_states, z, factors)
            start = (steps - 1, tf.zeros_like(h0), tf.TensorArray(x.dtype, steps, element_shape=h0.shape))
            _, d_h0, out = tf.while_loop(lambda t, *_: t >= 0, back, start)
            dh = out.stack()
            d_recurrent = tf.reshape(dh[:, :, None] * factors, tf.shape(x))
            flat = tf.reshape(d_recurrent, [-1, 3 * units])
            d_kernel = tf.matmul(tf.reshape(apply_dropout_mask(before, mask), [-1, units]), flat, transpose_a=True)
            d_x = tf.concat([d_recurrent[..., : 2 * units], dh * by_n], axis=-1)
            return d_x, d_kernel, tf.reduce_sum(flat, axis=0), d_h0

        return states, gradient

    return run(projected, recurrent_kernel, recurrent_bias, initial)


def lstm_sequence(
    projected: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    initial_hidden: tf.Tensor,
    initial_cell_state: tf.Tensor,
    mask: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Hidden states and cell states (T, N, U) of an LSTM (see `LSTMCell`) after each step.

    Args:
        projected: (T, N, 4U), inputs times kernel plus bias, T at least 1.
        recurrent_kernel: (U, 4U).
        initial_hidden: (N, U).
        initial_cell_state: (N, U).
        mask: See `gru_sequence`.
    """

    @custom_gradient
    def run(x: tf.Tensor, kernel: tf.Tensor, h0: tf.Tensor, c0: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], Gradient]:
        steps = tf.shape(x)[0]
        units = kernel.shape[0]
        arrays = tuple(tf.TensorArray(x.dtype, steps, element_shape=h0.shape) for _ in range(6))

        def forward(t: tf.Tensor, h: tf.Tensor, c: tf.Tensor, out: Arrays) -> tuple[tf.Tensor, ...]:
            a = x_in.read(t) + tf.matmul(apply_dropout_mask(h, mask), kernel)
            both = tf.sigmoid(a[:, : 2 * units])
            i, f = both[:, :units], both[:, units:]
            g, o = tf.tanh(a[:, 2 * units : 3 * units]), tf.sigmoid(a[:, 3 * units :])
            c = f * c + i * g
            h = o * tf.tanh(c)
            return t + 1, h, c, _write(out, t, (h, c, i, f, g, o))

        (x_in,) = _arrays(x)
        *_, out = tf.while_loop(lambda t, *_: t < steps, forward, (0, h0, c0, arrays))
        hidden, memory, i, f, g, o = (array.stack() for array in out)

        def gradient(d_hidden: tf.Tensor, d_memory: tf.Tensor) -> tuple[tf.Tensor, ...]:
            h_before = tf.concat([h0[None], hidden[:-1]], axis=0)
            c_before = tf.concat([c0[None], memory[:-1]], axis=0)
            transposed = tf.transpose(kernel)
            c_out = tf.tanh(memory)
            # d c_t / d pre-activation of the first three gates, and d h_t / d that of the output gate
            factors = tf.stack([g * i * (1 - i), c_before * f * (1 - f), i * (1 - g * g)], axis=2)
            by_o = c_out * o * (1 - o)
            by_c = o * (1 - c_out * c_out)

            def back(t: tf.Tensor, dh: tf.Tensor, dc: tf.Tensor, out: tf.TensorArray) -> tuple:
                dh += dh_in.read(t)
                dc += dc_in.read(t) + dh * by_c_in.read(t)
                first = tf.reshape(dc[:, None] * factors_in.read(t), [-1, 3 * units])
                d_gates = tf.concat([first, dh * by_o_in.read(t)], axis=-1)
                d_before = apply_dropout_mask(tf.matmul(d_gates, transposed), mask)
                return t - 1, d_before, dc * f_in.read(t), out.write(t, d_gates)

            dh_in, dc_in, f_in, by_c_in, by_o_in, factors_in = _arrays(d_hidden, d_memory, f, by_c, by_o, factors)
            start = (steps - 1, tf.zeros_like(h0), tf.zeros_like(c0), tf.TensorArray(x.dtype, steps))
            _, d_h0, d_c0, out = tf.while_loop(lambda t, *_: t >= 0, back, start)
            d_x = tf.ensure_shape(out.stack(), x.shape)
            flat = tf.reshape(d_x, [-1, 4 * units])
            d_kernel = tf.matmul(tf.reshape(apply_dropout_mask(h_before, mask), [-1, units]), flat, transpose_a=True)
            return d_x, d_kernel, d_h0, d_c0

        return (hidden, memory), gradient

    return run(projected, recurrent_kernel, initial_hidden, initial_cell_state)


def _arrays(*values: tf.Tensor) -> Iterator[tf.TensorArray]:
    """Tensor arrays from which values (T, ...) are read step by step."""
    return (tf.TensorArray(value.dtype, tf.shape(value)[0]).unstack(value) for value in values)


def _write(arrays: Arrays, t: tf.Tensor, values: tuple[tf.Tensor, ...]) -> Arrays:
    return tuple(array.write(t, value) for array, value in zip(arrays, values, strict=True))
