"""Lines to translate, and the constraints on their translations."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from itertools import count

import numpy as np

from seq2seq.arguments import check_arguments, describe
from seq2seq.config import SearchOptions
from seq2seq.corpora.glossary import Glossary, Term
from seq2seq.data.padding import batches_by_length
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.errors import ArgumentError, CorpusError, suggest_similar
from seq2seq.inference.automata import Automaton, AutomatonCompiler
from seq2seq.inference.demands import Demand
from seq2seq.inference.segments import Part, SourceLines, divide_line
from seq2seq.search import Automata
from seq2seq.text.cleaning import plain_form
from seq2seq.text.phrases import split_variants

MAX_TABLE_ENTRIES = 50_000_000  # states times vocabulary of the automata of a batch


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

    Raises:
        ArgumentError: A phrase is blank.
    """

    text: str
    prefix: str = ""
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("text", "prefix"):
            if not isinstance(value := getattr(self, name), str):
                raise ArgumentError(f"Request: {name}: expected a string, found {describe(value)}.")
        for name in ("include", "exclude"):
            phrases = getattr(self, name)
            if not isinstance(phrases, (list, tuple)) or not all(isinstance(phrase, str) for phrase in phrases):
                raise ArgumentError(f"Request: {name}: expected a list of phrases, found {describe(phrases)}.")
            if blank := [phrase for phrase in phrases if not split_variants(phrase)]:
                raise ArgumentError(f"Request: {name}: {blank[0]!r} is blank. Leave it out.")
            object.__setattr__(self, name, tuple(phrases))

    def with_common(self, other: "Request | None") -> "Request":
        """Add the phrases of another request, and its prefix unless this one has one."""
        if other is None:
            return self
        return Request(
            self.text, self.prefix or other.prefix, (*other.include, *self.include), (*other.exclude, *self.exclude)
        )

    @property
    def is_whole(self) -> bool:
        """Whether the line must not be divided."""
        return bool(self.prefix or self.include)

    @classmethod
    @check_arguments()
    def from_json(cls, line: str, place: str) -> "Request":
        """Read a request from a JSON object with the keys `text`, `prefix`, `include` and `exclude`.

        Args:
            line: The object, or a blank line, which stands for a blank text.
            place: File and line number, for errors.

        Raises:
            CorpusError: The line is neither.
        """
        if not line.strip():
            return cls("")
        keys = {field.name: list if field.name.endswith("clude") else str for field in fields(cls)}
        example = '{"text": "The house is big.", "prefix": "Das ", "include": ["Haus|Häuser"], "exclude": ["gross"]}'
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{place}: not JSON: {error}. Expected an object such as {example}.") from None
        if not isinstance(values, dict) or "text" not in values:
            raise CorpusError(f"{place}: expected a JSON object with the key 'text', such as {example}.")
        for key, value in values.items():
            if key not in keys:
                raise CorpusError(f"{place}: unknown key '{key}'.{suggest_similar(key, keys)} Keys: {', '.join(keys)}.")
            if not isinstance(value, keys[key]):
                kind = "a list of strings" if keys[key] is list else "a string"
                raise CorpusError(f"{place}: '{key}': expected {kind}, found {json.dumps(value, ensure_ascii=False)}.")
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
        common: Prefix, for a line without one of its own, and phrases that all translations must include and exclude.

    Raises:
        CorpusError: See `Request.from_json`.
    """
    if input_format == "jsonl":
        return Request.from_json(line, f"{name}:{number}").with_common(common)
    return Request(line).with_common(common) if common else line


def demands_of(request: Request, source: str = "", glossary: Glossary | None = None) -> list[Demand]:
    """The demands on the translation of a part of a line.

    Args:
        request: The request for the whole line.
        source: Text of the part, in which the terms of the glossary are looked up.
        glossary: A glossary, or None.
    """
    terms: list[Term] = glossary.find(source) if glossary else []
    demands = [Demand("include", variants) for variants in map(split_variants, request.include)]
    demands += [Demand("include", term.target) for term in terms]
    demands += [Demand("exclude", variants) for variants in map(split_variants, request.exclude)]
    if prefix := plain_form(request.prefix):
        demands.insert(0, Demand("prefix", (prefix + " " * request.prefix[-1:].isspace(),)))
    return list(dict.fromkeys(demands))


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
    return [
        [
            part._replace(demands=demands_of(request, part.source_text(tokenizer), glossary))
            for part in divide(line, request.text, ids, whole=request.is_whole)
        ]
        for line, request, ids in zip(count(), requests, encoded)
    ]


class DemandCompiler:
    """Compiles the demands on units of translation into automata, which `search.with_automata` follows."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    @cached_property
    def _compiler(self) -> AutomatonCompiler:
        return AutomatonCompiler(self.tokenizer)

    def automata(self, part: Part) -> list[Automaton]:
        """The automata of a unit; none for demands that the vocabulary cannot spell."""
        found = []
        for kind, variants in part.demands:
            if kind != "exclude":
                is_prefix = kind == "prefix"
                found.append(self._compiler.prefix(variants[0]) if is_prefix else self._compiler.required(variants))
        excluded = tuple(variant for kind, variants in part.demands if kind == "exclude" for variant in variants)
        if excluded:
            found.append(self._compiler.forbidden(excluded))
        return [automaton for automaton in found if automaton is not None]

    def batches(self, parts: Sequence[Part], size: Callable[[int], int]) -> Iterator[list[int]]:
        """Batches of units, by their indices; units with demands have batches of their own.

        Args:
            parts: The units.
            size: See `batches_by_length`; a batch is smaller if its automata have many states.
        """
        most = MAX_TABLE_ENTRIES // self.tokenizer.vocabulary_size
        for asked in (False, True):
            lengths = [len(part.ids) if bool(part.demands) == asked else 0 for part in parts]
            for batch in batches_by_length(lengths, size):
                states, some = 0, list[int]()
                for place in batch:
                    more = sum(len(automaton.remaining) for automaton in self.automata(parts[place]))
                    if some and states + more > most:
                        yield some
                        states, some = 0, []
                    states, some = states + more, [*some, place]
                yield some


def stack(sentences: Sequence[Sequence[Automaton]], vocabulary_size: int) -> Automata:
    """The automata of a batch's sentences in one table, in which each automaton stands once."""
    starts: dict[int, int] = {}
    distinct, size = [], 1
    for automaton in (automaton for automata in sentences for automaton in automata):
        if id(automaton) not in starts:
            starts[id(automaton)] = size
            distinct.append(automaton)
            size += len(automaton.remaining) - 1  # all share state 0
    width = max([1, *(automaton.advance.shape[1] for automaton in distinct)])
    next_states = np.zeros((size, vocabulary_size), np.int32)
    blocked = np.zeros((size, vocabulary_size), bool)
    advance, remaining = np.zeros((size, width), np.int32), np.zeros(size, np.int32)
    for automaton in distinct:
        first = starts[id(automaton)]
        rows = slice(first, first + len(automaton.remaining) - 1)
        states = automaton.next_states[1:]
        next_states[rows] = np.where(states > 0, states + first - 1, 0)
        blocked[rows], remaining[rows] = automaton.blocked[1:], automaton.remaining[1:]
        advance[rows, : automaton.advance.shape[1]] = automaton.advance[1:]
    initial = np.zeros((len(sentences), max([1, *map(len, sentences)])), np.int32)
    for row, automata in enumerate(sentences):
        initial[row, : len(automata)] = [starts[id(automaton)] for automaton in automata]
    return Automata(next_states, blocked, advance, remaining, initial)
