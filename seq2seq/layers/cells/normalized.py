"""Cells with layer normalisation inside."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from seq2seq.layers.cells.activations import tanh
from seq2seq.layers.cells.base import Cell
from seq2seq.layers.cells.gru import GRUCell
from seq2seq.layers.cells.lstm import LSTMCell
from seq2seq.layers.normalization import normalize


class LayerNormGRUCell(GRUCell):
    """A GRU whose gates see normalised products.

    As `GRUCell` with LN(W x) * s and LN(R h) * s' in place of W x and R h, each gate normalised on its own.

    Weights besides those of `GRUCell`: input_scale (3U,), recurrent_scale (3U,).

    Source: Ba, Kiros and Hinton (2016), supplementary material about applying layer normalization to each experiment,
    GRU of order embeddings and skip-thoughts. Departures: there the two gates are normalised as one vector; here the
    biases are the shifts.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        self.scales = _gate_scales(self, input_shape)

    def normalize_product(self, products: tf.Tensor, side: str) -> tf.Tensor:
        return _normalized_gates(products, self.scales[side], self.gates)


class LayerNormLSTMCell(LSTMCell):
    """An LSTM whose gates see normalised products and whose output gate opens a normalised cell state.

    As `LSTMCell` with LN(W x) * s and LN(R h) * s' in place of W x and R h, each gate normalised on its own, and
    h_t = o_t * tanh(LN(c_t) * s'' + b'').

    Weights besides those of `LSTMCell`: input_scale (4U,), recurrent_scale (4U,), content_scale (U,),
    content_shift (U,).

    Source: Ba, Kiros and Hinton (2016), supplementary material about applying layer normalization to each experiment,
    LSTM of reading comprehension and handwriting. Departures: there the four gates are normalised as one vector; here
    is one bias for both products.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        self.scales = _gate_scales(self, input_shape)
        self.content_scale = self.add_weight(name="content_scale", shape=(self.units,), initializer="ones")
        self.content_shift = self.add_weight(name="content_shift", shape=(self.units,), initializer="zeros")

    def normalize_product(self, products: tf.Tensor, side: str) -> tf.Tensor:
        return _normalized_gates(products, self.scales[side], self.gates)

    def output_activation(self, cell_state: tf.Tensor) -> tf.Tensor:
        scale, shift = (tf.cast(part, cell_state.dtype) for part in (self.content_scale, self.content_shift))
        return tanh("cell_state", normalize(cell_state) * scale + shift)


def _gate_scales(cell: Cell, input_shape: Sequence[int | None]) -> dict[str, keras.Variable]:
    sides = ["recurrent"] if input_shape[-1] is None else ["input", "recurrent"]
    shape = (cell.gates * cell.units,)
    return {side: cell.add_weight(name=f"{side}_scale", shape=shape, initializer="ones") for side in sides}


def _normalized_gates(products: tf.Tensor, scale: keras.Variable, gates: int) -> tf.Tensor:
    apart = tf.stack(tf.split(products, gates, axis=-1), axis=-2)
    together = tf.concat(tf.unstack(normalize(apart), axis=-2), axis=-1)
    return together * tf.cast(scale, products.dtype)
