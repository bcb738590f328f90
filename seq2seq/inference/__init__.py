"""From a model to text: search, translation and generation."""
