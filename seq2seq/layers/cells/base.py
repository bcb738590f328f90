"""What all cells share."""

from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow as tf

from seq2seq.layers.configurable import ConfigurableLayer
from seq2seq.layers.initialization import UNSEEDED, Initializers
from seq2seq.layers.recurrent_scan import deferred_matmul


class Cell(ConfigurableLayer):
    """A recurrent cell, by Keras's contract: `call(inputs, states) -> (output, new_states)`.

    A cell splits its step in two: `project(inputs)` is what does not depend on the state, so that a whole sequence can
    be projected in one product, and `step(projected, states, mask)` is the rest. The mask, for variational dropout
    (Gal and Ghahramani 2016), multiplies the state where it enters the recurrent product and nowhere else. A cell that
    is built without an input width has no kernel and steps from its biases alone: a transition.

    Subclasses say how many parts of width U a projected input has (`gates`) and how many states of width U there are
    (`states`), and write `step`. Where `outputs_cell_state` is set, the output is [h; c]: h as for other cells, and a
    cell state c that the same cell in the layer above reads behind its inputs; `split_output` cuts the two.

    Args:
        units: Width U of each state, at least 1.
        initializers: Source of the initial weights.

    Weights: parts in the order that the subclass gives.
        kernel            (I, gates * U)
        recurrent_kernel  (U, recurrent * U)
        bias              (gates * U,)

    Shapes:
        inputs     (N, I)          compute dtype
        projected  (N, gates * U)
        states     a list of (N, U), the first one the hidden state
        output     (N, U); (N, 2 U) of a cell that carries

    Raises:
        ValueError: `units` is below 1.
    """

    gates: int = 1
    recurrent_gates: ClassVar[int | None] = None  # parts of the recurrent kernel; as many as gates where it is None
    states: ClassVar[int] = 1
    outputs_cell_state: ClassVar[bool] = False

    def __init__(self, units: int, *, initializers: Initializers = UNSEEDED, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units is {units}, expected at least 1")
        self.units, self.initializers = units, initializers
        self.output_size = (1 + self.outputs_cell_state) * units
        self.state_size = [units] * self.states

    def build(self, input_shape: Sequence[int | None]) -> None:
        if input_shape[-1] is not None:
            shape = (input_shape[-1], self.gates * self.units)
            self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.initializers.glorot_uniform())
        self.build_recurrent()
        self.bias = self.add_weight(name="bias", shape=self.bias_shape(), initializer=self.bias_initializer)

    @property
    def input_width(self) -> int:
        """The width of the inputs that the built cell reads; a transition has none."""
        return self.kernel.shape[0]

    def build_recurrent(self) -> None:
        """Make the weights of the recurrent product."""
        recurrent = self.gates if self.recurrent_gates is None else self.recurrent_gates
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(self.units, recurrent * self.units),
            initializer=self.recurrent_initializer(),
        )

    def bias_shape(self) -> tuple[int, ...]:
        """Shape of the bias."""
        return (self.gates * self.units,)

    def recurrent_initializer(self) -> Any:
        """Initializer of the recurrent kernel."""
        return self.initializers.orthogonal()

    def bias_initializer(self, shape: Sequence[int], dtype: Any = None) -> tf.Tensor:
        """Initializer of the bias."""
        return tf.zeros(shape, dtype or "float32")

    def project(self, inputs: tf.Tensor | None) -> tf.Tensor:
        """W x + b for every position: (..., I) -> (..., gates * U); b alone for a transition, which has no inputs."""
        if inputs is None:
            return tf.convert_to_tensor(self.bias)
        return self.add_bias(deferred_matmul(inputs, self.kernel))

    def add_bias(self, products: tf.Tensor) -> tf.Tensor:
        """What `project` makes of products W x (..., gates * U)."""
        return self.normalize_product(products, "input") + tf.cast(self.bias, products.dtype)

    def normalize_product(self, products: tf.Tensor, side: str) -> tf.Tensor:
        """What subclasses do to the `input` or `recurrent_gates` product (..., gates * U) before a bias."""
        return products

    def step(
        self, projected: tf.Tensor, states: Sequence[tf.Tensor], mask: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """One step from projected inputs (N, gates * U), states (N, U) and mask (N, U)."""
        raise NotImplementedError

    def initial_states(self, learnt: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """First states, from as many as `states` that are learnt, each (N, U)."""
        return list(learnt)

    def same_step(self, states: Sequence[tf.Tensor], before: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The states that a cell left, for another one to read within the time step that began with those `before`."""
        return list(states)

    def recurrent_product(self, state: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        """R h: (N, U) -> (N, recurrent * U)."""
        return self.normalize_product(deferred_matmul(apply_mask(state, mask), self.recurrent_kernel), "recurrent")

    def preactivations(self, projected: tf.Tensor, state: tf.Tensor, mask: tf.Tensor | None) -> list[tf.Tensor]:
        """W x + b + R h of each gate, (N, U)."""
        recurrent = self.recurrent_product(state, mask)
        return tf.split(tf.cast(projected, recurrent.dtype) + recurrent, recurrent.shape[-1] // self.units, axis=-1)

    def call(self, inputs: tf.Tensor, states: Sequence[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        return self.step(self.project(inputs), states)


def split_output(output: tf.Tensor, units: int) -> tuple[tf.Tensor, tf.Tensor]:
    """A cell's output as h (..., U), and what only the layer above reads, (..., U); of most cells (..., 0)."""
    if output.shape[-1] == units:
        return output, output[..., :0]
    return tuple(tf.split(output, [units, output.shape[-1] - units], axis=-1))


def apply_mask(state: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """A state with its dropout mask, where there is one."""
    return state if mask is None else state * mask


def split_gates(values: tf.Tensor, gates: int, dtype: tf.DType) -> list[tf.Tensor]:
    """(..., count * U) as so many tensors (..., U)."""
    return tf.split(tf.cast(values, dtype), gates, axis=-1)
