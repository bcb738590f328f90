"""BPE-dropout: byte-pair encoding whose merges are randomly skipped."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from seq2seq.data.subword_units import Vocabulary

Symbols = TypeVar("Symbols", int, np.ndarray)

NO_MERGE = np.iinfo(np.int32).max  # rank of two symbols that do not merge


class BPEDropoutSampler:
    """Segment units by merging adjacent symbols, from single characters on, while each merge may be skipped.

    Before every merge, each possible one is left out with probability `dropout`, independently; the best of the others
    is made (of equal ones, the leftmost). If all are left out, the unit is done. Without dropout, this is byte-pair
    encoding.

    Args:
        units: Token ids of each unit.
        vocabulary: Pieces with their negative ranks as scores.
        dropout: Probability of leaving out a possible merge, above 0 and below 1.

    Source: Provilkov, Emelianenko and Voita (2020), algorithm 1.
    """

    def __init__(self, units: Sequence[np.ndarray], vocabulary: Vocabulary, dropout: float) -> None:
        self._log_dropout = np.log(dropout)
        self._pad = len(vocabulary.texts)
        pieces = vocabulary.pieces
        order = sorted(pieces, key=lambda text: pieces[text].score, reverse=True)
        self._merged = np.array([pieces[text].token for text in order], np.int32)  # by rank
        ranks = {
            self._code(pieces[text[:cut]].token, pieces[text[cut:]].token): rank
            for rank, text in enumerate(order)
            for cut in range(1, len(text))
            if text[:cut] in pieces and text[cut:] in pieces
        }
        self._codes = np.array([*sorted(ranks), np.iinfo(np.int64).max])
        self._ranks = np.array([*(ranks[code] for code in sorted(ranks)), NO_MERGE], np.int32)
        symbols = [self._first_symbols(unit, vocabulary) for unit in units]
        self.sizes = np.array([len(unit) for unit in symbols])
        ends = np.cumsum(self.sizes)
        self.offsets = ends - self.sizes
        self.symbols = np.concatenate(symbols)
        # Rank of the merge of each symbol with the next one; the last symbol of a unit has no next one.
        self.ranks = np.full_like(self.symbols, NO_MERGE)
        self.ranks[:-1] = self._rank(self.symbols[:-1], self.symbols[1:])
        self.ranks[ends - 1] = NO_MERGE

    def _code(self, left: Symbols, right: Symbols) -> Symbols:
        """One number for two symbols."""
        return left * (self._pad + 1) + right

    @staticmethod
    def _first_symbols(unit: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
        """The characters of a unit; its tokens if they are fixed, or if a character has no piece."""
        characters = [vocabulary.pieces.get(character) for character in vocabulary.text(unit) or ()]
        known = [character.token for character in characters if character is not None]
        return np.array(known, np.int32) if known and len(known) == len(characters) else unit

    def sample(self, numbers: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw a segmentation of each unit; see `UnitSampler`."""
        sizes, offsets = self.sizes[numbers], self.offsets[numbers]
        counts = np.ones(len(numbers), np.int64)
        widths = np.ceil(np.log2(sizes)).astype(np.int64)  # units of similar sizes are segmented together
        merged = []
        for width in np.unique(widths[widths > 0]):
            places = np.flatnonzero(widths == width)
            columns = np.arange(sizes[places].max())
            inside = columns < sizes[places, None]
            symbols = np.full(inside.shape, self._pad, np.int32)
            ranks = np.full(inside.shape, NO_MERGE, np.int32)
            firsts = (offsets[places, None] + columns)[inside]
            symbols[inside], ranks[inside] = self.symbols[firsts], self.ranks[firsts]
            symbols = self._merge(symbols, ranks, generator)
            counts[places] = (symbols != self._pad).sum(axis=1)
            merged.append((places, symbols))
        begins = np.cumsum(counts) - counts
        ids = np.empty(counts.sum(), np.int32)
        single = widths == 0
        ids[begins[single]] = self.symbols[offsets[single]]
        for places, symbols in merged:
            real = symbols != self._pad
            ids[(begins[places, None] + np.arange(symbols.shape[1]))[real]] = symbols[real]
        return ids, counts

    def _merge(self, symbols: np.ndarray, ranks: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Merge the symbols of units, (U, L) padded on the right, until every unit is done.

        `ranks` (U, L) are those of the merge of each symbol with the next one.
        """
        result, places = np.full_like(symbols, self._pad), np.arange(len(symbols))
        while len(places):
            best = self._choose(ranks, generator.random(len(places)))
            chosen = np.take_along_axis(ranks, best[:, None], axis=1)[:, 0]
            done = chosen == NO_MERGE
            result[places[done], : symbols.shape[1]] = symbols[done]
            places, best, chosen = places[~done], best[~done], chosen[~done]
            symbols, ranks = _without(symbols[~done], best + 1), _without(ranks[~done], best)
            rows = np.arange(len(places))
            symbols[rows, best] = self._merged[chosen]
            for left in (best - 1, best):
                inside = (left >= 0) & (left < symbols.shape[1] - 1)
                row, column = rows[inside], left[inside]
                ranks[row, column] = self._rank(symbols[row, column], symbols[row, column + 1])
        return result

    def _choose(self, ranks: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Column of the best merge of each row that is not left out, or of no merge.

        The number of merges that are left out before the first that is not is geometrically distributed.
        """
        skipped = np.floor(np.log1p(-uniform) / self._log_dropout)
        best, some = ranks.argmin(axis=1), np.flatnonzero(skipped)
        skipped = np.minimum(skipped[some], ranks.shape[1] - 1).astype(np.int64)
        best[some] = ranks[some].argsort(axis=1, kind="stable")[np.arange(len(some)), skipped]
        return best

    def _rank(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Rank of the piece that each two symbols merge into, or `NO_MERGE`."""
        codes = self._code(left.astype(np.int64), right)
        found = np.searchsorted(self._codes, codes)
        return np.where(self._codes[found] == codes, self._ranks[found], NO_MERGE)


def _without(matrix: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """A matrix without one element of each row."""
    kept = np.arange(matrix.shape[1]) != columns[:, None]
    return matrix[kept].reshape(len(matrix), matrix.shape[1] - 1)
