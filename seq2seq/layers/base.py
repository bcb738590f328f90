"""Base class of all layers (configuration from constructor arguments), and seeded initializers."""

import inspect
import random
from collections.abc import Mapping
from contextvars import ContextVar
from random import Random
from typing import Any, Self, TypeVar

import keras

from seq2seq.arguments import check_arguments, door

T = TypeVar("T")

# Objects that the parts of a layer share while it is rebuilt from its configuration.
_made: ContextVar[dict[Any, Any] | None] = ContextVar("made", default=None)

MAX_SEED = 10**9  # as in Keras, so that weights equal those that Keras draws after `set_random_seed(seed)`


class ConfigurableLayer(keras.layers.Layer):
    """Base class of layers that Keras can serialize and rebuild.

    A layer inherits from this class instead of `keras.layers.Layer` and writes neither `get_config` nor `from_config`:
    the arguments of its `__init__` are recorded and serialized. Arguments may be plain values, tuples, lists and
    dictionaries, layers, and objects of classes that have `get_config` and are registered with Keras under the package
    `seq2seq`; subclasses of this class are registered when they are defined. An `__init__` takes no `*args` and passes
    `**kwargs` (`name`, `dtype`, `trainable`) on to Keras.

    The configuration describes an unbuilt layer. The layer or model that holds it builds it, so that the paths of its
    weights begin with that owner. A rebuilt layer draws new initial weights; only a rebuilt model has the same ones.
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
        # Set without Keras's tracking: layers among the arguments are tracked where `__init__` assigns them.
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
        """Return None: the layer or model that holds this layer builds it."""


def one_for_all(kind: type[T], config: Mapping[str, Any]) -> T:
    """Make an object from its configuration, or reuse the one that other parts of the layer being rebuilt share."""
    made = {} if (shared := _made.get()) is None else shared
    key = kind, *config.items()
    if key not in made:
        made[key] = kind(**config)
    return made[key]


@keras.saving.register_keras_serializable(package="seq2seq")
class Initializers:
    """Weight initializers, each with a seed of its own.

    Seeds are drawn one after the other, so equal layers that are made and built in the same order get equal weights.
    An initializer serves one weight: called again, it returns the same values.

    Args:
        seed: Seed from which the seeds of the initializers are drawn, at least 0. None: they come from Python's global
            generator, as those of Keras's own layers do. `keras.utils.set_random_seed` then determines them, and making
            a layer advances the generator.
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
        """Uniform, with limits from the input and output widths (Glorot and Bengio 2010)."""
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
