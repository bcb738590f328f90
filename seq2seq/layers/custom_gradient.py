"""Functions with a gradient of their own, and graphs that need no gradients."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import tensorflow as tf


class _Scopes(threading.local):
    """How many `forward_only` scopes a thread is in."""

    def __init__(self) -> None:
        self.depth = 0


_scopes = _Scopes()


@contextmanager
def forward_only() -> Iterator[None]:
    """Scope in which graphs are traced without the gradients of `custom_gradient`.

    TensorFlow registers the gradient of each such function that is traced, and never forgets it; it holds the whole
    graph. So a graph that is never run backwards is traced in this scope, or its memory is never freed.
    """
    _scopes.depth += 1
    try:
        yield
    finally:
        _scopes.depth -= 1


def custom_gradient(function: Callable[..., tuple[Any, Callable[..., Any]]]) -> Callable[..., Any]:
    """`tf.custom_gradient`, and outside of its gradient the same function; see `forward_only`.

    Args:
        function: Returns its result, and the function that makes gradients of its arguments of those of its result.
    """
    differentiable = tf.custom_gradient(function)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        return function(*arguments)[0] if _scopes.depth else differentiable(*arguments)

    return call
