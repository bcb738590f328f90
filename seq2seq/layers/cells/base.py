"""Base class of cells, activations that can be recorded, and deep transitions of several cells per time step."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, NamedTuple, TypeAlias

import keras
import tensorflow as tf

from seq2seq.layers.base import UNSEEDED, ConfigurableLayer, Initializers
from seq2seq.layers.recurrent_scan import deferred_matmul

States = Sequence[tf.Tensor]  # each (N, U), the hidden state first
Mask: TypeAlias = tf.Tensor | None  # (N, U), for variational dropout
Stepped = tuple[tf.Tensor, list[tf.Tensor]]  # output and next states


class Cell(ConfigurableLayer):
    """Base class of recurrent cells with Keras's contract: `call(inputs, states) -> (output, new_states)`.

    A step has two parts: `project(inputs)` computes what does not depend on the state, for a whole sequence in one
    product, and `step(projected, states, mask)` computes the rest. The mask, for variational dropout (Gal and
    Ghahramani 2016), multiplies the state where it enters the recurrent product and nowhere else. A cell that is built
    without an input width has no kernel: it reads no input, and is one of the further cells of a deep transition.

    A subclass sets the number of parts of width U in a projected input (`num_gates`) and the number of states of width
    U (`num_states`), and defines `step`. If `outputs_cell_state` is set, the output is [h; c]: h as for other cells,
    and a cell state c that the same kind of cell in the layer above reads after its other inputs; `split_output`
    separates the two.

    Args:
        units: Width U of each state, at least 1.
        initializers: Source of the initial weights.

    Weights: Parts in the order given by the subclass.
        kernel            (I, gates * U)
        recurrent_kernel  (U, recurrent_gates * U)
        bias              (gates * U,)

    Shapes: N rows, I input width, U units.
        inputs     (N, I)          compute dtype
        projected  (N, gates * U)
        states     a list of (N, U), the hidden state first
        output     (N, U), or (N, 2 * U) if `outputs_cell_state` is set

    Raises:
        ValueError: `units` is below 1.
    """

    num_gates: int = 1
    num_recurrent_gates: ClassVar[int | None] = None  # parts of the recurrent kernel; None: as many as gates
    num_states: ClassVar[int] = 1
    forget_gate_index: ClassVar[int | None] = None  # place among the gates of a forget gate that starts open
    outputs_cell_state: ClassVar[bool] = False

    def __init__(self, units: int, *, initializers: Initializers = UNSEEDED, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units is {units}, expected at least 1")
        self.units, self.initializers = units, initializers
        self.output_size = (1 + self.outputs_cell_state) * units
        self.state_size = [units] * self.num_states

    def build(self, input_shape: Sequence[int | None]) -> None:
        if input_shape[-1] is not None:
            shape = (input_shape[-1], self.num_gates * self.units)
            self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.initializers.glorot_uniform())
        self.build_recurrent()
        self.bias = self.add_weight(name="bias", shape=self.bias_shape(), initializer=self.bias_initializer)

    @property
    def input_size(self) -> int:
        """Input width of the built cell; one without inputs has none."""
        return self.kernel.shape[0]

    def build_recurrent(self) -> None:
        """Create the weights of the recurrent product."""
        recurrent = self.num_gates if self.num_recurrent_gates is None else self.num_recurrent_gates
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(self.units, recurrent * self.units),
            initializer=self.recurrent_initializer(),
        )

    def bias_shape(self) -> tuple[int, ...]:
        """Shape of the bias."""
        return (self.num_gates * self.units,)

    def recurrent_initializer(self) -> Any:
        """Initializer of the recurrent kernel."""
        return self.initializers.orthogonal()

    def bias_initializer(self, shape: Sequence[int], dtype: Any = None) -> tf.Tensor:
        """Initializer of the bias: zeros, or ones for the forget gate."""
        if self.forget_gate_index is None:
            return tf.zeros(shape, dtype or "float32")
        # A forget gate near 0.5 halves the cell every step, so gradients
        # die within about ten tokens. Start it open.
        return tf.repeat(tf.one_hot(self.forget_gate_index, self.num_gates, dtype=dtype or "float32"), self.units)

    def project(self, inputs: tf.Tensor | None) -> tf.Tensor:
        """W x + b for every position: (..., I) -> (..., gates * U); b alone if there are no inputs."""
        if inputs is None:
            return tf.convert_to_tensor(self.bias)
        return self.add_bias(deferred_matmul(inputs, self.kernel))

    def add_bias(self, products: tf.Tensor) -> tf.Tensor:
        """Complete a projection, given the products W x (..., gates * U)."""
        return self.normalize_product(products, "input") + tf.cast(self.bias, products.dtype)

    def normalize_product(self, products: tf.Tensor, side: str) -> tf.Tensor:
        """Change the `input` or `recurrent` product (..., gates * U) before a bias is added; for subclasses."""
        return products

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        """One step from projected inputs (N, gates * U), states (N, U) and mask (N, U)."""
        raise NotImplementedError

    def initial_states(self, learnt: States) -> list[tf.Tensor]:
        """All initial states, given the `num_states` that `Bridge` makes, each (N, U)."""
        return list(learnt)

    def states_within_step(self, states: States, before: States) -> list[tf.Tensor]:
        """States that the next cell of the same time step reads, given this cell's and those `before` the time step."""
        return list(states)

    def recurrent_product(self, state: tf.Tensor, mask: Mask) -> tf.Tensor:
        """R h: (N, U) -> (N, recurrent_gates * U)."""
        return self.normalize_product(
            deferred_matmul(apply_dropout_mask(state, mask), self.recurrent_kernel), "recurrent"
        )

    def preactivations(self, projected: tf.Tensor, state: tf.Tensor, mask: Mask) -> list[tf.Tensor]:
        """W x + b + R h for each gate, (N, U)."""
        recurrent = self.recurrent_product(state, mask)
        return tf.split(tf.cast(projected, recurrent.dtype) + recurrent, recurrent.shape[-1] // self.units, axis=-1)

    def call(self, inputs: tf.Tensor, states: States) -> Stepped:
        return self.step(self.project(inputs), states)


def split_output(output: tf.Tensor, units: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Split a cell's output into h (..., U) and what only the layer above reads, (..., U); in most cells (..., 0)."""
    if output.shape[-1] == units:
        return output, output[..., :0]
    return tuple(tf.split(output, [units, output.shape[-1] - units], axis=-1))


def apply_dropout_mask(state: tf.Tensor, mask: Mask) -> tf.Tensor:
    """A state times its dropout mask, if there is one."""
    return state if mask is None else state * mask


def split_gates(values: tf.Tensor, gates: int, dtype: tf.DType) -> list[tf.Tensor]:
    """Split (..., gates * U) into one tensor (..., U) per gate, cast to a dtype."""
    return tf.split(tf.cast(values, dtype), gates, axis=-1)


class DeepTransitionCell(ConfigurableLayer):
    """Deep transition: several cells in sequence within each time step.

    The first cell reads the input and the state of the previous step; each of the others reads the state that the cell
    before it returns, and no input. A stack of such layers is a BiDeep network.

    Args:
        cells: At least two cells of equal kind and width.

    Weights:
        Those of the cells, under `transition_0`, `transition_1`, ...; all but the first without a kernel.

    Source:
        Pascanu et al. (2014), section 3.3, with gated cells as in Miceli Barone et al. (2017), section 2.2.
    """

    def __init__(self, cells: Sequence[keras.layers.Layer], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells = list(cells)
        first = cells[0]
        self.units, self.num_states = first.units, first.num_states
        self.output_size, self.state_size = first.output_size, first.state_size
        # The first cell determines the inputs and the initial states; see `Cell`.
        self.project, self.add_bias = first.project, first.add_bias
        self.initial_states, self.states_within_step = first.initial_states, first.states_within_step

    def build(self, input_shape: Sequence[int | None]) -> None:
        for place, cell in enumerate(self.cells):
            cell.build(input_shape if place == 0 else (None, None))

    @property
    def kernel(self) -> keras.Variable:
        """Kernel of the first cell."""
        return self.cells[0].kernel

    @property
    def input_size(self) -> int:
        """Input width of the first cell."""
        return self.cells[0].input_size

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        """One step from projected inputs; all cells share the mask."""
        output, new = self.cells[0].step(projected, states, mask)
        for cell in self.cells[1:]:
            output, new = cell.step(cell.project(None), cell.states_within_step(new, states), mask)
        return output, new

    def call(self, inputs: tf.Tensor, states: States) -> Stepped:
        return self.step(self.project(inputs), states)


FUNCTIONS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {"sigmoid": tf.sigmoid, "tanh": tf.tanh, "relu": tf.nn.relu}


class Activation(NamedTuple):
    """Recorded activation of a step: `value = function(preactivation)`.

    Attributes:
        name: As in the cell's equations: update, reset, input, forget, output, candidate, ...
        function: One of `FUNCTIONS`.
        preactivation: (N, U), the input of the function.
        value: (N, U).
    """

    name: str
    function: str
    preactivation: tf.Tensor
    value: tf.Tensor


_watched: ContextVar[list[Activation] | None] = ContextVar("activations", default=None)


@contextmanager
def record_activations() -> Iterator[list[Activation]]:
    """Scope that records the activations of all steps in a list, in the order of computation."""
    found: list[Activation] = []
    before = _watched.set(found)
    try:
        yield found
    finally:
        _watched.reset(before)


def activate(name: str, function: str, preactivation: tf.Tensor) -> tf.Tensor:
    """Apply one of `FUNCTIONS` to a preactivation (N, U); `record_activations` records it under `name`."""
    value = FUNCTIONS[function](preactivation)
    if (watched := _watched.get()) is not None:
        watched.append(Activation(name, function, preactivation, value))
    return value


def sigmoid(name: str, preactivation: tf.Tensor) -> tf.Tensor:
    """A gate between 0 (closed) and 1 (open)."""
    return activate(name, "sigmoid", preactivation)


def tanh(name: str, preactivation: tf.Tensor) -> tf.Tensor:
    """Candidate content between -1 and 1."""
    return activate(name, "tanh", preactivation)
