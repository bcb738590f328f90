"""Input-feeding decoder: each step reads the readout of the previous one."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from seq2seq.layers.attention.base import AttentionMemory
from seq2seq.layers.decoder import Decoder, DecoderState, Stepped, nonempty_tensors, replace_nonempty, unstack_mask
from seq2seq.layers.recurrent_scan import deferred_matmul, recurrent_scan
from seq2seq.layers.stack import concat_nonempty


class InputFeedingDecoder(Decoder):
    """Recurrent layers that read the readout, and so the context, of the previous step.

        h_t = bottom([y_{t-1}; readout_{t-1}], h_{t-1})  state of the bottom layer
        c_t = attend(top_t)                              context, with top_t the output of the top layer
        readout_t = tanh(W [top_t; c_t])                 with readout_0 = 0

    Each layer above the bottom one reads the layer below. A cell with layer normalisation normalises
    W [y_{t-1}; readout_{t-1}] as a whole.

    Attention is required. In training, the loop over time runs all layers, the attention and the readout. The product
    of the embeddings with the bottom kernel, the output layer and the gradients of all matrices are computed outside
    it.

    Source:
        Luong, Pham and Manning (2015), section 3.3.
    """

    def build_layers(self, embedding_size: int, memory_size: int) -> None:
        self.stack.build_layers(embedding_size, self.stack.units)
        # The part of the bottom kernel that multiplies the readout; the other part is applied before the loop.
        columns = self.stack.cells[0].kernel.shape[-1]
        first = self.stack.initializers.glorot_uniform()
        self.feed_kernel = self.add_weight(name="feed_kernel", shape=(self.readout.units, columns), initializer=first)
        self.readout.build((None, None, self.stack.units + memory_size))

    def start(
        self, states: tf.Tensor, mask: tf.Tensor, final_states: Sequence[Sequence[tf.Tensor]]
    ) -> tuple[AttentionMemory, DecoderState]:
        memory, state = super().start(states, mask, final_states)
        return memory, state._replace(feed=tf.zeros([tf.shape(mask)[0], 1, self.readout.units], states.dtype))

    def call(
        self, embedded: tf.Tensor, lengths: tf.Tensor, state: DecoderState, memory: AttentionMemory, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        fixed, timed = self._masks(embedded, memory, training)
        # Keras has cast it to the compute dtype, like every argument of a layer's call.
        state = state._replace(coverage=tf.cast(state.coverage, tf.float32))

        def step(x: Any, states: Any, constants: Any) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            masks = fixed | dict(zip(timed, x[1:], strict=True))
            source = AttentionMemory(constants[0], constants[1], memory.mask)
            readout, new, weights = self._step(x[0], replace_nonempty(state, states), source, masks)
            return [readout, weights], nonempty_tensors(new)

        products = deferred_matmul(embedded, self.stack.cells[0].kernel)
        (readouts, weights), _ = recurrent_scan(
            step,
            [tf.transpose(products, [1, 0, 2])[:, :, None], *timed.values()],
            nonempty_tensors(state),
            constants=[memory.states, memory.keys],
            variables=self.variables,
            output_dtypes=[embedded.dtype, tf.float32],
        )
        return tf.transpose(readouts[:, :, 0], [1, 0, 2]), tf.transpose(weights[:, :, 0], [1, 0, 2])

    def step_layers(self, embedded: tf.Tensor, state: DecoderState, memory: AttentionMemory) -> Stepped:
        return self._step(deferred_matmul(embedded, self.stack.cells[0].kernel), state, memory, {})

    def _step(
        self, products: tf.Tensor, state: DecoderState, memory: AttentionMemory, masks: dict[str, tf.Tensor]
    ) -> Stepped:
        """Readout, next state and attention weights, given the embeddings' products (B, K, ·); K is 1 in training."""
        new = []
        x = passed = products
        for i, cell in enumerate(self.stack.cells):
            if i == 0:
                projected = cell.add_bias(products + deferred_matmul(state.feed, self.feed_kernel))
            else:
                projected = cell.project(concat_nonempty([x, passed]))
            x, passed, states = self.stack.step(i, projected, state.cells[i], x, masks.get(f"state {i}"))
            x = _times(x, masks.get(f"layer {i}"))
            new.append(states)
        context, weights, coverage = self.attend(x, memory, state.coverage, masks.get("attention"))
        readout = _times(self.readout(concat_nonempty([x, context])), masks.get("readout"))
        return readout, DecoderState(tuple(new), readout, coverage), weights

    def _masks(
        self, embedded: tf.Tensor, memory: AttentionMemory, training: bool
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Dropout masks of a target by name: those of all steps, (B, 1, U), and those per step, (T, B, ..., 1, ·)."""
        rows, steps = tf.unstack(tf.shape(embedded)[:2])
        drawn = {"attention": self.attention_dropout_mask(embedded, memory, training)}
        outputs = {"readout": (self.readout.dropout, self.readout.units)}
        outputs |= {f"layer {i}": (dropout, self.stack.units) for i, dropout in enumerate(self.stack.dropouts)}
        for name, (dropout, size) in outputs.items():
            shape = [rows, steps, size]
            mask = dropout.mask(shape, embedded.dtype, training)
            # A variational mask is the same at every step.
            drawn[name] = None if mask is None else tf.broadcast_to(mask, shape)
        masks = [
            mask
            for i in range(len(self.stack.cells))
            for mask in self.stack.recurrent_dropout_masks(i, embedded, training)
        ]
        fixed = {f"state {i}": mask[:, None] for i, mask in enumerate(masks) if mask is not None}
        timed = {name: steps for name, mask in drawn.items() for steps in unstack_mask(mask)}
        return fixed, timed


def _times(x: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    return x if mask is None else x * mask
