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
        self.next_states, self.blocked, self.required = [[0] * size], [[False] * size], [False]

    def require(self, *alternatives: Phrase) -> int:
        """An automaton of which one of the phrases must appear."""
        return self._phrases(alternatives, must=True)

    def exclude(self, *phrases: Phrase) -> int:
        """An automaton of which none of the phrases may appear."""
        return self._phrases(phrases, must=False)

    def begin(self, prefix: Phrase) -> int:
        """An automaton whose hypotheses begin with a prefix."""
        start = len(self.next_states)
        for place, token in enumerate(prefix):
            self.next_states.append([start + place + 1 if place < len(prefix) - 1 else 0] * self.size)
            self.blocked.append([other != token for other in range(self.size)])
            self.required.append(True)
        return start if prefix else 0

    def _phrases(self, phrases: Sequence[Phrase], must: bool) -> int:
        """States are what may be the beginning of a phrase: the longest end of the tokens so far that is one."""
        start = len(self.next_states)
        begun = sorted({tuple(phrase[:length]) for phrase in phrases for length in range(len(phrase))}, key=len)
        for before in begun:
            row, blocked = [], []
            for token in range(self.size):
                tokens = (*before, token)
                ends = [tokens[place:] for place in range(len(tokens) + 1)]
                found = any(end == tuple(phrase) for end in ends for phrase in phrases)
                row.append(0 if found and must else start + begun.index(next(end for end in ends if end in begun)))
                blocked.append(found and not must)
            blocked[self.eos] |= must
            self.next_states.append(row)
            self.blocked.append(blocked)
            self.required.append(must)
        return start

    def build(
        self,
        initial: Sequence[Sequence[int]],
        sources: np.ndarray | None = None,
        begins_word: np.ndarray | None = None,
        positions: int = 3,
    ) -> Automata:
        """All of them, given the first states of each sentence.

        Args:
            initial: The first states of each sentence.
            sources: See `Automata`; by default nothing is known of the source tokens.
            begins_word: See `Automata`; by default all tokens begin words.
            positions: Number of source tokens.
        """
        width = max(map(len, initial))
        states, blocked = np.array(self.next_states, np.int32), np.array(self.blocked)
        far = 1000
        remaining = np.where(self.required, far, 0)
        for _ in states:  # the shortest way from each state to one in which nothing is missing
            after = np.where(blocked, far, remaining[states])
            remaining = np.where(self.required, np.minimum(remaining, 1 + after.min(axis=1)), 0)
        initial_states = np.array([[*first, *[0] * (width - len(first))] for first in initial], np.int32)
        return Automata(
            states,
            blocked,
            np.where(self.required, after.argmin(axis=1), 0).astype(np.int32)[:, None],
            remaining.astype(np.int32),
            initial_states,
            np.zeros((*initial_states.shape, positions), np.float32) if sources is None else sources,
            np.ones(self.size, bool) if begins_word is None else begins_word,
        )
