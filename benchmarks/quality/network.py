"""Transformer of stock Keras layers: tied embeddings, sinusoidal positions, pre- or post-norm, and cached decoding."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from seq2seq.data.tokenizer import BOS_ID, PAD_ID
from seq2seq.search import StepOutput

Tensors = tuple[tf.Tensor, ...]


@dataclass(frozen=True)
class Shape:
    """Sizes and regularisation of a Transformer; the defaults are those of Transformer-Tiny, except `pre_norm`.

    Attributes:
        layers: Number of layers of the encoder, and of the decoder.
        width: Width D of embeddings and layers.
        feed_forward: Width of the hidden layer of each feed-forward network.
        heads: Number N of heads, which divides D; each has width H = D / N.
        dropout: Dropout of embeddings and of the output of each sublayer.
        attention_dropout: Dropout of attention weights.
        pre_norm: Normalise the input of each sublayer; Transformer-Tiny normalises each sum instead.
    """

    layers: int = 4
    width: int = 128
    feed_forward: int = 256
    heads: int = 4
    dropout: float = 0.3
    attention_dropout: float = 0.0
    pre_norm: bool = True


class Block(keras.layers.Layer):
    """Parts of a layer: its sublayers, each with a residual connection, dropout and normalisation.

    Source: Vaswani et al. (2017), section 3.1; Xiong et al. (2020) for pre-norm.
    """

    def __init__(self, shape: Shape, attentions: int, name: str) -> None:
        super().__init__(name=name)
        self.pre_norm = shape.pre_norm
        # Glorot's bound for D x D. Keras would take an (D, N, H) kernel for a convolution, and make it 4 times smaller.
        bound = (3 / shape.width) ** 0.5
        self.attentions = [
            keras.layers.MultiHeadAttention(
                shape.heads,
                shape.width // shape.heads,
                dropout=shape.attention_dropout,
                kernel_initializer=keras.initializers.RandomUniform(-bound, bound),
                name=f"attention_{number}",
            )
            for number in range(attentions)
        ]
        self.hidden = keras.layers.Dense(shape.feed_forward, "relu", name="hidden")
        self.output_layer = keras.layers.Dense(shape.width, name="output")
        self.norms = [normalization(f"norm_{number}") for number in range(attentions + 1)]
        self.dropout = keras.layers.Dropout(shape.dropout, name="dropout")

    def feed_forward(self, x: tf.Tensor) -> tf.Tensor:
        return self.output_layer(self.hidden(x))

    def residual(self, number: int, x: tf.Tensor, sublayer: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """The output of sublayer `number` with its residual connection."""
        if self.pre_norm:
            return x + self.dropout(sublayer(self.norms[number](x)))
        return self.norms[number](x + self.dropout(sublayer(x)))


class EncoderBlock(Block):
    """A layer of the encoder."""

    def call(self, x: tf.Tensor, real: tf.Tensor) -> tf.Tensor:
        """Outputs (B, S, D) of inputs (B, S, D), of which those are padding where `real` (B, S) is False."""
        (own,) = self.attentions
        x = self.residual(0, x, lambda y: own(y, y, attention_mask=real[:, None]))
        return self.residual(1, x, self.feed_forward)


class DecoderBlock(Block):
    """A layer of the decoder."""

    def call(self, x: tf.Tensor, memory: tf.Tensor, real: tf.Tensor) -> tf.Tensor:
        """Outputs (B, T, D) of inputs (B, T, D), given the encoder's outputs (B, S, D) and which of them are `real`."""
        own, source = self.attentions
        x = self.residual(0, x, lambda y: own(y, y, use_causal_mask=True))
        x = self.residual(1, x, lambda y: source(y, memory, attention_mask=real[:, None]))
        return self.residual(2, x, self.feed_forward)

    def source_keys_and_values(self, memory: tf.Tensor) -> Tensors:
        """Keys and values (B, S, N, H) of the attention to the source, computed once per sentence."""
        return keys_and_values(self.attentions[1], memory)

    def step(self, x: tf.Tensor, past: Tensors, source: Tensors, real: tf.Tensor) -> tuple[tf.Tensor, Tensors]:
        """Outputs (B, K, D) of the next position of K hypotheses, and their keys and values with that position.

        Args:
            x: (B, K, D) inputs.
            past: Keys and values (B, K, t, N, H) of the t positions before.
            source: Result of `source_keys_and_values`.
            real: (B, S) bool, True on real source tokens.
        """
        present: list[tf.Tensor] = []

        def attend_to_past(y: tf.Tensor) -> tf.Tensor:
            new = keys_and_values(self.attentions[0], y)
            present.extend(tf.concat([old, one[:, :, None]], axis=2) for old, one in zip(past, new, strict=True))
            each = [tf.reshape(part, tf.concat([[-1], tf.shape(part)[2:]], axis=0)) for part in present]
            # A hypothesis sees only its own past, so each is a row with one query.
            found = attend(self.attentions[0], tf.reshape(y, [-1, 1, y.shape[-1]]), *each)
            return tf.reshape(found, tf.shape(y))

        x = self.residual(0, x, attend_to_past)
        x = self.residual(1, x, lambda y: attend(self.attentions[1], y, *source, real[:, None, None]))
        return self.residual(2, x, self.feed_forward), tuple(present)


def normalization(name: str) -> keras.layers.LayerNormalization:
    return keras.layers.LayerNormalization(epsilon=1e-5, name=name)


