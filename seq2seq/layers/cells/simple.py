"""Recurrent cells without gates."""

from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow as tf

from seq2seq.layers.cells.base import Cell, Mask, States, Stepped, activate, apply_dropout_mask, tanh
from seq2seq.layers.recurrent_scan import deferred_matmul

PERIODS = (1, 2, 4, 8)  # of the groups of a clockwork RNN, in steps


class ElmanCell(Cell):
    """Elman network, a simple recurrent network in which the hidden state is fed back.

        h_t = tanh(W x_t + R h + b)                 with h = h_{t-1}

    Source:
        Elman (1990).
    """

    activation: ClassVar[str] = "tanh"

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        (total,) = self.preactivations(projected, states[0], mask)
        hidden = activate("hidden", self.activation, total)
        return hidden, [hidden]


class SigmoidElmanCell(ElmanCell):
    """`ElmanCell` with a logistic sigmoid in place of tanh, as in Elman's own experiments."""

    activation = "sigmoid"


class ReLUElmanCell(ElmanCell):
    """`ElmanCell` with max(0, x) in place of tanh."""

    activation = "relu"


class IRNNCell(ReLUElmanCell):
    """`ReLUElmanCell` with the identity as initial recurrent matrix, so that active units initially keep their value.

    Source:
        Le, Jaitly and Hinton (2015), section 3.
    """

    def recurrent_initializer(self) -> Any:
        return "identity"


class JordanCell(Cell):
    """Jordan network, a simple recurrent network in which the output, not the hidden state, is fed back.

        h_t = tanh(W x_t + R y + b)                 with y = y_{t-1}
        y_t = tanh(V h_t + a)                       state and output

    Weights:
        Those of `Cell`, output_kernel (U, U), V, and output_bias (U,), a.

    Source:
        Jordan (1986).

    Departure:
        The state has no decaying connection to itself, and the output is as wide as the hidden layer.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        size = self.units
        first = self.initializers.orthogonal()
        self.output_kernel = self.add_weight(name="output_kernel", shape=(size, size), initializer=first)
        self.output_bias = self.add_weight(name="output_bias", shape=(size,), initializer="zeros")

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        (total,) = self.preactivations(projected, states[0], mask)
        hidden = tanh("hidden", total)
        output = tanh("output", deferred_matmul(hidden, self.output_kernel) + tf.cast(self.output_bias, hidden.dtype))
        return output, [output]


class ClockworkCell(Cell):
    """Clockwork RNN: an Elman network in groups, each updated only at the multiples of its period.

        h_t,k = tanh(W_k x_t + sum over j >= k of R_kj h_j + b_k)   if t is a multiple of period k, from t = 0 on
        h_t,k = h_k                                                 otherwise, with h = h_{t-1}

    Groups have equal widths and the periods 1, 2, 4 and 8. Each group reads itself and the slower ones.

    Weights: Groups from fast to slow.
        kernel                  (I, U)
        recurrent_kernel_k      (U - k U / 4, U / 4), for k = 0, 1, 2, 3
        bias                    (U,)

    Shapes: N rows, U units.
        states  [h (N, U), clock (N, 1)]; the clock counts steps modulo the longest period

    Raises:
        ValueError: `units` is not a multiple of the number of groups.

    Source:
        Koutník, Greff, Gomez and Schmidhuber (2014), section 3.

    Departure:
        The number of groups is fixed.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.state_size = [units, 1]
        if units % len(PERIODS):
            raise ValueError(f"units is {units}, expected a multiple of {len(PERIODS)}, the number of groups")
        self.group_offsets = range(0, units, units // len(PERIODS))

    def initial_states(self, learnt: States) -> list[tf.Tensor]:
        return [*learnt, tf.zeros_like(learnt[0][..., :1])]

    def states_within_step(self, states: States, before: States) -> list[tf.Tensor]:
        return [states[0], before[1]]

    def build_recurrent(self) -> None:
        width = self.units // len(PERIODS)
        self.recurrent_kernels = [
            self.add_weight(
                name=f"recurrent_kernel_{k}",
                shape=(self.units - start, width),
                initializer=self.recurrent_initializer(),
            )
            for k, start in enumerate(self.group_offsets)
        ]

    def step(self, projected: tf.Tensor, states: States, mask: Mask = None) -> Stepped:
        hidden, clock = states
        seen = apply_dropout_mask(hidden, mask)
        read = zip(self.group_offsets, self.recurrent_kernels, strict=True)
        recurrent = tf.concat([deferred_matmul(seen[..., start:], kernel) for start, kernel in read], axis=-1)
        candidate = tanh("candidate", tf.cast(projected, recurrent.dtype) + recurrent)
        time = tf.cast(clock, tf.float32)  # TensorFlow has no bfloat16 floormod on a GPU
        ticks = tf.concat([tf.math.floormod(time, period) for period in map(float, PERIODS)], axis=-1)
        active = tf.repeat(ticks == 0.0, self.units // len(PERIODS), axis=-1)
        hidden = tf.where(active, candidate, hidden)
        return hidden, [hidden, tf.cast(tf.math.floormod(time + 1.0, float(PERIODS[-1])), clock.dtype)]
