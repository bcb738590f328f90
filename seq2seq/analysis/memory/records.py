"""Many trainings on memory tasks: a file that remembers what has been done, and what the scores say of each cell.

`benchmarks/memory.py` writes the file.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.analysis.challenge.sets import ProbeReport
from seq2seq.analysis.intervals import mean_interval
from seq2seq.analysis.memory.tasks import MemoryTask
from seq2seq.analysis.memory.trainer import Attempt, Budget, MemoryTrainer
from seq2seq.errors import RecordError
from seq2seq.extras import from_extra
from seq2seq.storage.files import writing

with from_extra("analysis", needed_by=__name__):
    import pandas as pd

COLUMNS = ["cell", "units", "parameters", "task", "distance", "seed", "score", "updates", "seconds"]


class MemoryRecord:
    """A file of JSON lines, one a training, to which new ones are added as they end.

    Each line has the training's `setting`, its budget and the task's own numbers, so that trainings of other settings
    can stand in the same file: they are neither used nor lost.

    Args:
        path: The file; None keeps the lines in memory only.

    Raises:
        RecordError: A line is not one that `add` wrote.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.lines: list[dict[str, Any]] = []
        if path is None or not path.exists():
            return
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1], start=1):
            self.lines.append(_read_line(line, f"{path}:{number}"))

    def add(self, entry: dict[str, Any]) -> None:
        """Add a line, in the file too.

        Raises:
            StorageError: The file cannot be written.
        """
        self.lines.append(entry)
        if self.path is not None:
            with writing(self.path), self.path.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(entry) + "\n")

    def scores(self) -> pd.DataFrame:
        """All lines in the form of `measure`, with the column learning_rate besides."""
        rows = [line | {"learning_rate": line["setting"]["learning_rate"]} for line in self.lines]
        return pd.DataFrame(rows, columns=[*COLUMNS, "learning_rate"]).astype({"score": float})

    def find(self, **values: Any) -> dict[str, Any] | None:
        """The last line with these values, if there is one."""
        fits = (line for line in reversed(self.lines) if all(line[name] == value for name, value in values.items()))
        return next(fits, None)


def _read_line(line: str, place: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict) or not {*COLUMNS, "setting"} <= entry.keys():
        raise RecordError(
            f"{place}: expected a training as a JSON object with {', '.join(COLUMNS)} and setting, found "
            f"{line[:60]!r}. Remove the line, or write to another file."
        )
    return entry


