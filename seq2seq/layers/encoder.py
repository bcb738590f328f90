"""Recurrent encoder."""

from typing import Any, Literal

import tensorflow as tf

from seq2seq.layers.cells.base import split_output
from seq2seq.layers.recurrence import run_bidirectional
from seq2seq.layers.stack import RecurrentLayers, concat_nonempty


class Encoder(RecurrentLayers):
    """Recurrent layers over the embedded source.

    Args:
        bidirectional: True: the bottom layer reads in both directions. `all`: every layer does. `alternating`: two
            stacks of half the width start in opposite directions, change direction at every layer, and are concatenated
            at the top. False: all layers read forwards.
        kwargs: See `RecurrentLayers`.

    Shapes: B batch, S source length, E embedding width, L layers.
        embedded  (B, S, E)      compute dtype
        lengths   (B,)           int32, 1 to S
        states    (B, S, units)  compute dtype
        last      a list over layers of the last states, each (B, units)

    Source:
        Bahdanau, Cho and Bengio (2015), section 3.2; Wu et al. (2016), section 3; Zhou et al. (2016) and Miceli Barone
        et al. (2017) for alternating and BiDeep stacks.
    """

    side, numbered = "encoder", True

    def __init__(self, *, bidirectional: bool | Literal["all", "alternating"] = True, **kwargs: Any) -> None:
        super().__init__(bidirectional, None, **kwargs)

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
        passed = [embedded[..., :0]]  # per direction, what the layer above reads besides the output, see `Cell`
        for layer, recurrences in enumerate(self.recurrences):
            # Output of the layer below: in alternating stacks that of the same stack, otherwise the whole.
            below = tf.split(x, 2, axis=-1) if self.alternating and layer else [x] * len(recurrences)
            passed = passed if len(passed) == len(recurrences) else [concat_nonempty(passed)] * len(recurrences)
            masks = self.recurrent_dropout_masks(layer, x, training)
            if len(recurrences) == 2 and not self.alternating and passed[0].shape[-1] == 0:
                results = run_bidirectional(recurrences, x, lengths, masks)
            else:
                results = [
                    recurrence(concat_nonempty(parts), lengths, state_mask=mask)
                    for recurrence, mask, *parts in zip(recurrences, masks, below, passed, strict=True)
                ]
            split = [split_output(outputs, self.units // len(results)) for outputs, _ in results]
            hidden, passed = [[part[place] for part in split] for place in (0, 1)]
            outputs = hidden if self.alternating else [concat_nonempty(hidden)]
            pairs = zip(self.connections[layer], outputs, below[: len(outputs)], strict=True)
            x = concat_nonempty([connection(output, inputs) for connection, output, inputs in pairs])
            # One draw over both stacks of an alternating encoder, so that each has a mask of its own.
            x = self.dropouts[layer](x, training=training)
            last.append([concat_nonempty(states) for states in zip(*(states for _, states in results), strict=True)])
        return x, last
