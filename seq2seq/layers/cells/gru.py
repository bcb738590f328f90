"""Gated recurrent units (GRU) and the minimal gated unit."""

import tensorflow as tf

from seq2seq.layers.cells.base import Cell, Mask, States, Stepped, apply_dropout_mask, sigmoid, split_gates, tanh
from seq2seq.layers.recurrent_scan import deferred_matmul


class GRUCell(Cell):
    """Gated recurrent unit with the reset gate after the recurrent product.

        z_t = sigmoid(W_z x_t + b_z + R_z h + c_z)             update gate
        r_t = sigmoid(W_r x_t + b_r + R_r h + c_r)             reset gate
        n_t = tanh(W_n x_t + b_n + r_t * (R_n h + c_n))        candidate
        h_t = z_t * h + (1 - z_t) * n_t                        with h = h_{t-1}

    Weights:
        Gates in the order z, r, n and the layout of `keras.layers.GRU(reset_after=True)`, so that the two can exchange
        weights: the bias is (2, 3U), with b in row 0 and c in row 1.

    Source:
        Cho et al. (2014), section 2.3.

    Departure:
        The reset gate acts after the recurrent product (the form that cuDNN computes), and there are two biases.
    """

    num_gates = 3

    def bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units)

    def project(self, inputs: tf.Tensor | None) -> tf.Tensor:
        return tf.convert_to_tensor(self.bias)[0] if inputs is None else super().project(inputs)

    def add_bias(self, products: tf.Tensor) -> tf.Tensor:
        return self.normalize_product(products, "input") + tf.cast(self.bias[0], products.dtype)

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        recurrent = self.recurrent_product(states[0], mask)
        recurrent += tf.cast(self.bias[1], recurrent.dtype)
        x_z, x_r, x_n = split_gates(projected, 3, recurrent.dtype)
        h_z, h_r, h_n = tf.split(recurrent, 3, axis=-1)
        update, reset = sigmoid("update", x_z + h_z), sigmoid("reset", x_r + h_r)
        candidate = tanh("candidate", x_n + reset * h_n)
        hidden = candidate + update * (states[0] - candidate)
        return hidden, [hidden]


class _CandidateCell(Cell):
    """A cell whose candidate multiplies the gated state by a matrix of its own."""

    def build_recurrent(self) -> None:
        super().build_recurrent()
        shape = (self.units, self.units)
        first = self.initializers.orthogonal()
        self.candidate_kernel = self.add_weight(name="candidate_kernel", shape=shape, initializer=first)

    def candidate(self, projected: tf.Tensor, gated: tf.Tensor, mask: Mask) -> tf.Tensor:
        """tanh(W_n x + b_n + R_n (gated state)), all (N, U)."""
        return tanh("candidate", projected + deferred_matmul(apply_dropout_mask(gated, mask), self.candidate_kernel))


class ResetBeforeGRUCell(_CandidateCell):
    """Gated recurrent unit with the reset gate before the recurrent product.

        z_t = sigmoid(W_z x_t + R_z h + b_z)                   update gate
        r_t = sigmoid(W_r x_t + R_r h + b_r)                   reset gate
        n_t = tanh(W_n x_t + R_n (r_t * h) + b_n)              candidate
        h_t = z_t * h + (1 - z_t) * n_t                        with h = h_{t-1}

    Weights:
        Gates in the order z, r, n; recurrent_kernel (U, 2U) for z and r, candidate_kernel (U, U) for n.

    Source:
        Cho et al. (2014), section 2.3.
    """

    num_gates, num_recurrent_gates = 3, 2

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        h_z, h_r = tf.split(self.recurrent_product(states[0], mask), 2, axis=-1)
        x_z, x_r, x_n = split_gates(projected, 3, h_z.dtype)
        update, reset = sigmoid("update", x_z + h_z), sigmoid("reset", x_r + h_r)
        candidate = self.candidate(x_n, reset * states[0], mask)
        hidden = candidate + update * (states[0] - candidate)
        return hidden, [hidden]


class MinimalGatedCell(_CandidateCell):
    """Minimal gated unit: one gate that forgets, resets and updates.

        f_t = sigmoid(W_f x_t + R_f h + b_f)                   forget gate
        n_t = tanh(W_n x_t + R_n (f_t * h) + b_n)              candidate
        h_t = (1 - f_t) * h + f_t * n_t                        with h = h_{t-1}

    Weights:
        Gates in the order f, n; recurrent_kernel (U, U) for f, candidate_kernel (U, U) for n.

    Source:
        Zhou, Wu, Zhang and Zhou (2016), equation 6.
    """

    num_gates, num_recurrent_gates = 2, 1

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        h_f = self.recurrent_product(states[0], mask)
        x_f, x_n = split_gates(projected, 2, h_f.dtype)
        forget = sigmoid("forget", x_f + h_f)
        candidate = self.candidate(x_n, forget * states[0], mask)
        hidden = states[0] + forget * (candidate - states[0])
        return hidden, [hidden]
