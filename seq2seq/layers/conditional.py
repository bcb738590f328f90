"""The conditional decoder: two cells with the attention between them make the bottom layer."""

from typing import Any

import tensorflow as tf

from seq2seq.layers.attention import AttentionMemory
from seq2seq.layers.cells import apart, make_cell
from seq2seq.layers.decoder import Bottom, Decoder, DecoderState, RunLayer
from seq2seq.layers.time_loop import run_steps


class ConditionalDecoder(Decoder):
    """A decoder whose state has seen the context before it predicts.

    s'_t = first(y_{t-1}, s_{t-1});  c_t = attend(s'_t);  s_t = second(c_t, s'_t); each layer above reads
    [below_t; c_t];  readout_t = tanh(W [top_t; c_t; y_{t-1}]).

    Arguments, shapes and state are those of `Decoder`; there is an attention, and `transition_depth` counts the
    cells after it. In training the loop over time holds the two cells and the attention. The first cell's input
    product, the layers above, the readout and the gradients of all matrices are outside of it.

    Source: Sennrich et al. (2017), section 3.2 (the cGRU of Nematus); Miceli Barone et al. (2017), section 2.2,
    for more cells after the attention. Departure: the reset gate acts after the product, see `GRUCell`.
    """

    def __init__(self, *, cell: str, units: int, transition_depth: int = 1, **kwargs: Any) -> None:
        super().__init__(cell=cell, units=units, transition_depth=transition_depth, **kwargs)
        self.second = make_cell(
            cell, units, transition_depth, initializers=self.initializers, dtype=self.dtype_policy, name="second"
        )

    def bottom_depth(self, transition_depth: int) -> int:
        return 1

    def build_layers(self, embedding_size: int, context_size: int) -> None:
        for i, recurrence in enumerate(self.recurrences):
            recurrence.build((None, None, embedding_size if i == 0 else self.units + context_size))
        self.second.build((None, context_size))
        self.readout.build((None, None, self.units + context_size + embedding_size))

    def extra_readout(self, embedded: tf.Tensor) -> list[tf.Tensor]:
        return [embedded]

    def bottom_all(
        self, embedded: tf.Tensor, state: DecoderState, memory: AttentionMemory, run: RunLayer, training: bool
    ) -> Bottom:
        first, attention = self.recurrences[0].cell, self.attention
        assert attention is not None
        mask = self._state_mask(0, embedded, training)
        mask = None if mask is None else mask[:, None]
        # Time goes to the front; a step then has one query a sentence.
        inputs = [tf.transpose(first.project(embedded), [1, 0, 2])[:, :, None]]
        drop = self.attention_dropout.mask(attention.drop_shape(embedded, memory), embedded.dtype, training)
        if drop is not None:
            axes = list(range(len(drop.shape)))
            inputs.append(tf.transpose(drop, [axes[-2], *axes[:-2], axes[-1]])[..., None, :])
        cells = len(state.cells[0])

        def step(x: Any, states: Any, constants: Any) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            source = AttentionMemory(constants[0], constants[1], memory.mask)
            coverage = states[cells] if len(states) > cells else None
            dropped = x[1] if len(x) > 1 else None
            output, new, context, weights = self._step(x[0], states[:cells], source, coverage, mask, dropped)
            return [output, context, weights], [*new, *([] if coverage is None else [coverage + weights])]

        # Keras has cast it, as it does with all that is given to a layer's call.
        coverage = () if isinstance(state.coverage, tuple) else (tf.cast(state.coverage, tf.float32),)
        (outputs, contexts, weights), _ = run_steps(
            step,
            inputs,
            [*state.cells[0], *coverage],
            constants=[memory.states, memory.keys],
            variables=[*first.variables, *attention.variables, *self.second.variables],
            output_dtypes=[embedded.dtype, embedded.dtype, tf.float32],
        )
        outputs, contexts, weights = (tf.transpose(x[:, :, 0], [1, 0, 2]) for x in (outputs, contexts, weights))
        outputs, memories = apart(self.second, outputs)
        outputs = self.dropouts[0](self.connections[0](outputs), training=training)
        return Bottom(outputs, memories, contexts, weights, (), ())

    def bottom_step(self, embedded: tf.Tensor, state: DecoderState, memory: AttentionMemory, run: RunLayer) -> Bottom:
        coverage = None if isinstance(state.coverage, tuple) else state.coverage
        projected = self.recurrences[0].cell.project(embedded)
        outputs, new, context, weights = self._step(projected, list(state.cells[0]), memory, coverage)
        outputs, memories = apart(self.second, outputs)
        outputs = self.connections[0](outputs)
        return Bottom(outputs, memories, context, weights, tuple(new), () if coverage is None else coverage + weights)

    def _step(
        self,
        projected: tf.Tensor,
        states: list[tf.Tensor],
        memory: AttentionMemory,
        coverage: tf.Tensor | None,
        mask: tf.Tensor | None = None,
        drop: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor, tf.Tensor]:
        """Output, new states, context and weights for (B, K, ·) or, in training, (B, 1, ·)."""
        assert self.attention is not None
        first = self.recurrences[0].cell
        output, between = first.step(projected, states, mask)
        query, _ = apart(first, output)
        context, weights = self.attention.attend(query, memory, coverage, drop)
        # What counts steps counts target tokens: both cells are of the same one.
        counted = len(states) - first.counters
        between = [*between[:counted], *states[counted:]]
        output, new = self.second.step(self.second.project(context), between, mask)
        return output, list(new), context, weights
