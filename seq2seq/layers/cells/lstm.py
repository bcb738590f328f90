"""Long short-term memory and its variants."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from seq2seq.layers.cells.base import Cell, Mask, States, Stepped, apply_dropout_mask, sigmoid, split_gates, tanh


class LSTMCell(Cell):
    """Long short-term memory with a forget gate.

        i_t = sigmoid(W_i x_t + R_i h + b_i)       input gate
        f_t = sigmoid(W_f x_t + R_f h + b_f)       forget gate
        g_t = tanh(W_g x_t + R_g h + b_g)          candidate
        o_t = sigmoid(W_o x_t + R_o h + b_o)       output gate
        c_t = f_t * c + i_t * g_t                  cell state
        h_t = o_t * tanh(c_t)                      hidden state, with h = h_{t-1}, c = c_{t-1}

    The states are [h, c].

    Weights:
        Gates in the order i, f, g, o and the layout of `keras.layers.LSTM`, so that the two can exchange weights.

    Source:
        Hochreiter and Schmidhuber (1997); Gers, Schmidhuber and Cummins (2000) (forget gate).

    Departure:
        No peepholes.
    """

    num_gates, num_states, forget_gate_index = 4, 2, 1

    def output_activation(self, cell_state: tf.Tensor) -> tf.Tensor:
        """Activation of the new cell state (N, U), which the output gate multiplies."""
        return tanh("cell_state", cell_state)

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        hidden, memory = states
        i, f, g, o = self.preactivations(projected, hidden, mask)
        memory = sigmoid("forget", f) * memory + sigmoid("input", i) * tanh("candidate", g)
        hidden = sigmoid("output", o) * self.output_activation(memory)
        return hidden, [hidden, memory]


class PeepholeLSTMCell(LSTMCell):
    """LSTM with peepholes, through which its gates read the cell state.

        i_t = sigmoid(W_i x_t + R_i h + p_i * c + b_i)         input gate
        f_t = sigmoid(W_f x_t + R_f h + p_f * c + b_f)         forget gate
        o_t = sigmoid(W_o x_t + R_o h + p_o * c_t + b_o)       output gate, the rest as in `LSTMCell`

    Weights:
        Those of `LSTMCell`, and peepholes (3, U) with rows p_i, p_f, p_o.

    Source:
        Gers and Schmidhuber (2000), section 2.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        self.peepholes = self.add_weight(name="peepholes", shape=(3, self.units), initializer="zeros")

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        hidden, memory = states
        i, f, g, o = self.preactivations(projected, hidden, mask)
        p_i, p_f, p_o = tf.unstack(tf.cast(self.peepholes, i.dtype))
        forget, write = sigmoid("forget", f + p_f * memory), sigmoid("input", i + p_i * memory)
        memory = forget * memory + write * tanh("candidate", g)
        hidden = sigmoid("output", o + p_o * memory) * self.output_activation(memory)
        return hidden, [hidden, memory]


class CIFGCell(LSTMCell):
    """LSTM with coupled input and forget gates: it writes as much as it forgets.

        i_t = 1 - f_t                              input gate, the rest as in `LSTMCell`

    Weights:
        Gates in the order f, g, o.

    Source:
        Greff et al. (2017), section 3 (CIFG).
    """

    num_gates, forget_gate_index = 3, 0

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        hidden, memory = states
        f, g, o = self.preactivations(projected, hidden, mask)
        candidate = tanh("candidate", g)
        memory = candidate + sigmoid("forget", f) * (memory - candidate)
        hidden = sigmoid("output", o) * self.output_activation(memory)
        return hidden, [hidden, memory]


