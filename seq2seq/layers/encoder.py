"""The recurrent encoder."""

from typing import Any, Literal

import tensorflow as tf

from seq2seq.layers.cells import make_cell, split_output
from seq2seq.layers.configurable import ConfigurableLayer
from seq2seq.layers.connection import ResidualConnection
from seq2seq.layers.dropout import Dropout, RandomStream
from seq2seq.layers.initialization import UNSEEDED, Initializers
from seq2seq.layers.recurrence import Recurrence, run_bidirectional
from seq2seq.layers.stack import joined


class Encoder(ConfigurableLayer):
    """A stack of recurrent layers over the embedded source.

    Args:
        cell: Name of a cell, see `CELLS`.
        layers: Depth.
        units: Width of every layer's output; where a layer reads both ways, `units / 2` a direction.
        bidirectional: True: the bottom layer reads both ways; `all`: every layer does; `alternating`: two stacks
            of half the width that start in opposite directions, turn round at every layer, and meet at the top;
            False: all layers read forwards.
        transition_depth: Cells within a time step; above 1 a stack of layers is BiDeep.
        residual, layer_norm: See `ResidualConnection`; from the second layer on a layer has inputs to join.
        dropout: Rate on every layer's output, the top one included.
        variational_dropout: One mask of it for all steps.
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
        variational_dropout: bool = False,
        recurrent_dropout: float = 0.0,
        stream: RandomStream,
        initializers: Initializers = UNSEEDED,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.units, self.alternating = units, bidirectional == "alternating"

        all_ways = bidirectional in ("all", "alternating")
        # Of each layer, how many recurrences: one each way, or one each of the two stacks of an alternating encoder.
        counts = [2 if all_ways or (bidirectional and i == 0) else 1 for i in range(layers)]

        def recurrence(layer: int, place: int) -> Recurrence:
            width, below = units // counts[layer], layer > 0
            drawn: dict[str, Any] = {"initializers": initializers, "dtype": policy}
            inner = make_cell(cell, width, transition_depth, below=below, name="cell", **drawn)
            turned = self.alternating and layer % 2 == 1
            name = f"layer_{layer}" + "_backward" * place
            return Recurrence(inner, reverse=(place == 1) != turned, dtype=policy, name=name)

        self.recurrences = [[recurrence(i, j) for j in range(count)] for i, count in enumerate(counts)]
        self.connections = [
            [
                ResidualConnection(
                    residual if i else False, layer_norm, initializers, dtype=policy, name=f"connection_{i}_{j}"
                )
                for j in range(2 if self.alternating else 1)
            ]
            for i in range(layers)
        ]
        shared = (1,) if variational_dropout else ()
        self.dropouts = [Dropout(dropout, stream, f"encoder/{i}", shared, dtype=policy) for i in range(layers)]
        self.recurrent_dropouts = [
            [Dropout(recurrent_dropout, stream, f"encoder/{i}/{j}/state", dtype=policy) for j in range(count)]
            for i, count in enumerate(counts)
        ]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = self.units // 2 if self.alternating else self.units
        for i, (recurrences, connections) in enumerate(zip(self.recurrences, self.connections, strict=True)):
            for recurrence in recurrences:
                recurrence.build(input_shape if i == 0 else (None, None, width))
            for connection in connections:
                connection.build((None, None, width))

    def call(
        self, embedded: tf.Tensor, lengths: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, list[list[tf.Tensor]]]:
        x, last = embedded, []
        passed = [embedded[..., :0]]  # what the layer above reads besides, see `Cell`, of each direction
        for layer, recurrences in enumerate(self.recurrences):
            # What is below: of alternating stacks each one's own, otherwise the whole.
            below = tf.split(x, 2, axis=-1) if self.alternating and layer else [x] * len(recurrences)
            passed = passed if len(passed) == len(recurrences) else [joined(passed)] * len(recurrences)
            masks = self._state_masks(layer, x, training)
            if len(recurrences) == 2 and not self.alternating and passed[0].shape[-1] == 0:
                results = run_bidirectional(recurrences, x, lengths, masks)
            else:
                results = [
                    recurrence(joined(parts), lengths, state_mask=mask)
                    for recurrence, mask, *parts in zip(recurrences, masks, below, passed, strict=True)
                ]
            cut = [split_output(outputs, self.units // len(results)) for outputs, _ in results]
            hidden, passed = [[part[place] for part in cut] for place in (0, 1)]
            outputs = hidden if self.alternating else [joined(hidden)]
            pairs = zip(self.connections[layer], outputs, below[: len(outputs)], strict=True)
            x = joined([connection(output, inputs) for connection, output, inputs in pairs])
            # One draw for both stacks of an alternating encoder, so that they share no mask.
            x = self.dropouts[layer](x, training=training)
            last.append([joined(states) for states in zip(*(states for _, states in results), strict=True)])
        return x, last

    def _state_masks(self, layer: int, x: tf.Tensor, training: bool) -> list[tf.Tensor | None]:
        """The recurrent dropout of each of a layer's recurrences."""
        return [
            dropout.mask([tf.shape(x)[0], recurrence.cell.units], x.dtype, training)
            for dropout, recurrence in zip(self.recurrent_dropouts[layer], self.recurrences[layer], strict=True)
        ]
