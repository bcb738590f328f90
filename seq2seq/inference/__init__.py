"""From a model to text: search, translation, scoring and generation."""