class DepthGatedLSTMCell(LSTMCell):
    """LSTM with a depth gate, through which the cell state of the layer below flows into its own.

        d_t = sigmoid(W_d x_t + p * c + q * b_t + b_d)         depth gate; b_t is the cell state of the layer below
        c_t = f_t * c + i_t * g_t + d_t * b_t                  the rest as in `LSTMCell`

    In the bottom layer there is no b_t, and the cell equals an `LSTMCell`. The inputs of the layers above are [x; b],
    (N, I + U); the output is [h; c].

    Args:
        units: Width U.
        below: Whether there is a layer below.

    Weights:
        Gates in the order i, f, g, o, d, without d in the recurrent kernel; depth_vectors (2, U), p and q.

    Source:
        Yao et al. (2015), section 3.

    Departure:
        No peepholes in the other gates.
    """

    num_states, num_recurrent_gates, outputs_cell_state = 2, 4, True

    def __init__(self, units: int, below: bool = False, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.below = below
        self.num_gates = 5 if below else 4

    @property
    def input_size(self) -> int:
        """Input width: I, plus U above another layer."""
        return super().input_size + (self.units if self.below else 0)

    def build_recurrent(self) -> None:
        super().build_recurrent()
        if self.below:
            shape = (2, self.units)
            self.depth_vectors = self.add_weight(name="depth_vectors", shape=shape, initializer="zeros")

    def project(self, inputs: tf.Tensor | None) -> tf.Tensor:
        if not self.below or inputs is None:
            return super().project(inputs)
        x, below = tf.split(inputs, [inputs.shape[-1] - self.units, self.units], axis=-1)
        return tf.concat([super().project(x), below], axis=-1)

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        hidden, memory = states
        flow: Any = 0.0
        if self.below:
            *four, d, below = split_gates(projected, 6, hidden.dtype)
            projected = tf.concat(four, axis=-1)
            p, q = tf.unstack(tf.cast(self.depth_vectors, hidden.dtype))
            flow = sigmoid("depth", d + p * memory + q * below) * below
        i, f, g, o = self.preactivations(projected, hidden, mask)
        memory = sigmoid("forget", f) * memory + sigmoid("input", i) * tanh("candidate", g) + flow
        hidden = sigmoid("output", o) * self.output_activation(memory)
        return tf.concat([hidden, memory], axis=-1), [hidden, memory]


class SRUCell(Cell):
    """Simple recurrent unit: no matrix product with the state, so that a step costs very little.

        f_t = sigmoid(W_f x_t + v_f * c + b_f)                 forget gate
        r_t = sigmoid(W_r x_t + v_r * c + b_r)                 reset gate
        c_t = f_t * c + (1 - f_t) * (W_c x_t + b_c)            state, with c = c_{t-1}
        h_t = r_t * c_t + (1 - r_t) * (W_h x_t + b_h)          output

    Weights:
        Parts in the order f, r, c, h; recurrent_vectors (2, U), v_f and v_r.

    Source:
        Lei et al. (2018), section 2.

    Departure:
        The highway reads W_h x even if x is as wide as h, and all four parts have biases.
    """

    num_gates = 4

    def build_recurrent(self) -> None:
        shape = (2, self.units)
        first = self.initializers.uniform()
        self.recurrent_vectors = self.add_weight(name="recurrent_vectors", shape=shape, initializer=first)

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        memory = states[0]
        f, r, candidate, highway = split_gates(projected, 4, memory.dtype)
        v_f, v_r = tf.unstack(tf.cast(self.recurrent_vectors, memory.dtype))
        seen = apply_dropout_mask(memory, mask)
        forget, reset = sigmoid("forget", f + v_f * seen), sigmoid("reset", r + v_r * seen)
        memory = candidate + forget * (memory - candidate)
        return highway + reset * (memory - highway), [memory]


class SLSTMCell(LSTMCell):
    """LSTM with exponential gates (sLSTM): its cell state is a weighted mean of all candidates so far.

        i_t = exp(W_i x_t + R_i h + b_i)                       input gate
        f_t = sigmoid(W_f x_t + R_f h + b_f)                   forget gate
        g_t = tanh(W_g x_t + R_g h + b_g)                      candidate
        o_t = sigmoid(W_o x_t + R_o h + b_o)                   output gate
        n_t = f_t * n + i_t                                    normaliser, the sum of the weights
        c_t = (f_t * n * c + i_t * g_t) / n_t                  cell state
        h_t = o_t * c_t                                        hidden state, with h, c and n of step t-1

    n_t can exceed the largest floating-point number, so it is kept as its logarithm m_t, the stabiliser:

        k_t = f_t * n / n_t = sigmoid(log f_t + m - log i_t)   share of the cell state that is kept
        m_t = log(exp(log f_t + m) + exp(log i_t))             stabiliser, with m = m_{t-1}
        c_t = k_t * c + (1 - k_t) * g_t

    The states are [h, c, m]. k_t is recorded as `forget`.

    Weights:
        Those of `LSTMCell`: gates in the order i, f, g, o.

    Source:
        Beck et al. (2024), section 2.2.

    Departure:
        Their states are c, n and m with n_t = f'_t n + i'_t and c_t = f'_t c + i'_t g_t, where f'_t = exp(log f_t + m -
        m_t) and i'_t = exp(log i_t - m_t). h_t is the same for every choice of m_t. Theirs is the larger of log f_t + m
        and log i_t; with the logarithm of the sum of both weights, n_t is always 1 and needs no state. Where they start
        with n = 0, the initial cell state counts here, with the weight exp(m), so that a decoder can learn it. There is
        one head: R is a full matrix and not block-diagonal, and the convolution, the group normalisation and the
        projections of their block are left out. The forget gate is a sigmoid, which they allow beside exp.
    """

    num_states = 3

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        hidden, memory, stabilizer = states
        i, f, g, o = self.preactivations(projected, hidden, mask)
        advantage = tf.math.log_sigmoid(f) + stabilizer - i  # logarithm of the old weight relative to the new one
        kept, candidate = sigmoid("forget", advantage), tanh("candidate", g)
        memory = candidate + kept * (memory - candidate)
        hidden = sigmoid("output", o) * memory
        return hidden, [hidden, memory, i + tf.math.softplus(advantage)]
