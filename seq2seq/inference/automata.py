"""Automata that make a translation begin with, contain or avoid given text, whatever tokens spell it.

An automaton reads the characters of the tokens. Its states are compiled into tables over the vocabulary, which a search
looks up (`search.Automata`). There are three kinds:

- A *prefix* must be followed character by character. Its last word may be incomplete.
- A *required* phrase must occur: one of its variants, as whole words.
- A *forbidden* phrase must not occur as whole words. No token may end where it ends, either: a search could evade it by
  giving its last word another ending, real or invented.

A variant that begins with a lower-case letter may also begin with a capital, as at the beginning of a sentence.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from seq2seq.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID, Tokenizer
from seq2seq.text.scripts import is_word_character

DONE = 0  # the state in which nothing is required any more
START = 1
FIRST_BYTE = 0x110000  # byte B of byte fallback is written as the code point FIRST_BYTE + B, which no character has
MAX_KEPT_ENTRIES = 50_000_000  # states times vocabulary (5 bytes each) of the automata that are kept
NEVER = np.iinfo(np.int32).max // 2
# A state of occurrences: pairs of a begun phrase and the number of its characters so far, and whether the last
# character is not part of a word.
Begun = tuple[frozenset[tuple[int, int]], bool]

# Classes of characters that are not in a phrase, after those of the phrase.
_WORD, _OTHER = 0, 1


class Automaton(NamedTuple):
    """The states of one automaton over a vocabulary of V tokens; state 0 requires nothing, and the start is state 1.

    Attributes:
        next_states: (S, V) int32, the state after a token.
        blocked: (S, V) bool, tokens that must not follow.
        advance: (S, A) int32, the tokens that lead to state 0 fastest, one for each variant; 0 in empty places.
        remaining: (S,) int32, minimum number of tokens until EOS is allowed.
    """

    next_states: np.ndarray
    blocked: np.ndarray
    advance: np.ndarray
    remaining: np.ndarray


class PieceCharacters:
    """The characters of each token of a vocabulary, in a form that automata read fast.

    Attributes:
        codes: (V, L) int32, code points, with -1 after a token's last; special tokens have none.
        is_word: (V, L) bool, whether they are part of words, see `is_word_character`.
        by_length: (V,) int64, token ids, the longest first.
        counts: (L,) int64, for each L, the number of tokens that are longer.
        begins_word: (V,) bool, tokens that begin a word: with a space and no punctuation after it, or with a word of a
            script without spaces.
        known: All code points.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        pieces = tokenizer.pieces(range(tokenizer.vocabulary_size))
        spelled = [_codes(piece) if token > EOS_ID else [] for token, piece in enumerate(pieces)]
        lengths = np.array([len(codes) for codes in spelled])
        self.codes = np.full((len(spelled), max(1, lengths.max())), -1, np.int32)
        for token, codes in enumerate(spelled):
            self.codes[token, : len(codes)] = codes
        self.known = set(np.unique(self.codes).tolist()) - {-1}
        words = np.array(sorted(code for code in self.known if _is_word(code)), np.int32)
        self.is_word = np.isin(self.codes, words)
        self.by_length = np.argsort(-lengths, kind="stable")
        self.counts = np.array([(lengths > place).sum() for place in range(self.codes.shape[1])])
        self.begins_word = np.array([_begins_word(piece.replace("▁", " ")) for piece in pieces])
        self._scores = np.array(tokenizer.frequency_scores())

    def likeliest(self, tokens: np.ndarray) -> int:
        """The most frequent of the tokens (V,) bool in the tokenizer's training text."""
        return int(np.argmax(np.where(tokens, self._scores, -np.inf)))


def _codes(piece: str) -> list[int]:
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return [FIRST_BYTE + int(piece[3:5], 16)]
    return [ord(character) for character in piece.replace("▁", " ")]


def _begins_word(text: str) -> bool:
    if text.startswith(" "):
        return text == " " or text[1].isalnum()
    return text[:1].isalnum() and not is_word_character(text[0])


def _is_word(code: int) -> bool:
    return code >= FIRST_BYTE or is_word_character(chr(code))


