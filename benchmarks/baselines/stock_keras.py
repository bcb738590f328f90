"""The same model from stock Keras layers: `keras.layers.GRU` and `LSTM`, masks, `jit_compile=False`."""

import keras
import tensorflow as tf
from measure import Batch, Size

from baselines.ours import Ours


class StockKeras(keras.Model):
    """The model in stock Keras; its weights are copied from ours, so that both compute the same loss."""

    def __init__(self, size: Size, batches: list[Batch], smoothing: float, ours: Ours) -> None:
        super().__init__()
        layer = keras.layers.GRU if size.cell == "gru" else keras.layers.LSTM
        both = [size.bidirectional == "all" or i == 0 for i in range(size.encoder_layers)]
        keywords = {"return_sequences": True, "return_state": True}
        self.size, self.smoothing = size, smoothing
        self.batches = [(tf.constant(source), tf.constant(target)) for source, target in batches]
        self.embedding = keras.layers.Embedding(size.vocabulary, size.embedding)
        self.encoder = [
            keras.layers.Bidirectional(layer(size.units // 2, **keywords)) if b else layer(size.units, **keywords)
            for b in both
        ]
        self.key = keras.layers.Dense(size.units, use_bias=False)
        states = 1 if size.cell == "gru" else 2
        self.bridge = [
            [keras.layers.Dense(size.units, activation="tanh") for _ in range(states)]
            for _ in range(size.decoder_layers)
        ]
        self.decoder = [layer(size.units, **keywords) for _ in range(size.decoder_layers)]
        self.readout = keras.layers.Dense(size.embedding, activation="tanh")
        self.output_bias = self.add_weight(shape=(size.vocabulary,), initializer="zeros", name="output_bias")
        self.optimizer_ = keras.optimizers.Adam(1e-3, global_clipnorm=1.0)
        self.batch_loss(*self.batches[0])
        self._copy(ours)
        self.optimizer_.build(self.trainable_variables)
        signature = [tf.TensorSpec([None, None], tf.int32)] * 2
        self.train = tf.function(self._train, input_signature=signature, jit_compile=False)

    def _copy(self, ours: Ours) -> None:
        theirs = ours.model
        self.embedding.embeddings.assign(theirs.target_embedding.table)
        for layer, recurrences in zip(self.encoder, theirs.encoder.recurrences, strict=True):
            weights = [weight.numpy() for recurrence in recurrences for weight in recurrence.cell.weights]
            layer.set_weights(weights)
        self.key.set_weights([theirs.decoder.attention.key.kernel.numpy()])
        for mine, other in zip(self.bridge, theirs.decoder.bridge.layers, strict=True):
            for dense, source in zip(mine, other, strict=True):
                dense.set_weights(source.get_weights())
        for layer, (recurrence,) in zip(self.decoder, theirs.decoder.stack.recurrences, strict=True):
            layer.set_weights([weight.numpy() for weight in recurrence.cell.weights])
        self.readout.set_weights(theirs.decoder.readout.get_weights())

    def batch_loss(self, source: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Mean smoothed loss per real target token."""
        mask, real = source != 0, target != 0
        x, last = self.embedding(source), []
        for layer in self.encoder:
            x, *states = layer(x, mask=mask)
            hidden = states[:: len(states) // 2] if isinstance(layer, keras.layers.Bidirectional) else states[:1]
            last.append(tf.concat(hidden, axis=-1))
        vector, keys = tf.concat(last, axis=-1), self.key(x)
        previous = tf.concat([tf.fill([tf.shape(target)[0], 1], 2), target[:, :-1]], axis=1)
        y, context = self.embedding(previous), None
        for layer, bridges in zip(self.decoder, self.bridge, strict=True):
            initial = [dense(vector) for dense in bridges]
            inputs = y if context is None else tf.concat([y, context], axis=-1)
            y = layer(inputs, initial_state=initial, mask=real)[0]
            if context is None:
                scores = tf.where(mask[:, None], tf.matmul(y, keys, transpose_b=True), -1e9)
                context = tf.matmul(tf.nn.softmax(scores), x)
        readout = self.readout(tf.concat([y, context], axis=-1))
        logits = tf.matmul(readout, self.embedding.embeddings, transpose_b=True) + self.output_bias
        log_probs = tf.nn.log_softmax(logits)
        label = tf.gather(log_probs, target, batch_dims=2)
        loss = -(1 - self.smoothing) * label - self.smoothing * tf.reduce_mean(log_probs, axis=-1)
        weights = tf.cast(real, tf.float32)
        return tf.reduce_sum(loss * weights) / tf.reduce_sum(weights)

    def _train(self, source: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = self.batch_loss(source, target)
        gradients = tape.gradient(loss, [v.value for v in self.trainable_variables])
        self.optimizer_.apply([tf.convert_to_tensor(g) for g in gradients], self.trainable_variables)
        return loss

    def mean_loss(self, place: int) -> float:
        return float(self.batch_loss(*self.batches[place]))

    def step(self, place: int) -> None:
        self.train(*self.batches[place]).numpy()
