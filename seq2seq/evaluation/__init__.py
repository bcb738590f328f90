"""Evaluation of translations: metrics, baselines and checks of the texts."""
