"""Memory span of each cell: copying, adding and temporal order at growing distances.

python benchmarks/memory.py --output seq2seq/analysis/records/memory.jsonl [--cells lstm gru] [--tasks copy]
    [--seeds 1 2 3]

Each training run appends a line to the file; the same command resumes. All cells have about the same number of weights;
the depth-gated LSTM is left out, because it is an LSTM in a single layer. Once a cell fails at a distance with all
seeds, longer distances are not tried. For each cell and task, the table has the learning rate with the longest memory
span: a single rate would put cells that need small steps at a disadvantage. (The same seeds choose the rate and are
reported, which favours cells with unstable results.)
"""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
from measure import ALONE, show

from seq2seq.analysis.memory_tasks.experiments import memory_span_at_best_rate, run_experiments
from seq2seq.analysis.memory_tasks.tasks import AddingTask, CopyTask, TemporalOrderTask
from seq2seq.analysis.memory_tasks.trainer import Budget

# Two symbols out of four: with ten out of eight, as published, no cell learns anything in this number of updates.
TASKS = {task.name: task for task in (CopyTask(num_symbols=4, length=2), AddingTask(), TemporalOrderTask())}
DISTANCES = (10, 20, 40, 80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="record of trainings, JSON lines")
    parser.add_argument("--cells", nargs="+", choices=ALONE, default=ALONE, metavar="CELL")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), metavar="TASK")
    parser.add_argument("--distances", nargs="+", type=int, default=DISTANCES, help="steps")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--rates", nargs="+", type=float, default=[1e-2, 3e-3], help="learning rates")
    options = parser.parse_args()
    tasks = [TASKS[name] for name in options.tasks]
    lines = options.output.read_text(encoding="utf-8").splitlines() if options.output.exists() else []
    known = [json.loads(line) for line in lines]
    found = []

    def record(entry: dict[str, Any]) -> None:
        with options.output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        report(entry)

    for rate in options.rates:
        budget = Budget(learning_rate=rate)
        measured = run_experiments(options.cells, tasks, options.distances, options.seeds, budget, known, record)
        found.append(measured.assign(learning_rate=rate))
    scores = pd.concat(found)
    rows = table(memory_span_at_best_rate(scores), scores)
    show("Memory span in steps: mean over seeds, 95% interval (Student's t), at the best learning rate", rows)


def report(entry: dict[str, Any]) -> None:
    """Print the result of a training run."""
    where = f"{entry['cell']:<18} {entry['task']:<15} distance {entry['distance']:>3}  seed {entry['seed']}"
    score = "not tried" if entry["score"] is None else f"score {entry['score']:.2f}"
    print(f"{where}  {score}  {entry['updates']:>3} updates  {entry['seconds']:.1f} s", flush=True)


def table(remembered: pd.DataFrame, scores: pd.DataFrame) -> list[dict[str, Any]]:
    """One row per cell, one column per task; `+` if a seed solved the longest distance."""
    rows = []
    for cell, of_cell in remembered.groupby("cell", sort=False):
        trained = scores[scores["cell"] == cell]
        row: dict[str, Any] = {"": cell, "units": f"{trained['units'].min()} to {trained['units'].max()}"}
        for one in of_cell.sort_values("task").itertuples():
            interval = f" [{one.low:.0f}, {one.high:.0f}]" if one.seeds > 1 else ""
            row[one.task] = f"{one.mean:.0f}{'+' if one.at_least else ''}{interval}"
        row["seconds"] = round(trained["seconds"].sum())
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
