"""Occurrences of a phrase in a text, as whole words.

A phrase may have variants, `house|houses`. A variant that begins with a lower-case letter may also begin with a
capital, as at the beginning of a sentence.
"""

from collections.abc import Iterator, Sequence

from seq2seq.text.cleaning import plain_form
from seq2seq.text.scripts import is_word_character


def split_variants(phrase: str) -> tuple[str, ...]:
    """The variants of a phrase, cleaned; none if it is blank."""
    return tuple(dict.fromkeys(filter(None, map(plain_form, phrase.split("|")))))


def find_phrase(text: str, variants: Sequence[str], start: int = 0) -> tuple[int, int] | None:
    """Start and end of the first occurrence of a variant from `start` on; None if there is none."""
    found = [span for variant in variants for span in _occurrences(text, variant, start)]
    return min(found, key=lambda span: (span[0], -span[1]), default=None)


def _occurrences(text: str, variant: str, start: int) -> Iterator[tuple[int, int]]:
    """The first occurrence of each spelling of a variant."""
    for spelling in dict.fromkeys([variant, variant[0].upper() + variant[1:]]):
        here = text.find(spelling, start)
        while here >= 0 and not stands_alone(text, here, here + len(spelling)):
            here = text.find(spelling, here + 1)
        if here >= 0:
            yield here, here + len(spelling)


def stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a passage does not begin or end within a word."""
    passage = text[start:end]
    before, after = text[:start][-1:], text[end:][:1]
    joins_before = bool(before) and is_word_character(before) and is_word_character(passage[0])
    return not joins_before and not (bool(after) and is_word_character(after) and is_word_character(passage[-1]))
