"""Confidence: how well probabilities are calibrated, and calibrated probabilities of words and sentences."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from seq2seq.text.cleaning import plain_form
from seq2seq.text.words import pieces_of_words, word_spans

NUM_BINS = 15


@dataclass(frozen=True)
class CalibrationScores:
    """How well the probabilities of next tokens are calibrated, with teacher forcing.

    Attributes:
        tokens: Number of target tokens, EOS included.
        accuracy: Share of the tokens that are the most likely next token.
        confidence: Mean probability of the most likely next token.
        calibration_error: Expected calibration error (`expected_calibration_error`).
        nll: Mean negative log-likelihood of the tokens, in nats.
    """

    tokens: int
    accuracy: float
    confidence: float
    calibration_error: float
    nll: float


@dataclass(frozen=True)
class Calibration:
    """A temperature and its effect on the tokens to which it was fitted.

    Attributes:
        temperature: Divisor of the logits; below 1, the model was not confident enough.
        before: Scores at temperature 1.
        after: Scores at this temperature.
    """

    temperature: float
    before: CalibrationScores
    after: CalibrationScores

    def as_dict(self) -> dict[str, Any]:
        """JSON-serializable values that `from_dict` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Calibration":
        """Read what `as_dict` returns.

        Raises:
            KeyError, TypeError, ValueError: A value is missing or wrong.
        """
        temperature = float(values["temperature"])
        if not 0 < temperature < math.inf:
            raise ValueError(f"'temperature' is {temperature}")
        return cls(temperature, *(CalibrationScores(**values[key]) for key in ("before", "after")))


def expected_calibration_error(confidences: np.ndarray, correct: np.ndarray, bins: int = NUM_BINS) -> float:
    """Expected calibration error: mean over tokens of |accuracy - mean confidence| of their bin, 0 to 1.

    Args:
        confidences: (N,) probabilities of the predictions, N at least 1.
        correct: (N,) bool, whether they are right.
        bins: Number of bins of equal mass: tokens are sorted by confidence, and each bin gets the same number, give or
            take one.

    Source:
        Naeini et al. (2015); Nguyen and O'Connor (2015) for bins of equal mass.
    """
    order = np.argsort(confidences, kind="stable")
    parts = zip(np.array_split(confidences[order], bins), np.array_split(correct[order], bins), strict=True)
    gaps = [abs(float(right.sum()) - float(sure.sum(dtype=np.float64))) for sure, right in parts]
    return sum(gaps) / len(confidences)


class WordConfidence(NamedTuple):
    """Calibrated confidence in a word of a translation.

    Attributes:
        word: The word.
        log_prob: Mean log-probability of the tokens that spell it, in nats.
        probability: Product of their probabilities.
    """

    word: str
    log_prob: float
    probability: float


def word_confidences(text: str, tokens: Sequence[str], probabilities: np.ndarray) -> list[WordConfidence]:
    """The confidence in each word of a text (`text.words` defines words).

    Args:
        text: Text that the tokens spell.
        tokens: L pieces; `</s>` belongs to no word.
        probabilities: (L,) calibrated probabilities of the tokens.

    Source:
        Fomicheva et al. (2020), section 4.1, for means of log-probabilities as estimates of quality.
    """
    plain = plain_form(text)
    words, log_probs = word_spans(plain), _log(probabilities)
    spells = pieces_of_words(tokens, plain, words)
    totals = log_probs @ spells
    means = totals / np.maximum(spells.sum(axis=0), 1)
    values = zip(words, means.tolist(), np.exp(totals).tolist(), strict=True)
    return [WordConfidence(plain[start:end], mean, product) for (start, end), mean, product in values]


def sentence_confidence(probabilities: np.ndarray) -> float:
    """Geometric mean of the calibrated probabilities (L,) of all tokens of a sentence, EOS included; L at least 1."""
    return float(np.exp(_log(probabilities).mean()))


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))
