"""Units of translation: groups of a line's sentences, and segments of groups that are too long."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from textwrap import shorten
from typing import TYPE_CHECKING, Any, NamedTuple

from seq2seq.inference.results import join_texts
from seq2seq.text.sentences import split_sentences

if TYPE_CHECKING:
    from seq2seq.config import SearchOptions
    from seq2seq.data.tokenizer import Tokenizer
    from seq2seq.inference.demands import Demand

Span = tuple[int, int]  # start and end of a passage in a text
UNKNOWN_MAX_TOKENS = 200  # for a model whose training lines are unknown

# Latin punctuation ends a unit only before a space (3.5 is one number) or before a script without spaces.
_NEXT = r"(?=[ \u3040-\u30ff\u3400-\u9fff])"
_CLOSING = r"[\"'”’»›）)\]」』】]*"
# From the best place for a break to the worst.
BREAK_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"[.!?…؟۔।॥։።]{_CLOSING}{_NEXT}|[。！？｡។။]{_CLOSING}",  # the end of a sentence
        rf"[,;:،؛፣]{_CLOSING}{_NEXT}|[，、；：၊]{_CLOSING}",  # the end of a clause
        r"(?= )",  # the end of a word
    )
)


@dataclass(frozen=True)
class SourceLines:
    """Statistics of the source lines that a model was trained on, which determine what it translates at once.

    The defaults are for a model whose training lines are unknown, such as one that Keras's `fit` trained: a line is
    translated sentence by sentence, which loses nothing if the model was trained on longer texts, and a sentence of up
    to 200 tokens as a whole.

    Attributes:
        max_tokens: Length of the longest line, EOS included.
        usual_tokens: Length that 99% of the lines do not exceed.
        usual_sentences: Number of sentences that 99% of the lines do not exceed.
        several_sentences: Share of the lines with several sentences.
        language: ISO 639 code of the language; None: unknown.
    """

    max_tokens: int = UNKNOWN_MAX_TOKENS
    usual_tokens: int = UNKNOWN_MAX_TOKENS
    usual_sentences: int = 1
    several_sentences: float = 0.0
    language: str | None = None

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any], language: str | None) -> "SourceLines":
        """Read the statistics from the metadata of a model directory."""
        return cls(**((metadata.get("corpus") or {}).get("source_lines") or {}), language=language)

    def as_metadata(self) -> dict[str, Any]:
        """JSON-serializable values that `from_metadata` reads, without the language, which is in the recipe."""
        return {key: value for key, value in asdict(self).items() if key != "language"}

    def max_source_tokens(self, options: "SearchOptions") -> int:
        """Maximum length of what is translated as a whole, in tokens, EOS included."""
        return options.max_source_tokens or self.max_tokens

    def group(self, lengths: Sequence[int], max_tokens: int) -> list[range]:
        """Group the sentences of a line into units of translation, as long as training lines usually were.

        Args:
            lengths: Lengths of the sentences in tokens, without EOS.
            max_tokens: Maximum length of a group of several sentences, EOS included; `usual_tokens` if that is lower.

        Returns:
            Indices of the sentences, group by group.
        """
        groups, start, total = [], 0, 0
        most = min(self.usual_tokens, max_tokens) - 1
        for number, length in enumerate(lengths):
            if number > start and (total + length > most or number - start >= self.usual_sentences):
                groups.append(range(start, number))
                start, total = number, 0
            total += length
        return [*groups, range(start, len(lengths))]


class Part(NamedTuple):
    """Unit of translation: a whole line, a group of its sentences, or a segment of a line or group.

    Attributes:
        line: Index of the line.
        group: Index of the group of sentences in the line.
        text: Text of the whole group.
        ids: Token ids of the unit, without EOS.
        truncated: Number of tokens after these that are not translated.
        surfaces: Text of each of these tokens, if the group is divided into segments.
        demands: Demands on its translation.
    """

    line: int
    group: int
    text: str
    ids: list[int]
    truncated: int = 0
    surfaces: Sequence[str] | None = None
    demands: "Sequence[Demand]" = ()

    def source_text(self, tokenizer: "Tokenizer") -> str:
        """The text that is translated: that of the group, of a segment of it, or of what is left of it."""
        if self.surfaces is not None:
            return "".join(self.surfaces).strip()
        return tokenizer.decode(self.ids) if self.truncated else self.text


def divide_line(
    line: int,
    text: str,
    ids: list[int],
    *,
    tokenizer: "Tokenizer",
    source_lines: SourceLines,
    options: "SearchOptions",
    find_terms: Callable[[str], Iterable[Span]],
    whole: bool = False,
) -> Iterator[Part]:
    """Yield the parts of a line, in order; none if it has no tokens.

    Args:
        line: Index of the line.
        text: Text of the line.
        ids: Token ids of the line, without EOS.
        tokenizer: Source tokenizer.
        source_lines: Statistics of the lines that the model was trained on.
        options: Search options.
        find_terms: Function that finds the passages of a text that are not divided, unless they are too long.
        whole: The line is not divided, however long it is.
    """
    if whole:
        if ids:
            yield Part(line, 0, text, ids)
        return
    longest = source_lines.max_source_tokens(options)
    prefix = tokenizer.prefix  # which each unit begins with
    most = max(longest - 1 - len(prefix), 1)  # EOS takes one
    groups = [(text, ids)]
    sentences = split_sentences(text, source_lines.language) if options.split_sentences else []
    sentences = _rejoin(sentences, find_terms)
    if len(sentences) > 1:
        lengths = [max(len(one) - len(prefix), 0) for one in tokenizer.encode_batch(sentences)]
        ranges = source_lines.group(lengths, longest - len(prefix))
        if len(ranges) > 1:
            texts = [join_texts(sentences[group.start : group.stop]) for group in ranges]
            groups = list(zip(texts, tokenizer.encode_batch(texts), strict=True))
    for group, (words, tokens) in enumerate(groups):
        tagless = tokens[len(prefix) :]
        if len(tagless) > most and options.long_lines == "split":
            untold, surfaces = [""] * len(prefix), tokenizer.surfaces(words)[len(prefix) :]
            for segment in split_line(surfaces, most, find_terms("".join(surfaces))):
                here = slice(segment.start, segment.stop)
                yield Part(line, group, words, prefix + tagless[here], surfaces=untold + surfaces[here])
        elif tokens:
            yield Part(line, group, words, prefix + tagless[:most], truncated=len(tagless[most:]))


def _rejoin(sentences: Sequence[str], find_terms: Callable[[str], Iterable[Span]]) -> list[str]:
    """Join sentences where a term begins in one and ends in the next."""
    joined = list(sentences[:1])
    for sentence in sentences[1:]:
        both, end = join_texts([joined[-1], sentence]), len(joined[-1])
        if any(first < end < last for first, last in find_terms(both)):
            joined[-1] = both
        else:
            joined.append(sentence)
    return joined


def split_line(surfaces: Sequence[str], max_tokens: int, terms: Iterable[Span] = ()) -> list[range]:
    """Divide a line's tokens into segments of at most `max_tokens`.

    Each segment ends with the last sentence that fits. If none does, it ends with the last clause, else with the last
    word, else with the last whole character, else anywhere. A term is not divided if it fits into a segment.

    Args:
        surfaces: Text of each token, with a space before it where a word begins (`Tokenizer.surfaces`).
        max_tokens: Maximum length of a segment, at least 1.
        terms: Passages of the text that the surfaces spell.

    Returns:
        Indices of the tokens, segment by segment.
    """
    offsets = [0, *accumulate(map(len, surfaces))]
    is_inside = [False] * len(offsets)  # whether a break before each token is inside a term
    for first, last in terms:
        for place in range(bisect_right(offsets, first), bisect_left(offsets, last)):
            is_inside[place] = True
    segments, start = [], 0
    while len(surfaces) - start > max_tokens:
        window = slice(start, start + max_tokens + 1)
        end = start + (_last_break(surfaces[window], is_inside[window]) or _last_break(surfaces[window]) or max_tokens)
        segments.append(range(start, end))
        start = end
    return [*segments, range(start, len(surfaces))]


def _last_break(surfaces: Sequence[str], is_inside: Sequence[bool] = ()) -> int:
    """Number of tokens in the segment, the last of `surfaces` not being one of them; 0 if there is no place to end."""
    text, counts = "", {0: 0}
    for count, surface in enumerate(surfaces[:-1], start=1):
        text += surface
        # Tokens without text of their own are the first bytes of a character and stay with what follows them.
        if text.strip() and not (is_inside and is_inside[count]):
            counts.setdefault(len(text), count)
    text += surfaces[-1]
    for pattern in BREAK_PATTERNS:
        fitting = [counts[match.end()] for match in pattern.finditer(text) if counts.get(match.end())]
        if fitting:
            return fitting[-1]
    return max(counts.values())


def longest_part(parts: Iterable[Part]) -> int:
    """Source tokens of the longest part, EOS included."""
    return max(len(part.ids) for part in parts) + 1


def explain_shortage(parts: Sequence[Part], options: "SearchOptions", shortage: str) -> str:
    """Explanation for parts that did not fit into memory together."""
    key = "beam_size" if not options.sample else "n_best" if options.candidates is None else "candidates"
    length, hypotheses = longest_part(parts), f"'{key}' {options.num_hypotheses}"
    if len(parts) > 1:
        return (
            f"{shortage} at a batch of {len(parts)} sentences of up to {length} tokens with {hypotheses}: smaller "
            f"batches from now on. A 'search.batch_tokens' (--batch-tokens) well below "
            f"{len(parts) * length * options.num_hypotheses:,} avoids failed attempts."
        )
    fewer = f"'{key}', or " if options.num_hypotheses > 1 else ""
    return (
        f"{shortage} at one sentence of {length} tokens with {hypotheses}, alone in its batch: "
        f"{shorten(parts[0].text, 60)!r}. Lower {fewer}'max_source_tokens' below {length}."
    )
