"""Recurrent translation with attention on Keras 3 and TensorFlow. Public names load on first use."""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    "PairScore": "inference.pair_score",
    "PerplexityReport": "inference.text_generator",
    "CellComparison": "training.cell_comparison",
    "ComparisonReport": "evaluation.comparison_report",
    "ChallengeReport": "analysis.challenge.sets",
    "Request": "inference.requests",
    "Scorer": "inference.scorer",
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
    "compare_systems": "evaluation.comparison",
    "encode_corpus": "data.encoded",
    "evaluate": "evaluation.metrics",
    "load_config": "config",
    "make_dataset": "training.fit_dataset",
    "open_corpus": "corpora",
    "save_model": "model_directory.model",
    "plan_batches": "data.batching",
    "plot_attention": "analysis.plots.translations",
    "plot_history": "analysis.plots.history",
    "plot_runs": "analysis.plots.history",
    "evaluate_challenge_sets": "analysis.challenge.sets",
    "export_model": "export.export",
    "train": "training",
    "train_pairs": "training.pairs",
}
__all__ = ["__version__", *_HOME]  # noqa: PLE0604

if TYPE_CHECKING:  # type checkers and editors see the names here, of which a test knows that they are those of _HOME
    from seq2seq.analysis.challenge.sets import ChallengeReport as ChallengeReport
    from seq2seq.analysis.challenge.sets import evaluate_challenge_sets as evaluate_challenge_sets
    from seq2seq.analysis.plots.history import plot_history as plot_history
    from seq2seq.analysis.plots.history import plot_runs as plot_runs
    from seq2seq.analysis.plots.translations import plot_attention as plot_attention
    from seq2seq.config import Config as Config
    from seq2seq.config import CorpusConfig as CorpusConfig
    from seq2seq.config import DecoderConfig as DecoderConfig
    from seq2seq.config import EmbeddingsConfig as EmbeddingsConfig
    from seq2seq.config import EncoderConfig as EncoderConfig
    from seq2seq.config import GenerationOptions as GenerationOptions
    from seq2seq.config import LanguageModelDecoderConfig as LanguageModelDecoderConfig
    from seq2seq.config import SearchOptions as SearchOptions
    from seq2seq.config import TokenizerConfig as TokenizerConfig
    from seq2seq.config import load_config as load_config
    from seq2seq.corpora import SentencePair as SentencePair
    from seq2seq.corpora import open_corpus as open_corpus
    from seq2seq.data.batching import batch_dataset as batch_dataset
    from seq2seq.data.batching import plan_batches as plan_batches
    from seq2seq.data.encoded import encode_corpus as encode_corpus
    from seq2seq.data.tokenizer import Tokenizer as Tokenizer
    from seq2seq.data.tokenizer import Tokenizers as Tokenizers
    from seq2seq.errors import Seq2SeqError as Seq2SeqError
    from seq2seq.evaluation.comparison import compare_systems as compare_systems
    from seq2seq.evaluation.comparison_report import ComparisonReport as ComparisonReport
    from seq2seq.evaluation.metrics import EvaluationReport as EvaluationReport
    from seq2seq.evaluation.metrics import evaluate as evaluate
    from seq2seq.export.export import export_model as export_model
    from seq2seq.inference.pair_score import PairScore as PairScore
    from seq2seq.inference.requests import Request as Request
    from seq2seq.inference.results import Translation as Translation
    from seq2seq.inference.scorer import Scorer as Scorer
    from seq2seq.inference.text_generator import PerplexityReport as PerplexityReport
    from seq2seq.inference.text_generator import TextGenerator as TextGenerator
    from seq2seq.inference.translator import Translator as Translator
    from seq2seq.model_directory.model import save_model as save_model
    from seq2seq.models.language_model import LanguageModel as LanguageModel
    from seq2seq.models.translation import Seq2Seq as Seq2Seq
    from seq2seq.training import TrainingReport as TrainingReport
    from seq2seq.training import train as train
    from seq2seq.training.cell_comparison import CellComparison as CellComparison
    from seq2seq.training.cell_comparison import compare_cells as compare_cells
    from seq2seq.training.fit_dataset import make_dataset as make_dataset
    from seq2seq.training.pairs import train_pairs as train_pairs

if "keras" in sys.modules and sys.modules["keras"].config.backend() != "tensorflow":
    raise ImportError(
        f"seq2seq runs Keras on TensorFlow, and Keras is already loaded on "
        f"{sys.modules['keras'].config.backend()}. Import seq2seq first, or set KERAS_BACKEND=tensorflow."
    )
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


if not TYPE_CHECKING:  # for which any name would be one of this module

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'seq2seq' has no attribute {name!r}")
        return getattr(import_module(f"seq2seq.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
