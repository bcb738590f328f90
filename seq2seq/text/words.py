"""Words of a text whose script may have no spaces, and the pieces of a tokenizer that spell them.

White space delimits words. The marks at the beginning of a word and those at its end are words of their own:
`"Really?!"` has the words `"`, `Really` and `?!"`. So text in which spaces already separate the tokens mostly keeps
them. In a script without spaces, each character is a word.
"""

import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

from seq2seq.text.scripts import UNSPACED, UNSPACED_MARKS

if TYPE_CHECKING:  # the command line reads this before it needs NumPy
    import numpy as np

SLACK = 3  # characters between two pieces that normalisation may have dropped, besides a space
UNKNOWN_SLACK = 40  # characters that a piece without text of its own may stand for
WORD_BOUNDARY = "▁"  # SentencePiece's mark of the start of a word
EOS = "</s>"  # SentencePiece's piece for the end of a sentence, which has no text

_UNITS = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")
_COUNTED = re.compile(rf"[{UNSPACED}][{UNSPACED_MARKS}]*|[^\s{UNSPACED}]+")
_IS_UNSPACED = re.compile(f"[{UNSPACED}]")
_BYTE = re.compile("<0x([0-9A-F]{2})>")  # SentencePiece's piece for a byte of an unknown character

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


def count_words(text: str) -> int:
    """Number of words between spaces; in a script without spaces, each character with its marks is one."""
    return len(_COUNTED.findall(text))


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


def group_pieces(pieces: Sequence[str]) -> tuple[list[int], list[str]]:
    """Where words begin in a sequence of pieces, and the words.

    A piece that starts with a space begins a word, as does one of punctuation only; `</s>` is a word of its own. In a
    script without spaces, each piece begins a word. So no boundary is guessed: a piece of two Chinese characters stays
    one word, and the bytes that spell one character, or a letter and its marks, are not divided.
    """
    texts = _spelled(pieces)
    starts: list[int] = []
    before = ""  # the last piece that has text
    for place, text in enumerate(texts):
        if place == 0 or (text and _begins_word(before, text)):
            starts.append(place)
        before = text or before
    words = ["".join(texts[start:end]).removeprefix(WORD_BOUNDARY) for start, end in pairwise([*starts, len(texts)])]
    return starts, words


def _begins_word(before: str, text: str) -> bool:
    if text == EOS or text.startswith(WORD_BOUNDARY):
        return True
    if unicodedata.category(text[0])[0] == "M":
        return False
    if not any(map(str.isalnum, text)):
        return True
    after = before[-1]
    wide_mark = not after.isalnum() and unicodedata.east_asian_width(after) in "WF"  # such as a full stop in Chinese
    unspaced = _IS_UNSPACED.match(text) or _IS_UNSPACED.match(after)
    return before != WORD_BOUNDARY and (wide_mark or unspaced is not None)


def _spelled(pieces: Sequence[str]) -> list[str]:
    """Pieces in which the first of the bytes of a character has its text, and the others have none."""
    texts, place = list(pieces), 0
    while place < len(texts):
        spelled = b""
        for piece in pieces[place : place + 4]:  # a character has up to four bytes
            byte = _BYTE.fullmatch(piece)
            if byte is None:
                break
            spelled += bytes.fromhex(byte[1])
            with suppress(UnicodeDecodeError):
                texts[place : place + len(spelled)] = [spelled.decode(), *[""] * (len(spelled) - 1)]
                break
        place += max(len(spelled), 1)
    return texts
