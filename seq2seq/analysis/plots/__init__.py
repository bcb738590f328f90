"""Figures, one module a topic: each function takes data and returns a matplotlib Figure."""
