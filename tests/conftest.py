"""Shared fixtures. Models are tiny: unequal sizes, random weights, built once a module."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # a worker a core: more threads only wait for each other

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def randomize(layer, seed: int = 3, scale: float = 0.4) -> None:
    """Give every weight random values, biases too, so that swapped gates and lost biases show."""
    generator = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(generator.normal(0.0, scale, weight.shape).astype("float32"))
