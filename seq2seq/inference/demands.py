"""What a translation must satisfy, and whether it does."""

from collections.abc import Sequence
from typing import NamedTuple

from seq2seq.text.cleaning import plain_form
from seq2seq.text.phrases import find_phrase


class Demand(NamedTuple):
    """Something that a translation must satisfy.

    Attributes:
        kind: `prefix`, `include` or `exclude`.
        variants: The prefix, or the variants of a phrase.
        positions: Indices of the source tokens whose translation a phrase is; none if that is unknown.
    """

    kind: str
    variants: tuple[str, ...]
    positions: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}: {'|'.join(self.variants)}"

    def is_met(self, translation: str) -> bool:
        """Whether a translation satisfies it."""
        translation = plain_form(translation)
        if self.kind == "prefix":
            return f"{translation} ".startswith(self.variants)
        return (find_phrase(translation, self.variants) is not None) == (self.kind == "include")


def unsatisfied(demands: Sequence[Demand], translation: str) -> tuple[str, ...]:
    """The demands that a translation does not satisfy, in words."""
    return tuple(str(demand) for demand in demands if not demand.is_met(translation))
