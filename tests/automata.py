"""Automata over token ids for tests, built from their definitions."""

from collections.abc import Sequence

import numpy as np

from seq2seq.search import Automata

Phrase = Sequence[int]


class Builder:
    """Builds the table of a batch; each method returns the first state of a new automaton.

    Args:
        size: Size of the vocabulary.
        eos: Token id of EOS.
    """

    def __init__(self, size: int, eos: int = 3) -> None:
        self.size, self.eos = size, eos
        self.next_states, self.blocked, self.advance, self.remaining = [[0] * size], [[False] * size], [0], [0]

    def require(self, *alternatives: Phrase) -> int:
        """An automaton of which one of the phrases must appear."""
        return self._phrases(alternatives, must=True)

    def exclude(self, *phrases: Phrase) -> int:
        """An automaton of which none of the phrases may appear."""
        return self._phrases(phrases, must=False)

    def begin(self, prefix: Phrase) -> int:
        """An automaton whose hypotheses begin with a prefix."""
        start = len(self.remaining)
        for place, token in enumerate(prefix):
            following = start + place + 1 if place < len(prefix) - 1 else 0
            self._add([following] * self.size, [other != token for other in range(self.size)], token)
            self.remaining[-1] = len(prefix) - place
        return start if prefix else 0

    def _phrases(self, phrases: Sequence[Phrase], must: bool) -> int:
        """States are what may be the beginning of a phrase: the longest end of the tokens so far that is one."""
        start = len(self.remaining)
        begun = sorted({tuple(phrase[:length]) for phrase in phrases for length in range(len(phrase))}, key=len)
        for before in begun:
            row, blocked = [], []
            for token in range(self.size):
                tokens = (*before, token)
                ends = [tokens[place:] for place in range(len(tokens) + 1)]
                found = any(end == tuple(phrase) for end in ends for phrase in phrases)
                row.append(0 if found else start + begun.index(next(end for end in ends if end in begun)))
                blocked.append(found and not must)
            to_go = [(len(one) - len(before), one) for one in phrases if tuple(one[: len(before)]) == before]
            least, nearest = min(to_go, key=lambda pair: pair[0])
            blocked[self.eos] |= must
            self._add(row, blocked, nearest[len(before)] if must else 0)
            self.remaining[-1] = least if must else 0
        return start

    def _add(self, row: list[int], blocked: list[bool], advance: int) -> None:
        self.next_states.append(row)
        self.blocked.append(blocked)
        self.advance.append(advance)
        self.remaining.append(0)

    def build(self, initial: Sequence[Sequence[int]]) -> Automata:
        """All of them, given the first states of each sentence."""
        width = max(map(len, initial))
        return Automata(
            np.array(self.next_states, np.int32),
            np.array(self.blocked),
            np.array(self.advance, np.int32),
            np.array(self.remaining, np.int32),
            np.array([[*states, *[0] * (width - len(states))] for states in initial], np.int32),
        )
