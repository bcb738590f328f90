"""Initial weights determined by a seed; without one, by Python's global generator."""

import random
from random import Random
from typing import Self

import keras

MAX_SEED = 10**9  # as Keras draws them: weights are those that Keras makes after `set_random_seed(seed)`


@keras.saving.register_keras_serializable(package="seq2seq")
class Initializers:
    """Initializers of weights, each with a seed of its own.

    The seeds are drawn one after the other, so equal layers that are made and built in equal order get equal weights.
    An initializer is for one weight: called again, it gives the same values.

    Args:
        seed: Seed of the seeds, at least 0. Without it they come from Python's global generator, as those of Keras's
            own layers do: `keras.utils.set_random_seed` fixes them, and making a layer changes its state.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        self._draw = random.randint if seed is None else Random(seed).randint

    def get_config(self) -> dict[str, int | None]:
        return {"seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, int | None]) -> Self:
        return cls(**config)

    def glorot_uniform(self) -> keras.initializers.Initializer:
        """Uniform, by the widths on both sides (Glorot and Bengio 2010)."""
        return keras.initializers.GlorotUniform(self._seed())

    def orthogonal(self) -> keras.initializers.Initializer:
        """Orthogonal rows or columns (Saxe, McClelland and Ganguli 2014)."""
        return keras.initializers.Orthogonal(seed=self._seed())

    def normal(self, stddev: float) -> keras.initializers.Initializer:
        """Normal with mean 0."""
        return keras.initializers.RandomNormal(stddev=stddev, seed=self._seed())

    def uniform(self) -> keras.initializers.Initializer:
        """Uniform from -0.05 to 0.05."""
        return keras.initializers.RandomUniform(seed=self._seed())

    def _seed(self) -> int:
        return self._draw(1, MAX_SEED)


UNSEEDED = Initializers()
