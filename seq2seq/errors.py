"""Exceptions that people meet, each with a message that says where, what was found and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches

# Similarity of two words (`difflib`), 0 to 1, from which one may be meant by the other: one letter wrong in three, or
# two in seven.
SHORT_WORD = 3  # letters
MIN_RATIO_OF_SHORT, MIN_RATIO = 0.6, 0.7


class Seq2SeqError(Exception):
    """Base class of errors that a user can cause and fix; the command line prints them and exits with 1."""


class ArgumentError(Seq2SeqError, TypeError, ValueError):
    """A function was called with an argument of a type, shape or value that it does not accept."""


class ConfigError(Seq2SeqError, ValueError):
    """A recipe, a section of it or an override is wrong."""


class MissingExtraError(Seq2SeqError, ImportError):
    """A package that comes with an extra is not installed; an ImportError too, since it may end an import."""


class CorpusError(Seq2SeqError):
    """Parallel text is missing, damaged or not aligned."""


class TokenizerError(Seq2SeqError):
    """A SentencePiece model cannot be trained or used, or does not know a text."""


class ModelDirectoryError(Seq2SeqError):
    """A model directory is missing something, damaged or of another version."""


class StorageError(Seq2SeqError):
    """A file cannot be written, as on a full disk; what was there under its name stays."""


class TrainingError(Seq2SeqError):
    """A training run cannot start, go on or resume."""


class Seq2SeqWarning(UserWarning):
    """Base of this package's own warnings, which commands show in one line each."""


class TrainingWarning(Seq2SeqWarning):
    """A problem of a trained model, when its run was shown nowhere; `TrainingReport.remaining_warnings` lists them."""


class BulkError(Seq2SeqError):
    """A translation in shards or on Apache Beam cannot start, go on or be joined."""


class ForkError(Seq2SeqError, RuntimeError):
    """A process was forked after TensorFlow had started, which cannot compute in it."""


class OutOfMemoryError(Seq2SeqError):
    """One sentence alone takes more memory than there is; batches of several get smaller without an error."""


class EvaluationError(Seq2SeqError):
    """Texts to score, or arguments of an analysis, are empty or do not fit together."""


class EvaluationWarning(Seq2SeqWarning):
    """A reason why scores may mean little."""


def suggest_similar(word: str, accepted: Iterable[str], prefix: str = "") -> str:
    """Return " Did you mean 'x'?" for the closest accepted word, one that contains it first; "" if none is close.

    The suggestion starts with `prefix`, as of the section of a key.
    """
    accepted = list(accepted)
    containing = [one for one in accepted if len(word) > SHORT_WORD and _letters(word) in _letters(one)]
    cutoff = 0.0 if containing else MIN_RATIO_OF_SHORT if len(word) <= SHORT_WORD else MIN_RATIO
    match = get_close_matches(word, containing or accepted, n=1, cutoff=cutoff)
    return f" Did you mean '{prefix}{match[0]}'?" if match else ""


def _letters(word: str) -> str:
    return word.casefold().replace("_", "")
