"""Base class of decoders, their state, and the default decoder."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import tensorflow as tf

from seq2seq.layers.attention.base import Attention, AttentionMemory
from seq2seq.layers.base import ConfigurableLayer
from seq2seq.layers.bridge import Bridge
from seq2seq.layers.pointwise import Dropout, Readout
from seq2seq.layers.recurrent_scan import WeightOverrides, cast_weights
from seq2seq.layers.stack import RecurrentStack, States, concat_nonempty


class DecoderState(NamedTuple):
    """Decoder state for K hypotheses per sentence; parts that a decoder does not use have width 0.

    Attributes:
        cells: For each layer, the cell's states, each (B, K, U) compute dtype.
        feed: (B, K, R) compute dtype, the readout of the previous step, for input feeding.
        coverage: (B, K, S) float32, the sum of the attention weights so far, for attention with coverage.
    """

    cells: tuple[States, ...]
    feed: tf.Tensor
    coverage: tf.Tensor


Stepped = tuple[tf.Tensor, DecoderState, tf.Tensor]  # readouts, next state, attention weights


class Decoder(ConfigurableLayer):
    """Recurrent network over the embedded target, with one readout per token.

    `call` returns readouts and attention weights for whole targets (teacher forcing), `step` for one token of each
    hypothesis. A model builds, starts and calls the decoder.

    Args:
        stack: Recurrent layers.
        attention: Attention of the stack's outputs to the memory; None: no attention.
        bridge: Bridge that makes the initial state.
        readout: Layer that makes the inputs of the output layer.
        attention_dropout: Dropout on the attention weights.

    Shapes: B batch, T target length, K hypotheses, E embedding width, S source length, M memory width.
        embedded  (B, T, E), in a step (B, K, E)  compute dtype
        lengths   (B,)                            int32, 1 to T
        readout   (B, T, R), in a step (B, K, R)  compute dtype
        weights   (B, T, S), in a step (B, K, S)  float32; S is 0 without attention
        state     `DecoderState`
    """

    # Cells in the bottom layer before the attention; None: as many as in the other layers.
    bottom_transition_depth: ClassVar[int | None] = None

    def __init__(
        self,
        stack: RecurrentStack,
        attention: Attention | None,
        bridge: Bridge,
        readout: Readout,
        attention_dropout: Dropout,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.attention, self.stack, self.readout, self.bridge = attention, stack, readout, bridge
        self.attention_dropout = attention_dropout

    def build(self, embedding_size: int, memory_size: int, final_size: int) -> None:
        """Create all weights.

        Args:
            embedding_size: E.
            memory_size: M.
            final_size: Total width of the last hidden states of all encoder layers.
        """
        if self.attention is not None:
            self.attention.build(self.stack.units, memory_size)
        self.bridge.build(memory_size, final_size)
        self.build_layers(embedding_size, memory_size)
        self.stack.build_connections()
        self.built = True

    def build_layers(self, embedding_size: int, memory_size: int) -> None:
        """Create the weights of the recurrences and the readout."""
        raise NotImplementedError

    def start(
        self, states: tf.Tensor, mask: tf.Tensor, final_states: Sequence[Sequence[tf.Tensor]]
    ) -> tuple[AttentionMemory, DecoderState]:
        """The attention memory and the initial state, from the results of the encoder (see `Bridge`)."""
        learnt, vector = self.bridge(final_states, states, mask)
        nothing = vector[:, None, :0]
        if self.attention is None:
            # Without attention, the memory is one vector or empty.
            memory = AttentionMemory(nothing if self.bridge.context_size is None else vector[:, None], nothing, mask)
        else:
            memory = self.attention.project_memory(states, mask)
        sees = self.attention is not None and self.attention.uses_coverage
        coverage = tf.zeros(tf.shape(mask))[:, None] if sees else tf.zeros_like(nothing, tf.float32)
        return memory, DecoderState(self.stack.initial_states(learnt), nothing, coverage)

    def step(self, embedded: tf.Tensor, state: DecoderState, memory: AttentionMemory) -> Stepped:
        """Readouts, next state and attention weights for one token of each of K hypotheses per sentence."""
        with WeightOverrides(self.variables, cast_weights(self.variables, self.compute_dtype)):
            return self.step_layers(embedded, state, memory)

    def step_layers(self, embedded: tf.Tensor, state: DecoderState, memory: AttentionMemory) -> Stepped:
        """Run `step` with weights that are already cast."""
        raise NotImplementedError

    def attend(
        self, query: tf.Tensor, memory: AttentionMemory, coverage: tf.Tensor, dropout_mask: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Contexts, attention weights and updated coverage for one query per hypothesis, (B, K, U)."""
        assert self.attention is not None
        context, weights = self.attention.attend(query, memory, coverage, dropout_mask)
        return context, weights, coverage + weights if self.attention.uses_coverage else coverage

    def attention_dropout_mask(self, embedded: tf.Tensor, memory: AttentionMemory, training: bool) -> tf.Tensor | None:
        """Dropout mask of the attention weights of whole targets (B, T, ·)."""
        assert self.attention is not None
        return self.attention_dropout.mask(
            self.attention.dropout_mask_shape(embedded, memory), embedded.dtype, training
        )


