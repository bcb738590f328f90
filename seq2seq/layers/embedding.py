"""Token embeddings, gathered before they are cast; an output layer may share the table."""

from typing import Any

import tensorflow as tf

from seq2seq.layers.configurable import ConfigurableLayer
from seq2seq.layers.initialization import UNSEEDED, Initializers


class Embedding(ConfigurableLayer):
    """A table of token vectors.

    Unlike Keras's own layer, a mixed policy casts the gathered rows and not the whole table.

    Args:
        vocabulary_size: Rows V of the table.
        size: Width E of a vector.
        initializers: Source of the initial weights.

    Shapes:
        tokens   (...)     int32 or int64
        vectors  (..., E)  compute dtype
    """

    def __init__(self, vocabulary_size: int, size: int, initializers: Initializers = UNSEEDED, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size, self.size, self.initializers = vocabulary_size, size, initializers

    def build(self, input_shape: Any = None) -> None:
        # Rows of about unit norm times sqrt(E) would saturate a tied softmax: start small.
        start = self.initializers.normal(self.size**-0.5)
        self.table = self.add_weight(
            name="table", shape=(self.vocabulary_size, self.size), initializer=start, autocast=False
        )

    def call(self, tokens: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.gather(self.table.value, tokens), self.compute_dtype)
