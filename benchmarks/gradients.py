"""Gradients through time of each cell of the family, before and after it learns the temporal order task.

python benchmarks/gradients.py --output seq2seq/analysis/records/gradients.json [--cells lstm gru]

Each cell is written as soon as it is done; the same command resumes. All cells have about the same number of weights,
the budget of `memory.py` and one seed. `depth_gated_lstm` is left out: without a layer below, it is an LSTM.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from measure import ALONE, show
from scipy.stats import gmean

from seq2seq.analysis.gradients import sensitivity, state_gradients, state_slices, step_jacobians
from seq2seq.analysis.memory_tasks.tasks import MemoryBatch, MemoryTask, TemporalOrderTask
from seq2seq.analysis.memory_tasks.trainer import Budget, MemoryTrainer, TrainingRun
from seq2seq.layers.cells import CELLS
from seq2seq.storage.files import atomic_write

DIGITS = 4  # significant digits that are recorded
NORMS = ["spectral", "frobenius", "loss"]
# Names of the states in papers, if they are not h, or h and c.
STATES = {"jordan": ["y"], "sru": ["c"]}


class GradientFlow(NamedTuple):
    """A training run and the gradients before and after it.

    Attributes:
        norms: Result of `gradient_flow`, with a column `when`: before or after.
        trainer: Trainer with the trained network.
        run: The training run.
    """

    norms: pd.DataFrame
    trainer: MemoryTrainer
    run: TrainingRun


def gradient_flow(trainer: MemoryTrainer, batch: MemoryBatch) -> pd.DataFrame:
    """Dependence of the last state, and of the loss, on each earlier state, in the current network of a trainer.

    Returns:
        One row for each state (`h`, `c` or `y`) and distance d (steps, 0 to T) to the last of the T steps:

        spectral, frobenius  norms of the derivative of the state after step T by the same state after step T - d
        loss                 norm of the derivative of a sequence's loss by the state after step T - d

        All norms are geometric means over the batch. See `sensitivity` and `state_gradients`.
    """
    cell = trainer.network.recurrence.cell
    jacobians = step_jacobians(cell, batch.inputs)
    # The loss is a mean over the batch: multiply by the size of the batch for the loss of each sequence.
    by_state = state_gradients(cell, batch.inputs, trainer.loss_function(batch))
    tables = []
    for name, part, gradients in zip(STATES.get(trainer.cell, ["h", "c"]), state_slices(cell), by_state, strict=False):
        means = sensitivity(jacobians, part).groupby("distance")[["spectral", "frobenius"]].agg(gmean).reset_index()
        lengths = len(batch.inputs) * np.linalg.norm(gradients.astype(float), axis=-1)
        tables.append(means.assign(loss=gmean(lengths)[::-1]).assign(state=name))
    return pd.concat(tables, ignore_index=True)[["state", "distance", *NORMS]]


def measure_gradient_flow(
    cell: str, task: MemoryTask, distance: int, budget: Budget | None = None, seed: int = 1, batch_size: int = 32
) -> GradientFlow:
    """Train a cell on a task, and measure its gradients before and after.

    Args:
        cell: Name of the cell, see `CELLS`.
        task: The task to learn.
        distance: Distance of the task, in steps.
        budget: Budget of the training.
        seed: Seed of weights and sequences.
        batch_size: Number of sequences on which gradients are measured, the same ones before and after, which are not
            trained on.

    Raises:
        ValueError: There is no such cell, or `distance` is shorter than the task allows.
    """
    trainer = MemoryTrainer(cell, task, budget)
    batch = task.sample(distance, batch_size, np.random.default_rng([seed, 2]))
    trainer.reset(seed)
    before = gradient_flow(trainer, batch)
    run = trainer.train(distance, seed)
    after = gradient_flow(trainer, batch)
    return GradientFlow(pd.concat([before.assign(when="before"), after.assign(when="after")]), trainer, run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="record of all cells, JSON")
    parser.add_argument("--cells", nargs="+", choices=sorted(ALONE), default=ALONE, metavar="CELL")
    parser.add_argument("--distance", type=int, default=40, help="steps")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    task, budget = TemporalOrderTask(), Budget()
    setting = asdict(budget) | {"task": task.name, "distance": options.distance, "seed": options.seed}
    found = json.loads(options.output.read_text(encoding="utf-8")) if options.output.exists() else {}
    for cell in options.cells:
        if found.get(cell, {}).get("setting") != setting:
            flow = measure_gradient_flow(cell, task, options.distance, budget, options.seed)
            found[cell] = {"setting": setting} | entry_of(flow)
            write(options.output, found)
            print(f"{cell:<18} score {flow.run.score:.2f}  {flow.run.seconds:.1f} s", flush=True)
    show("Norms of the derivatives by the first state", [row for cell in options.cells for row in rows(cell, found)])


def entry_of(flow: GradientFlow) -> dict[str, Any]:
    """Record of a training run: one list per norm, by distance from 0."""
    trainer, run = flow.trainer, flow.run
    lines = []
    for (when, state), table in flow.norms.groupby(["when", "state"], sort=False):
        norms = {name: [float(f"{value:.{DIGITS}g}") for value in table[name]] for name in NORMS}
        lines.append({"when": when, "state": state, "distance": table["distance"].tolist()} | norms)
    size = {"units": trainer.units, "parameters": trainer.num_parameters}
    return size | {
        "score": run.score,
        "updates": run.updates,
        "seconds": round(run.seconds, 1),
        "flow": lines,
    }


def write(path: Path, found: dict[str, Any]) -> None:
    """Write one line per cell, in the order of `CELLS`."""
    lines = [f"{json.dumps(cell)}: {json.dumps(found[cell])}" for cell in CELLS if cell in found]
    with atomic_write(path) as partial:
        partial.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def rows(cell: str, found: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table for a cell, one per state."""
    before_and_after: dict[str, dict[str, Any]] = {}
    for line in found[cell]["flow"]:
        row = before_and_after.setdefault(
            line["state"], {"": f"{cell}, {line['state']}", "score": found[cell]["score"]}
        )
        row |= {f"{norm}, {line['when']}": f"{line[norm][-1]:.1e}" for norm in ("spectral", "loss")}
    return list(before_and_after.values())


if __name__ == "__main__":
    main()
