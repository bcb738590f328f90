"""The decorator `check_arguments`, and the arguments that a function accepts."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from importlib import import_module
from typing import Any, TypeVar, get_type_hints

from seq2seq.arguments.annotations import kind_of
from seq2seq.arguments.containers import LazilyChecked
from seq2seq.arguments.kinds import Mismatch
from seq2seq.errors import ArgumentError, suggest_similar

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def check_arguments(**remedies: str) -> Callable[[FunctionT], FunctionT]:
    """Decorate a public function or method to check its arguments against its annotations.

    Equivalent values are converted: a string to a path, a dict to a section of a recipe, a list to a tuple or an array,
    an array or a column of a table to a list, NumPy scalars to numbers. Items of a list are checked at once, those of
    any other iterable when they are read.

    Args:
        remedies: Remedies, as sentences, by the names of parameters that are often used wrongly.

    Raises:
        ArgumentError: Raised by the decorated function. The message contains the name of the function, the parameter,
            and what was expected and found.
    """

    def decorate(function: FunctionT) -> FunctionT:
        @wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = door(function).check(args, kwargs, remedies)
            return function(*args, **kwargs)

        checked.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]  # Keras reads it
        return checked  # type: ignore[return-value]

    return decorate


class _Refusal(Exception):  # noqa: N818  # it is caught at the door
    def __init__(self, parameter: str, problem: str, remedy: str = "") -> None:
        self.parameter, self.problem, self.remedy = parameter, problem, remedy


class Door:
    """The arguments that a function accepts: a `Kind` for each annotated parameter."""

    def __init__(self, function: Callable[..., Any]) -> None:
        # `Class` or `Class.method`
        self.name = function.__qualname__.removesuffix(".__init__").rpartition("<locals>.")[2]
        parameters = inspect.signature(function).parameters.values()
        # Names that modules import only for type checkers are public names of the package.
        hints = get_type_hints(function, localns=_Names(getattr(function, "__globals__", {})), include_extras=True)
        open_kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        self.is_open = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
        named = [parameter for parameter in parameters if parameter.kind not in open_kinds]
        self.positional = [one.name for one in named if one.kind is not inspect.Parameter.KEYWORD_ONLY]
        self.kinds = {one.name: kind_of(hints.get(one.name, Any)) for one in named}

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any], remedies: Mapping[str, str] = {}) -> Any:
        """Check and convert arguments; Python itself reports too many or too few."""
        try:
            taken = [self._take(name, value) for name, value in zip(self.positional, args, strict=False)]
            by_name = {name: self._take(name, value) for name, value in kwargs.items()}
        except _Refusal as refusal:
            remedy = f" {remedies[refusal.parameter]}" if refusal.parameter in remedies else refusal.remedy
            raise ArgumentError(f"{self._name(args)}: {refusal.problem}{remedy}") from None
        for name, value in (*zip(self.positional, taken, strict=False), *by_name.items()):
            if isinstance(value, LazilyChecked):
                value.name = f"{self._name(args)}: {name}"
        return (*taken, *args[len(taken) :]), by_name

    def _name(self, args: Sequence[Any]) -> str:
        """The name of the function; for a method, with the class of the object, which may have inherited it."""
        if args and self.positional[:1] == ["self"]:
            return ".".join([type(args[0]).__name__, *self.name.split(".")[1:]])
        return self.name

    def _take(self, name: str, value: Any) -> Any:
        kind = self.kinds.get(name)
        if kind is None and self.is_open:
            return value
        if kind is None:
            accepted = [one for one in self.kinds if one not in ("self", "cls")]
            problem = f"unknown argument '{name}'.{suggest_similar(name, accepted)} Accepted: {', '.join(accepted)}."
            raise _Refusal(name, problem)
        try:
            return kind.take(value)
        except Mismatch as error:
            raise _Refusal(name, f"{name}{error.explain()}", error.remedy or self._other_place(name, value)) from None

    def _other_place(self, name: str, value: Any) -> str:
        """A hint if the value fits another parameter; "" if not."""
        if type(value).__module__ == "builtins":
            return ""
        for other, kind in self.kinds.items():
            if other != name and kind.is_specific and kind.takes(value):
                return f" Is it '{other}'? Pass {other}=..."
        return ""


door = cache(Door)


class _Names(dict[str, Any]):
    """Names of a module and, as a fallback, of the package, which a module may import only for type checkers."""

    def __missing__(self, name: str) -> Any:
        try:
            return getattr(import_module("seq2seq"), name)
        except AttributeError:
            raise KeyError(name) from None
