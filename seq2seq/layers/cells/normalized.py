"""Cells with layer normalisation."""

from collections.abc import Sequence

import tensorflow as tf

from seq2seq.layers.cells.base import Cell, tanh
from seq2seq.layers.cells.gru import GRUCell
from seq2seq.layers.cells.lstm import LSTMCell
from seq2seq.layers.pointwise import normalize


class _NormalizedGates(Cell):
    """Layer normalisation of both products, separately for each gate."""

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        sides = ["recurrent"] if input_shape[-1] is None else ["input", "recurrent"]
        shape = (self.num_gates * self.units,)
        self.scales = {side: self.add_weight(name=f"{side}_scale", shape=shape, initializer="ones") for side in sides}

    def normalize_product(self, products: tf.Tensor, side: str) -> tf.Tensor:
        apart = tf.stack(tf.split(products, self.num_gates, axis=-1), axis=-2)
        together = tf.concat(tf.unstack(normalize(apart), axis=-2), axis=-1)
        return together * tf.cast(self.scales[side], products.dtype)


class LayerNormGRUCell(_NormalizedGates, GRUCell):
    """GRU with layer-normalised input and recurrent products.

    As `GRUCell`, with LN(W x) * s and LN(R h) * s' in place of W x and R h, where LN normalises each gate separately.

    Weights:
        Those of `GRUCell`, input_scale (3U,) and recurrent_scale (3U,).

    Source:
        Ba, Kiros and Hinton (2016), supplementary material about applying layer normalization to each experiment, GRU
        of order embeddings and skip-thoughts.

    Departure:
        They normalise the two gates as one vector. Here, the biases serve as shifts.
    """


class LayerNormLSTMCell(_NormalizedGates, LSTMCell):
    """LSTM with layer-normalised input and recurrent products and a normalised cell state in its output.

        h_t = o_t * tanh(LN(c_t) * s'' + b'')

    The rest is as in `LSTMCell`, with LN(W x) * s and LN(R h) * s' in place of W x and R h, where LN normalises each
    gate separately.

    Weights:
        Those of `LSTMCell`, input_scale (4U,), recurrent_scale (4U,), content_scale (U,), s'', and content_shift (U,),
        b''.

    Source:
        Ba, Kiros and Hinton (2016), supplementary material about applying layer normalization to each experiment, LSTM
        of reading comprehension and handwriting.

    Departure:
        They normalise the four gates as one vector. Here, both products share one bias.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        self.content_scale = self.add_weight(name="content_scale", shape=(self.units,), initializer="ones")
        self.content_shift = self.add_weight(name="content_shift", shape=(self.units,), initializer="zeros")

    def output_activation(self, cell_state: tf.Tensor) -> tf.Tensor:
        scale, shift = (tf.cast(part, cell_state.dtype) for part in (self.content_scale, self.content_shift))
        return tanh("cell_state", normalize(cell_state) * scale + shift)
