"""Recurrent cells, by Keras's cell contract: `call(inputs, states) -> (output, new_states)`.

A cell splits its step in two: `project(inputs)` is what does not depend on the state, so that a whole
sequence can be projected in one product, and `step(projected, states, mask)` is the rest. The mask, for
variational dropout (Gal and Ghahramani 2016), multiplies the state where it enters the recurrent product and
nowhere else. Weights are laid out as in `keras.layers.GRU(reset_after=True)` and `keras.layers.LSTM` and can be
exchanged with them. A cell that is built without an input width has no kernel and steps from its biases alone:
a transition.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from seq2seq.layers.normalization import normalized
from seq2seq.layers.time_loop import product


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
        if input_shape[-1] is not None:
            self.kernel = self.add_weight(
                name="kernel", shape=(input_shape[-1], 3 * self.units), initializer="glorot_uniform"
            )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel", shape=(self.units, 3 * self.units), initializer="orthogonal"
        )
        self.bias = self.add_weight(name="bias", shape=(2, 3 * self.units), initializer="zeros")

    def project(self, inputs: tf.Tensor | None) -> tf.Tensor:
        """W x + b for every position: (..., I) -> (..., 3U); b alone for a transition, which has no inputs."""
        if inputs is None:
            return tf.convert_to_tensor(self.bias)[0]
        return self.with_bias(product(inputs, self.kernel))

    def with_bias(self, products: tf.Tensor) -> tf.Tensor:
        """What `project` makes of products W x (..., 3U)."""
        return self.scaled(products, "input") + tf.cast(self.bias[0], products.dtype)

    def scaled(self, products: tf.Tensor, side: str) -> tf.Tensor:
        """What subclasses do to the `input` or `recurrent` product (..., 3U) before its bias."""
        return products

    def step(
        self, projected: tf.Tensor, states: Sequence[tf.Tensor], mask: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """One step from projected inputs (N, 3U), states (N, U) and mask (N, U)."""
        recurrent = self.scaled(product(masked(states[0], mask), self.recurrent_kernel), "recurrent")
        recurrent += tf.cast(self.bias[1], recurrent.dtype)
        x_z, x_r, x_n = tf.split(tf.cast(projected, recurrent.dtype), 3, axis=-1)
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
        if input_shape[-1] is not None:
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

    def project(self, inputs: tf.Tensor | None) -> tf.Tensor:
        """W x + b for every position: (..., I) -> (..., 4U); b alone for a transition, which has no inputs."""
        if inputs is None:
            return tf.convert_to_tensor(self.bias)
        return self.with_bias(product(inputs, self.kernel))

    def with_bias(self, products: tf.Tensor) -> tf.Tensor:
        """What `project` makes of products W x (..., 4U)."""
        return self.scaled(products, "input") + tf.cast(self.bias, products.dtype)

    def scaled(self, products: tf.Tensor, side: str) -> tf.Tensor:
        """What subclasses do to the `input` or `recurrent` product (..., 4U) before the bias."""
        return products

    def opened(self, memory: tf.Tensor) -> tf.Tensor:
        """What the output gate lets through of the cell's new content (N, U)."""
        return tf.tanh(memory)

    def step(
        self, projected: tf.Tensor, states: Sequence[tf.Tensor], mask: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """One step from projected inputs (N, 4U), states (N, U) and mask (N, U)."""
        hidden, memory = states
        recurrent = self.scaled(product(masked(hidden, mask), self.recurrent_kernel), "recurrent")
        i, f, g, o = tf.split(tf.cast(projected, recurrent.dtype) + recurrent, 4, axis=-1)
        memory = tf.sigmoid(f) * memory + tf.sigmoid(i) * tf.tanh(g)
        hidden = tf.sigmoid(o) * self.opened(memory)
        return hidden, [hidden, memory]

    def call(self, inputs: tf.Tensor, states: Sequence[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        return self.step(self.project(inputs), states)


class LayerNormGRUCell(GRUCell):
    """A GRU whose gates see normalised products.

    As `GRUCell` with LN(W x) * s and LN(R h) * s' in place of W x and R h, each gate normalised on its own.

    Weights besides those of `GRUCell`: input_scale (3U,), recurrent_scale (3U,).

    Source: Ba, Kiros and Hinton (2016), equations 20 to 22. Departure: the biases are the shifts.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        self.scales = _gate_scales(self, 3, input_shape)

    def scaled(self, products: tf.Tensor, side: str) -> tf.Tensor:
        return _normalized_gates(products, self.scales[side], 3)


class LayerNormLSTMCell(LSTMCell):
    """An LSTM whose gates see normalised products and whose output gate opens a normalised content.

    As `LSTMCell` with LN(W x) * s and LN(R h) * s' in place of W x and R h, each gate normalised on its own, and
    h_t = o_t * tanh(LN(c_t) * s'' + b'').

    Weights besides those of `LSTMCell`: input_scale (4U,), recurrent_scale (4U,), content_scale (U,),
    content_shift (U,).

    Source: Ba, Kiros and Hinton (2016), equations 29 to 31. Departure: one bias for both products.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        self.scales = _gate_scales(self, 4, input_shape)
        self.content_scale = self.add_weight(name="content_scale", shape=(self.units,), initializer="ones")
        self.content_shift = self.add_weight(name="content_shift", shape=(self.units,), initializer="zeros")

    def scaled(self, products: tf.Tensor, side: str) -> tf.Tensor:
        return _normalized_gates(products, self.scales[side], 4)

    def opened(self, memory: tf.Tensor) -> tf.Tensor:
        scale, shift = (tf.cast(part, memory.dtype) for part in (self.content_scale, self.content_shift))
        return tf.tanh(normalized(memory) * scale + shift)


class DeepTransitionCell(keras.layers.Layer):
    """Several cells one after the other within a time step.

    The first reads the input and the state of the step before; each of the others reads the state that the one
    before it leaves, and no input. In a stack of layers this is a BiDeep network.

    Args:
        cells: Of equal kind and width, at least two.

    Weights: each cell's, under `transition_0`, `transition_1`, ...; all but the first without a kernel.

    Source: Pascanu et al. (2014), section 3.3, with gated cells as in Miceli Barone et al. (2017), section 2.2.
    """

    def __init__(self, cells: Sequence[keras.layers.Layer], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells = list(cells)
        self.output_size, self.state_size = cells[0].output_size, cells[0].state_size

    def build(self, input_shape: Sequence[int | None]) -> None:
        for place, cell in enumerate(self.cells):
            cell.build(input_shape if place == 0 else (None, None))

    @property
    def kernel(self) -> keras.Variable:
        """The first cell's."""
        return self.cells[0].kernel

    def project(self, inputs: tf.Tensor) -> tf.Tensor:
        """What the first cell reads: (..., I) -> (..., G * U) for G gates."""
        return self.cells[0].project(inputs)

    def with_bias(self, products: tf.Tensor) -> tf.Tensor:
        """What the first cell makes of products W x (..., G * U)."""
        return self.cells[0].with_bias(products)

    def step(
        self, projected: tf.Tensor, states: Sequence[tf.Tensor], mask: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """One step from projected inputs; the mask is the same for each cell."""
        output, states = self.cells[0].step(projected, states, mask)
        for cell in self.cells[1:]:
            output, states = cell.step(cell.project(None), states, mask)
        return output, list(states)

    def call(self, inputs: tf.Tensor, states: Sequence[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        return self.step(self.project(inputs), states)


def masked(state: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """A state with its dropout mask, where there is one."""
    return state if mask is None else state * mask


def _gate_scales(cell: keras.layers.Layer, gates: int, input_shape: Sequence[int | None]) -> dict[str, keras.Variable]:
    sides = ["recurrent"] if input_shape[-1] is None else ["input", "recurrent"]
    return {
        side: cell.add_weight(name=f"{side}_scale", shape=(gates * cell.units,), initializer="ones") for side in sides
    }


def _normalized_gates(products: tf.Tensor, scale: keras.Variable, gates: int) -> tf.Tensor:
    apart = tf.stack(tf.split(products, gates, axis=-1), axis=-2)
    together = tf.concat(tf.unstack(normalized(apart), axis=-2), axis=-1)
    return together * tf.cast(scale, products.dtype)


CELLS = {
    "gru": GRUCell,
    "lstm": LSTMCell,
    "layer_norm_gru": LayerNormGRUCell,
    "layer_norm_lstm": LayerNormLSTMCell,
}


def make_cell(kind: str, units: int, transition_depth: int = 1, **kwargs: Any) -> keras.layers.Layer:
    """A cell by its name in a recipe, or several of them as one deep transition."""
    if transition_depth == 1:
        return CELLS[kind](units, **kwargs)
    dtype = kwargs.get("dtype")
    return DeepTransitionCell(
        [CELLS[kind](units, dtype=dtype, name=f"transition_{i}") for i in range(transition_depth)], **kwargs
    )
