"""Recurrent cells, by Keras's cell contract: `call(inputs, states) -> (output, new_states)`.

A cell splits its step in two: `project(inputs)` is what does not depend on the state, so that a whole
sequence can be projected in one product, and `step(projected, states)` is the rest. Weights are laid out
as in `keras.layers.GRU(reset_after=True)` and `keras.layers.LSTM` and can be exchanged with them.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class GRUCell(keras.layers.Layer):
    """Gated recurrent unit, reset gate after the product.

    z_t = sigmoid(W_z x_t + b_z + R_z h + c_z)             update gate
    r_t = sigmoid(W_r x_t + b_r + R_r h + c_r)             reset gate
    n_t = tanh(W_n x_t + b_n + r_t * (R_n h + c_n))        candidate
    h_t = z_t * h + (1 - z_t) * n_t                        with h = h_{t-1}

    Args:
        units: Width U of the state, at least 1.

    Weights: gates in the order z, r, n.
        kernel            (I, 3U)
        recurrent_kernel  (U, 3U)
        bias              (2, 3U)  row 0 is b, row 1 is c

    Shapes:
        inputs    (N, I)  compute dtype
        states    [h], h (N, U)
        output    (N, U), which is also the new h

    Source: Cho et al. (2014), section 2.3. Departure: the reset gate acts after the recurrent product
    (the form that cuDNN computes), and there are two biases.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units is {units}, expected at least 1")
        self.units = self.output_size = units
        self.state_size = [units]

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], 3 * self.units), initializer="glorot_uniform"
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel", shape=(self.units, 3 * self.units), initializer="orthogonal"
        )
        self.bias = self.add_weight(name="bias", shape=(2, 3 * self.units), initializer="zeros")

    def project(self, inputs: tf.Tensor) -> tf.Tensor:
        """W x + b for every position: (..., I) -> (..., 3U)."""
        return tf.matmul(inputs, self.kernel) + self.bias[0]

    def step(self, projected: tf.Tensor, states: Sequence[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """One step from projected inputs (N, 3U)."""
        recurrent = tf.matmul(states[0], self.recurrent_kernel) + self.bias[1]
        x_z, x_r, x_n = tf.split(projected, 3, axis=-1)
        h_z, h_r, h_n = tf.split(recurrent, 3, axis=-1)
        update, reset = tf.sigmoid(x_z + h_z), tf.sigmoid(x_r + h_r)
        candidate = tf.tanh(x_n + reset * h_n)
        hidden = candidate + update * (states[0] - candidate)
        return hidden, [hidden]

    def call(self, inputs: tf.Tensor, states: Sequence[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        return self.step(self.project(inputs), states)


class LSTMCell(keras.layers.Layer):
    """Long short-term memory with a forget gate.

    i_t = sigmoid(W_i x_t + R_i h + b_i)       input gate
    f_t = sigmoid(W_f x_t + R_f h + b_f)       forget gate
    g_t = tanh(W_g x_t + R_g h + b_g)          candidate
    o_t = sigmoid(W_o x_t + R_o h + b_o)       output gate
    c_t = f_t * c + i_t * g_t
    h_t = o_t * tanh(c_t)                      with h = h_{t-1}, c = c_{t-1}

    Args:
        units: Width U of the state, at least 1.

    Weights: gates in the order i, f, g, o.
        kernel            (I, 4U)
        recurrent_kernel  (U, 4U)
        bias              (4U,)

    Shapes:
        inputs    (N, I)  compute dtype
        states    [h, c], each (N, U)
        output    (N, U), which is also the new h

    Source: Hochreiter and Schmidhuber (1997); forget gate of Gers, Schmidhuber and Cummins (2000).
    Departure: no peepholes.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units is {units}, expected at least 1")
        self.units = self.output_size = units
        self.state_size = [units, units]

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], 4 * self.units), initializer="glorot_uniform"
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel", shape=(self.units, 4 * self.units), initializer="orthogonal"
        )

        # A forget gate near 0.5 halves the cell every step, so gradients
        # die within about ten tokens. Start it open.
        def start(shape: Sequence[int], dtype: Any = None) -> tf.Tensor:
            gates = tf.constant([0.0, 1.0, 0.0, 0.0], dtype=dtype or "float32")
            return tf.repeat(gates, shape[0] // 4)

        self.bias = self.add_weight(name="bias", shape=(4 * self.units,), initializer=start)

    def project(self, inputs: tf.Tensor) -> tf.Tensor:
        """W x + b for every position: (..., I) -> (..., 4U)."""
        return tf.matmul(inputs, self.kernel) + self.bias

    def step(self, projected: tf.Tensor, states: Sequence[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """One step from projected inputs (N, 4U)."""
        hidden, memory = states
        i, f, g, o = tf.split(projected + tf.matmul(hidden, self.recurrent_kernel), 4, axis=-1)
        memory = tf.sigmoid(f) * memory + tf.sigmoid(i) * tf.tanh(g)
        hidden = tf.sigmoid(o) * tf.tanh(memory)
        return hidden, [hidden, memory]

    def call(self, inputs: tf.Tensor, states: Sequence[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        return self.step(self.project(inputs), states)


CELLS = {"gru": GRUCell, "lstm": LSTMCell}
