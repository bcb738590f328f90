"""Split a line into sentences with sentencex, which knows the abbreviations of many languages, and further rules."""

import re
from collections.abc import Iterable
from itertools import accumulate, pairwise

from seq2seq.text.cleaning import clean

# Unicode's Sentence_Terminal, the ellipsis, and the Greek question mark, which NFC makes a semicolon.
ENDS = (
    "!.?;\u2026\u0589\u061d\u061e\u061f\u06d4\u0700\u0701\u0702\u07f9\u0837\u0839\u083d\u083e\u0964\u0965\u104a"
    "\u104b\u1362\u1367\u1368\u166e\u1735\u1736\u17d4\u17d5\u1803\u1809\u1944\u1945\u1aa8\u1aa9\u1aaa\u1aab\u1b4e"
    "\u1b4f\u1b5a\u1b5b\u1b5e\u1b5f\u1b7d\u1b7e\u1b7f\u1c3b\u1c3c\u1c7e\u1c7f\u203c\u203d\u2047\u2048\u2049\u2e2e"
    "\u2e3c\u2e53\u2e54\u3002\ua4ff\ua60e\ua60f\ua6f3\ua6f7\ua876\ua877\ua8ce\ua8cf\ua92f\ua9c8\ua9c9\uaa5d\uaa5e"
    "\uaa5f\uaaf0\uaaf1\uabeb\ufe52\ufe56\ufe57\uff01\uff0e\uff1f\uff61"
)
# From the start of a line, which takes linear time: a search would begin anew at each of many ends.
_MAY_HAVE_SEVERAL = re.compile(rf"[^{re.escape(ENDS)}]*[{re.escape(ENDS)}]\W*\w")
# Ends that sentencex does not recognise: those of Khmer, and an ellipsis or a bracket before a capital letter.
_FURTHER_ENDS = re.compile(r"[។៕](?=\s*\w)|(?:…[\"'’”»›)\]]*|[.!?…][)\]])(?= +(?P<next>\w))")
# Titles, with which no sentence ends in any language.
_TITLE = re.compile(r"(?:^|\W)(?:Dr|dr|Prof|prof|Mr|Mrs|Ms|Sra?|[Ss]ig|Ing|ing|Mgr|mgr|St|Bkz|bkz)\.$")
# A number with a point is an ordinal in these languages: 3. Oktober.
_ORDINAL = re.compile(r"(?:^|[^\w.,])[0-9]{1,2}\.$")
_ORDINAL_LANGUAGES = (
    *("bs", "cs", "da", "de", "et", "eu", "fi", "fo", "hr", "hu", "is"),
    *("lb", "lv", "nb", "nn", "no", "pl", "sk", "sl", "sr", "tr"),
)
_QUOTATION_MARKS = "」", "』"


def split_sentences(text: str, language: str | None = None) -> list[str]:
    """Divide a line into its sentences.

    Quotations are not divided. Text without letters of its own, such as the number of a list item, stays with the text
    after it.

    Args:
        text: A line, which is cleaned first.
        language: Language of the line (ISO 639), whose abbreviations do not end a sentence; None: those of English.

    Returns:
        The sentences without surrounding spaces, in order; [] for a blank line.
    """
    text = clean(text).strip()
    if not _MAY_HAVE_SEVERAL.match(text):
        return [text] if text else []
    from sentencex import segment

    spans: list[tuple[int, int]] = []
    start = 0
    for begin, end in pairwise([0, *_ends(text, accumulate(map(len, segment(language or "en", text))))]):
        if spans and text[start] == "と" and text[start - 1] in _QUOTATION_MARKS:  # Japanese: "...", he said
            spans[-1] = (spans[-1][0], end)
        elif _can_stand_alone(text[begin:end].strip(), language):
            spans.append((start, end))
        else:
            continue  # stays with the text after it
        start = end
    first = spans.pop()[0] if spans and start < len(text) else start
    spans += [(first, len(text))] if first < len(text) else []
    return [text[start:end].strip() for start, end in spans]


def _ends(text: str, known: Iterable[int]) -> list[int]:
    """Positions where sentences end, including those that sentencex does not recognise."""
    further = (
        match.end() for match in _FURTHER_ENDS.finditer(text) if match["next"] is None or match["next"].isupper()
    )
    return sorted({*known, *further})


def _can_stand_alone(piece: str, language: str | None) -> bool:
    letters = [letter for letter in piece if letter.isalpha()]
    caseless = any(letter.lower() == letter.upper() for letter in letters)  # one Chinese character may be a sentence
    incomplete = _TITLE.search(piece) or (language in _ORDINAL_LANGUAGES and _ORDINAL.search(piece))
    return (len(letters) > 1 or caseless) and not incomplete
