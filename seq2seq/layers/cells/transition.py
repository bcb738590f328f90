"""Several cells within a time step."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from seq2seq.layers.base import ConfigurableLayer


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
        first = cells[0]
        self.units, self.states = first.units, first.states
        self.output_size, self.state_size = first.output_size, first.state_size
        # What a step reads, and what it starts from, is the first cell's; see `Cell`.
        self.project, self.add_bias = first.project, first.add_bias
        self.initial_states, self.same_step = first.initial_states, first.same_step

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
