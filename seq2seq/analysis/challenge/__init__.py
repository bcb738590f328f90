"""Challenge sets drawn from the grammar, one per phenomenon."""
