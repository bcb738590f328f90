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
    "EmbeddingsConfig": "config",
    "EncoderConfig": "config",
    "EvaluationReport": "evaluation",
    "LanguageModel": "language_model",
    "PerplexityReport": "text_generator",
    "ProbeReport": "probing",
    "SearchOptions": "config",
    "SentencePair": "corpora",
    "Seq2Seq": "model",
    "Seq2SeqError": "errors",
    "TextGenerator": "text_generator",
    "Tokenizer": "tokenizer",
    "TokenizerConfig": "config",
    "TrainingReport": "training",
    "Translation": "translator",
    "Translator": "translator",
    "batch_dataset": "batching",
    "encode_corpus": "encoding",
    "evaluate": "evaluation",
    "load_config": "config",
    "open_corpus": "corpora",
    "plan_batches": "batching",
    "probe": "probing",
    "train": "training",
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
