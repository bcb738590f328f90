"""Exceptions for users, with messages that say where the problem is, what was found and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches

# Minimum similarity (`difflib`, 0 to 1) of a word and a suggestion: one wrong letter in three, or two in seven.
SHORT_WORD = 3  # letters
MIN_RATIO_OF_SHORT, MIN_RATIO = 0.6, 0.7


class Seq2SeqError(Exception):
    """Base class of errors that a user can cause and fix; the command line prints them and exits with code 1."""


class ArgumentError(Seq2SeqError, TypeError, ValueError):
    """An argument of a function has a type, shape or value that is not accepted."""


class ConfigError(Seq2SeqError, ValueError):
    """A recipe, a section of it or an override is invalid."""


class MissingExtraError(Seq2SeqError, ImportError):
    """A package of an extra is not installed. It is also an `ImportError`, since it may be raised during an import."""


class CorpusError(Seq2SeqError):
    """A corpus is missing, damaged or not aligned."""


class TokenizerError(Seq2SeqError):
    """A SentencePiece model cannot be trained or used, or a text contains pieces that it does not know."""


class ModelDirectoryError(Seq2SeqError):
    """A model directory is incomplete, damaged or of a later format version."""


class StorageError(Seq2SeqError):
    """A file cannot be written, e.g. on a full disk; an existing file of that name is kept."""


class TrainingError(Seq2SeqError):
    """A training run cannot start, continue or resume."""


class Seq2SeqWarning(UserWarning):
    """Base class of this package's warnings, which commands print on one line each."""


class TrainingWarning(Seq2SeqWarning):
    """A problem of a trained model, issued if its run had no display; see `TrainingReport.remaining_warnings`."""


class BulkError(Seq2SeqError):
    """A translation in shards or on Apache Beam cannot start, continue or be merged."""


class ForkError(Seq2SeqError, RuntimeError):
    """A process was forked after TensorFlow had started, and TensorFlow cannot compute in it."""


class OutOfMemoryError(Seq2SeqError):
    """A single sentence does not fit into memory; batches of several are split without an error."""


class EvaluationError(Seq2SeqError):
    """Texts to score, or arguments of an analysis, are empty or inconsistent."""


class EvaluationWarning(Seq2SeqWarning):
    """A reason why scores may be unreliable."""


def suggest_similar(word: str, accepted: Iterable[str], prefix: str = "") -> str:
    """Return " Did you mean 'x'?" for the most similar accepted word; "" if none is similar.

    Words that contain `word` are preferred. The suggestion starts with `prefix`, e.g. the section of a key.
    """
    accepted = list(accepted)
    containing = [one for one in accepted if len(word) > SHORT_WORD and _letters(word) in _letters(one)]
    cutoff = 0.0 if containing else MIN_RATIO_OF_SHORT if len(word) <= SHORT_WORD else MIN_RATIO
    match = get_close_matches(word, containing or accepted, n=1, cutoff=cutoff)
    return f" Did you mean '{prefix}{match[0]}'?" if match else ""


def _letters(word: str) -> str:
    return word.casefold().replace("_", "")
