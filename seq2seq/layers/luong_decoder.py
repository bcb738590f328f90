"""The decoder of Luong et al.: whole-sequence recurrences in training, one batched attention after the bottom one."""

import tensorflow as tf

from seq2seq.layers.attention import AttentionMemory
from seq2seq.layers.decoder import Decoder, DecoderState
from seq2seq.layers.recurrent_scan import WeightValues, cast_weights
from seq2seq.layers.stack import joined


class LuongDecoder(Decoder):
    """A stack of recurrent layers over the embedded target, attending after the bottom one.

    h_t = bottom(y_{t-1}, h_{t-1});  c_t = attend(h_t);  each layer above reads [below_t; c_t];
    readout_t = tanh(W [top_t; c_t]). No step needs the attention of the step before (there is no input
    feeding), so training runs each recurrence over the whole target at once.

    Without attention the source comes in by the first state alone (no layer and no readout reads a c_t), or, where
    the bridge has a vector for every step, c_t is that vector and every layer reads it, the bottom one too.

    Source: Luong, Pham and Manning (2015), section 3 (global attention); stack of Wu et al. (2016), section 3;
    without attention Sutskever, Vinyals and Le (2014) and Cho et al. (2014).
    Departure from Wu et al.: the context is that of the same step, and the bottom layer does not read it.
    """

    def build_layers(self, embedding_size: int, memory_size: int) -> None:
        fixed = 0 if self.bridge.vector_size is None else self.bridge.width
        context, beside = (memory_size, 0) if self.attention is not None else (fixed, fixed)
        self.stack.build_layers(embedding_size + beside, self.stack.units + context)
        self.readout.build((None, None, self.stack.units + context))

    def call(
        self,
        embedded: tf.Tensor,
        lengths: tf.Tensor,
        state: DecoderState,
        memory: AttentionMemory,
        training: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        beside = self._beside(embedded, memory)
        x, passed = self.stack.run(0, [embedded, beside], lengths, state.cells[0], training)
        if self.attention is None:
            context, weights = beside, tf.zeros_like(embedded[..., :0], tf.float32)
        else:
            context, weights = self.attention.attend_sequence(x, memory, self.attention_mask(x, memory, training))
        x = self.stack.run_upper_layers(x, passed, context, lengths, state.cells, training)
        return self.readout(joined([x, context]), training=training), weights

    def step(
        self, embedded: tf.Tensor, state: DecoderState, memory: AttentionMemory
    ) -> tuple[tf.Tensor, DecoderState, tf.Tensor]:
        with WeightValues(self.variables, cast_weights(self.variables, self.compute_dtype)):
            beside = self._beside(embedded, memory)
            projected = self.stack.cells[0].project(joined([embedded, beside]))
            x, passed, bottom = self.stack.step(0, projected, state.cells[0], embedded)
            if self.attention is None:
                context, weights = beside, tf.zeros_like(embedded[..., :0], tf.float32)
                coverage = state.coverage
            else:
                context, weights, coverage = self.attend(x, memory, state.coverage)
            x, above = self.stack.step_upper_layers(x, passed, context, state.cells)
            readout = self.readout(joined([x, context]))
        return readout, DecoderState((bottom, *above), state.feed, coverage), weights

    def _beside(self, embedded: tf.Tensor, memory: AttentionMemory) -> tf.Tensor:
        """What the bottom layer reads beside the embeddings, (B, N, ·): the vector of every step, or nothing."""
        if self.bridge.vector_size is None:
            return embedded[..., :0]
        return tf.broadcast_to(memory.states, [*tf.unstack(tf.shape(embedded)[:2]), memory.states.shape[-1]])
