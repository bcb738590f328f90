"""Recurrent layers of encoders and decoders, and the decoder's stack, which runs over whole targets or single steps."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import keras
import tensorflow as tf

from seq2seq.layers.base import UNSEEDED, ConfigurableLayer, Initializers
from seq2seq.layers.cells import make_cell
from seq2seq.layers.cells.base import split_output
from seq2seq.layers.pointwise import Dropout, RandomStream, ResidualConnection
from seq2seq.layers.recurrence import Recurrence

States = tuple[tf.Tensor, ...]


class RecurrentLayers(ConfigurableLayer):
    """Recurrent layers of an encoder or decoder, the connection of each with the layer below, and their dropout.

    Args:
        bidirectional: See `Encoder`.
        bottom_transition_depth: See `RecurrentStack`.
        cell: Name of a cell, see `CELLS`.
        layers: Number of layers.
        units: Width of every layer's output; a layer that reads in both directions has `units / 2` per direction.
        transition_depth: Cells per time step; above 1, a stack of layers is BiDeep.
        residual: See `ResidualConnection`; applies from the second layer on.
        layer_norm: See `ResidualConnection`.
        dropout: Dropout rate on every layer's output, including the top layer's.
        variational_dropout: Use one mask of this dropout for all steps.
        recurrent_dropout: Dropout rate on the state where it enters the recurrent products, one mask for all steps.
        stream: Source of the dropout seeds.
        initializers: Source of the initial weights.

    Raises:
        ValueError: `bidirectional` is unknown, or it is not False and `units` is odd.
    """

    side: ClassVar[str]  # encoder or decoder, a part of the names of dropout draws
    numbered: ClassVar[bool]  # whether the names of a layer's parts carry a number even if there is only one

    def __init__(
        self,
        bidirectional: bool | Literal["all", "alternating"],
        bottom_transition_depth: int | None,
        *,
        cell: str,
        layers: int,
        units: int,
        transition_depth: int = 1,
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
        if bidirectional not in (True, False, "all", "alternating"):
            raise ValueError(f"bidirectional is {bidirectional!r}, expected True, False, 'all' or 'alternating'")
        if bidirectional and units % 2:
            raise ValueError(f"units is {units}: two directions need an even number")
        self.alternating = bidirectional == "alternating"
        all_ways = bidirectional in ("all", "alternating")
        # Recurrences per layer: one per direction, or one per stack of an alternating encoder.
        counts = [2 if all_ways or (bidirectional and i == 0) else 1 for i in range(layers)]

        def recurrence(layer: int, place: int) -> Recurrence:
            depth = bottom_transition_depth if bottom_transition_depth and not layer else transition_depth
            inner = self.make_cell(depth, units // counts[layer], below=layer > 0)
            turned = self.alternating and layer % 2 == 1
            name = f"layer_{layer}" + "_backward" * place
            return Recurrence(inner, reverse=(place == 1) != turned, dtype=policy, name=name)

        def connection(layer: int, place: int) -> ResidualConnection:
            name = f"connection_{layer}" + f"_{place}" * self.numbered
            joins = residual if layer else False
            return ResidualConnection(joins, layer_norm, initializers, dtype=policy, name=name)

        def state_dropout(layer: int, place: int) -> Dropout:
            purpose = f"{self.side}/{layer}" + f"/{place}" * self.numbered
            return Dropout(recurrent_dropout, stream, f"{purpose}/state", dtype=policy)

        self.recurrences = [[recurrence(i, j) for j in range(count)] for i, count in enumerate(counts)]
        self.connections = [[connection(i, j) for j in range(1 + self.alternating)] for i in range(layers)]
        shared = (1,) if variational_dropout else ()
        self.dropouts = [Dropout(dropout, stream, f"{self.side}/{i}", shared, dtype=policy) for i in range(layers)]
        self.recurrent_dropouts = [[state_dropout(i, j) for j in range(count)] for i, count in enumerate(counts)]

    def make_cell(self, depth: int, units: int, *, below: bool = False, name: str = "cell") -> keras.layers.Layer:
        """A new cell of the type of these layers."""
        shared: dict[str, Any] = {"initializers": self.initializers, "dtype": self.dtype_policy, "name": name}
        return make_cell(self.cell, units, depth, below=below, **shared)

    def recurrent_dropout_masks(self, layer: int, inputs: tf.Tensor, training: bool) -> list[tf.Tensor | None]:
        """Recurrent dropout masks (B, U) of a layer's recurrences, for inputs (B, T, ·)."""
        return [
            dropout.mask([tf.shape(inputs)[0], recurrence.cell.units], inputs.dtype, training)
            for dropout, recurrence in zip(self.recurrent_dropouts[layer], self.recurrences[layer], strict=True)
        ]