class AutomatonCompiler:
    """Compiles text into automata over the vocabulary of a tokenizer; threads may share it.

    The most recently used ones are kept, as many as have `MAX_KEPT_ENTRIES` table entries.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.pieces = tokenizer, PieceCharacters(tokenizer)
        self._kept: OrderedDict[Hashable, Automaton | None] = OrderedDict()
        self._entries = 0
        self._lock = threading.Lock()

    def prefix(self, text: str) -> Automaton | None:
        """An automaton for a text that comes first; None if it is blank or cannot be spelled.

        Space at its end completes the last word.
        """
        return self._keep(self._prefix, text)

    def required(self, variants: tuple[str, ...]) -> Automaton | None:
        """An automaton for a phrase of which one variant must occur; None if none can be spelled."""
        return self._keep(self._required, variants)

    def forbidden(self, phrases: tuple[str, ...]) -> Automaton | None:
        """An automaton for phrases none of which may occur; None if none can be spelled."""
        return self._keep(self._forbidden, phrases)

    def _keep(self, compiler: Callable[[Any], Automaton | None], asked: Hashable) -> Automaton | None:
        key = compiler.__name__, asked
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = compiler(asked)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._entries += self._size(made)
            while self._entries > MAX_KEPT_ENTRIES and len(self._kept) > 1:
                self._entries -= self._size(self._kept.popitem(last=False)[1])
        return made

    def _size(self, automaton: Automaton | None) -> int:
        return self.tokenizer.vocabulary_size if automaton is None else automaton.next_states.size

    def spell(self, text: str) -> list[int] | None:
        """The code points of a text as tokens spell it; None if the vocabulary lacks a character.

        The text begins with the space that the tokenizer puts before the first word.
        """
        ids = self.tokenizer.encode(text)
        return None if UNK_ID in ids else [code for piece in self.tokenizer.pieces(ids) for code in _codes(piece)]

    def _prefix(self, text: str) -> Automaton | None:
        codes = self.spell(text)
        if not codes:
            return None
        codes += [ord(" ")] * (text[-1:].isspace() and codes[-1] != ord(" "))
        size, longest = self.pieces.codes.shape
        length = len(codes)
        there = np.array([*codes, *[-1] * longest], np.int32)  # after the prefix, anything is allowed
        next_states = np.zeros((length + 1, size), np.int32)
        blocked = np.zeros((length + 1, size), bool)
        lengths = (self.pieces.codes >= 0).sum(axis=1)
        for place in range(length):
            ahead = there[place : place + longest]
            fits = ((self.pieces.codes == ahead) | (self.pieces.codes < 0) | (ahead < 0)).all(axis=1) & (lengths > 0)
            end = place + lengths
            next_states[place + 1] = np.where(end >= length, DONE, end + 1)
            blocked[place + 1] = ~fits
        return self._finish(next_states, blocked, [False] * (length + 1), [START], [self.tokenizer.encode(text)])

    def _required(self, variants: tuple[str, ...]) -> Automaton | None:
        possible = [variant for variant in variants if self.spell(variant)]
        if not possible:
            return None
        next_states, may_end, starts = self._occurrence(possible)
        blocked = np.zeros(next_states.shape, bool)
        return self._finish(next_states, blocked, may_end, starts, self.tokenizer.encode_batch(possible))

    def _forbidden(self, phrases: tuple[str, ...]) -> Automaton | None:
        possible = [phrase for phrase in phrases if self.spell(phrase)]
        if not possible:
            return None
        next_states, may_end, _ = self._occurrence(possible)
        blocked = np.array(may_end)[next_states]  # state 0 may end, too
        blocked[:, EOS_ID] = may_end
        blocked[DONE] = False
        next_states[:, EOS_ID] = DONE
        states = len(next_states)
        return Automaton(next_states, blocked, np.zeros((states, 1), np.int32), np.zeros(states, np.int32))

    def _occurrence(self, phrases: Sequence[str]) -> tuple[np.ndarray, list[bool], list[int]]:
        """States after each token, (S, V) int32, where state 0 is reached when a phrase has occurred.

        Also returns for each state whether the end of the text completes a phrase, and the states in which none has
        begun.
        """
        patterns = [_pattern(self.spell(phrase) or []) for phrase in phrases]
        alphabet = sorted({code for pattern in patterns for codes in pattern for code in codes})
        classes = [(code, _is_word(code)) for code in alphabet] + [(-1, True), (-2, False)]
        starts_word = [_is_word(min(pattern[0])) for pattern in patterns]
        ends_word = [_is_word(min(pattern[-1])) for pattern in patterns]

        def follow(state: Begun, code: int, is_word: bool) -> Begun | None:
            begun, at_boundary = state
            if not is_word and any(place == len(patterns[which]) for which, place in begun):
                return None
            fresh = {(which, 0) for which in range(len(patterns)) if at_boundary or not starts_word[which]}
            after = {
                (which, place + 1)
                for which, place in begun | fresh
                if place < len(patterns[which]) and code in patterns[which][place]
            }
            if any(place == len(patterns[which]) and not ends_word[which] for which, place in after):
                return None
            return frozenset(after), not is_word

        first: Begun = frozenset(), True
        numbers: dict[Begun | None, int] = {None: DONE, first: START}
        found, rows = [first], [[DONE] * len(classes)]
        for state in found:  # grows
            row = []
            for code, is_word in classes:
                after = follow(state, code, is_word)
                if after is not None and after not in numbers:
                    numbers[after] = len(numbers)
                    found.append(after)
                row.append(numbers[after])
            rows.append(row)
        may_end = [True] + [any(place == len(patterns[which]) for which, place in begun) for begun, _ in found]
        starts = [number for number, (begun, _) in enumerate(found, start=START) if not begun]
        return self._over_tokens(np.array(rows, np.int32), np.array(alphabet, np.int32)), may_end, starts

    def _over_tokens(self, table: np.ndarray, alphabet: np.ndarray) -> np.ndarray:
        """States after each token (S, V) int32, from those after each class of characters (S, C)."""
        pieces = self.pieces
        place = np.searchsorted(alphabet, pieces.codes).clip(max=len(alphabet) - 1)
        others = np.where(pieces.is_word, len(alphabet) + _WORD, len(alphabet) + _OTHER)
        classes = np.where(alphabet[place] == pieces.codes, place, others)[pieces.by_length]
        states = np.repeat(np.arange(len(table), dtype=np.int32)[:, None], len(classes), axis=1)
        for column, count in enumerate(pieces.counts):
            states[:, :count] = table[states[:, :count], classes[:count, column]]
        next_states = np.empty_like(states)
        next_states[:, pieces.by_length] = states
        next_states[:, UNK_ID] = table[:, len(alphabet) + _WORD]
        return next_states

    def _finish(
        self,
        next_states: np.ndarray,
        blocked: np.ndarray,
        may_end: Sequence[bool],
        starts: Sequence[int],
        spellings: Sequence[Sequence[int]],
    ) -> Automaton:
        """An automaton that blocks EOS until it is done, and names the tokens that lead there.

        These follow the tokenizer's spelling for hypotheses that have begun no phrase or are within that spelling, and
        the shortest one for others.
        """
        usable = ~blocked
        usable[:, [PAD_ID, UNK_ID, BOS_ID, EOS_ID]] = False
        remaining = np.where(may_end, 0, NEVER).astype(np.int32)
        remaining[DONE] = 0
        ways: list[dict[int, None]] = [{} for _ in remaining]  # tokens, the first one first
        changed = True
        while changed:
            changed = False
            for state in np.flatnonzero(remaining)[::-1].tolist():  # a prefix needs one round
                after = np.where(usable[state], remaining[next_states[state]], NEVER)
                if after.min() + 1 < remaining[state]:
                    remaining[state], changed = after.min() + 1, True
                    ways[state] = {self.pieces.likeliest(after == after.min()): None}
        spelled: list[dict[int, None]] = [{} for _ in remaining]
        for start, spelling in product(starts, reversed(spellings)):
            path = [start]
            for token in spelling:
                path.append(int(next_states[path[-1], token]) if usable[path[-1], token] else -1)
                if path[-1] < 0:
                    break
            else:
                if remaining[path[-1]] == 0:
                    # A space may lead back to the same state.
                    for state, token in dict(zip(path[:-1], spelling, strict=True)).items():
                        spelled[state] = {token: None} | spelled[state] if remaining[state] else {}
        ways = [own or shortest for own, shortest in zip(spelled, ways, strict=True)]
        for state in range(len(remaining)):  # a spelling may be longer than the shortest way
            here, steps = state, 0
            while ways[here]:
                here, steps = int(next_states[here, next(iter(ways[here]))]), steps + 1
            remaining[state] = steps
        width = max(1, min(len(spellings), max(map(len, ways))))
        advance = np.zeros((len(ways), width), np.int32)
        for state, tokens in enumerate(ways):
            advance[state, : min(width, len(tokens))] = list(tokens)[:width]
        blocked[:, EOS_ID] = remaining > 0
        next_states[:, EOS_ID] = DONE
        return Automaton(next_states, blocked, advance, remaining)


def _pattern(codes: Sequence[int]) -> list[set[int]]:
    """The code points allowed at each place of a phrase, without the space before it."""
    places = [{code} for code in codes]
    while places and places[0] == {ord(" ")}:
        del places[0]
    first = chr(min(places[0])) if min(places[0]) < FIRST_BYTE else ""
    if first.islower() and len(first.upper()) == 1:
        places[0].add(ord(first.upper()))
    return places
