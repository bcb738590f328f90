"""Cells, or any other choice, compared over runs with several seeds: means, intervals, differences.

The runs are those of `benchmarks/family.py`, the only writer of their record.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from seq2seq.analysis.intervals import mean_interval
from seq2seq.errors import EvaluationError, RecordError
from seq2seq.extras import from_extra

with from_extra("analysis", needed_by=__name__):
    import pandas as pd


def read_runs(path: str | Path) -> pd.DataFrame:
    """Read the record that `benchmarks/family.py` writes, one JSON object per line.

    Runs with the seed 0 are pilots, which tried a learning rate and were not scored.

    Returns:
        One row a run, in the order of the file; columns are the keys, NaN where a run has no such key.

    Raises:
        RecordError: The file is missing, or a line is no JSON object.
    """
    file = Path(path)
    if not file.is_file():
        raise RecordError(f"{file}: no such record. Give the file that benchmarks/family.py writes.")
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            rows.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            raise RecordError(
                f"{file}:{number}: expected a run as a JSON object, found {line[:60]!r}. Remove the line."
            ) from None
    return pd.DataFrame(rows)


def scored(runs: pd.DataFrame, by: str = "cell") -> pd.DataFrame:
    """Of a queue of runs those that count: without pilots, and of runs with the same seed that with the lowest loss.

    The others had a learning rate that was given up, since the run ended worse than its pilot.

    Raises:
        EvaluationError: There is no column `by`, seed or valid_loss.
    """
    _check(runs, [by, "seed", "valid_loss"])
    of_losses = runs[runs["seed"] > 0].sort_values("valid_loss", kind="stable")
    return of_losses.drop_duplicates([by, "seed"]).sort_index()


def summary(runs: pd.DataFrame, values: Sequence[str], by: str = "cell") -> pd.DataFrame:
    """Means over seeds with 95% intervals (Student's t; NaN for a single seed).

    Runs that lack one of the values, such as pilots, are left out.

    Args:
        runs: One row a run.
        values: Columns of numbers.
        by: What the runs of a row have in common.

    Returns:
        One row a value of `by`, which is the index, in the order of first appearance: `seeds`, and of each column
        of `values` its mean under the same name, `<name>_low` and `<name>_high`.

    Raises:
        EvaluationError: There is no such column.
    """
    _check(runs, [by, *values])
    rows = {}
    for key, group in runs.dropna(subset=list(values)).groupby(by, sort=False):
        row: dict[str, float] = {"seeds": len(group)}
        for value in values:
            low, high = mean_interval(group[value].tolist())
            row |= {value: group[value].mean(), f"{value}_low": low, f"{value}_high": high}
        rows[key] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(by)


def difference(
    runs: pd.DataFrame, ours: Sequence[str], theirs: Sequence[str], value: str, by: str = "cell"
) -> dict[str, float]:
    """How much better one group of cells is than another, on the average of each group.

    Runs with the same seed read the same data in the same order, so they are compared with each other: of every seed
    the mean of the first group minus that of the second. Seeds that some member of a group lacks are left out.

    Returns:
        `seeds`, `mean`, and `low` and `high` of its 95% interval over seeds (Student's t; NaN for a single seed).

    Raises:
        EvaluationError: There is no such column, a member of a group has no run, or two with the same seed.
    """
    _check(runs, [by, value, "seed"])
    measured = runs.dropna(subset=[value])
    for name in (*ours, *theirs):
        seeds = measured.loc[measured[by] == name, "seed"]
        if seeds.empty:
            raise EvaluationError(f"no run has {name} as its {by} and a {value}. There are: {_names(measured[by])}.")
        if not seeds.is_unique:
            raise EvaluationError(f"{by} {name} has several runs with the same seed and a {value}. Choose one of them.")
    table = measured.pivot(index="seed", columns=by, values=value)[[*ours, *theirs]].dropna()
    each = table[[*ours]].mean(axis=1) - table[[*theirs]].mean(axis=1)
    low, high = mean_interval(each.tolist())
    return {"seeds": len(each), "mean": each.mean(), "low": low, "high": high}


def over_distances(runs: pd.DataFrame) -> pd.DataFrame:
    """Accuracy over long distances of runs that were probed, in the form of `memory.records.measure`.

    Args:
        runs: With a column `distances`, a mapping from "5-8" (words between the word that decides and the decided one)
            to the numbers of right and of all sentences.

    Returns:
        One row for each run and group of distances: cell, task, distance (the most words of the group), seed, score
        (share of right sentences, 0 to 1), items.

    Raises:
        EvaluationError: There is no such column.
    """
    _check(runs, ["cell", "seed", "distances"])
    rows = [
        {
            "cell": cell,
            "task": "long distance",
            "distance": int(name.rpartition("-")[2]),
            "seed": seed,
            "score": right / items,
            "items": items,
        }
        for cell, seed, distances in runs[["cell", "seed", "distances"]].dropna().itertuples(index=False)
        for name, (right, items) in distances.items()
    ]
    return pd.DataFrame(rows, columns=["cell", "task", "distance", "seed", "score", "items"])


def _check(runs: pd.DataFrame, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in runs]
    if missing:
        raise EvaluationError(f"the runs have no column {missing[0]!r}. There are: {_names(runs.columns)}.")


def _names(values: pd.Index | pd.Series) -> str:
    return ", ".join(map(str, dict.fromkeys(values)))
