"""Division of lines that are too long for the model into segments."""

import re
from collections.abc import Sequence

# Latin marks end something only before a space (3.5 is one number) or before a script that writes none between words.
_NEXT = r"(?=[ \u3040-\u30ff\u3400-\u9fff])"
_CLOSING = r"[\"'”’»›）)\]」』】]*"
# From the best place to the worst.
BREAK_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"[.!?…]{_CLOSING}{_NEXT}|[。！？]{_CLOSING}",  # the end of a sentence
        rf"[,;:]{_CLOSING}{_NEXT}|[，、；：]{_CLOSING}",  # the end of a clause
        r"(?= )",  # the end of a word
    )
)


def split_line(surfaces: Sequence[str], max_tokens: int) -> list[range]:
    """Divide a line's tokens into segments of at most `max_tokens`.

    Each segment ends with the last sentence that fits; where none does, with the last clause, else with the last word,
    else with the last whole character, else anywhere.

    Args:
        surfaces: The text of each token, a space before it where a word begins (`Tokenizer.surfaces`).
        max_tokens: At least 1.

    Returns:
        The tokens' numbers, segment by segment.
    """
    segments, start = [], 0
    while len(surfaces) - start > max_tokens:
        end = start + _last_break(surfaces[start : start + max_tokens + 1])
        segments.append(range(start, end))
        start = end
    return [*segments, range(start, len(surfaces))]


def _last_break(surfaces: Sequence[str]) -> int:
    """Number of these tokens that make the segment; not all: the last one shows what comes after."""
    text, counts = "", {0: 0}
    for count, surface in enumerate(surfaces[:-1], start=1):
        text += surface
        # Tokens without text of their own are the first bytes of a character and stay with what follows them.
        counts.setdefault(len(text), count)
    text += surfaces[-1]
    for pattern in BREAK_PATTERNS:
        fitting = [counts[match.end()] for match in pattern.finditer(text) if counts.get(match.end())]
        if fitting:
            return fitting[-1]
    return max(counts.values()) or len(surfaces) - 1


def truncation_warning(truncated: int, sentences: int) -> str:
    """Warning that `truncated` of `sentences` are longer than `max_source_tokens`, and `long_lines` is `truncated`."""
    return (
        f"{truncated:,} of {sentences:,} sentences are cut off at 'max_source_tokens': their ends are not translated. "
        "Raise it, or use 'long_lines: split'."
    )
