"""Recurrent translation with attention on Keras 3 and TensorFlow. Public names load on first use."""

import os
import sys
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Config": "config",
    "CorpusConfig": "config",
    "DecoderConfig": "config",
    "LanguageModelDecoderConfig": "config",
    "EmbeddingsConfig": "config",
    "EncoderConfig": "config",
    "EvaluationReport": "evaluation.metrics",
    "GenerationOptions": "config",
    "LanguageModel": "models.language_model",
    "PerplexityReport": "inference.text_generator",
    "CellComparison": "training.cell_comparison",
    "ChallengeReport": "analysis.challenge.sets",
    "SearchOptions": "config",
    "SentencePair": "corpora",
    "Seq2Seq": "models.translation",
    "Seq2SeqError": "errors",
    "TextGenerator": "inference.text_generator",
    "Tokenizer": "data.tokenizer",
    "TokenizerConfig": "config",
    "Tokenizers": "data.tokenizer",
    "TrainingReport": "training",
    "Translation": "inference.results",
    "Translator": "inference.translator",
    "batch_dataset": "data.batching",
    "compare_cells": "training.cell_comparison",
    "encode_corpus": "data.encoded",
    "evaluate": "evaluation.metrics",
    "load_config": "config",
    "make_dataset": "training.fit_dataset",
    "open_corpus": "corpora",
    "save_model": "model_directory.model",
    "plan_batches": "data.batching",
    "plot_attention": "analysis.plots.translations",
    "plot_history": "analysis.plots.history",
    "evaluate_challenge_sets": "analysis.challenge.sets",
    "export_model": "export.export",
    "train": "training",
    "train_pairs": "training.pairs",
}
__all__ = ["__version__", *_HOME]  # noqa: PLE0604

if "keras" in sys.modules and sys.modules["keras"].config.backend() != "tensorflow":
    raise ImportError(
        f"seq2seq runs Keras on TensorFlow, and Keras is already loaded on "
        f"{sys.modules['keras'].config.backend()}. Import seq2seq first, or set KERAS_BACKEND=tensorflow."
    )
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'seq2seq' has no attribute {name!r}")
    return getattr(import_module(f"seq2seq.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
