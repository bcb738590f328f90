"""Small layers and their sources of random numbers, as Keras describes and makes them again."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.layers import Dropout, Embedding, Initializers, RandomStream
from seq2seq.layers.pointwise import LayerNorm

LAYERS = {
    "dropout": lambda: Dropout(0.25, RandomStream(3), "readout", (1,), dtype="mixed_bfloat16", name="drops"),
    "embedding": lambda: Embedding(9, 4, Initializers(5), dtype="mixed_bfloat16", name="looks_up"),
    "layer norm": lambda: LayerNorm(dtype="mixed_bfloat16", name="norms"),
}


def described(thing):
    return json.loads(json.dumps(keras.saving.serialize_keras_object(thing)))


@pytest.mark.parametrize("kind", LAYERS)
def test_keras_can_make_a_layer_again(kind):
    layer = LAYERS[kind]()
    again = keras.saving.deserialize_keras_object(described(layer))
    assert (type(again), again.name, again.dtype_policy) == (type(layer), layer.name, layer.dtype_policy)
    assert described(again) == described(layer)
    inputs = tf.constant([[1, 2, 8]]) if kind == "embedding" else tf.reshape(tf.range(24.0), [2, 3, 4])
    for one in (layer, again):
        one.build(inputs.shape)
    options = {"training": True} if kind == "dropout" else {}
    np.testing.assert_array_equal(*(tf.cast(one(inputs, **options), tf.float32) for one in (layer, again)))
    assert [weight.path for weight in again.weights] == [weight.path for weight in layer.weights]


def test_random_sources_begin_again_with_their_seeds():
    for seed in (7, None):
        assert keras.saving.deserialize_keras_object(described(Initializers(seed))).seed == seed
    first, again = Initializers(7), keras.saving.deserialize_keras_object(described(Initializers(7)))
    for _ in range(2):
        assert first.orthogonal().get_config() == again.orthogonal().get_config()
    stream, copy = RandomStream(11), keras.saving.deserialize_keras_object(described(RandomStream(11)))
    np.testing.assert_array_equal(stream.seed_for("x"), copy.seed_for("x"))
