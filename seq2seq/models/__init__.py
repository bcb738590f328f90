"""Translation model and language model, their base classes, and their training step."""
