"""Training runs of many cells on memory tasks, and the memory span of each cell."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

import numpy as np

from seq2seq.analysis.memory_tasks.tasks import MemoryTask
from seq2seq.analysis.memory_tasks.trainer import Budget, MemoryTrainer
from seq2seq.arguments import check_arguments
from seq2seq.evaluation.intervals import mean_confidence_interval
from seq2seq.extras import require_extra

with require_extra("analysis", needed_by=__name__):
    import pandas as pd

COLUMNS = ["cell", "units", "parameters", "task", "distance", "seed", "score", "updates", "seconds"]


@check_arguments()
def run_experiments(
    cells: Sequence[str],
    tasks: Sequence[MemoryTask],
    distances: Sequence[int],
    seeds: Sequence[int],
    budget: Budget | None = None,
    known: Sequence[dict[str, Any]] = (),
    on_progress: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> pd.DataFrame:
    """Train every cell on every task at growing distances, with every seed, one after the other.

    Once a cell fails at a distance with all seeds, longer distances are not tried, and their rows have no score.

    Args:
        cells: Names of cells, see `CELLS`.
        tasks: Tasks to learn.
        distances: Distances to try, in any order.
        seeds: Seeds of weights and sequences.
        budget: Budget of each training run.
        known: Entries that were passed to `on_progress` before, with any setting. Their runs are not repeated.
        on_progress: Called with each new entry, which is JSON-serializable: `COLUMNS`, and the `setting` of the run,
            which is its budget and the task's own numbers. A score of None means that the distance was not tried.

    Returns:
        One row per training run, with `COLUMNS`: cell, units, parameters (of the cell), task, distance (in steps, as
        the task defines it), seed, score (share of correct answers, 0 to 1; NaN if not tried), updates (their number)
        and seconds.
    """
    budget = budget or Budget()
    rows = []
    for cell, task in product(cells, tasks):
        trainer: MemoryTrainer | None = None
        failed = False
        for distance in sorted(distances):
            found = []
            for seed in seeds:
                place = {"cell": cell, "task": task.name, "distance": distance, "seed": seed}
                place["setting"] = asdict(budget) | vars(task)
                entry = next((entry for entry in reversed(known) if place.items() <= entry.items()), None)
                # A distance that was not tried before is tried if a new seed solves the next shorter one.
                if entry is None or (entry["score"] is None and not failed):
                    trainer = trainer or MemoryTrainer(cell, task, budget)
                    run = None if failed else trainer.train(distance, seed)
                    entry = {
                        **place,
                        "units": trainer.units,
                        "parameters": trainer.num_parameters,
                        "score": run and run.score,
                        "updates": run.updates if run else 0,
                        "seconds": round(run.seconds, 2) if run else 0.0,
                    }
                    on_progress(entry)
                found.append(entry)
            failed = failed or not any((entry["score"] or 0) >= budget.target_score for entry in found)
            rows += found
    return pd.DataFrame(rows, columns=COLUMNS).astype({"score": float})


@check_arguments()
def memory_span(scores: pd.DataFrame, threshold: float = Budget.target_score) -> pd.DataFrame:
    """Memory span of each cell: the largest distance up to which it solves a task, 0 if there is none.

    A distance counts only if all shorter ones are solved too, so a small group that is correct by chance does not.

    Args:
        scores: Columns cell, task, distance, seed and score, as from `run_experiments`.
        threshold: Minimum score, 0 to 1, at which a task counts as solved.

    Returns:
        One row per cell and task: seeds (their number), spans (the distance of each seed, a tuple), mean (of the
        distances over seeds), `low` and `high` (ends of its 95% interval by Student's t, cut off at 0 and at the
        longest of the task's distances; NaN for a single seed), and `at_least`, whether some seed solves the longest
        distance, so that the mean might be larger if longer ones were tried.
    """
    rows = []
    for (cell, task), of_both in scores.groupby(["cell", "task"], sort=False):
        nearest_first = of_both.sort_values("distance", kind="stable")
        solves = nearest_first["score"] >= threshold
        unbroken = solves.groupby(nearest_first["seed"]).cummin()
        furthest = nearest_first["distance"].where(unbroken, 0).groupby(nearest_first["seed"]).max()
        longest = scores.loc[scores["task"] == task, "distance"].max()
        spans = tuple(furthest.tolist())
        low, high = np.clip(mean_confidence_interval(spans), 0.0, longest)
        rows.append((cell, task, len(spans), spans, furthest.mean(), low, high, longest in spans))
    return pd.DataFrame(rows, columns=["cell", "task", "seeds", "spans", "mean", "low", "high", "at_least"])


@check_arguments()
def memory_span_at_best_rate(scores: pd.DataFrame, threshold: float = Budget.target_score) -> pd.DataFrame:
    """Memory span of each cell at its best learning rate for each task.

    The same seeds choose the rate and are reported, which favours cells whose results vary.

    Args:
        scores: Columns as for `memory_span`, and learning_rate.
        threshold: Minimum score, 0 to 1, at which a task counts as solved.

    Returns:
        Rows as from `memory_span`, with a column learning_rate, in the order of the cells in `scores`. Of equally good
        rates, the first is chosen.
    """
    of_rates = [
        memory_span(of_rate, threshold).assign(learning_rate=rate)
        for rate, of_rate in scores.groupby("learning_rate", sort=False)
    ]
    best = pd.concat(of_rates).sort_values("mean", ascending=False, kind="stable").groupby(["cell", "task"]).head(1)
    return best.set_index("cell").loc[scores["cell"].unique()].reset_index()
