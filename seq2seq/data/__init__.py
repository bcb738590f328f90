"""Tokenization, encoded corpora and batches of token ids."""
