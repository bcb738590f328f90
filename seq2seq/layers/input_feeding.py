"""The input-feeding decoder: the readout of a step is an input of the next one."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from seq2seq.layers.attention import AttentionMemory
from seq2seq.layers.cells import apart
from seq2seq.layers.decoder import Decoder, DecoderState
from seq2seq.layers.dropout import Dropout
from seq2seq.layers.time_loop import WeightValues, cast_weights, product, run_steps


class InputFeedingDecoder(Decoder):
    """A stack of recurrent layers that is told what the last step attended to.

    The bottom layer reads [y_{t-1}; readout_{t-1}], each layer above the one below it; c_t = attend(top_t);
    readout_t = tanh(W [top_t; c_t]), and readout_0 is zero. A cell with layer normalisation normalises
    W [y_{t-1}; readout_{t-1}] as a whole.

    Arguments, shapes and state are those of `Decoder`; there is an attention. In training the loop over time
    holds all layers, the attention and the readout. The embeddings' product with the bottom kernel, the output
    layer and the gradients of all matrices are outside of it.

    Source: Luong, Pham and Manning (2015), section 3.3.
    """

    def build_layers(self, embedding_size: int, context_size: int) -> None:
        size, bottom = self.readout.units, self.recurrences[0]
        for i, recurrence in enumerate(self.recurrences):
            recurrence.build((None, None, embedding_size if i == 0 else self.units))
        # The part of the bottom kernel that the readout meets; the other part waits for nothing in the loop.
        columns = bottom.cell.kernel.shape[-1]
        first = self.initializers.glorot_uniform()
        self.feed_kernel = self.add_weight(name="feed_kernel", shape=(size, columns), initializer=first)
        self.readout.build((None, None, self.units + context_size))

    def start(
        self, states: tf.Tensor, mask: tf.Tensor, last: Sequence[Sequence[tf.Tensor]]
    ) -> tuple[AttentionMemory, DecoderState]:
        memory, state = super().start(states, mask, last)
        return memory, state._replace(feed=tf.zeros([tf.shape(mask)[0], 1, self.readout.units], states.dtype))

    def call(
        self,
        embedded: tf.Tensor,
        lengths: tf.Tensor,
        state: DecoderState,
        memory: AttentionMemory,
        training: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        masks = self._masks(embedded, memory, training)
        timed = [name for name, mask in masks.items() if name[0] != "state" and mask is not None]
        if not isinstance(state.coverage, tuple):  # Keras has cast it, as all that is given to a layer's call
            state = state._replace(coverage=tf.cast(state.coverage, tf.float32))

        def step(x: Any, states: Any, constants: Any) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            now = masks | dict(zip(timed, x[1:], strict=True))
            source = AttentionMemory(constants[0], constants[1], memory.mask)
            packed = keras.tree.pack_sequence_as(state, list(states))
            readout, new, weights = self._step(x[0], packed, source, now)
            return [readout, weights], keras.tree.flatten(new)

        products = product(embedded, self.recurrences[0].cell.kernel)
        (readouts, weights), _ = run_steps(
            step,
            [tf.transpose(products, [1, 0, 2])[:, :, None], *(masks[name] for name in timed)],
            keras.tree.flatten(state),
            constants=[memory.states, memory.keys],
            variables=self.variables,
            output_dtypes=[embedded.dtype, tf.float32],
        )
        return tf.transpose(readouts[:, :, 0], [1, 0, 2]), tf.transpose(weights[:, :, 0], [1, 0, 2])

    def step(
        self, embedded: tf.Tensor, state: DecoderState, memory: AttentionMemory
    ) -> tuple[tf.Tensor, DecoderState, tf.Tensor]:
        with WeightValues(self.variables, cast_weights(self.variables, self.compute_dtype)):
            return self._step(product(embedded, self.recurrences[0].cell.kernel), state, memory, {})

    def _step(
        self, products: tf.Tensor, state: DecoderState, memory: AttentionMemory, masks: dict[tuple, Any]
    ) -> tuple[tf.Tensor, DecoderState, tf.Tensor]:
        """Readout, next state and weights for the embeddings' products (B, K, ·) or, in training, (B, 1, ·)."""
        assert self.attention is not None
        x, cells = tf.zeros(()), []
        memories: list[tf.Tensor] = []
        for i, recurrence in enumerate(self.recurrences):
            cell = recurrence.cell
            if i == 0:
                fed = cell.with_bias(products + product(state.feed, self.feed_kernel))
            else:
                fed = cell.project(tf.concat([x, *memories], axis=-1))
            outputs, states = cell.step(fed, state.cells[i], masks.get(("state", i)))
            outputs, memories = apart(cell, outputs)
            x = _times(self.connections[i](outputs, x if i else None), masks.get(("layer", i)))
            cells.append(tuple(states))
        coverage = None if isinstance(state.coverage, tuple) else state.coverage
        context, weights = self.attention.attend(x, memory, coverage, masks.get(("attention", 0)))
        readout = product(tf.concat([x, context], axis=-1), self.readout.kernel)
        readout = _times(tf.tanh(readout + tf.cast(self.readout.bias, readout.dtype)), masks.get(("readout", 0)))
        return readout, DecoderState(tuple(cells), readout, () if coverage is None else coverage + weights), weights

    def _masks(self, embedded: tf.Tensor, memory: AttentionMemory, training: bool) -> dict[tuple, Any]:
        """All dropout masks of a target: (B, 1, U) for states, (T, B, ..., 1, ·) for what changes with time."""
        assert self.attention is not None
        rows, steps = tf.shape(embedded)[0], tf.shape(embedded)[1]

        def drawn(dropout: Dropout, shape: list) -> tf.Tensor | None:
            mask = dropout.mask(shape, embedded.dtype, training)
            if mask is None:
                return None
            axes = list(range(len(shape)))
            mask = tf.broadcast_to(mask, shape)  # a variational mask stands for every step
            return tf.transpose(mask, [axes[-2], *axes[:-2], axes[-1]])[..., None, :]

        masks: dict[tuple, Any] = {
            ("attention", 0): drawn(self.attention_dropout, self.attention.drop_shape(embedded, memory)),
            ("readout", 0): drawn(self.readout_dropout, [rows, steps, self.readout.units]),
        }
        for i, dropout in enumerate(self.dropouts):
            masks["layer", i] = drawn(dropout, [rows, steps, self.units])
            state = self._state_mask(i, embedded, training)
            masks["state", i] = None if state is None else state[:, None]
        return masks


def _times(x: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    return x if mask is None else x * mask