class LuongDecoder(Decoder):
    """Recurrent layers over the embedded target, with attention after the bottom layer.

        h_t = bottom(y_{t-1}, h_{t-1})             state of the bottom layer
        c_t = attend(h_t)                          context
        readout_t = tanh(W [top_t; c_t])           with top_t the output of the top layer

    Each layer above the bottom one reads [below_t; c_t]. No step needs the attention of the previous step (there is no
    input feeding), so training runs each recurrence over the whole target at once.

    Without attention, the source enters only through the initial state, and no layer or readout reads a c_t. If the
    bridge has a vector for every step, c_t is that vector, and every layer reads it, including the bottom one.

    Source:
        Luong, Pham and Manning (2015), section 3 (global attention); Wu et al. (2016), section 3 (stack); without
        attention, Sutskever, Vinyals and Le (2014) and Cho et al. (2014).

    Departure:
        Unlike Wu et al., the context is that of the same step, and the bottom layer does not read it.
    """

    def build_layers(self, embedding_size: int, memory_size: int) -> None:
        fixed = 0 if self.bridge.context_size is None else self.bridge.width
        context, beside = (memory_size, 0) if self.attention is not None else (fixed, fixed)
        self.stack.build_layers(embedding_size + beside, self.stack.units + context)
        self.readout.build((None, None, self.stack.units + context))

    def call(
        self, embedded: tf.Tensor, lengths: tf.Tensor, state: DecoderState, memory: AttentionMemory, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        beside = self._beside(embedded, memory)
        x, passed = self.stack.run(0, [embedded, beside], lengths, state.cells[0], training)
        if self.attention is None:
            context, weights = beside, tf.zeros_like(embedded[..., :0], tf.float32)
        else:
            context, weights = self.attention.attend_sequence(
                x, memory, self.attention_dropout_mask(x, memory, training)
            )
        x = self.stack.run_upper_layers(x, passed, context, lengths, state.cells, training)
        return self.readout(concat_nonempty([x, context]), training=training), weights

    def step_layers(self, embedded: tf.Tensor, state: DecoderState, memory: AttentionMemory) -> Stepped:
        beside = self._beside(embedded, memory)
        projected = self.stack.cells[0].project(concat_nonempty([embedded, beside]))
        x, passed, bottom = self.stack.step(0, projected, state.cells[0], embedded)
        if self.attention is None:
            context, weights, coverage = beside, tf.zeros_like(embedded[..., :0], tf.float32), state.coverage
        else:
            context, weights, coverage = self.attend(x, memory, state.coverage)
        x, above = self.stack.step_upper_layers(x, passed, context, state.cells)
        readout = self.readout(concat_nonempty([x, context]))
        return readout, DecoderState((bottom, *above), state.feed, coverage), weights

    def _beside(self, embedded: tf.Tensor, memory: AttentionMemory) -> tf.Tensor:
        """Inputs of the bottom layer besides the embeddings, (B, N, ·): the bridge's vector at every step, or none."""
        if self.bridge.context_size is None:
            return embedded[..., :0]
        return tf.broadcast_to(memory.states, [*tf.unstack(tf.shape(embedded)[:2]), memory.states.shape[-1]])


def unstack_mask(mask: tf.Tensor | None) -> list[tf.Tensor]:
    """A dropout mask (B, ..., T, ·) as a list of inputs of a scan, (T, B, ..., 1, ·); empty without a mask."""
    if mask is None:
        return []
    axes = list(range(len(mask.shape)))
    return [tf.transpose(mask, [axes[-2], *axes[:-2], axes[-1]])[..., None, :]]


def nonempty_tensors(state: Any) -> list[tf.Tensor]:
    """The tensors of a state, or of any nest, whose width is not 0."""
    return [value for value in tf.nest.flatten(state) if value.shape[-1] != 0]


def replace_nonempty(state: Any, values: Sequence[tf.Tensor]) -> Any:
    """Replace the tensors of a state that `nonempty_tensors` returns."""
    rest = iter(values)
    return tf.nest.map_structure(lambda value: value if value.shape[-1] == 0 else next(rest), state)
