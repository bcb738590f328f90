"""Lexical shortlist: the target tokens that a source sentence is likely to need, to which decoding is restricted."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seq2seq.config import FilterConfig
from seq2seq.corpora import Corpus
from seq2seq.corpora.chunks import chunks
from seq2seq.corpora.filters import FilterReport, filter_pairs
from seq2seq.data.padding import pad_concatenated
from seq2seq.data.tokenizer import EOS_ID, Tokenizers
from seq2seq.errors import ModelDirectoryError
from seq2seq.inference.ibm1 import Ids, learn_translation_table
from seq2seq.model_directory.derived_files import (
    SHORTLIST_FILE,
    how_to_make,
    record_derived_file,
    verify_derived_file,
)
from seq2seq.model_directory.pretrained import refuse_pretrained
from seq2seq.storage.arrays import load_arrays, save_arrays

ARRAY_TYPES = {"candidates": ("int32", 2), "frequent": ("int32", 1)}
MAX_CANDIDATES = 100  # stored per source token
CHUNK_SIZE = 1000  # pairs that are tokenized at once
NUM_FREQUENT = 100  # target tokens that every translation may use


class Shortlist(NamedTuple):
    """Target tokens that a translation may use.

    Attributes:
        candidates: (Vs, C) int32, the most likely target tokens of each source token, best first; 0 in empty places.
        frequent: (F,) int32, tokens that every translation may use: the special and the most frequent ones.
    """

    candidates: np.ndarray
    frequent: np.ndarray

    def select(self, sentences: Sequence[Ids], size: int, needed: Sequence[np.ndarray] | None = None) -> np.ndarray:
        """Candidates of each sentence, independent of its batch.

        Args:
            sentences: Source token ids of B sentences.
            size: Number of candidates per source token, at most `MAX_CANDIDATES`.
            needed: Further candidates of each sentence; None: none.

        Returns:
            Target token ids (B, C) int32 in ascending order, so that the index of each special token is its id; 0 after
            a sentence's last.
        """
        own = [np.union1d(self.frequent, self.candidates[np.asarray(ids, np.int64), :size]) for ids in sentences]
        if needed is not None:
            own = [np.union1d(ids, more) for ids, more in zip(own, needed, strict=True)]
        return pad_concatenated(np.concatenate(own), list(map(len, own)))


def shortlist_from_pairs(pairs: Iterable[tuple[Ids, Ids]], source_size: int, target_size: int) -> Shortlist:
    """Learn a shortlist from sentence pairs, given as token ids without EOS.

    Source:
        Jean et al. (2015), section 3.2: candidates from IBM model 1.
    """
    pair, probability, counts = learn_translation_table(pairs, source_size, target_size)
    word, candidate = pair // target_size, pair % target_size
    candidates = np.zeros((source_size, MAX_CANDIDATES), np.int32)
    order = np.lexsort((-probability, word))
    first = np.searchsorted(word[order], np.arange(source_size))
    rank = np.arange(len(order)) - first[word[order]]
    best = order[rank < MAX_CANDIDATES]
    candidates[word[best], rank[rank < MAX_CANDIDATES]] = candidate[best]
    candidates[0] = 0
    frequent = np.argsort(-counts, kind="stable")[:NUM_FREQUENT]
    return Shortlist(candidates, np.union1d(np.arange(EOS_ID + 1), frequent).astype(np.int32))


def learn_shortlist(corpora: Iterable[Corpus], tokenizers: Tokenizers, filters: FilterConfig) -> Shortlist:
    """Learn a shortlist from the pairs that training reads; each corpus is filtered separately and tokenized.

    Raises:
        CorpusError: See the readers.
    """

    def pairs() -> Iterator[tuple[Ids, Ids]]:
        for corpus in corpora:
            for chunk in chunks(filter_pairs(corpus, filters, FilterReport()), CHUNK_SIZE):
                sources = tokenizers.source.encode_batch([pair.source for pair in chunk])
                targets = tokenizers.target.encode_batch([pair.target for pair in chunk])
                for source, target in zip(sources, targets, strict=True):
                    if source and target and max(len(source), len(target)) < filters.max_tokens:  # EOS adds one
                        yield source, target

    return shortlist_from_pairs(pairs(), tokenizers.source.vocabulary_size, tokenizers.target.vocabulary_size)


def save_shortlist(folder: Path, shortlist: Shortlist, tokenizers: Tokenizers) -> None:
    """Write a shortlist into a model directory; `metadata.json` gets its checksum and those of the tokenizers.

    Raises:
        ModelDirectoryError: The metadata of the directory are missing or damaged, or the model is a pretrained one.
    """
    refuse_pretrained(folder)
    save_arrays(folder / SHORTLIST_FILE, shortlist._asdict())
    record_derived_file(folder, SHORTLIST_FILE, _made_from(tokenizers))


def load_shortlist(folder: Path, tokenizers: Tokenizers) -> Shortlist:
    """Read what `save_shortlist` wrote.

    Raises:
        ModelDirectoryError: The file is missing, damaged, not a shortlist, or made for other tokenizers.
    """
    path = verify_derived_file(folder, SHORTLIST_FILE, _made_from(tokenizers))
    again = how_to_make(folder, SHORTLIST_FILE)
    arrays, _ = load_arrays(path)
    if {name: (array.dtype.name, array.ndim) for name, array in arrays.items()} != ARRAY_TYPES:
        raise ModelDirectoryError(f"{path}: not a shortlist: it holds {', '.join(arrays) or 'nothing'}. {again}")
    found = Shortlist(**arrays)
    tokens = np.concatenate([found.candidates.ravel(), found.frequent])
    sizes = [tokenizer.vocabulary_size for tokenizer in tokenizers]
    if len(found.candidates) != sizes[0] or not (0 <= tokens.min(initial=0) <= tokens.max(initial=0) < sizes[1]):
        raise ModelDirectoryError(f"{path}: has tokens that the tokenizers do not have. {again}")
    return found


def _made_from(tokenizers: Tokenizers) -> dict[str, str]:
    return {name: tokenizer.file_checksum() for name, tokenizer in tokenizers.files().items()}
