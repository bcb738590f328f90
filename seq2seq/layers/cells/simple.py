"""Recurrent networks without gates."""

from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow as tf

from seq2seq.layers.cells.activations import activate, tanh
from seq2seq.layers.cells.base import Cell
from seq2seq.layers.recurrent_scan import deferred_matmul


class ElmanCell(Cell):
    """A simple recurrent network: the hidden state is fed back.

    h_t = tanh(W x_t + R h + b)                 with h = h_{t-1}

    Source: Elman (1990).
    """

    function: ClassVar[str] = "tanh"

    def step(
        self, projected: tf.Tensor, states: Sequence[tf.Tensor], mask: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        (total,) = self.preactivations(projected, states[0], mask)
        hidden = activate("hidden", self.function, total)
        return hidden, [hidden]


class SigmoidElmanCell(ElmanCell):
    """`ElmanCell` with a logistic sigmoid in place of tanh, as in Elman's own experiments."""

    function = "sigmoid"


class ReLUElmanCell(ElmanCell):
    """`ElmanCell` with max(0, x) in place of tanh."""

    function = "relu"


class IRNNCell(ReLUElmanCell):
    """`ReLUElmanCell` whose recurrent weights start at the identity: at first a unit that is on keeps what it has.

    Source: Le, Jaitly and Hinton (2015), section 3.
    """

    def recurrent_initializer(self) -> Any:
        return "identity"


class JordanCell(Cell):
    """A simple recurrent network: the output, not the hidden state, is fed back.

    h_t = tanh(W x_t + R y + b)                 with y = y_{t-1}
    y_t = tanh(V h_t + a)

    Weights besides those of `Cell`: output_kernel (U, U), V; output_bias (U,), a. The state and the output are y.

    Source: Jordan (1986). Departure: the state has no decaying connection to itself, and the output is as wide as the
    hidden layer.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        size = self.units
        first = self.initializers.orthogonal()
        self.output_kernel = self.add_weight(name="output_kernel", shape=(size, size), initializer=first)
        self.output_bias = self.add_weight(name="output_bias", shape=(size,), initializer="zeros")

    def step(
        self, projected: tf.Tensor, states: Sequence[tf.Tensor], mask: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        (total,) = self.preactivations(projected, states[0], mask)
        hidden = tanh("hidden", total)
        output = tanh("output", deferred_matmul(hidden, self.output_kernel) + tf.cast(self.output_bias, hidden.dtype))
        return output, [output]
