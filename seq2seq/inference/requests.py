"""Lines to translate, and the constraints on their translations."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import count

import numpy as np

from seq2seq.arguments import check_arguments, describe
from seq2seq.config import SearchOptions
from seq2seq.corpora.glossary import Glossary, Term
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.errors import ArgumentError, CorpusError, suggest_similar
from seq2seq.inference.demands import Demand
from seq2seq.inference.segments import Part, SourceLines, Span, divide_line
from seq2seq.text.cleaning import plain_form
from seq2seq.text.phrases import split_variants


@dataclass(frozen=True)
class Request:
    """A line to translate, and what its translation must begin with, contain and avoid.

    A line with a prefix or with phrases to include is translated as a whole, even if it has several sentences.

    Args:
        text: Text to translate.
        prefix: Beginning of the translation. Its last word may be incomplete; a space at the end completes it.
        include: Phrases that must occur in the translation as whole words. A phrase may have variants,
            `house|houses`, of which one must occur.
        exclude: Phrases that must not occur in it as whole words; all variants of a phrase are excluded.
        terms: Source terms and the phrases by which they must be translated, such as `{"house|houses": "Haus|Häuser"}`,
            which take precedence over the glossary.

    Raises:
        ArgumentError: A phrase is blank, or a source term occurs twice.
    """

    text: str
    prefix: str = ""
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    terms: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in ("text", "prefix"):
            if not isinstance(value := getattr(self, name), str):
                raise ArgumentError(f"Request: {name}: expected a string, found {describe(value)}.")
        for name in ("include", "exclude"):
            phrases = getattr(self, name)
            if not isinstance(phrases, (list, tuple)):
                raise ArgumentError(f"Request: {name}: expected a list of phrases, found {describe(phrases)}.")
            if other := [phrase for phrase in phrases if not isinstance(phrase, str)]:
                raise ArgumentError(f"Request: {name}: expected strings, found {describe(other[0])}.")
            if blank := [phrase for phrase in phrases if not split_variants(phrase)]:
                raise ArgumentError(f"Request: {name}: {blank[0]!r} is blank. Leave it out.")
            object.__setattr__(self, name, tuple(phrases))
        if not isinstance(self.terms, Mapping):
            raise ArgumentError(
                f"Request: terms: expected source terms with their translations, found {describe(self.terms)}."
            )
        texts = [text for pair in self.terms.items() for text in pair]
        if other := [text for text in texts if not isinstance(text, str)]:
            raise ArgumentError(f"Request: terms: expected strings, found {describe(other[0])}.")
        if blank := [text for text in texts if not split_variants(text)]:
            raise ArgumentError(f"Request: terms: {blank[0]!r} is blank. Leave it out.")
        object.__setattr__(self, "terms", dict(self.terms))
        variants = Counter(variant for source in self.terms for variant in split_variants(source))
        if twice := [variant for variant, times in variants.items() if times > 1]:
            raise ArgumentError(f"Request: terms: the source term {twice[0]!r} occurs twice. Keep one of them.")

    @cached_property
    def glossary(self) -> Glossary | None:
        """The terms of the request."""
        terms = (Term(split_variants(source), split_variants(target)) for source, target in self.terms.items())
        return Glossary(terms) if self.terms else None

    def with_common(self, other: "Request | None") -> "Request":
        """Add the phrases and terms of another request, and its prefix unless this one has one."""
        if other is None:
            return self
        return Request(
            self.text,
            self.prefix or other.prefix,
            (*other.include, *self.include),
            (*other.exclude, *self.exclude),
            {**other.terms, **self.terms},
        )

    @property
    def is_whole(self) -> bool:
        """Whether the line must not be divided."""
        return bool(self.prefix or self.include)

    @classmethod
    @check_arguments()
    def from_json(cls, line: str, place: str) -> "Request":
        """Read a request from a JSON object with the keys `text`, `prefix`, `include`, `exclude` and `terms`.

        Args:
            line: The object, or a blank line, which stands for a blank text.
            place: File and line number, for errors.

        Raises:
            CorpusError: The line is neither, or a key or source term occurs twice.
        """
        if not line.strip():
            return cls("")
        keys = {"text": str, "prefix": str, "include": list, "exclude": list, "terms": dict}
        example = '{"text": "The house is big.", "prefix": "Das ", "include": ["Haus|Häuser"], "exclude": ["gross"]}'

        def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
            if twice := [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]:
                raise CorpusError(f"{place}: the key '{twice[0]}' occurs twice. Keep one of them.")
            return dict(pairs)

        try:
            values = json.loads(line, object_pairs_hook=unique)
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{place}: not JSON: {error}. Expected an object such as {example}.") from None
        if not isinstance(values, dict) or "text" not in values:
            raise CorpusError(f"{place}: expected a JSON object with the key 'text', such as {example}.")
        for key, value in values.items():
            if key not in keys:
                raise CorpusError(f"{place}: unknown key '{key}'.{suggest_similar(key, keys)} Keys: {', '.join(keys)}.")
            if not isinstance(value, keys[key]):
                kinds = {str: "a string", list: "a list of strings", dict: "an object of strings"}
                raise CorpusError(
                    f"{place}: '{key}': expected {kinds[keys[key]]}, found {json.dumps(value, ensure_ascii=False)}."
                )
        try:
            return cls(**values)
        except ArgumentError as error:
            raise CorpusError(f"{place}: {error}") from None


def read_request(
    line: str, number: int, *, name: str, input_format: str, common: Request | None = None
) -> str | Request:
    """Read a line of an input.

    Args:
        line: The line, without its end.
        number: Its number in the file.
        name: Name of the file, for errors.
        input_format: `text`, or `jsonl` for a line that `Request.from_json` reads.
        common: Prefix, for a line without one of its own, and phrases that all translations must contain or avoid.

    Raises:
        CorpusError: See `Request.from_json`.
    """
    if input_format == "jsonl":
        return Request.from_json(line, f"{name}:{number}").with_common(common)
    return Request(line).with_common(common) if common else line


def demands_of(request: Request, surfaces: Sequence[str] = (), glossary: Glossary | None = None) -> list[Demand]:
    """The demands on the translation of a line, or of a part of it.

    Args:
        request: The request for the whole line.
        surfaces: Text in which terms are looked up: that of each source token (`Tokenizer.surfaces`), or one text.
        glossary: A glossary, or None.
    """
    demands = [Demand("include", variants) for variants in map(split_variants, request.include)]
    demands += _demands_of_terms(surfaces, request, glossary)
    demands += [Demand("exclude", variants) for variants in map(split_variants, request.exclude)]
    if prefix := plain_form(request.prefix):
        demands.insert(0, Demand("prefix", (prefix + " " * request.prefix[-1:].isspace(),)))
    return list(dict.fromkeys(demands))


def _demands_of_terms(surfaces: Sequence[str], request: Request, glossary: Glossary | None) -> Iterator[Demand]:
    offsets = np.cumsum([0, *map(len, surfaces)])
    starts, ends = offsets[:-1], offsets[1:]
    for term, spans in _find_terms("".join(surfaces), request, glossary):
        # A token without text is a byte of the character after it.
        is_inside = [(starts < end) & ((ends > start) | (starts == start)) for start, end in spans]
        yield Demand("include", term.target, tuple(np.flatnonzero(np.any(is_inside, axis=0)).tolist()))


def _find_terms(text: str, request: Request, glossary: Glossary | None) -> list[tuple[Term, list[Span]]]:
    """The terms in a text, with their occurrences; of those that overlap, the request's come before the glossary's."""
    found, taken = [], np.zeros(len(text), bool)
    for terms in filter(None, (request.glossary, glossary)):
        every = terms.find(text).items()
        free = [(term, [span for span in spans if not taken[slice(*span)].any()]) for term, spans in every]
        found += [(term, spans) for term, spans in free if spans]
        for span in (span for _, spans in free for span in spans):
            taken[slice(*span)] = True
    return found


def as_requests(lines: Iterable[str | Request]) -> list[Request]:
    """Lines as requests; nothing is asked of plain text."""
    return [line if isinstance(line, Request) else Request(line) for line in lines]


def divide_requests(
    requests: Sequence[Request],
    tokenizer: Tokenizer,
    source_lines: SourceLines,
    options: SearchOptions,
    glossary: Glossary | None,
) -> list[list[Part]]:
    """The units in which each line is translated, with the demands on each; none for a line without tokens.

    Args:
        requests: The lines.
        tokenizer: Source tokenizer.
        source_lines: See `divide_line`.
        options: Search options.
        glossary: See `demands_of`.
    """
    divide = partial(divide_line, tokenizer=tokenizer, source_lines=source_lines, options=options)
    encoded = tokenizer.encode_batch([request.text for request in requests])

    def find_terms(request: Request, text: str) -> list[Span]:
        return [span for _, spans in _find_terms(text, request, glossary) for span in spans]

    def surfaces(part: Part) -> Sequence[str]:
        return part.surfaces or tokenizer.surfaces(part.text)[: len(part.ids)]

    return [
        [
            part._replace(demands=demands_of(request, surfaces(part) if glossary or request.terms else (), glossary))
            for part in divide(line, request.text, ids, whole=request.is_whole, find_terms=partial(find_terms, request))
        ]
        for line, request, ids in zip(count(), requests, encoded)
    ]
