"""Hold validation text out of a training corpus, by source sentence."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import compress

import numpy as np

from seq2seq.config.corpus import SIDES, TextConfig
from seq2seq.config.data import CorporaConfig, SentenceFilterConfig
from seq2seq.corpora.chunks import chunks
from seq2seq.corpora.filters import (
    DuplicateFilter,
    FilterReport,
    measure_length_ratio,
    measured_chunks,
    prefilter,
)
from seq2seq.corpora.layouts import table_form
from seq2seq.corpora.readers import Corpus, Mixture, SentencePair, left_out, open_corpus
from seq2seq.corpora.tables import read_rows
from seq2seq.errors import CorpusError
from seq2seq.plurals import pluralize
from seq2seq.storage.deduplication import hash_texts
from seq2seq.storage.files import resolve_file
from seq2seq.text.cleaning import plain_form

CHUNK_SIZE = 1000  # pairs divided at once
MAX_HASH = 2**64 - 1
ORIGIN = re.compile(r"original|(forward|backward)-\d+")  # third of the four columns of `seq2seq data diversify`


def hash_sources(pairs: Iterable[SentencePair]) -> np.ndarray:
    """A hash of each pair's source sentence, (N,) uint64, uniform over all 64-bit numbers.

    White space counts as one space, as it does for a tokenizer: to a model, "a  b" and "a b" are the same.
    This is not the hash of `assign_split`, since the pairs that it leaves in `train.tsv` have no small hashes.
    """
    return hash_texts(f"held out\n{plain_form(pair.source)}" for pair in pairs)


class CorpusSide:
    """Pairs of a corpus on one side of a bound of hashes: held out up to the bound, trained on above it.

    Args:
        corpus: The corpus to divide.
        bound: Bound of the hashes, see `hash_sources`.
        held_out: Whether this is the held-out side.
    """

    def __init__(self, corpus: Corpus, bound: int, held_out: bool) -> None:
        self.corpus, self.bound, self.held_out = corpus, bound, held_out

    def __iter__(self) -> Iterator[SentencePair]:
        for chunk in chunks(self.corpus, CHUNK_SIZE):
            yield from compress(chunk, (hash_sources(chunk) <= np.uint64(self.bound)) == self.held_out)

    @property
    def left_out(self) -> Counter[str]:
        """Numbers of pairs that the reader left out, which are on no side, and are counted with the training pairs."""
        return Counter() if self.held_out else left_out(self.corpus)

    @cached_property
    def length_ratio(self) -> float:
        """Usual length ratio of the whole corpus, since the held-out side may have few pairs."""
        return measure_length_ratio(self.corpus)

    def has_text(self, filters: SentenceFilterConfig) -> bool:
        """Whether the filters keep any pair."""
        return any(prefilter(chunk, filters, self.length_ratio)[0] for chunk in chunks(self, CHUNK_SIZE))

    def size(self) -> int:
        """Number of pairs on both sides."""
        return sum(1 for _ in self.corpus)

    def fingerprint(self) -> str:
        side = "held out of" if self.held_out else "left of"
        return hashlib.sha256(f"{side} {self.corpus.fingerprint()} at {self.bound}".encode()).hexdigest()


class ReversedCorpus:
    """A corpus with source and target exchanged."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def __iter__(self) -> Iterator[SentencePair]:
        for source, target, origin in self.corpus:
            yield SentencePair(target, source, origin)

    @property
    def left_out(self) -> Counter[str]:
        """Numbers of pairs that the reader left out, by reason."""
        return left_out(self.corpus)

    def fingerprint(self) -> str:
        return hashlib.sha256(f"reversed {self.corpus.fingerprint()}".encode()).hexdigest()


