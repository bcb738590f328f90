"""Several cells within a time step."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from seq2seq.layers.configurable import ConfigurableLayer


class DeepTransitionCell(ConfigurableLayer):
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
        self.states, self.units = cells[0].states, cells[0].units

    def build(self, input_shape: Sequence[int | None]) -> None:
        for place, cell in enumerate(self.cells):
            cell.build(input_shape if place == 0 else (None, None))

    @property
    def kernel(self) -> keras.Variable:
        """The first cell's."""
        return self.cells[0].kernel

    @property
    def input_width(self) -> int:
        """The first cell's."""
        return self.cells[0].input_width

    def project(self, inputs: tf.Tensor) -> tf.Tensor:
        """What the first cell reads: (..., I) -> (..., G * U) for G gates."""
        return self.cells[0].project(inputs)

    def with_bias(self, products: tf.Tensor) -> tf.Tensor:
        """What the first cell makes of products W x (..., G * U)."""
        return self.cells[0].with_bias(products)

    def initial_states(self, learnt: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """See `Cell`."""
        return self.cells[0].initial_states(learnt)

    def same_step(self, states: Sequence[tf.Tensor], before: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """See `Cell`."""
        return self.cells[0].same_step(states, before)

    def step(
        self, projected: tf.Tensor, states: Sequence[tf.Tensor], mask: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """One step from projected inputs; the mask is the same for each cell."""
        output, new = self.cells[0].step(projected, states, mask)
        for cell in self.cells[1:]:
            output, new = cell.step(cell.project(None), cell.same_step(new, states), mask)
        return output, new

    def call(self, inputs: tf.Tensor, states: Sequence[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        return self.step(self.project(inputs), states)
