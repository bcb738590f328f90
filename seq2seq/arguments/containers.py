"""Kinds of lists, tuples and dicts, by the kinds of their items."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import is_
from typing import Any

from seq2seq.arguments.kinds import SHORT, Kind, Mismatch
from seq2seq.errors import ArgumentError


def list_kind(container: Any, item: Kind) -> Kind:
    """The kind of a list, a sequence or any iterable of items."""
    one = f"a list of {item.several}"
    wanted = Sequence if container is list else container

    def take(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            value = _as_list(value)
        if isinstance(value, (str, bytes)) and item.takes(value):
            raise Mismatch(one, value, " Pass [text].", found="one string")
        if hasattr(value, "columns") and hasattr(value, "__getitem__"):
            has_text = item.several.startswith("strings")
            raise Mismatch(one, value, " Pass one column: table[name]." * has_text, found="a table")
        if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, wanted):
            raise Mismatch(one, value, " Pass list(...)." if isinstance(value, Iterator) else "")
        if isinstance(value, Iterable) and not isinstance(value, Collection):
            return LazilyChecked(value, item)
        return take_all(value, item)

    return Kind(one, f"lists of {item.several}", take)


def _as_list(value: Any) -> Any:
    """Convert an array, a tensor or a column of a table to a list; return anything else unchanged."""
    if not hasattr(value, "tolist") and hasattr(value, "numpy"):
        value = value.numpy()  # TensorFlow's
    return value.tolist() if hasattr(value, "tolist") else value


def take_all(values: Collection[Any], item: Kind) -> Any:
    if item.exact is not None and set(map(type, values)) <= {item.exact}:
        return values
    return _old_if_same([take_item(item, place, value) for place, value in enumerate(values)], values)


def _old_if_same(taken: list[Any], values: Collection[Any]) -> Any:
    """The original values if none was converted, which avoids a copy and keeps the class."""
    return values if all(map(is_, taken, values)) else taken


def take_item(item: Kind, place: int | str, value: Any) -> Any:
    try:
        return item.take(value)
    except Mismatch as error:
        error.place = f"[{place!r}]{error.place}"
        raise


class LazilyChecked:
    """An iterable whose items are checked when they are read."""

    def __init__(self, items: Iterable[Any], item: Kind) -> None:
        self.items, self.item, self.name = items, item, ""  # `Door.check` sets the name

    def __getattr__(self, name: str) -> Any:
        """Other attributes of the items, e.g. the number of pairs that a corpus has dropped."""
        if "items" not in vars(self):  # during copying
            raise AttributeError(name)
        return getattr(self.items, name)

    def __iter__(self) -> Iterator[Any]:
        for place, value in enumerate(self.items):
            try:
                yield take_item(self.item, place, value)
            except Mismatch as error:
                raise ArgumentError(f"{self.name}{error.explain()}{error.remedy}") from None


def tuple_kind(kinds: Sequence[Kind], endless: bool) -> Kind:
    """The kind of a tuple of `kinds` or, if `endless`, of any number of items of one kind."""
    one = f"a tuple of {kinds[0].several}" if endless else f"a tuple of {len(kinds)}: {', '.join(k.one for k in kinds)}"

    def take(value: Any) -> Any:
        if not isinstance(value, (tuple, list)) or not (endless or len(value) == len(kinds)):
            raise Mismatch(one, value)
        if endless:
            taken = take_all(value, kinds[0])
        else:
            taken = _old_if_same(list(map(take_item, kinds, range(len(kinds)), value)), value)
        return taken if isinstance(taken, tuple) else tuple(taken)

    return Kind(one, one.replace("a tuple", "tuples"), take)


def mapping_kind(key: Kind, item: Kind) -> Kind:
    one = f"a dict from {key.several} to {item.several}"

    def take(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Mismatch(one, value)
        for name in value:
            if not key.takes(name):
                raise Mismatch(one, value, f" Its key {SHORT.repr(name)} is not one of them.")
        taken = {name: take_item(item, name, part) for name, part in value.items()}
        return value if all(taken[name] is value[name] for name in value) else taken

    return Kind(one, one.replace("a dict", "dicts"), take)
