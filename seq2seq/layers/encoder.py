"""The recurrent encoder."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from seq2seq.layers.cells import apart, make_cell
from seq2seq.layers.connection import Connection
from seq2seq.layers.dropout import Dropout, RandomStream
from seq2seq.layers.initialization import UNSEEDED, Initializers
from seq2seq.layers.recurrence import Recurrence, run_both_ways

Encoded = tuple[tf.Tensor, list[list[tf.Tensor]]]  # states and last, see `Encoder`


class Encoder(keras.layers.Layer):
    """A stack of recurrent layers over the embedded source.

    Args:
        cell: Name of a cell, see `CELLS`.
        layers: Depth.
        units: Width of every layer's output; where a layer reads both ways, `units / 2` a direction.
        bidirectional: True: the bottom layer reads both ways; `all`: every layer does; `alternating`: two stacks
            of half the width that start in opposite directions, turn round at every layer, and meet at the top;
            False: all layers read forwards.
        transition_depth: Cells within a time step; above 1 a stack of layers is BiDeep.
        residual, layer_norm: See `Connection`; from the second layer on a layer has inputs to join.
        dropout: Rate on every layer's output, the top one included.
        variational: One mask of it for all steps.
        recurrent_dropout: Rate on the state where it enters the recurrent products, one mask for all steps.
        stream: Source of dropout's seeds.
        initializers: Source of the initial weights.

    Shapes: B batch, S source length, E embedding width, L layers.
        embedded  (B, S, E)      compute dtype
        lengths   (B,)           int32, 1 to S
        states    (B, S, units)  compute dtype
        last      a list over layers of the last states, each (B, units)

    Source: Bahdanau, Cho and Bengio (2015), section 3.2; Wu et al. (2016), section 3; Zhou et al. (2016) and
    Miceli Barone et al. (2017) for alternating and BiDeep stacks.
    """

    def __init__(
        self,
        *,
        cell: str,
        layers: int,
        units: int,
        bidirectional: bool | Literal["all", "alternating"] = True,
        transition_depth: int = 1,
        residual: bool | Literal["highway"] = True,
        layer_norm: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        recurrent_dropout: float = 0.0,
        stream: RandomStream,
        initializers: Initializers = UNSEEDED,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.units = units
        self.bidirectional, self.alternating = bidirectional, bidirectional == "alternating"

        def recurrence(name: str, width: int, layer: int, reverse: bool = False) -> Recurrence:
            below = layer > 0
            inner = make_cell(
                cell, width, transition_depth, below=below, initializers=initializers, dtype=policy, name="cell"
            )
            return Recurrence(inner, reverse=reverse, dtype=policy, name=name)

        def both(layer: int) -> list[Recurrence]:
            turned = self.alternating and layer % 2 == 1
            return [
                recurrence(f"layer_{layer}", units // 2, layer, reverse=turned),
                recurrence(f"layer_{layer}_backward", units // 2, layer, reverse=not turned),
            ]

        # A layer's recurrences; of an alternating encoder one each of the two stacks.
        self.recurrences = [
            both(i)
            if bidirectional in ("all", "alternating") or (bidirectional and i == 0)
            else [recurrence(f"layer_{i}", units, i)]
            for i in range(layers)
        ]
        stacks = 2 if self.alternating else 1
        self.connections = [
            [
                Connection(residual, layer_norm, initializers, dtype=policy, name=f"connection_{i}_{j}")
                for j in range(stacks)
            ]
            for i in range(layers)
        ]
        shared = (1,) if variational else ()
        self.dropouts = [Dropout(dropout, stream, f"encoder/{i}", shared, dtype=policy) for i in range(layers)]
        self.state_dropouts = [
            [
                Dropout(recurrent_dropout, stream, f"encoder/{i}/{j}/state", dtype=policy)
                for j in range(len(recurrences))
            ]
            for i, recurrences in enumerate(self.recurrences)
        ]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = self.units // 2 if self.alternating else self.units
        for i, (recurrences, connections) in enumerate(zip(self.recurrences, self.connections, strict=True)):
            for recurrence in recurrences:
                recurrence.build(input_shape if i == 0 else (None, None, width))
            for connection in connections:
                connection.build(width, joins=i > 0)
        self.built = True

    def call(self, embedded: tf.Tensor, lengths: tf.Tensor, training: bool = False) -> Encoded:
        ways: dict[bool | str, Any] = {
            False: self._forwards,
            True: self._bottom_both_ways,
            "all": self._all_both_ways,
            "alternating": self._alternating,
        }
        return ways[self.bidirectional](embedded, lengths, training)

    # One method per direction. Each takes and returns what `call` does; x is what a layer reads, then what it gives.
    # `memory` is what the layer above reads besides, (B, S, U), of a cell that carries; empty for other cells.

    def _forwards(
        self, x: tf.Tensor, lengths: tf.Tensor, training: bool, first: int = 0, memory: Sequence[tf.Tensor] = ()
    ) -> Encoded:
        """The layers from `first` on, each reading forwards."""
        last = []
        for layer in range(first, len(self.recurrences)):
            (recurrence,), (mask,) = self.recurrences[layer], self._state_masks(layer, x, training)
            outputs, states = recurrence(_joined([x, *memory]), lengths, state_mask=mask)
            hidden, memory = apart(recurrence.cell, outputs)
            x = self._connected(layer, hidden, x, training)
            last.append(states)
        return x, last

    def _bottom_both_ways(self, x: tf.Tensor, lengths: tf.Tensor, training: bool) -> Encoded:
        """A bottom layer that reads both ways; those above read forwards what its directions give together."""
        x, memories, states = self._both_ways(0, x, ([], []), lengths, training)
        memory = [_joined(both) for both in zip(*memories, strict=True)]
        x, above = self._forwards(x, lengths, training, first=1, memory=memory)
        return x, [states, *above]

    def _all_both_ways(self, x: tf.Tensor, lengths: tf.Tensor, training: bool) -> Encoded:
        """Layers that read both ways, each what both directions of the one below give together."""
        last = []
        memories: Sequence[list[tf.Tensor]] = ([], [])
        for layer in range(len(self.recurrences)):
            x, memories, states = self._both_ways(layer, x, memories, lengths, training)
            last.append(states)
        return x, last

    def _alternating(self, x: tf.Tensor, lengths: tf.Tensor, training: bool) -> Encoded:
        """Two stacks that see nothing of each other below the top."""
        stacks, last = [x, x], []
        memories: Sequence[list[tf.Tensor]] = ([], [])
        for layer, recurrences in enumerate(self.recurrences):
            masks = self._state_masks(layer, x, training)
            results = [
                recurrence(_joined([below, *memory]), lengths, state_mask=mask)
                for recurrence, below, memory, mask in zip(recurrences, stacks, memories, masks, strict=True)
            ]
            hidden, memories, states = _of_both(recurrences, results)
            stacks = [
                connection(outputs, below if layer else None)
                for connection, outputs, below in zip(self.connections[layer], hidden, stacks, strict=True)
            ]
            # One draw for both stacks together, so that they share no mask.
            stacks = tf.split(self.dropouts[layer](_joined(stacks), training=training), 2, axis=-1)
            last.append(states)
        return _joined(stacks), last

    def _both_ways(
        self, layer: int, x: tf.Tensor, memories: Sequence[list[tf.Tensor]], lengths: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, Sequence[list[tf.Tensor]], list[tf.Tensor]]:
        """One layer in both directions: outputs (B, S, units), each direction's memory, last states (B, units)."""
        recurrences, masks = self.recurrences[layer], self._state_masks(layer, x, training)
        if any(memories):  # of the layer below, each for its own direction
            results = [
                recurrence(_joined([x, *memory]), lengths, state_mask=mask)
                for recurrence, memory, mask in zip(recurrences, memories, masks, strict=True)
            ]
        else:
            results = run_both_ways(recurrences, x, lengths, masks)
        hidden, memories, states = _of_both(recurrences, results)
        return self._connected(layer, _joined(hidden), x, training), memories, states

    def _connected(self, layer: int, outputs: tf.Tensor, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """A layer's outputs (B, S, units) joined with its inputs, and dropout."""
        (connection,) = self.connections[layer]
        return self.dropouts[layer](connection(outputs, inputs if layer else None), training=training)

    def _state_masks(self, layer: int, x: tf.Tensor, training: bool) -> list[tf.Tensor | None]:
        """The recurrent dropout of each of a layer's recurrences."""
        return [
            dropout.mask([tf.shape(x)[0], recurrence.cell.units], x.dtype, training)
            for dropout, recurrence in zip(self.state_dropouts[layer], self.recurrences[layer], strict=True)
        ]


def _of_both(
    recurrences: Sequence[Recurrence], results: Sequence[tuple[tf.Tensor, list[tf.Tensor]]]
) -> tuple[list[tf.Tensor], list[list[tf.Tensor]], list[tf.Tensor]]:
    """What two recurrences give: the outputs of each, the memories of each, and their last states side by side."""
    parts = [apart(recurrence.cell, output) for recurrence, (output, _) in zip(recurrences, results, strict=True)]
    states = [_joined(both) for both in zip(*(states for _, states in results), strict=True)]
    return [hidden for hidden, _ in parts], [memory for _, memory in parts], states


def _joined(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)
