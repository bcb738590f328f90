"""Parallel text: readers, filters and downloads."""

from seq2seq.corpora.lines import read_lines
from seq2seq.corpora.readers import Corpus, SentencePair, open_corpus

__all__ = ["Corpus", "SentencePair", "open_corpus", "read_lines"]