class RecurrentStack(RecurrentLayers):
    """Unidirectional recurrent layers of a decoder.

    The decoder runs them layer by layer, since what lies between two layers, such as attention, belongs to the decoder.

    Args:
        bottom_transition_depth: Cells per time step in the bottom layer; by default `transition_depth`, as in the
            others.
        kwargs: See `RecurrentLayers`.

    Shapes: B batch, N target positions or hypotheses; all in the compute dtype.
        parts   what a layer reads, each (B, N, ·); concatenated, without parts of width 0
        below   (B, N, U)  output of the layer below; not read in the bottom layer
        x       (B, N, U)  a layer's output
        passed  (B, N, ·)  what the layer above reads besides x, see `Cell`; of width 0 for most cells
        state   a layer's states, each (B, N, U), or (B, 1, U) at the start
    """

    side, numbered = "decoder", False

    def __init__(self, *, bottom_transition_depth: int | None = None, **kwargs: Any) -> None:
        super().__init__(False, bottom_transition_depth, **kwargs)

    @property
    def cells(self) -> list[keras.layers.Layer]:
        """Each layer's cell."""
        return [recurrence.cell for (recurrence,) in self.recurrences]

    def build_layers(self, bottom: int, above: int) -> None:
        """Create the recurrences' weights for inputs of width `bottom` in the bottom layer and `above` in the others.

        The paths of the weights begin with the name of the layer that calls this.
        """
        for i, (recurrence,) in enumerate(self.recurrences):
            recurrence.build((None, None, above if i else bottom))

    def build_connections(self) -> None:
        """Create the connections' weights, after all other weights of the decoder."""
        for (connection,) in self.connections:
            connection.build((None, None, self.units))
        self.built = True

    def initial_states(self, learnt: Sequence[Sequence[tf.Tensor]]) -> tuple[States, ...]:
        """Initial states (B, 1, U) of each layer, from those that `Bridge` makes, each (B, U)."""
        pairs = zip(self.cells, learnt, strict=True)
        return tuple(tuple(state[:, None] for state in cell.initial_states(values)) for cell, values in pairs)

    def run(
        self, layer: int, parts: Sequence[tf.Tensor], lengths: tf.Tensor, state: States, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Run one layer over whole targets; returns x and passed. The first part is the output of the layer below."""
        inputs = concat_nonempty(parts)
        (recurrence,), (mask,) = self.recurrences[layer], self.recurrent_dropout_masks(layer, inputs, training)
        outputs, _ = recurrence(inputs, lengths, [value[:, 0] for value in state], mask)
        return self.connect(layer, outputs, parts[0], training)

    def step(
        self, layer: int, projected: tf.Tensor, state: States, below: tf.Tensor, mask: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor, States]:
        """Run one step of a layer, given the projected inputs of its cell; returns x, passed and the next state."""
        output, new = self.cells[layer].step(projected, state, mask)
        return *self.connect(layer, output, below), tuple(new)

    def connect(
        self, layer: int, outputs: tf.Tensor, below: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Join a cell's outputs with those of the layer below and apply dropout; returns x and passed."""
        (connection,), (hidden, passed) = self.connections[layer], split_output(outputs, self.units)
        return self.dropouts[layer](connection(hidden, below), training=training), passed

    def run_upper_layers(
        self,
        x: tf.Tensor,
        passed: tf.Tensor,
        context: tf.Tensor,
        lengths: tf.Tensor,
        states: Sequence[States],
        training: bool,
    ) -> tf.Tensor:
        """Run the layers above the bottom one, which read the context, over whole targets; returns the top x."""
        for i in range(1, len(self.recurrences)):
            x, passed = self.run(i, [x, context, passed], lengths, states[i], training)
        return x

    def step_upper_layers(
        self, x: tf.Tensor, passed: tf.Tensor, context: tf.Tensor, states: Sequence[States]
    ) -> tuple[tf.Tensor, list[States]]:
        """Run a step of the layers above the bottom one, which read the context; returns top x and next states."""
        new = []
        for i, cell in enumerate(self.cells[1:], start=1):
            x, passed, state = self.step(i, cell.project(concat_nonempty([x, context, passed])), states[i], x)
            new.append(state)
        return x, new


def concat_nonempty(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """Concatenate parts (..., ·) along the last axis, without those of width 0."""
    parts = [part for part in parts if part.shape[-1] != 0] or parts[:1]
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)