def measure(
    cells: Sequence[str],
    tasks: Sequence[MemoryTask],
    distances: Sequence[int],
    seeds: Sequence[int],
    budget: Budget | None = None,
    record: MemoryRecord | None = None,
    progress: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> pd.DataFrame:
    """Train every cell on every task at growing distances, from every seed, one after the other.

    What the record has is not done again. Once a cell fails at a distance from all seeds, longer ones are not tried:
    their lines have no score.

    Args:
        cells: Names, see `CELLS`.
        tasks: What to learn.
        distances: In any order.
        seeds: Of weights and sequences.
        budget: For each training.
        record: Where trainings are kept; in memory by default.
        progress: Called with each new line.

    Returns:
        One row a training with `COLUMNS`: cell, units, parameters of the cell, task, distance (steps, as the task has
        it), seed, score (share of right answers, 0 to 1; NaN where not tried), updates made and seconds.
    """
    budget, record = budget or Budget(), record or MemoryRecord()
    rows = []
    for cell in cells:
        for task in tasks:
            trainer: MemoryTrainer | None = None
            setting = asdict(budget) | vars(task)
            failed = False
            for distance in sorted(distances):
                found = []
                for seed in seeds:
                    place = {"cell": cell, "task": task.name, "distance": distance, "seed": seed, "setting": setting}
                    entry = record.find(**place)
                    # A distance that was not tried is, when a seed that was not there before solves the one below.
                    if entry is None or (entry["score"] is None and not failed):
                        trainer = trainer or MemoryTrainer(cell, task, budget)
                        attempt = None if failed else trainer.train(distance, seed)
                        entry = _entry(place, trainer, attempt)
                        record.add(entry)
                        progress(entry)
                    found.append(entry)
                failed = failed or not any((entry["score"] or 0) >= budget.solved for entry in found)
                rows += found
    return pd.DataFrame(rows, columns=COLUMNS).astype({"score": float})


def _entry(place: dict[str, Any], trainer: MemoryTrainer, attempt: Attempt | None) -> dict[str, Any]:
    return {
        **place,
        "units": trainer.units,
        "parameters": trainer.parameters,
        "score": attempt and attempt.score,
        "updates": attempt.updates if attempt else 0,
        "seconds": round(attempt.seconds, 2) if attempt else 0.0,
    }


def probe_scores(reports: Mapping[str, Iterable[ProbeReport]]) -> pd.DataFrame:
    """What translators keep over long distances, in the form of `measure`.

    Args:
        reports: Of each cell (or any other name) one report a seed, counted from 1.

    Returns:
        One row for each cell, seed and group of distances: cell, task (`long distance`), distance (the most words
        between the word that decides and the decided one), seed, score (share of right translations, 0 to 1), and
        items, the sentences that it was measured on.
    """
    rows = [
        {
            "cell": cell,
            "task": "long distance",
            "distance": int(accuracy.name.rpartition("-")[2]),
            "seed": seed,
            "score": accuracy.share,
            "items": accuracy.items,
        }
        for cell, of_seeds in reports.items()
        for seed, report in enumerate(of_seeds, start=1)
        for accuracy in report.distances
    ]
    return pd.DataFrame(rows, columns=["cell", "task", "distance", "seed", "score", "items"])


def remembers(scores: pd.DataFrame, solved: float = Budget.solved) -> pd.DataFrame:
    """How far each cell remembers: the largest distance up to which it solves a task, 0 if there is none.

    All shorter distances are solved too: a group of few items that is right by chance says nothing.

    Args:
        scores: With columns cell, task, distance, seed and score, as `measure` and `probe_scores` give them.
        solved: The score from which on a task is solved, 0 to 1.

    Returns:
        One row for each cell and task: seeds, mean distance over seeds, low and high ends of its 95% interval
        (Student's t, cut off at 0; NaN for a single seed), and `at_least`, whether some seed solves the longest of the
        task's distances, so that the mean could be larger had longer ones been tried.
    """
    rows = []
    for (cell, task), of_both in scores.groupby(["cell", "task"], sort=False):
        nearest_first = of_both.sort_values("distance", kind="stable")
        solves = nearest_first["score"] >= solved
        unbroken = solves.groupby(nearest_first["seed"]).cummin()
        furthest = nearest_first["distance"].where(unbroken, 0).groupby(nearest_first["seed"]).max()
        longest = scores.loc[scores["task"] == task, "distance"].max()
        low, high = mean_interval(furthest.tolist())
        rows.append(
            {
                "cell": cell,
                "task": task,
                "seeds": len(furthest),
                "mean": furthest.mean(),
                "low": np.maximum(low, 0.0),
                "high": high,
                "at_least": bool((furthest == longest).any()),
            }
        )
    return pd.DataFrame(rows)


def at_best_rate(scores: pd.DataFrame, solved: float = Budget.solved) -> pd.DataFrame:
    """How far each cell remembers at the learning rate, one for each task, with which it remembers furthest.

    The same seeds choose the rate and are reported, which flatters cells whose results swing.

    Args:
        scores: As for `remembers`, with a column learning_rate.
        solved: The score from which on a task is solved, 0 to 1.

    Returns:
        The rows of `remembers`, with a column learning_rate; cells in the order of `scores`. Of rates that are equally
        good the first.
    """
    of_rates = [
        remembers(of_rate, solved).assign(learning_rate=rate)
        for rate, of_rate in scores.groupby("learning_rate", sort=False)
    ]
    best = pd.concat(of_rates).sort_values("mean", ascending=False, kind="stable").groupby(["cell", "task"]).head(1)
    order = {cell: place for place, cell in enumerate(scores["cell"].unique())}
    return best.sort_values("cell", key=lambda cells: cells.map(order), kind="stable", ignore_index=True)
