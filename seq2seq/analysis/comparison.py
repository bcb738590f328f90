"""Comparisons of cells or other choices over runs with several seeds, with 95% confidence intervals.

Runs are read from the record that `benchmarks/family.py` writes: each of its lines, a JSON object, is a row of a data
frame here. A missing column raises pandas' `KeyError`.
"""

import math
from collections.abc import Sequence

import numpy as np

from seq2seq.arguments import check_arguments
from seq2seq.evaluation.intervals import mean_confidence_interval
from seq2seq.extras import require_extra

with require_extra("analysis", needed_by=__name__):
    import pandas as pd


@check_arguments()
def select_runs(runs: pd.DataFrame, by: str = "cell") -> pd.DataFrame:
    """Select the runs to report: no pilots, and of several runs with the same seed only the one with the lowest loss.

    Runs with seed 0 are pilots, which tried a learning rate. The other runs that are left out had a learning rate that
    was abandoned because the run ended worse than its pilot.
    """
    of_losses = runs[runs["seed"] > 0].sort_values("valid_loss", kind="stable")
    return of_losses.drop_duplicates([by, "seed"]).sort_index()


@check_arguments()
def summarize(
    runs: pd.DataFrame, values: Sequence[str], by: str = "cell", bounds: tuple[float, float] = (-math.inf, math.inf)
) -> pd.DataFrame:
    """Means over seeds with 95% intervals (Student's t; NaN for a single seed).

    Runs that lack one of the values, such as pilots, are left out.

    Args:
        runs: One row per run.
        values: Names of numeric columns.
        by: Name of the column by which runs are grouped.
        bounds: Lowest and highest possible value, such as 0 and 100 for BLEU, at which intervals are cut off.

    Returns:
        One row per value of `by`, which is the index, in the order of first appearance. Columns are `seeds`, and for
        each name in `values` the mean under this name, `<name>_low` and `<name>_high`.
    """
    groups = runs.dropna(subset=list(values)).groupby(by, sort=False)
    table = groups.size().to_frame("seeds")
    for value in values:
        table[value] = groups[value].mean()
        intervals = groups[value].apply(mean_confidence_interval).tolist()
        table[[f"{value}_low", f"{value}_high"]] = np.clip(intervals, *bounds)
    return table


@check_arguments()
def group_difference(
    runs: pd.DataFrame, first: Sequence[str], second: Sequence[str], value: str, by: str = "cell"
) -> dict[str, float]:
    """Difference between the means of two groups of cells, with its 95% interval over seeds.

    Runs with the same seed read the same data in the same order, so they are compared with each other: for every seed,
    the mean of the first group minus that of the second. Seeds that some member of a group lacks are left out.

    Returns:
        `seeds` (their number), `mean`, and the ends `low` and `high` of its 95% interval (Student's t; NaN for a single
        seed).

    Raises:
        KeyError: A member of a group has no run with the value.
        ValueError: A cell has two such runs with the same seed.
    """
    table = runs.dropna(subset=[value]).pivot(index="seed", columns=by, values=value)[[*first, *second]].dropna()
    each = table[[*first]].mean(axis=1) - table[[*second]].mean(axis=1)
    low, high = mean_confidence_interval(each.tolist())
    return {"seeds": len(each), "mean": each.mean(), "low": low, "high": high}


@check_arguments()
def scores_by_distance(runs: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of runs on the challenge set of long distances, in the format of `run_experiments`.

    Args:
        runs: Runs with a column `distances`, a mapping from "5-8" (words between the governing word and the dependent)
            to the numbers of correct and of all sentences.

    Returns:
        One row per run and group of distances: cell, task, distance (the maximum of the group), seed, score (share of
        correct sentences, 0 to 1), items (number of sentences).
    """
    rows = [
        (cell, "long distance", int(name.rpartition("-")[2]), seed, right / items, items)
        for cell, seed, distances in runs[["cell", "seed", "distances"]].dropna().itertuples(index=False)
        for name, (right, items) in distances.items()
    ]
    return pd.DataFrame(rows, columns=["cell", "task", "distance", "seed", "score", "items"])
