"""Subword regularization: segmentations drawn from a unigram model."""

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from seq2seq.data.subword_units import Vocabulary

END = 0  # the state in which nothing is left to segment


class UnigramSampler:
    """Draw segmentations of units with probabilities proportional to P(segmentation)^alpha.

    P(segmentation) is the product of the probabilities P(p) of its pieces p. By backward filtering and forward
    sampling over a graph: each state is a rest of a unit, and its arcs are the pieces with which the rest may begin. An
    arc leads from `rest` to the state `left`, what remains after its piece p, and is taken with the probability
    P(p)^alpha Z(left) / Z(rest). Z sums over all segmentations: Z("") = 1, Z(rest) = sum over p of P(p)^alpha Z(left).
    Units with the same ending share states.

    Args:
        units: Token ids of each unit.
        vocabulary: Pieces with their log-probabilities as scores.
        alpha: Inverse temperature, above 0: small values make all segmentations nearly equally likely, large
            ones leave only the best.

    Source: Kudo (2018), section 3.2.
    Departure: samples from all segmentations instead of the n best.
    """

    def __init__(self, units: Sequence[np.ndarray], vocabulary: Vocabulary, alpha: float) -> None:
        self._pieces = {text: (piece.token, alpha * piece.score) for text, piece in vocabulary.pieces.items()}
        self._longest = max(map(len, self._pieces), default=0)
        self._states: dict[str | int, int] = {"": END}
        self._log_sums = [0.0]
        self._tokens: list[int] = []
        self._targets: list[int] = []
        # Arcs of state s end at s + the cumulative probability, so that one search in all of them finds an arc.
        self._ends: list[float] = []
        self._bounds = [0, 0]
        texts = map(vocabulary.text, units)
        starts = [
            self._add_fixed(int(unit[0])) if text is None else self._add(text)
            for unit, text in zip(units, texts, strict=True)
        ]
        self.starts = np.array(starts, np.int32)
        self.tokens, self.targets = np.array(self._tokens, np.int32), np.array(self._targets, np.int32)
        self.ends, self.last_arcs = np.array(self._ends), np.array(self._bounds[1:]) - 1

    def _add_fixed(self, token: int) -> int:
        if token not in self._states:
            self._states[token] = self._add_state([(token, END, 0.0)])
        return self._states[token]

    def _add(self, text: str) -> int:
        """Add the states of a text from its end to its beginning, and return the one of all of it."""
        for start in range(len(text) - 1, -1, -1):
            rest = text[start:]
            if rest not in self._states:
                arcs = []
                for end in range(1, min(self._longest, len(rest)) + 1):
                    piece, left = self._pieces.get(rest[:end]), self._states[rest[end:]]
                    if piece is not None and self._log_sums[left] > -math.inf:
                        arcs.append((piece[0], left, piece[1] + self._log_sums[left]))
                self._states[rest] = self._add_state(arcs)
        return self._states[text]

    def _add_state(self, arcs: Sequence[tuple[int, int, float]]) -> int:
        """Add a state with arcs of a token, a target and a log-weight; one without arcs is never reached."""
        state = len(self._log_sums)
        largest = max((weight for _, _, weight in arcs), default=-math.inf)
        sums = list(accumulate(math.exp(weight - largest) for _, _, weight in arcs))
        self._log_sums.append(largest + math.log(sums[-1]) if sums else -math.inf)
        self._tokens += [token for token, _, _ in arcs]
        self._targets += [target for _, target, _ in arcs]
        self._ends += [state + value / sums[-1] for value in sums]
        self._bounds.append(len(self._tokens))
        return state

    def sample(self, numbers: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw a segmentation of each unit; see `UnitSampler`."""
        places, states = np.arange(len(numbers)), self.starts[numbers]
        counts, steps = np.zeros(len(numbers), np.int64), []
        while len(places):
            arcs = np.searchsorted(self.ends, states + generator.random(len(states)), side="right")
            arcs = np.minimum(arcs, self.last_arcs[states])  # a number near 1 may be rounded up
            steps.append((places, self.tokens[arcs]))
            counts[places] += 1
            states = self.targets[arcs]
            going = states != END
            places, states = places[going], states[going]
        begins = np.cumsum(counts) - counts
        ids = np.empty(counts.sum(), np.int32)
        for step, (places, tokens) in enumerate(steps):
            ids[begins[places] + step] = tokens
        return ids, counts
