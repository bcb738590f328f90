"""Text that repeats itself over and over, unless what it translates does."""

import re
from collections.abc import Sequence
from operator import eq

TIMES = 4  # in a row: fewer may be meant
MAX_UNIT = 40  # words, or characters within a word, that are repeated
NO_REPEAT_NGRAM_SIZE = 3  # tokens, that is recommended for searches against it
MIN_RUN = 2 * TIMES  # of one character: as long as the shortest unit of several, repeated

# A character of a script that is written without spaces is a word: Thai, Lao, Tibetan, Burmese, Khmer, kana, Han.
_UNSPACED = r"\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_RUN = re.compile(rf"(\S)\1{{{MIN_RUN - 1},}}")


def repeats(text: str, *others: str) -> bool:
    """Whether a text repeats itself, and none of the others (its source, its reference) repeats itself as much.

    Of two kinds of repetition, the lesser is one character `MIN_RUN` times in a row, or more often; a digit does not
    count. The greater is the same 1 to `MAX_UNIT` words `TIMES` times in a row, whatever their case and the punctuation
    between them; or, without a space, the same 2 to `MAX_UNIT` characters. So a source of many letters `a` excuses
    many letters `a`, and not a sentence that is said over and over.
    """
    level = _level(text)
    return level > 0 and all(_level(other) < level for other in others)


def _level(text: str) -> int:
    """0 for no repetition, 1 for the lesser kind, 2 for the greater one."""
    runs = _RUN.findall(text)
    parts = (_RUN.sub(r"\1", text) if runs else text).casefold().split()
    words = _WORD.findall(" ".join(parts))
    if _loops(words) or _loops(parts) or any(_loops(part, shortest=2) for part in parts):
        return 2
    return int(any(not character.isdigit() for character in runs))


def _loops(items: Sequence[str], shortest: int = 1) -> bool:
    """Whether the same items, `shortest` to `MAX_UNIT` of them, come `TIMES` times in a row."""
    longest = min(MAX_UNIT, len(items) // TIMES)
    if longest < shortest or len(items) - len(set(items)) < (TIMES - 1) * shortest:
        return False  # soon, as for nearly all text
    sizes = range(shortest, longest + 1)
    return any(b"\1" * (TIMES - 1) * size in bytes(map(eq, items, items[size:])) for size in sizes)
