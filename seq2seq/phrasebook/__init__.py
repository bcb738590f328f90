"""The synthetic corpus, which is drawn from a grammar and needs no download."""
