"""The global random generators of a process: Python's, NumPy's, TensorFlow's and Keras's."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

DRAWS = {
    "random": random.random,
    "numpy.random": np.random.rand,
    "tensorflow.random": lambda: float(tf.random.uniform([])),
    "keras.random": lambda: float(keras.random.uniform([])),
}


@contextmanager
def random_state_untouched(seed: int = 31337) -> Iterator[None]:
    """Seed all generators, and assert that the code in the context does not change what each of them draws."""
    keras.utils.set_random_seed(seed)
    expected = {name: draw() for name, draw in DRAWS.items()}
    keras.utils.set_random_seed(seed)
    yield
    assert {name: draw() for name, draw in DRAWS.items()} == expected
