"""Parallel text: readers, filters and the embedded corpus."""

from seq2seq.corpora.filters import FilterReport, filter_pairs
from seq2seq.corpora.readers import Corpus, SentencePair, TargetSide, open_corpus, read_lines

__all__ = [
    "Corpus",
    "FilterReport",
    "SentencePair",
    "TargetSide",
    "filter_pairs",
    "open_corpus",
    "read_lines",
]
