"""The default decoder: whole-sequence recurrences in training, one batched attention after the bottom one."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import keras
import tensorflow as tf

from seq2seq.layers.attention import Attention, AttentionMemory
from seq2seq.layers.bridge import Bridge, Summary
from seq2seq.layers.cells import apart, make_cell
from seq2seq.layers.connection import Connection
from seq2seq.layers.dropout import Dropout, RandomStream
from seq2seq.layers.initialization import UNSEEDED, Initializers
from seq2seq.layers.recurrence import Recurrence
from seq2seq.layers.time_loop import WeightValues, cast_weights, product

States = tuple[tf.Tensor, ...]


class DecoderState(NamedTuple):
    """What a decoder carries from step to step, for K hypotheses a sentence; () where a decoder has no such part.

    cells     of each layer, the cell's states (B, K, U)
    feed      (B, K, R)  compute dtype, the readout of the step before, for input feeding
    coverage  (B, K, S)  float32, the sum of attention weights so far, for attention that sees it
    """

    cells: tuple[States, ...]
    feed: Any = ()
    coverage: Any = ()


class Bottom(NamedTuple):
    """What the bottom layer of a decoder gives, for N time steps or hypotheses.

    outputs   (B, N, U)
    memories  (B, N, U), one or none: what the cell of the layer above reads besides
    context   (B, N, M), or None where there is none
    weights   (B, N, S) float32; S is 0 without attention
    states    the cell's new states; () in training
    coverage  (B, N, S) or ()
    """

    outputs: tf.Tensor
    memories: list[tf.Tensor]
    context: tf.Tensor | None
    weights: tf.Tensor
    states: States
    coverage: Any


RunLayer = Callable[[int, tf.Tensor], tuple[tf.Tensor, States]]
Attend = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class Decoder(keras.layers.Layer):
    """A stack of recurrent layers over the embedded target, attending after the bottom one.

    h_t = bottom(y_{t-1}, h_{t-1});  c_t = attend(h_t);  each layer above reads [below_t; c_t];
    readout_t = tanh(W [top_t; c_t]). No step needs the attention of the step before (there is no input
    feeding), so training runs each recurrence over the whole target at once.

    Without attention the source comes in by the first state alone (`context: initial`: no layer and no readout
    reads a c_t), or c_t is one vector for all steps that every layer reads, the bottom one too (`every_step`).

    Args:
        cell: Name of a cell, see `CELLS`.
        layers: Depth.
        units: Width U of every layer.
        attention: Compares the bottom layer's outputs with the memory; None for no attention.
        readout_size: Width R of what the output layer reads.
        summary: What the first state is made from, see `Bridge`.
        context: Without attention, `initial` or `every_step`.
        transition_depth: Cells within a time step.
        residual, layer_norm: See `Connection`; from the second layer on a layer has inputs to join.
        dropout: Rate on every layer's output.
        variational: One mask of it for all steps.
        recurrent_dropout: Rate on the state where it enters the recurrent products, one mask for all steps.
        attention_dropout: Rate on attention weights.
        readout_dropout: Rate on the readout; by default `dropout`.
        stream: Source of dropout's seeds.
        initializers: Source of the initial weights.

    Shapes: B batch, T target length, K hypotheses, E embedding width, S source length, M memory width.
        embedded  (B, T, E) or, a step, (B, K, E)  compute dtype
        readout   (B, T, R) or (B, K, R)           compute dtype
        weights   (B, T, S) or (B, K, S)           float32; (B, ·, 0) without attention
        state     `DecoderState`

    Source: Luong, Pham and Manning (2015), section 3 (global attention); stack of Wu et al. (2016), section 3;
    without attention Sutskever, Vinyals and Le (2014) and Cho et al. (2014).
    Departure from Wu et al.: the context is that of the same step, and the bottom layer does not read it.
    """

    def __init__(
        self,
        *,
        cell: str,
        layers: int,
        units: int,
        attention: Attention | None,
        readout_size: int,
        summary: Summary = "transformed",
        context: Literal["initial", "every_step"] = "initial",
        transition_depth: int = 1,
        residual: bool | Literal["highway"] = True,
        layer_norm: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        recurrent_dropout: float = 0.0,
        attention_dropout: float = 0.0,
        readout_dropout: float | None = None,
        stream: RandomStream,
        initializers: Initializers = UNSEEDED,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.units, self.attention, self.initializers = units, attention, initializers
        self.fixed_context = attention is None and context == "every_step"
        depths = [self.bottom_depth(transition_depth), *[transition_depth] * (layers - 1)]
        cells = [
            make_cell(cell, units, depth, below=i > 0, initializers=initializers, dtype=policy, name="cell")
            for i, depth in enumerate(depths)
        ]
        self.recurrences = [Recurrence(inner, dtype=policy, name=f"layer_{i}") for i, inner in enumerate(cells)]
        self.connections = [
            Connection(residual, layer_norm, initializers, dtype=policy, name=f"connection_{i}") for i in range(layers)
        ]
        shared = (1,) if variational else ()
        self.dropouts = [Dropout(dropout, stream, f"decoder/{i}", shared, dtype=policy) for i in range(layers)]
        self.state_dropouts = [
            Dropout(recurrent_dropout, stream, f"decoder/{i}/state", dtype=policy) for i in range(layers)
        ]
        self.attention_dropout = Dropout(attention_dropout, stream, "decoder/attention", dtype=policy)
        first = initializers.glorot_uniform()
        self.readout = keras.layers.Dense(
            readout_size, activation="tanh", kernel_initializer=first, dtype=policy, name="readout"
        )
        rate = dropout if readout_dropout is None else readout_dropout
        self.readout_dropout = Dropout(rate, stream, "decoder/readout", dtype=policy)
        states = [recurrence.cell.state_size for recurrence in self.recurrences]
        counters = [recurrence.cell.counters for recurrence in self.recurrences]
        self.bridge = Bridge(
            summary,
            [sizes[: len(sizes) - count] for sizes, count in zip(states, counters, strict=True)],
            units if self.fixed_context else None,
            counters,
            initializers,
            dtype=policy,
            name="bridge",
        )

    def bottom_depth(self, transition_depth: int) -> int:
        """Cells in the bottom layer before the attention."""
        return transition_depth

    def build(self, embedding_size: int, memory_size: int, last_size: int) -> None:
        """Widths of the embeddings, of the memory, and of the encoder's last hidden states together."""
        if self.attention is not None:
            self.attention.build(self.units, memory_size)
        self.bridge.build(memory_size, last_size)
        fixed = self.bridge.width if self.fixed_context else 0
        self.build_layers(embedding_size, fixed if self.attention is None else memory_size)
        for i, connection in enumerate(self.connections):
            connection.build(self.units, joins=i > 0)
        self.built = True

    def build_layers(self, embedding_size: int, context_size: int) -> None:
        """Recurrences and readout."""
        bottom = embedding_size + (context_size if self.fixed_context else 0)
        for i, recurrence in enumerate(self.recurrences):
            recurrence.build((None, None, bottom if i == 0 else self.units + context_size))
        self.readout.build((None, None, self.units + context_size))

    def start(
        self, states: tf.Tensor, mask: tf.Tensor, last: Sequence[Sequence[tf.Tensor]]
    ) -> tuple[AttentionMemory, DecoderState]:
        """What the encoder leaves (see `Bridge`), as attention reads it, and the state before the first token."""
        cells, vector = self.bridge(last, states, mask)
        if self.attention is None:
            nothing = vector[:, None, :0]
            return AttentionMemory(vector[:, None] if self.fixed_context else nothing, nothing, mask), DecoderState(
                cells
            )
        coverage: Any = ()
        if self.attention.sees_coverage:
            coverage = tf.zeros(tf.shape(mask))[:, None]
        return self.attention.project_memory(states, mask), DecoderState(cells, coverage=coverage)

    def call(
        self,
        embedded: tf.Tensor,
        lengths: tf.Tensor,
        state: DecoderState,
        memory: AttentionMemory,
        training: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Readouts and weights for whole targets (teacher forcing)."""

        def run(layer: int, inputs: tf.Tensor) -> tuple[tf.Tensor, States]:
            initial = [value[:, 0] for value in state.cells[layer]]
            return self.recurrences[layer](inputs, lengths, initial, self._state_mask(layer, inputs, training))[0], ()

        bottom = self.bottom_all(embedded, state, memory, run, training)
        readout, _ = self._above(embedded, bottom, run, training)
        return readout, bottom.weights

    def step(
        self, embedded: tf.Tensor, state: DecoderState, memory: AttentionMemory
    ) -> tuple[tf.Tensor, DecoderState, tf.Tensor]:
        """Readouts, next state and weights for one token of each of K hypotheses a sentence."""

        def run(layer: int, inputs: tf.Tensor) -> tuple[tf.Tensor, States]:
            cell = self.recurrences[layer].cell
            output, new = cell.step(cell.project(inputs), state.cells[layer])
            return output, tuple(new)

        with WeightValues(self.variables, cast_weights(self.variables, self.compute_dtype)):
            bottom = self.bottom_step(embedded, state, memory, run)
            readout, states = self._above(embedded, bottom, run, training=False)
        return readout, DecoderState((bottom.states, *states), coverage=bottom.coverage), bottom.weights

    def bottom_all(
        self, embedded: tf.Tensor, state: DecoderState, memory: AttentionMemory, run: RunLayer, training: bool
    ) -> Bottom:
        """The bottom layer over whole targets."""

        def attend(query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            assert self.attention is not None
            drop = self.attention_dropout.mask(self.attention.drop_shape(query, memory), query.dtype, training)
            return self.attention.attend_all(query, memory, drop)

        return self._bottom(embedded, memory, run, attend, training)

    def bottom_step(self, embedded: tf.Tensor, state: DecoderState, memory: AttentionMemory, run: RunLayer) -> Bottom:
        """The bottom layer for one token of each hypothesis."""
        coverage = state.coverage

        def attend(query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            assert self.attention is not None
            return self.attention.attend(query, memory, None if isinstance(coverage, tuple) else coverage)

        bottom = self._bottom(embedded, memory, run, attend, training=False)
        return bottom._replace(coverage=coverage if isinstance(coverage, tuple) else coverage + bottom.weights)

    def _bottom(
        self, embedded: tf.Tensor, memory: AttentionMemory, run: RunLayer, attend: Attend, training: bool
    ) -> Bottom:
        fixed = None
        if self.fixed_context:
            shape = [*tf.unstack(tf.shape(embedded)[:2]), memory.states.shape[-1]]
            fixed = tf.broadcast_to(memory.states, shape)
        outputs, states = run(0, embedded if fixed is None else tf.concat([embedded, fixed], axis=-1))
        outputs, memories = apart(self.recurrences[0].cell, outputs)
        outputs = self.dropouts[0](self.connections[0](outputs), training=training)
        if self.attention is None:
            return Bottom(outputs, memories, fixed, tf.zeros([*tf.unstack(tf.shape(embedded)[:2]), 0]), states, ())
        context, weights = attend(outputs)
        return Bottom(outputs, memories, context, weights, states, ())

    def _above(
        self, embedded: tf.Tensor, bottom: Bottom, run: RunLayer, training: bool
    ) -> tuple[tf.Tensor, list[States]]:
        """The layers above the bottom one, and the readout."""
        x, memories, new = bottom.outputs, bottom.memories, []
        context = [] if bottom.context is None else [bottom.context]
        for i in range(1, len(self.recurrences)):
            outputs, states = run(i, tf.concat([x, *context, *memories], axis=-1))
            outputs, memories = apart(self.recurrences[i].cell, outputs)
            x = self.dropouts[i](self.connections[i](outputs, x), training=training)
            new.append(states)
        # Not by the layer's call: its tensordot computes shapes on the device, for which the host then waits.
        read = product(tf.concat([x, *context, *self.extra_readout(embedded)], axis=-1), self.readout.kernel)
        readout = tf.tanh(read + tf.cast(self.readout.bias, read.dtype))
        return self.readout_dropout(readout, training=training), new

    def extra_readout(self, embedded: tf.Tensor) -> list[tf.Tensor]:
        """What the readout reads besides the top layer and the context."""
        return []

    def _state_mask(self, layer: int, inputs: tf.Tensor, training: bool) -> tf.Tensor | None:
        return self.state_dropouts[layer].mask([tf.shape(inputs)[0], self.units], inputs.dtype, training)
