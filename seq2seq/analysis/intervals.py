"""95% intervals: of a share, by the bootstrap over units that belong together, and of a mean over few runs."""

import math
from collections.abc import Sequence

import numpy as np

from seq2seq.errors import EvaluationError
from seq2seq.extras import requires_extra

with requires_extra("analysis", needed_by=__name__):
    from scipy import stats  # type: ignore[import-untyped]

BOOTSTRAP_SAMPLES = 1000
BLOCK_ELEMENTS = 2**22  # drawn at once


def bootstrap_ratio_interval(
    numerators: np.ndarray, denominators: np.ndarray, samples: int = BOOTSTRAP_SAMPLES, seed: int = 1
) -> tuple[float, float]:
    """The 95% interval of `sum(numerators) / sum(denominators)`, when other units of the same kind had been drawn.

    Units, such as sentences, are drawn with replacement, and each keeps both of its numbers: words of one sentence
    depend on each other, and words drawn singly would make intervals too narrow.

    Args:
        numerators: (N,), what counts in each of N units.
        denominators: (N,), of how many.
        samples: How often N units are drawn.
        seed: Of the draws.

    Returns:
        The 2.5th and the 97.5th percentile of the samples that have something to count; NaN where none has.

    Raises:
        EvaluationError: The arrays differ in length, or there is no unit.

    Source: Efron and Tibshirani (1993), chapter 13; for scores of translations Koehn (2004).
    """
    over, under = np.asarray(numerators, float), np.asarray(denominators, float)
    if over.shape != under.shape or over.ndim != 1 or not over.size:
        raise EvaluationError(
            f"an interval needs as many numerators as denominators, and at least one; found shapes {over.shape} and "
            f"{under.shape}."
        )
    generator = np.random.default_rng(seed)
    ratios, rows = [], max(1, BLOCK_ELEMENTS // over.size)
    for start in range(0, samples, rows):
        # How often each unit is drawn says all that there is to know of a sample.
        times = generator.multinomial(over.size, np.full(over.size, 1 / over.size), min(rows, samples - start))
        totals = times @ under
        ratios.append((times @ over)[totals > 0] / totals[totals > 0])
    drawn = np.concatenate(ratios)
    low, high = np.percentile(drawn, [2.5, 97.5]) if drawn.size else (np.nan, np.nan)
    return float(low), float(high)


def mean_confidence_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95% interval of the mean of values by Student's t; both ends NaN for a single value.

    It takes the values for a sample of a normal distribution, and where all are equal it has no width: distances come
    in few sizes, so read a narrow interval as "the seeds agree".
    """
    count = len(values)
    if count < 2:
        return math.nan, math.nan
    mean, half = np.mean(values), stats.t.ppf(0.975, count - 1) * np.std(values, ddof=1) / math.sqrt(count)
    return float(mean - half), float(mean + half)
