"""Detection of text that repeats itself over and over although its source does not."""

import re
from collections.abc import Sequence
from operator import eq

from seq2seq.text.scripts import UNSPACED

TIMES = 4  # repetitions in a row; fewer may be intended
MAX_UNIT = 40  # maximum length of a repeated unit, in words, or in characters within a word
NO_REPEAT_NGRAM_SIZE = 3  # tokens; recommended search option against repetition
MIN_RUN = 2 * TIMES  # minimum run of one character: as long as the shortest unit of two, repeated

# A character of a script that is written without spaces is a word.
_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
_RUN = re.compile(rf"(\S)\1{{{MIN_RUN - 1},}}")


def repeats(text: str, *others: str) -> bool:
    """Whether a text repeats itself, and none of the others (its source, its reference) repeats itself as much.

    There are two degrees of repetition. The lower one is a character, other than a digit, at least `MIN_RUN` times in a
    row. The higher one is a sequence of 1 to `MAX_UNIT` words `TIMES` times in a row, whatever the case and the
    punctuation between them; or, without spaces, a sequence of 2 to `MAX_UNIT` characters. So a source with a long run
    of one letter excuses such a run in its translation, but not a sentence that is repeated over and over.
    """
    level = _level(text)
    return level > 0 and all(_level(other) < level for other in others)


def _level(text: str) -> int:
    """Degree of repetition: 0 for none, 1 for the lower degree, 2 for the higher one."""
    runs = _RUN.findall(text)
    parts = (_RUN.sub(r"\1", text) if runs else text).casefold().split()
    words = _WORD.findall(" ".join(parts))
    if _loops(words) or _loops(parts) or any(_loops(part, shortest=2) for part in parts):
        return 2
    return int(any(not character.isdigit() for character in runs))


def _loops(items: Sequence[str], shortest: int = 1) -> bool:
    """Whether a sequence of `shortest` to `MAX_UNIT` items occurs `TIMES` times in a row."""
    longest = min(MAX_UNIT, len(items) // TIMES)
    if longest < shortest or len(items) - len(set(items)) < (TIMES - 1) * shortest:
        return False  # an early exit for nearly all text
    sizes = range(shortest, longest + 1)
    return any(b"\1" * (TIMES - 1) * size in bytes(map(eq, items, items[size:])) for size in sizes)
