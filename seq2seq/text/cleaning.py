"""Cleaning of white space and invisible characters: the one definition for training, translation and evaluation.

- White space (Unicode's White_Space, and U+001C to U+001F) becomes a space. So do the other C1 control characters: they
are mostly quotation marks and dashes of Windows-1252 that were read as Latin-1. - Other control characters, such as
NUL, the escape sequences of terminals, and noncharacters are removed. - Characters that are invisible by definition
(Default_Ignorable_Code_Point), such as the byte order mark, the soft
  hyphen, the zero-width space and direction marks, are removed, with two exceptions:
- Joiners (ZWJ, ZWNJ, the Mongolian ones) and variation selectors are kept after a character, whose look they change:
  Persian and Indic spelling and emoji need them. After a space or at the beginning they are removed.
- Tags are kept after a black flag, which they turn into the flag of England, Scotland or Wales.
- Half of a surrogate pair becomes U+FFFD, as invalid UTF-8 does.

Characters for private use, and those that are newer than Python's tables, are kept, since some font may show them.
"""

import re
import unicodedata

_SPACES = "\t-\r\x1c-\x1f\x80-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_JOINERS = "\u180b-\u180f\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef"
_CONTROLS = "\0-\x08\x0e-\x1b\x7f"
_IGNORABLES = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
_NONCHARACTERS = "\ufdd0-\ufdef\ufffe\uffff" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000)
)

# Characters to clean that `str.isprintable` accepts. A short set, since nearly all non-ASCII text is searched for it.
_PRINTABLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_SPACE = re.compile(f"[{_SPACES}]")
_ESCAPE_SEQUENCE = "\x1b\\[[0-?]*[ -/]*[@-~]"
_TAGGED_FLAG = "\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f"
_FLAG_OR_NOTHING = re.compile(f"({_TAGGED_FLAG})|{_ESCAPE_SEQUENCE}|[{_CONTROLS}{_IGNORABLES}{_NONCHARACTERS}]")
_UNATTACHED_JOINERS = re.compile(f"(?<![^ ])[{_JOINERS}]+")


def clean(text: str) -> str:
    """Clean text for models, filters and metrics, in Unicode NFC; the docstring of this module has the rules.

    Spaces are neither added nor removed at the ends, and repeated ones are kept. Cleaning clean text changes nothing.
    """
    if text.isascii() and text.isprintable():
        return text
    if not text.isprintable():
        text = text.replace("\xa0", " ").replace("\u202f", " ")  # most French text needs nothing else
    if not text.isprintable() or _PRINTABLE.search(text):
        # Before NFC, which does not know surrogates, two halves become one character, and a single half is replaced.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        text = _FLAG_OR_NOTHING.sub(r"\1", _SPACE.sub(" ", text))
        text = _UNATTACHED_JOINERS.sub("", text)
    return unicodedata.normalize("NFC", text)


def plain_form(text: str) -> str:
    """Form of a sentence for comparison: cleaned, with one space between words and none at the ends."""
    return " ".join(clean(text).split())


def is_blank(text: str) -> bool:
    """Whether a text has no visible characters."""
    return not clean(text).strip()


def describe_character(character: str) -> str:
    """A character as it is or, if it is not visible on its own, its code point, such as U+0301."""
    alone = character.isprintable() and unicodedata.category(character)[0] != "M" and not character.isspace()
    return character if alone else f"U+{ord(character):04X}"
