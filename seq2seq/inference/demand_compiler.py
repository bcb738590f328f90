"""Compiles what is demanded of translations into automata that a search follows."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from seq2seq.data.padding import batches_by_length
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.inference.automata import Automaton, AutomatonCompiler
from seq2seq.inference.segments import Part
from seq2seq.search import Automata
from seq2seq.text.phrases import find_phrase

MAX_TABLE_ENTRIES = 50_000_000  # states times vocabulary of the automata of a batch


class _Compiled(NamedTuple):
    """The automaton of a demand, and `Demand.positions`."""

    automaton: Automaton
    positions: Sequence[int] = ()


class DemandCompiler:
    """Compiles the demands on units of translation into automata, which `search.with_automata` follows.

    Args:
        tokenizer: Target tokenizer.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    @cached_property
    def _compiler(self) -> AutomatonCompiler:
        return AutomatonCompiler(self.tokenizer)

    def _compile(self, part: Part) -> list[_Compiled]:
        """The automata of a unit; none for demands that the vocabulary cannot spell, or that others contradict.

        A search that followed a contradiction would never end a hypothesis. So a prefix takes precedence over excluded
        phrases that it contains, and these over phrases to include that contain them.
        """
        found: list[tuple[Automaton | None, Sequence[int]]] = []
        excluded = tuple(variant for demand in part.demands if demand.kind == "exclude" for variant in demand.variants)
        for demand in part.demands:
            if demand.kind == "prefix":
                begun = f"{demand.variants[0]}x"  # the last word may be longer
                if (prefix := self._compiler.prefix(demand.variants[0])) is not None:
                    excluded = tuple(variant for variant in excluded if find_phrase(begun, [variant]) is None)
                found.append((prefix, ()))
            elif demand.kind == "include":
                possible = tuple(variant for variant in demand.variants if find_phrase(variant, excluded) is None)
                found.append((self._compiler.required(possible), demand.positions))
        if excluded:
            found.append((self._compiler.forbidden(excluded), ()))
        return [_Compiled(automaton, positions) for automaton, positions in found if automaton is not None]

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
                    more = sum(len(one.automaton.remaining) for one in self._compile(parts[place]))
                    if some and states + more > most:
                        yield some
                        states, some = 0, []
                    states, some = states + more, [*some, place]
                yield some

    def stack(self, parts: Sequence[Part]) -> Automata | None:
        """The automata of a batch in one table, in which each automaton stands once; None if there are none."""
        sentences = [self._compile(part) for part in parts]
        if not any(sentences):
            return None
        starts: dict[int, int] = {}
        distinct, size = [], 1
        for automaton in (one.automaton for sentence in sentences for one in sentence):
            if id(automaton) not in starts:
                starts[id(automaton)] = size
                distinct.append(automaton)
                size += len(automaton.remaining) - 1  # all share state 0
        width = max([1, *(automaton.advance.shape[1] for automaton in distinct)])
        next_states = np.zeros((size, self.tokenizer.vocabulary_size), np.int32)
        blocked = np.zeros(next_states.shape, bool)
        advance, remaining = np.zeros((size, width), np.int32), np.zeros(size, np.int32)
        for automaton in distinct:
            first = starts[id(automaton)]
            rows = slice(first, first + len(automaton.remaining) - 1)
            states = automaton.next_states[1:]
            next_states[rows] = np.where(states > 0, states + first - 1, 0)
            blocked[rows], remaining[rows] = automaton.blocked[1:], automaton.remaining[1:]
            advance[rows, : automaton.advance.shape[1]] = automaton.advance[1:]
        initial = np.zeros((len(sentences), max([1, *map(len, sentences)])), np.int32)
        sources = np.zeros((*initial.shape, max(len(part.ids) for part in parts) + 1), np.float32)
        for row, sentence in enumerate(sentences):
            initial[row, : len(sentence)] = [starts[id(one.automaton)] for one in sentence]
            for place, one in enumerate(sentence):
                sources[row, place, list(one.positions)] = 1
        begins_word = self._compiler.pieces.begins_word
        return Automata(next_states, blocked, advance, remaining, initial, sources, begins_word)
