"""Keras's configuration of a layer, from the arguments that it was made with."""

import inspect
from typing import Any, Self

import keras


class ConfigurableLayer(keras.layers.Layer):
    """A layer that Keras can describe as plain values and make again.

    A layer inherits from this class in place of `keras.layers.Layer` and writes neither `get_config` nor `from_config`:
    the arguments of its `__init__` are recorded and serialized. Arguments may be plain values, tuples, lists and
    dictionaries, layers, and objects of classes that have `get_config` and are registered with Keras under the package
    `seq2seq`; subclasses of this class are registered when they are defined. An `__init__` takes no `*args` and passes
    `**kwargs` (`name`, `dtype`, `trainable`) on to Keras.

    The configuration is of a layer that is not built: the layer or model that holds it builds it, so that weights have
    the paths of that place.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable(package="seq2seq")(cls)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        layer = super().__new__(cls, *args, **kwargs)
        bound = inspect.signature(cls.__init__).bind(layer, *args, **kwargs)
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
        return cls(**{name: keras.saving.deserialize_keras_object(value) for name, value in config.items()})

    def get_build_config(self) -> None:
        """Nothing: a layer is built by what holds it."""
