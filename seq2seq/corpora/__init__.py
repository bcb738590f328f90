"""Parallel text: readers, and filters in a module of their own."""

from seq2seq.corpora.readers import Corpus, SentencePair, open_corpus, read_lines

__all__ = ["Corpus", "SentencePair", "open_corpus", "read_lines"]
