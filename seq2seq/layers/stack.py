"""Recurrent layers of encoders and decoders; a decoder's stack, run over whole targets or for one step."""

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
    """An encoder's or decoder's recurrent layers, the connection that joins each with the one below, and their dropout.

    Args:
        bidirectional: See `Encoder`.
        bottom_transition_depth: See `RecurrentStack`.
        cell: Name of a cell, see `CELLS`.
        layers: Depth.
        units: Width of every layer's output; where a layer reads both ways, `units / 2` a direction.
        transition_depth: Cells within a time step; above 1 a stack of layers is BiDeep.
        residual, layer_norm: See `ResidualConnection`; from the second layer on a layer has inputs to join.
        dropout: Rate on every layer's output, the top one included.
        variational_dropout: One mask of it for all steps.
        recurrent_dropout: Rate on the state where it enters the recurrent products, one mask for all steps.
        stream: Source of dropout's seeds.
        initializers: Source of the initial weights.
    """

    side: ClassVar[str]  # the model's part, in what dropout is drawn for
    numbered: ClassVar[bool]  # whether the names of a layer's parts carry a number even where there is only one

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
        # Of each layer, how many recurrences: one each way, or one each of the two stacks of an alternating encoder.
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
        """A cell of the layers' kind."""
        shared: dict[str, Any] = {"initializers": self.initializers, "dtype": self.dtype_policy, "name": name}
        return make_cell(self.cell, units, depth, below=below, **shared)

    def recurrent_dropout_masks(self, layer: int, inputs: tf.Tensor, training: bool) -> list[tf.Tensor | None]:
        """The recurrent dropout (B, U) of each of a layer's recurrences, for inputs (B, T, ·)."""
        return [
            dropout.mask([tf.shape(inputs)[0], recurrence.cell.units], inputs.dtype, training)
            for dropout, recurrence in zip(self.recurrent_dropouts[layer], self.recurrences[layer], strict=True)
        ]


class RecurrentStack(RecurrentLayers):
    """A decoder's recurrent layers, which read one way.

    A decoder runs it layer by layer, since what stands between two layers, as attention does, is the decoder's.

    Args:
        bottom_transition_depth: Cells within a time step of the bottom layer; by default `transition_depth`, as in the
            others.
        kwargs: See `RecurrentLayers`.

    Shapes: B batch, N target positions or hypotheses, all in the compute dtype.
        parts   of what a layer reads, each (B, N, ·); they are concatenated, and one of width 0 is nothing
        below   (B, N, U)  the output of the layer below; the bottom layer's is not read
        x       (B, N, U)  a layer's output
        passed  (B, N, ·)  what the layer above reads besides, see `Cell`; of width 0 for most cells
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
        """Make the recurrences, given the widths that they read; under the names of the layer that calls this."""
        for i, (recurrence,) in enumerate(self.recurrences):
            recurrence.build((None, None, above if i else bottom))

    def build_connections(self) -> None:
        """Make the connections, after all that a decoder has besides."""
        for (connection,) in self.connections:
            connection.build((None, None, self.units))
        self.built = True

    def initial_states(self, learnt: Sequence[Sequence[tf.Tensor]]) -> tuple[States, ...]:
        """First states (B, 1, U) of each layer, from those that `Bridge` makes, each (B, U)."""
        pairs = zip(self.cells, learnt, strict=True)
        return tuple(tuple(state[:, None] for state in cell.initial_states(values)) for cell, values in pairs)

    def run(
        self, layer: int, parts: Sequence[tf.Tensor], lengths: tf.Tensor, state: States, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """One layer over whole targets: x and passed. The first part is what is below."""
        inputs = concat_nonempty(parts)
        (recurrence,), (mask,) = self.recurrences[layer], self.recurrent_dropout_masks(layer, inputs, training)
        outputs, _ = recurrence(inputs, lengths, [value[:, 0] for value in state], mask)
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
            x, passed, state = self.step(i, cell.project(concat_nonempty([x, context, passed])), states[i], x)
            new.append(state)
        return x, new


def concat_nonempty(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """Parts (..., ·) side by side; one of width 0 costs nothing."""
    parts = [part for part in parts if part.shape[-1] != 0] or parts[:1]
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)
