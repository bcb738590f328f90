"""Conditional decoder (cGRU): a bottom layer of two cells with the attention between them."""

from typing import Any

import tensorflow as tf

from seq2seq.layers.attention.base import AttentionMemory
from seq2seq.layers.cells.base import split_output
from seq2seq.layers.decoder import Decoder, DecoderState, Stepped, unstack_mask
from seq2seq.layers.recurrent_scan import recurrent_scan
from seq2seq.layers.stack import RecurrentStack, States, concat_nonempty


class ConditionalDecoder(Decoder):
    """Conditional decoder: its state reads the context of the same step before the prediction.

        s'_t = first(y_{t-1}, s_{t-1})             first cell of the bottom layer
        c_t = attend(s'_t)                         context
        s_t = second(c_t, s'_t)                    second cell of the bottom layer
        readout_t = tanh(W [top_t; c_t; y_{t-1}])  with top_t the output of the top layer

    Each layer above the bottom one reads [below_t; c_t]. Attention is required. `first` is the only cell of the stack's
    bottom layer; `second` has the stack's `transition_depth`. In training, the loop over time runs the two cells and
    the attention. The input product of the first cell, the layers above, the readout and the gradients of all matrices
    are computed outside it.

    Source:
        Sennrich et al. (2017), section 3.2 (the cGRU of Nematus); Miceli Barone et al. (2017), section 2.2, for more
        cells after the attention.

    Departure:
        The reset gate acts after the product, see `GRUCell`.
    """

    bottom_transition_depth = 1

    def __init__(self, stack: RecurrentStack, **kwargs: Any) -> None:
        super().__init__(stack, **kwargs)
        self.second_cell = stack.make_cell(stack.transition_depth, stack.units, name="second")

    def build_layers(self, embedding_size: int, memory_size: int) -> None:
        units = self.stack.units
        self.stack.build_layers(embedding_size, units + memory_size)
        self.second_cell.build((None, memory_size))
        self.readout.build((None, None, units + memory_size + embedding_size))

    def call(
        self, embedded: tf.Tensor, lengths: tf.Tensor, state: DecoderState, memory: AttentionMemory, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        first, attention = self.stack.cells[0], self.attention
        assert attention is not None
        (mask,) = self.stack.recurrent_dropout_masks(0, embedded, training)
        mask = None if mask is None else mask[:, None]
        cells = len(state.cells[0])
        # Keras has cast it to the compute dtype, like every argument of a layer's call.
        coverage = [tf.cast(state.coverage, tf.float32)] if attention.uses_coverage else []

        def step(x: Any, states: Any, constants: Any) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            source = AttentionMemory(constants[0], constants[1], memory.mask)
            seen = states[cells] if coverage else state.coverage
            output, new, context, weights, seen = self._bottom(x[0], states[:cells], source, seen, mask, *x[1:])
            return [output, context, weights], [*new, *([seen] if coverage else [])]

        # Time-major; each step then has one query per sentence.
        projected = tf.transpose(first.project(embedded), [1, 0, 2])[:, :, None]
        (outputs, contexts, weights), _ = recurrent_scan(
            step,
            [projected, *unstack_mask(self.attention_dropout_mask(embedded, memory, training))],
            [*state.cells[0], *coverage],
            constants=[memory.states, memory.keys],
            variables=[*first.variables, *attention.variables, *self.second_cell.variables],
            output_dtypes=[embedded.dtype, embedded.dtype, tf.float32],
        )
        outputs, contexts, weights = (tf.transpose(x[:, :, 0], [1, 0, 2]) for x in (outputs, contexts, weights))
        x, passed = self.stack.connect(0, outputs, embedded, training)
        x = self.stack.run_upper_layers(x, passed, contexts, lengths, state.cells, training)
        return self.readout(concat_nonempty([x, contexts, embedded]), training=training), weights

    def step_layers(self, embedded: tf.Tensor, state: DecoderState, memory: AttentionMemory) -> Stepped:
        projected = self.stack.cells[0].project(embedded)
        output, bottom, context, weights, coverage = self._bottom(projected, state.cells[0], memory, state.coverage)
        x, passed = self.stack.connect(0, output, embedded)
        x, above = self.stack.step_upper_layers(x, passed, context, state.cells)
        readout = self.readout(concat_nonempty([x, context, embedded]))
        return readout, DecoderState((bottom, *above), state.feed, coverage), weights

    def _bottom(
        self,
        projected: tf.Tensor,
        states: States,
        memory: AttentionMemory,
        coverage: tf.Tensor,
        mask: tf.Tensor | None = None,
        dropout_mask: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, States, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Output, new states, context, attention weights and coverage for (B, K, ·); K is 1 in training."""
        output, between = self.stack.cells[0].step(projected, states, mask)
        query, _ = split_output(output, self.stack.units)
        context, weights, coverage = self.attend(query, memory, coverage, dropout_mask)
        between = self.second_cell.states_within_step(between, states)
        output, new = self.second_cell.step(self.second_cell.project(context), between, mask)
        return output, tuple(new), context, weights, coverage
