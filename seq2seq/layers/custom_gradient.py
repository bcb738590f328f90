"""Functions with custom gradients, and a scope for graphs that need no gradients."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import tensorflow as tf

_forward_only: ContextVar[bool] = ContextVar("forward_only", default=False)


@contextmanager
def forward_only() -> Iterator[None]:
    """Scope in which graphs are traced without the gradients of `custom_gradient`.

    TensorFlow registers the gradient of each such function that is traced and never releases it, nor the graph that it
    refers to. Trace a graph that is never differentiated in this scope; otherwise its memory is never freed.
    """
    before = _forward_only.set(True)
    try:
        yield
    finally:
        _forward_only.reset(before)


def custom_gradient(function: Callable[..., tuple[Any, Callable[..., Any]]]) -> Callable[..., Any]:
    """Decorate a function as `tf.custom_gradient` does; within `forward_only` it is called without its gradient.

    Args:
        function: Returns its result, and a function from the result's gradients to those of the arguments.
    """
    differentiable = tf.custom_gradient(function)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        return function(*arguments)[0] if _forward_only.get() else differentiable(*arguments)

    return call
