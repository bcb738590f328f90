"""The two models, their common base, and the step that trains them."""
