"""The gates and candidates of a step by their names, for who wants to look on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import tensorflow as tf

FUNCTIONS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "sigmoid": tf.sigmoid,
    "tanh": tf.tanh,
    "relu": tf.nn.relu,
}


class Activation(NamedTuple):
    """A part of a step: `value = function(total)`.

    name           as in the cell's equations: update, reset, input, forget, output, candidate, ...
    function       one of `FUNCTIONS`
    preactivation  (N, U), the sum before
    value          (N, U)
    """

    name: str
    function: str
    preactivation: tf.Tensor
    value: tf.Tensor


class _Watched(threading.local):
    """Lists of those who look on in this thread, innermost last."""

    def __init__(self) -> None:
        self.lists: list[list[Activation]] = []


_watched = _Watched()


@contextmanager
def record_activations() -> Iterator[list[Activation]]:
    """Within this block steps leave their activations in the list, in the order of computing."""
    _watched.lists.append([])
    try:
        yield _watched.lists[-1]
    finally:
        _watched.lists.pop()


def activate(name: str, function: str, preactivation: tf.Tensor) -> tf.Tensor:
    """The function of a sum (N, U), seen by its name."""
    value = FUNCTIONS[function](preactivation)
    if _watched.lists:
        _watched.lists[-1].append(Activation(name, function, preactivation, value))
    return value


def sigmoid(name: str, preactivation: tf.Tensor) -> tf.Tensor:
    """A gate, from 0, shut, to 1, open."""
    return activate(name, "sigmoid", preactivation)


def tanh(name: str, preactivation: tf.Tensor) -> tf.Tensor:
    """Content, from -1 to 1."""
    return activate(name, "tanh", preactivation)
