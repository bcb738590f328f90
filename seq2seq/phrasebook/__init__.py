"""The synthetic corpus: drawn from a grammar, with nothing to download."""