def keys_and_values(attention: keras.layers.MultiHeadAttention, x: tf.Tensor) -> Tensors:
    """Keys and values (B, L, N, H) of inputs (B, L, D)."""
    return attention.key_dense(x), attention.value_dense(x)


def attend(
    attention: keras.layers.MultiHeadAttention,
    x: tf.Tensor,
    keys: tf.Tensor,
    values: tf.Tensor,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """What the attention layer returns without dropout, from keys and values that were computed before."""
    query = attention.query_dense(x)
    return attention.output_dense(keras.ops.dot_product_attention(query, keys, values, mask=mask))


class Transformer(keras.Model):
    """Encoder and decoder over one vocabulary of V tokens, with one table for both embeddings and the output layer.

    Shapes: B sentences, S source length, T target length, K hypotheses per sentence, D width.
        source  (B, S)  int32, right-padded with 0, EOS included
        target  (B, T)  int32, likewise; the decoder reads BOS and all tokens but the last
    """

    def __init__(self, vocabulary_size: int, shape: Shape) -> None:
        super().__init__(name="transformer")
        self.vocabulary_size, self.shape = vocabulary_size, shape
        normal = keras.initializers.RandomNormal(stddev=shape.width**-0.5)
        self.embedding = keras.layers.Embedding(vocabulary_size, shape.width, normal, name="embedding")
        self.dropout = keras.layers.Dropout(shape.dropout, name="dropout")
        self.encoder = [EncoderBlock(shape, 1, f"encoder_{number}") for number in range(shape.layers)]
        self.decoder = [DecoderBlock(shape, 2, f"decoder_{number}") for number in range(shape.layers)]
        self.last_norms = [normalization(f"norm_{side}") for side in ("encoder", "decoder") if shape.pre_norm]
        self.output_bias = self.add_weight(name="output_bias", shape=(vocabulary_size,), initializer="zeros")
        self(tf.constant([[3]]), tf.constant([[3]]))  # builds all layers

    def call(self, source: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """The decoder's outputs (B, T, D) at all target positions, before the output layer."""
        memory, real = self.encode(source)
        previous = tf.concat([tf.fill([tf.shape(target)[0], 1], BOS_ID), target[:, :-1]], axis=1)
        x = self.embed(previous, tf.range(tf.shape(target)[1]))
        for block in self.decoder:
            x = block(x, memory, real)
        return self._normalized(1, x)

    def encode(self, source: tf.Tensor) -> Tensors:
        """The encoder's outputs (B, S, D), and which source tokens are real, (B, S) bool."""
        real = source != PAD_ID
        x = self.embed(source, tf.range(tf.shape(source)[1]))
        for block in self.encoder:
            x = block(x, real)
        return self._normalized(0, x), real

    def embed(self, ids: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Scaled embeddings of `ids` (B, L) plus encodings of `positions` (L,) or (1,), with dropout, (B, L, D)."""
        half = self.shape.width // 2
        rates = 10_000.0 ** (-tf.range(half, dtype=tf.float32) / half)
        angles = tf.cast(positions, tf.float32)[:, None] * rates
        encodings = tf.concat([tf.sin(angles), tf.cos(angles)], axis=1)
        return self.dropout(self.embedding(ids) * self.shape.width**0.5 + encodings)

    def logits(self, x: tf.Tensor) -> tf.Tensor:
        """Logits (..., V) of the decoder's outputs (..., D)."""
        rows = tf.matmul(tf.reshape(x, [-1, self.shape.width]), self.embedding.embeddings.value, transpose_b=True)
        shape = tf.concat([tf.shape(x)[:-1], [self.vocabulary_size]], axis=0)
        return tf.reshape(rows + self.output_bias.value, shape)

    def _normalized(self, side: int, x: tf.Tensor) -> tf.Tensor:
        return self.last_norms[side](x) if self.last_norms else x

    def start(self, source: tf.Tensor) -> tuple[Callable[..., StepOutput], Any, Any]:
        """Step function, first state and memory for a search, see `seq2seq.search.beam_search`.

        State: keys and values (B, K, t, N, H) of each layer, for the t positions so far. Memory: which source tokens
        are real, and each layer's keys and values of the source (B, S, N, H).
        """
        encoded, real = self.encode(source)
        sentences = tf.shape(source)[0]
        each = self.shape.heads, self.shape.width // self.shape.heads
        # `0 * sentences`, not 0: the number of positions grows, so the graph must not know it.
        empty = tf.zeros([sentences, 1, 0 * sentences, *each])
        state = tuple((empty, empty) for _ in self.decoder)
        return self.step, state, (real, tuple(block.source_keys_and_values(encoded) for block in self.decoder))

    def step(self, tokens: tf.Tensor, state: Any, memory: Any) -> StepOutput:
        """Log-probabilities of the next tokens, see `seq2seq.search.StepFunction`; no attention is returned."""
        real, sources = memory
        x = self.embed(tokens, tf.shape(state[0][0])[2][None])
        present = []
        for block, past, source in zip(self.decoder, state, sources, strict=True):
            x, extended = block.step(x, past, source, real)
            present.append(extended)
        log_probs = tf.nn.log_softmax(self.logits(self._normalized(1, x)))
        return StepOutput(log_probs, tuple(present), tf.zeros([*tf.unstack(tf.shape(tokens)), 0]))
