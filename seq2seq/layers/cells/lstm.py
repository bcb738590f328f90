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
    c_t = f_t * c + i_t * g_t
    h_t = o_t * tanh(c_t)                      with h = h_{t-1}, c = c_{t-1}

    Weights: gates in the order i, f, g, o, laid out as in `keras.layers.LSTM`, with which they can be exchanged. The
    states are [h, c].

    Source: Hochreiter and Schmidhuber (1997); forget gate of Gers, Schmidhuber and Cummins (2000).
    Departure: no peepholes.
    """

    num_gates, num_states = 4, 2
    forget_gate_index = 1  # its place among the gates

    def bias_initializer(self, shape: Sequence[int], dtype: Any = None) -> tf.Tensor:
        # A forget gate near 0.5 halves the cell every step, so gradients
        # die within about ten tokens. Start it open.
        return tf.repeat(tf.one_hot(self.forget_gate_index, self.num_gates, dtype=dtype or "float32"), self.units)

    def output_activation(self, cell_state: tf.Tensor) -> tf.Tensor:
        """What the output gate lets through of the new cell state (N, U)."""
        return tanh("cell_state", cell_state)

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        hidden, memory = states
        i, f, g, o = self.preactivations(projected, hidden, mask)
        memory = sigmoid("forget", f) * memory + sigmoid("input", i) * tanh("candidate", g)
        hidden = sigmoid("output", o) * self.output_activation(memory)
        return hidden, [hidden, memory]


class PeepholeLSTMCell(LSTMCell):
    """An LSTM whose gates see the cell state.

    As `LSTMCell` with p_i * c added in the input gate, p_f * c in the forget gate, and p_o * c_t, the new cell
    state, in the output gate.

    Weights besides those of `LSTMCell`: peepholes (3, U), rows p_i, p_f, p_o.

    Source: Gers and Schmidhuber (2000), section 2.
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
    """An LSTM with coupled input and forget gates: it writes as much as it forgets.

    As `LSTMCell` with i_t = 1 - f_t.

    Weights: gates in the order f, g, o.

    Source: Greff et al. (2017), section 3 (CIFG).
    """

    num_gates = 3
    forget_gate_index = 0

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        hidden, memory = states
        f, g, o = self.preactivations(projected, hidden, mask)
        candidate = tanh("candidate", g)
        memory = candidate + sigmoid("forget", f) * (memory - candidate)
        hidden = sigmoid("output", o) * self.output_activation(memory)
        return hidden, [hidden, memory]


class DepthGatedLSTMCell(LSTMCell):
    """An LSTM whose cell state also flows up, from the layer below through a depth gate.

    d_t = sigmoid(W_d x_t + p * c + q * b_t + b_d)         depth gate, with b_t the cell state of the layer below
    c_t = f_t * c + i_t * g_t + d_t * b_t                  all else as `LSTMCell`

    In the bottom layer there is no b_t, and what is left is an `LSTMCell`. The inputs of the layers above are [x; b],
    (N, I + U); the output is [h; c].

    Args:
        units: Width U.
        below: Whether there is a layer below.

    Weights: gates in the order i, f, g, o, d; depth_vectors (2, U), p and q; of the recurrent kernel the first four.

    Source: Yao et al. (2015), section 3. Departure: no peepholes in the other gates.
    """

    num_states, num_recurrent_gates, outputs_cell_state = 2, 4, True

    def __init__(self, units: int, below: bool = False, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.below = below
        self.num_gates = 5 if below else 4

    @property
    def input_size(self) -> int:
        """I, and U more above another layer."""
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
    """Simple recurrent unit: no product with the state, so that a step costs next to nothing.

    f_t = sigmoid(W_f x_t + v_f * c + b_f)     forget gate
    r_t = sigmoid(W_r x_t + v_r * c + b_r)     reset gate
    c_t = f_t * c + (1 - f_t) * W_c x_t
    h_t = r_t * c_t + (1 - r_t) * W_h x_t      with c = c_{t-1}

    Weights: parts in the order f, r, c, h; recurrent_vectors (2, U), v_f and v_r. The state is c, the output h.

    Source: Lei et al. (2018), section 2. Departure: the highway reads W_h x also where x is as wide as h, and biases of
    all four parts.
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
