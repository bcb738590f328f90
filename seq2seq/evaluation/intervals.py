"""95% confidence intervals of means, and of ratios such as the share of words that are translated correctly."""

import math
from collections.abc import Sequence

import numpy as np

from seq2seq.arguments import check_arguments
from seq2seq.errors import EvaluationError
from seq2seq.evaluation import BOOTSTRAP_SAMPLES

BLOCK_ELEMENTS = 2**22  # numbers drawn at once
# 97.5% quantiles of Student's t for 1 to 10 degrees of freedom, and that of the normal distribution.
T_QUANTILES = 12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139
NORMAL_QUANTILE = 1.959964


@check_arguments()
def mean_confidence_interval(values: Sequence[float]) -> tuple[float, float]:
    """95% confidence interval of the mean by Student's t; NaN at both ends for a single value.

    It assumes a normal distribution, and has no width if all values are equal. Distances take only a few values, so
    read a narrow interval as "the seeds agree".
    """
    if len(values) < 2:
        return math.nan, math.nan
    half = _t_quantile(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def _t_quantile(freedom: int) -> float:
    """The 97.5% quantile of Student's t; above 10 degrees of freedom by its expansion, with an error below 0.0001."""
    if freedom <= len(T_QUANTILES):
        return T_QUANTILES[freedom - 1]
    z = NORMAL_QUANTILE
    terms = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))


@check_arguments()
def bootstrap_ratio_interval(
    numerators: np.ndarray, denominators: np.ndarray, samples: int = BOOTSTRAP_SAMPLES, seed: int = 1
) -> tuple[float, float]:
    """95% bootstrap interval of `sum(numerators) / sum(denominators)` over resampled units.

    Units, such as sentences, are drawn with replacement, and each keeps both of its numbers: words of one sentence
    depend on each other, and drawing words singly would make intervals too narrow.

    Args:
        numerators: (N,), number of hits in each of N units.
        denominators: (N,), number of cases in each unit.
        samples: Number of bootstrap samples.
        seed: Seed of the draws.

    Returns:
        The 2.5th and the 97.5th percentile over the samples with any cases; NaN if there are none.

    Raises:
        EvaluationError: The arrays differ in length, or are empty.

    Source:
        Efron and Tibshirani (1993), chapter 13; for scores of translations Koehn (2004).
    """
    over, under = np.asarray(numerators, float), np.asarray(denominators, float)
    if over.shape != under.shape or over.ndim != 1 or not over.size:
        raise EvaluationError(
            f"an interval needs as many numerators as denominators, and at least one; found shapes {over.shape} and "
            f"{under.shape}."
        )
    return bootstrap_ratio_intervals(over[None], under[None], samples, seed)[0]


def bootstrap_ratio_intervals(
    numerators: np.ndarray, denominators: np.ndarray, samples: int = BOOTSTRAP_SAMPLES, seed: int = 1
) -> list[tuple[float, float]]:
    """`bootstrap_ratio_interval` of each row of two (R, N) arrays, over the same samples of units."""
    generator = np.random.default_rng(seed)
    size = numerators.shape[1]
    over, under, rows = [], [], max(1, BLOCK_ELEMENTS // size)
    for start in range(0, samples, rows):
        # How often each unit is drawn describes a sample completely.
        times = generator.multinomial(size, np.full(size, 1 / size), min(rows, samples - start))
        over.append(times @ numerators.T)
        under.append(times @ denominators.T)
    found = []
    for numerator, denominator in zip(np.concatenate(over).T, np.concatenate(under).T, strict=True):
        drawn = numerator[denominator > 0] / denominator[denominator > 0]
        low, high = np.percentile(drawn, [2.5, 97.5]) if drawn.size else (np.nan, np.nan)
        found.append((float(low), float(high)))
    return found
