"""A decoder's stack of recurrent layers, run over whole targets or for one step."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from seq2seq.layers.cells import make_cell, split_output
from seq2seq.layers.configurable import ConfigurableLayer
from seq2seq.layers.connection import ResidualConnection
from seq2seq.layers.dropout import Dropout, RandomStream
from seq2seq.layers.initialization import UNSEEDED, Initializers
from seq2seq.layers.recurrence import Recurrence

States = tuple[tf.Tensor, ...]


class RecurrentStack(ConfigurableLayer):
    """Recurrent layers, the connection that joins each with the one below, and their dropout.

    A decoder runs it layer by layer, since what stands between two layers, as attention does, is the decoder's.

    Args:
        units: Width U of every layer.
        bottom_depth: Cells within a time step of the bottom layer; by default `transition_depth`, as in the others.
        others: See `Encoder`.

    Shapes: B batch, N target positions or hypotheses, all in the compute dtype.
        parts   of what a layer reads, each (B, N, ·); they are concatenated, and one of width 0 is nothing
        below   (B, N, U)  the output of the layer below; the bottom layer's is not read
        x       (B, N, U)  a layer's output
        passed  (B, N, ·)  what the layer above reads besides, see `Cell`; of width 0 for most cells
        state   a layer's states, each (B, N, U), or (B, 1, U) at the start
    """

    def __init__(
        self,
        *,
        cell: str,
        layers: int,
        units: int,
        transition_depth: int = 1,
        bottom_depth: int | None = None,
        residual: bool | Literal["highway"] = True,
        layer_norm: bool = False,
        dropout: float = 0.0,
        variational_dropout: bool = False,
        recurrent_dropout: float = 0.0,
        stream: RandomStream,
        initializers: Initializers = UNSEEDED,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.cell, self.units, self.transition_depth, self.initializers = cell, units, transition_depth, initializers
        depths = [bottom_depth or transition_depth, *[transition_depth] * (layers - 1)]
        self.recurrences = [
            Recurrence(self.new_cell(depth, below=i > 0), dtype=policy, name=f"layer_{i}")
            for i, depth in enumerate(depths)
        ]
        self.connections = [
            ResidualConnection(residual if i else False, layer_norm, initializers, dtype=policy, name=f"connection_{i}")
            for i in range(layers)
        ]
        shared = (1,) if variational_dropout else ()
        self.dropouts = [Dropout(dropout, stream, f"decoder/{i}", shared, dtype=policy) for i in range(layers)]
        self.recurrent_dropouts = [
            Dropout(recurrent_dropout, stream, f"decoder/{i}/state", dtype=policy) for i in range(layers)
        ]

    def new_cell(self, depth: int, *, below: bool = False, name: str = "cell") -> keras.layers.Layer:
        """A cell of the stack's kind and width."""
        shared: dict[str, Any] = {"initializers": self.initializers, "dtype": self.dtype_policy, "name": name}
        return make_cell(self.cell, self.units, depth, below=below, **shared)

    @property
    def cells(self) -> list[keras.layers.Layer]:
        """Each layer's cell."""
        return [recurrence.cell for recurrence in self.recurrences]

    def build_layers(self, bottom: int, above: int) -> None:
        """Make the recurrences, given the widths that they read; under the names of the layer that calls this."""
        for i, recurrence in enumerate(self.recurrences):
            recurrence.build((None, None, above if i else bottom))

    def build_connections(self) -> None:
        """Make the connections, after all that a decoder has besides."""
        for connection in self.connections:
            connection.build((None, None, self.units))
        self.built = True

    def initial_states(self, learnt: Sequence[Sequence[tf.Tensor]]) -> tuple[States, ...]:
        """First states (B, 1, U) of each layer, from those that `Bridge` makes, each (B, U)."""
        pairs = zip(self.cells, learnt, strict=True)
        return tuple(tuple(state[:, None] for state in cell.initial_states(values)) for cell, values in pairs)

    def state_mask(self, layer: int, inputs: tf.Tensor, training: bool) -> tf.Tensor | None:
        """A layer's recurrent dropout (B, U) for inputs (B, T, ·)."""
        return self.recurrent_dropouts[layer].mask([tf.shape(inputs)[0], self.units], inputs.dtype, training)

    def run(
        self, layer: int, parts: Sequence[tf.Tensor], lengths: tf.Tensor, state: States, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """One layer over whole targets: x and passed. The first part is what is below."""
        inputs = joined(parts)
        mask = self.state_mask(layer, inputs, training)
        outputs, _ = self.recurrences[layer](inputs, lengths, [value[:, 0] for value in state], mask)
        return self.connect(layer, outputs, parts[0], training)

    def step(
        self, layer: int, projected: tf.Tensor, state: States, below: tf.Tensor, mask: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor, States]:
        """One step of a layer, from what its cell has projected: x, passed and the next state."""
        output, new = self.cells[layer].step(projected, state, mask)
        return *self.connect(layer, output, below), tuple(new)

    def connect(
        self, layer: int, outputs: tf.Tensor, below: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A cell's outputs, joined with what is below, after dropout: x and passed."""
        hidden, passed = split_output(outputs, self.units)
        return self.dropouts[layer](self.connections[layer](hidden, below), training=training), passed

    def run_upper_layers(
        self,
        x: tf.Tensor,
        passed: tf.Tensor,
        context: tf.Tensor,
        lengths: tf.Tensor,
        states: Sequence[States],
        training: bool,
    ) -> tf.Tensor:
        """All layers above the bottom one, which read a context, over whole targets: the top one's x."""
        for i in range(1, len(self.recurrences)):
            x, passed = self.run(i, [x, context, passed], lengths, states[i], training)
        return x

    def step_upper_layers(
        self, x: tf.Tensor, passed: tf.Tensor, context: tf.Tensor, states: Sequence[States]
    ) -> tuple[tf.Tensor, list[States]]:
        """One step of all layers above the bottom one, which read a context: the top one's x, and the next states."""
        new = []
        for i, cell in enumerate(self.cells[1:], start=1):
            x, passed, state = self.step(i, cell.project(joined([x, context, passed])), states[i], x)
            new.append(state)
        return x, new


def joined(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """Parts (..., ·) side by side; one of width 0 costs nothing."""
    parts = [part for part in parts if part.shape[-1] != 0] or parts[:1]
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)
