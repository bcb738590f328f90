"""The recurrent encoder."""

from typing import Any, Literal

import keras
import tensorflow as tf

from seq2seq.layers.cells import apart, make_cell
from seq2seq.layers.connection import Connection
from seq2seq.layers.dropout import Dropout, RandomStream
from seq2seq.layers.initialization import UNSEEDED, Initializers
from seq2seq.layers.recurrence import Recurrence, run_both_ways


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
        initializers: Source of the first weights.

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
        self.alternating = bidirectional == "alternating"

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

    def call(
        self, embedded: tf.Tensor, lengths: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, list[list[tf.Tensor]]]:
        stacks: list[tf.Tensor] = [embedded] * (2 if self.alternating else 1)
        last = []
        memories: list[list[tf.Tensor]] = [[] for _ in self.recurrences[0]]  # of the layer below, where cells read them
        for i, recurrences in enumerate(self.recurrences):
            if len(memories) > len(recurrences):
                memories = [[_joined(both) for both in zip(*memories, strict=True)]]
            masks = [
                dropout.mask([tf.shape(embedded)[0], recurrence.cell.units], embedded.dtype, training)
                for dropout, recurrence in zip(self.state_dropouts[i], recurrences, strict=True)
            ]
            if len(recurrences) == 2 and not self.alternating and not any(memories):
                results = run_both_ways(recurrences, stacks[0], lengths, masks)
            else:
                inputs = stacks if self.alternating else stacks * len(recurrences)
                results = [
                    recurrence(_joined([x, *memory]), lengths, state_mask=mask)
                    for recurrence, x, memory, mask in zip(recurrences, inputs, memories, masks, strict=True)
                ]
            hidden = [apart(r.cell, output) for r, (output, _) in zip(recurrences, results, strict=True)]
            outputs, memories = [output for output, _ in hidden], [memory for _, memory in hidden]
            if not self.alternating:
                outputs = [_joined(outputs)]
            stacks = [
                connection(output, x if i else None)
                for connection, output, x in zip(self.connections[i], outputs, stacks, strict=True)
            ]
            # One draw for both stacks together, so that they share no mask.
            stacks = tf.split(self.dropouts[i](_joined(stacks), training=training), len(stacks), axis=-1)
            last.append([_joined(parts) for parts in zip(*(states for _, states in results), strict=True)])
        return _joined(stacks), last


def _joined(parts: list[tf.Tensor] | tuple[tf.Tensor, ...]) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)
