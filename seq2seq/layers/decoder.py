"""What all decoders have in common: their state, their parts and how they start."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import tensorflow as tf

from seq2seq.layers.attention.base import Attention, AttentionMemory
from seq2seq.layers.base import ConfigurableLayer
from seq2seq.layers.bridge import Bridge
from seq2seq.layers.pointwise import Dropout, Readout
from seq2seq.layers.stack import RecurrentStack, States


class DecoderState(NamedTuple):
    """What a decoder carries from step to step, for K hypotheses a sentence; of width 0 where it has no such part.

    cells     of each layer, the cell's states (B, K, U)
    feed      (B, K, R)  compute dtype, the readout of the step before, for input feeding
    coverage  (B, K, S)  float32, the sum of attention weights so far, for attention that sees it
    """

    cells: tuple[States, ...]
    feed: tf.Tensor
    coverage: tf.Tensor


class Decoder(ConfigurableLayer):
    """A recurrent network over the embedded target, one readout a token.

    Args:
        stack: The recurrent layers.
        attention: Compares the stack's outputs with the memory; None for no attention.
        bridge: Makes the first state.
        readout: Makes what the output layer reads.
        attention_dropout: Applied to attention weights.

    Shapes: B batch, T target length, K hypotheses, E embedding width, S source length, M memory width.
        embedded  (B, T, E) or, a step, (B, K, E)  compute dtype
        lengths   (B,)                             int32, 1 to T
        readout   (B, T, R) or (B, K, R)           compute dtype
        weights   (B, T, S) or (B, K, S)           float32; (B, ·, 0) without attention
        state     `DecoderState`

    `call(embedded, lengths, state, memory, training=False)` gives readouts and weights for whole targets (teacher
    forcing), `step` for one token of each hypothesis. A model builds, starts and calls a decoder; it has no place in a
    functional graph of Keras.
    """

    # Cells in the bottom layer before the attention; None: as many as in the other layers.
    bottom_depth: ClassVar[int | None] = None

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

    def build(self, embedding_size: int, memory_size: int, last_size: int) -> None:
        """Make all weights.

        Args:
            embedding_size: E.
            memory_size: M.
            last_size: Width of the encoder's last hidden states of all layers together.
        """
        if self.attention is not None:
            self.attention.build(self.stack.units, memory_size)
        self.bridge.build(memory_size, last_size)
        self.build_layers(embedding_size, memory_size)
        self.stack.build_connections()
        self.built = True

    def build_layers(self, embedding_size: int, memory_size: int) -> None:
        """Make the weights of recurrences and readout."""
        raise NotImplementedError

    def start(
        self, states: tf.Tensor, mask: tf.Tensor, last: Sequence[Sequence[tf.Tensor]]
    ) -> tuple[AttentionMemory, DecoderState]:
        """What the encoder leaves (see `Bridge`), as attention reads it, and the state before the first token."""
        learnt, vector = self.bridge(last, states, mask)
        nothing = vector[:, None, :0]
        if self.attention is None:
            # Without attention the memory is one vector, or nothing.
            memory = AttentionMemory(nothing if self.bridge.vector_size is None else vector[:, None], nothing, mask)
        else:
            memory = self.attention.project_memory(states, mask)
        sees = self.attention is not None and self.attention.uses_coverage
        coverage = tf.zeros(tf.shape(mask))[:, None] if sees else tf.zeros_like(nothing, tf.float32)
        return memory, DecoderState(self.stack.initial_states(learnt), nothing, coverage)

    def step(
        self, embedded: tf.Tensor, state: DecoderState, memory: AttentionMemory
    ) -> tuple[tf.Tensor, DecoderState, tf.Tensor]:
        """Readouts, next state and weights for one token of each of K hypotheses a sentence."""
        raise NotImplementedError

    def attend(
        self, query: tf.Tensor, memory: AttentionMemory, coverage: tf.Tensor, drop: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Context, weights, and the coverage after them, for one query a hypothesis, (B, K, U)."""
        assert self.attention is not None
        if not self.attention.uses_coverage:
            return *self.attention.attend(query, memory, dropout_mask=drop), coverage
        context, weights = self.attention.attend(query, memory, coverage, drop)
        return context, weights, coverage + weights

    def attention_mask(self, embedded: tf.Tensor, memory: AttentionMemory, training: bool) -> tf.Tensor | None:
        """The dropout of the weights of whole targets (B, T, ·)."""
        assert self.attention is not None
        return self.attention_dropout.mask(
            self.attention.dropout_mask_shape(embedded, memory), embedded.dtype, training
        )


def step_by_step(mask: tf.Tensor | None) -> list[tf.Tensor]:
    """A dropout mask (B, ..., T, ·) as a list of what a loop reads, (T, B, ..., 1, ·); without one, an empty list."""
    if mask is None:
        return []
    axes = list(range(len(mask.shape)))
    return [tf.transpose(mask, [axes[-2], *axes[:-2], axes[-1]])[..., None, :]]


def present(state: Any) -> list[tf.Tensor]:
    """The tensors of a state, or of any nest, that are not of width 0."""
    return [value for value in tf.nest.flatten(state) if value.shape[-1] != 0]


def with_present(state: Any, values: Sequence[tf.Tensor]) -> Any:
    """A state with other values in place of those that `present` gives."""
    rest = iter(values)
    return tf.nest.map_structure(lambda value: value if value.shape[-1] == 0 else next(rest), state)
