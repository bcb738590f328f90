"""Words of a text whose script may have no spaces, and the pieces of a tokenizer that spell them.

White space delimits words. The marks at the beginning of a word and those at its end are words of their own:
`"Really?!"` has the words `"`, `Really` and `?!"`. So text in which spaces already separate the tokens mostly keeps
them. In a script without spaces, each character is a word.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from seq2seq.text.scripts import UNSPACED

if TYPE_CHECKING:  # the command line reads this before it needs NumPy
    import numpy as np

SLACK = 3  # characters between two pieces that normalisation may have dropped, besides a space
UNKNOWN_SLACK = 40  # characters that a piece without text of its own may stand for
WORD_BOUNDARY = "▁"  # SentencePiece's mark of the start of a word
EOS = "</s>"  # SentencePiece's piece for the end of a sentence, which has no text

_UNITS = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")
_IS_UNSPACED = re.compile(f"[{UNSPACED}]")

Span = tuple[int, int]


def word_spans(text: str, tokenized: bool = False) -> list[Span]:
    """Start and end of each word of a cleaned text.

    Args:
        text: Cleaned text.
        tokenized: Whether white space alone delimits words, as in text that is already tokenized.
    """
    if tokenized:
        return [match.span() for match in re.finditer(r"\S+", text)]
    spans: list[Span] = []
    for match in _UNITS.finditer(text):
        start, end = match.span()
        inner = [place for place in range(start, end) if _is_inside_words(text[place])]
        if (
            _IS_UNSPACED.match(match[0])
            and unicodedata.category(match[0])[0] == "M"
            and spans
            and spans[-1][1] == start
        ):
            spans[-1] = spans[-1][0], end  # a mark belongs to the character before it
        elif inner and not _IS_UNSPACED.match(match[0]):
            bounds = start, inner[0], inner[-1] + 1, end
            spans += [(a, b) for a, b in pairwise(bounds) if a < b]
        else:
            spans.append((start, end))
    return spans


def _is_inside_words(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character)[0] == "M"


def locate_pieces(pieces: Sequence[str], text: str) -> list[Span]:
    """Start and end in a text of each piece that spells it, in order.

    Pieces are searched for, since normalisation may have changed or dropped characters. A piece that is not there, such
    as one for an unknown character, spans what lies between its neighbours. A piece without text, such as a space of
    its own or any but the last byte of a character, belongs to the character that follows; `</s>` has an empty span.

    Args:
        pieces: Pieces with or without SentencePiece's mark of a word boundary.
        text: Cleaned text.
    """
    spans: list[Span] = []
    cursor = 0  # end of the last piece that was found
    missing: list[int] = []  # pieces after it that were not
    for number, piece in enumerate([*pieces, EOS]):
        letters = "" if piece == EOS else piece.replace(WORD_BOUNDARY, " ").strip()
        here = cursor
        if letters:
            here = text.find(letters, cursor, cursor + len(letters) + 1 + SLACK + UNKNOWN_SLACK * len(missing))
        elif number == len(pieces):
            here = len(text)
        start = max(here, cursor)
        if not letters and piece != EOS:
            start += text[start : start + 1] == " "
            spans.append((start, min(start + 1, len(text))))
            continue
        spans.append((start, start + len(letters) * (here >= 0)))
        if here < 0:
            missing.append(number)
        elif here > cursor or letters:
            for place in missing:
                spans[place] = cursor, here
            missing, cursor = [], spans[-1][1]
    return spans[:-1]


def pieces_of_words(pieces: Sequence[str], text: str, words: Sequence[Span]) -> "np.ndarray":
    """Which pieces spell which words: (P, W) bool; a piece that spans several words belongs to each."""
    import numpy as np

    starts, ends = np.array(locate_pieces(pieces, text), np.int64).reshape(-1, 2).T
    word_starts, word_ends = np.array(words, np.int64).reshape(-1, 2).T
    return (starts[:, None] < word_ends) & (ends[:, None] > word_starts)