def open_train(data: CorporaConfig, sides: Collection[str] = SIDES) -> list[Corpus]:
    """Open the training corpora, one for each part of a mixture, without the pairs that `data.valid` holds out.

    Raises:
        CorpusError: See `open_corpus`; or no pairs of a corpus are left; or pairs would be held out of a table of
            `seq2seq data diversify`.
    """
    parts = [open_corpus(part, sides) for part in data.train.parts()]
    if not data.valid.held_out:
        return parts
    for part in data.train.parts():
        _refuse_translations(part)
    if data.valid.fraction is not None:
        bound = int(data.valid.fraction * MAX_HASH)
    else:
        assert data.valid.pairs is not None
        bound = _bound_of_pairs(Mixture(parts), data.valid.pairs, data.filters)
    train = [CorpusSide(part, bound, held_out=False) for part in parts]
    for side, part in zip(train, data.train.parts(), strict=True):
        if not side.has_text(data.filters):
            _refuse_one_source(parts, data.train.name(sides), sides)
            raise CorpusError(
                f"data.valid: with {data.valid.name(sides)}, none of {pluralize(side.size(), 'line')} of "
                f"{part.name(sides)} is left to train on. Lower data.valid."
                f"{'pairs' if data.valid.fraction is None else 'fraction'}, or check data.train and data.filters."
            )
    return list(train)


def open_valid(data: CorporaConfig, train: Sequence[Corpus], sides: Collection[str] = SIDES) -> Corpus:
    """Open the validation corpus: a separate one, or the pairs that `open_train` held out from `train`.

    Raises:
        CorpusError: See `open_corpus`; or no pairs are held out.
    """
    held_out = [CorpusSide(side.corpus, side.bound, held_out=True) for side in train if isinstance(side, CorpusSide)]
    if not data.valid.held_out:
        return open_corpus(data.valid, sides)
    if not any(side.has_text(data.filters) for side in held_out):
        _refuse_one_source([side.corpus for side in held_out], data.train.name(sides), sides)
        lines = pluralize(sum(side.size() for side in held_out), "line")
        raise CorpusError(
            f"data.valid: with {data.valid.name(sides)}, none of its {lines} is held out. Raise data.valid.fraction, "
            "set a number with data.valid={pairs: N}, or check data.train and data.filters."
        )
    return Mixture(held_out)


def _refuse_one_source(parts: Sequence[Corpus], name: str, sides: Collection[str]) -> None:
    """Refuse a corpus that cannot be divided: lines with the same source (for a language model: text) stay together.

    Raises:
        CorpusError: All lines have the same source.
    """
    found: set[int] = set()
    for chunk in chunks(Mixture(parts), CHUNK_SIZE):
        found.update(hash_sources(chunk).tolist())
        if len(found) > 1:
            return
    if found:
        raise CorpusError(
            f"data.valid: all lines of {name} have the same {'source' if 'source' in sides else 'sentence'}, and such "
            "lines are held out together or not at all. Check the file and its columns, or validate on another file: "
            "--set data.valid='{tsv: valid.tsv}'."
        )


def _refuse_translations(part: TextConfig) -> None:
    """Refuse to hold pairs out of a table of `seq2seq data diversify`.

    Many of its references are translations by models. The target of an original pair that is held out would still be
    trained on, beside its back-translation, which is another source.

    Raises:
        CorpusError: The corpus is such a table.
    """
    if part.tsv is None:
        return
    path = resolve_file(part.tsv)
    _, cells = next(read_rows(path, table_form(part)), (0, []))
    if len(cells) == 4 and ORIGIN.fullmatch(cells[2]):
        raise CorpusError(
            f"{path}: is a table of `seq2seq data diversify`, of which data.valid would hold out translations by "
            "models, and train on their originals. Validate on a corpus of its own that was not translated: --set "
            "data.valid='{tsv: valid.tsv}'."
        )


def _bound_of_pairs(corpus: Corpus, count: int, filters: SentenceFilterConfig) -> int:
    """The bound up to which the filters keep `count` pairs; the highest possible if there are fewer.

    Memory grows with the number of held-out pairs, not with the corpus.
    """
    smallest, bound, report = np.zeros(0, np.uint64), np.uint64(MAX_HASH), FilterReport()
    selection = DuplicateFilter(filters, report)
    for chunk, ratio in measured_chunks(corpus, filters, report):
        candidates = compress(chunk, hash_sources(chunk) <= bound)  # the bound falls as pairs are found
        left, screening = prefilter(candidates, filters, ratio)
        kept = [SentencePair(*pair) for pair in compress(left, selection.keep(screening))]
        smallest = np.sort(np.concatenate([smallest, hash_sources(kept)]))[:count]
        if len(smallest) == count:
            bound = smallest[-1]
    return int(bound)
