"""Score of a source and its translation."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from seq2seq.inference.results import json_number
from seq2seq.plurals import pluralize


@dataclass(frozen=True, repr=False)
class PairScore:
    """Score of a source and its translation.

    Attributes:
        score: Sum of `token_log_probs`, normalised by length, plus the coverage penalty: what a search that finds this
            translation gives it.
        tokens: L target pieces, the last one `</s>`; [] if both sides are blank.
        token_log_probs: (L,) float32, in nats; 0 for tokens of a prefix.
        prefix_length: Number of tokens of the prefix.
    """

    score: float
    tokens: list[str]
    token_log_probs: np.ndarray
    prefix_length: int = 0

    @property
    def log_prob(self) -> float:
        """Sum of `token_log_probs`."""
        return float(self.token_log_probs.sum(dtype=np.float64))

    @property
    def mean_log_prob(self) -> float:
        """Mean log-probability per token after the prefix, EOS included; 0 without tokens."""
        return self.log_prob / max(len(self.tokens) - self.prefix_length, 1)

    @property
    def perplexity(self) -> float:
        """Exponential of the negative `mean_log_prob`."""
        return math.exp(min(-self.mean_log_prob, 700.0))

    def as_dict(self) -> dict[str, Any]:
        """Values for JSON; numbers that are not finite are None."""
        return {
            "score": json_number(self.score),
            "log_prob": json_number(self.log_prob),
            "mean_log_prob": json_number(self.mean_log_prob),
            "tokens": self.tokens,
            "token_log_probs": [json_number(value) for value in self.token_log_probs.tolist()],
        }

    def __repr__(self) -> str:
        return (
            f"PairScore({self.score:.3f}, {self.mean_log_prob:.3f} per token, {pluralize(len(self.tokens), 'token')})"
        )
