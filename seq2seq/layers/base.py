"""What every layer has: Keras's configuration, from its arguments, and initial weights determined by a seed."""

import inspect
import random
from collections.abc import Mapping
from contextvars import ContextVar
from random import Random
from typing import Any, Self, TypeVar

import keras

from seq2seq.arguments import check_arguments, door

T = TypeVar("T")

# What the parts of a layer share while it is made again from its configuration.
_made: ContextVar[dict[Any, Any] | None] = ContextVar("made", default=None)

MAX_SEED = 10**9  # as Keras draws them: weights are those that Keras makes after `set_random_seed(seed)`


class ConfigurableLayer(keras.layers.Layer):
    """A layer that Keras can describe as plain values and make again.

    A layer inherits from this class in place of `keras.layers.Layer` and writes neither `get_config` nor `from_config`:
    the arguments of its `__init__` are recorded and serialized. Arguments may be plain values, tuples, lists and
    dictionaries, layers, and objects of classes that have `get_config` and are registered with Keras under the package
    `seq2seq`; subclasses of this class are registered when they are defined. An `__init__` takes no `*args` and passes
    `**kwargs` (`name`, `dtype`, `trainable`) on to Keras.

    The configuration is of a layer that is not built: the layer or model that holds it builds it, so that weights have
    the paths of that place. A layer made again draws its initial weights anew; only a model's are the same.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable(package="seq2seq")(cls)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        layer = super().__new__(cls, *args, **kwargs)
        bound = inspect.signature(cls.__init__).bind(layer, *args, **kwargs)
        door(cls.__init__).check((layer, *args), kwargs)
        bound.apply_defaults()
        _, *arguments = bound.arguments.items()
        named = dict(arguments)
        # Past Keras's tracking, which goes by where `__init__` puts the layers among the arguments.
        object.__setattr__(layer, "_arguments", named | named.pop("kwargs", {}))
        return layer

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        given = {name: serialize(value) for name, value in self._arguments.items()}
        return given | super().get_config()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        outermost = _made.set({}) if _made.get() is None else None
        try:
            return cls(**{name: keras.saving.deserialize_keras_object(value) for name, value in config.items()})
        finally:
            if outermost is not None:
                _made.reset(outermost)

    def get_build_config(self) -> None:
        """Nothing: a layer is built by what holds it."""


def one_for_all(kind: type[T], config: Mapping[str, Any]) -> T:
    """An object by its configuration; the same one for all parts of a layer that is made again, as in the original."""
    made = {} if (shared := _made.get()) is None else shared
    key = kind, *config.items()
    if key not in made:
        made[key] = kind(**config)
    return made[key]


@keras.saving.register_keras_serializable(package="seq2seq")
class Initializers:
    """Initializers of weights, each with a seed of its own.

    The seeds are drawn one after the other, so equal layers that are made and built in equal order get equal weights.
    An initializer is for one weight: called again, it gives the same values.

    Args:
        seed: Seed of the seeds, at least 0. Without it they come from Python's global generator, as those of Keras's
            own layers do: `keras.utils.set_random_seed` fixes them, and making a layer changes its state.
    """

    @check_arguments()
    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        self._draw = random.randint if seed is None else Random(seed).randint

    def get_config(self) -> dict[str, int | None]:
        return {"seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, int | None]) -> Self:
        return one_for_all(cls, config)

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
