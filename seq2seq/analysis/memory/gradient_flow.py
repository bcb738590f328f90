"""Gradient norms over distance, for any cell, before and after it has learnt a memory task.

`benchmarks/gradients.py` writes the record that `read_flows` reads.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seq2seq.analysis.gradients import loss_gradients, sensitivity, state_parts, step_jacobians
from seq2seq.analysis.memory.tasks import MemoryBatch, MemoryTask
from seq2seq.analysis.memory.trainer import Attempt, Budget, MemoryTrainer
from seq2seq.errors import RecordError
from seq2seq.extras import from_extra

with from_extra("analysis", needed_by=__name__):
    import pandas as pd
    from scipy.stats import gmean  # type: ignore[import-untyped]

NORMS = ["spectral", "frobenius", "loss"]
# What papers call the states, where it is not h, or h and c.
STATES = {"jordan": ["y"], "sru": ["c"]}


class Flow(NamedTuple):
    """A training and the gradients around it.

    norms    of `gradient_flow`, with the column `when`: before or after
    trainer  with the trained network
    attempt  the training
    """

    norms: pd.DataFrame
    trainer: MemoryTrainer
    attempt: Attempt


def gradient_flow(trainer: MemoryTrainer, batch: MemoryBatch) -> pd.DataFrame:
    """How much the last state, and the loss, depend on each state before, in a trainer's network as it stands.

    Returns:
        One row for each state (`h`, `c` or `y`) and distance d (steps, 0 to T) to the last of the T steps:

        spectral, frobenius  norms of the derivative of that state after step T by itself after step T - d
        loss                 norm of the derivative of a sequence's loss by the state after step T - d

        All of them geometric means over the batch. See `sensitivity` and `loss_gradients`.
    """
    cell = trainer.network.recurrence.cell
    jacobians = step_jacobians(cell, batch.inputs)
    # The loss is a mean over the batch, of which each sequence has its share.
    by_state = loss_gradients(cell, batch.inputs, trainer.loss_on(batch))
    tables = []
    for name, part, gradients in zip(STATES.get(trainer.cell, ["h", "c"]), state_parts(cell), by_state, strict=False):
        means = sensitivity(jacobians, part).groupby("distance")[["spectral", "frobenius"]].agg(gmean).reset_index()
        lengths = len(batch.inputs) * np.linalg.norm(gradients.astype(float), axis=-1)
        tables.append(means.assign(loss=gmean(lengths)[::-1]).assign(state=name))
    return pd.concat(tables, ignore_index=True)[["state", "distance", *NORMS]]


def flow_of_training(
    cell: str, task: MemoryTask, distance: int, budget: Budget | None = None, seed: int = 1, rows: int = 32
) -> Flow:
    """Train a cell on a task and look at its gradients before and after.

    Args:
        cell: Its name, see `CELLS`.
        task: What to learn.
        distance: At which.
        budget: For the training.
        seed: Of weights and sequences.
        rows: Sequences that gradients are taken on, the same before and after, others than those trained on.

    Raises:
        ValueError: There is no such cell, or `distance` is below the task's shortest one.
    """
    trainer = MemoryTrainer(cell, task, budget)
    batch = task.draw(distance, rows, np.random.default_rng([seed, 2]))
    trainer.restart(seed)
    before = gradient_flow(trainer, batch)
    attempt = trainer.train(distance, seed)
    after = gradient_flow(trainer, batch)
    return Flow(pd.concat([before.assign(when="before"), after.assign(when="after")]), trainer, attempt)


def read_flows(path: Path) -> pd.DataFrame:
    """Read the record that `benchmarks/gradients.py` writes.

    Returns:
        One row for each cell, time, state and distance: cell, its `score` after training (share of right answers, 0 to
        1), when (before or after), state, distance and the norms of `gradient_flow`.

    Raises:
        RecordError: The file is no such record.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))
        tables = [
            pd.DataFrame(lines).assign(cell=cell, score=entry["score"])
            for cell, entry in cells.items()
            for lines in entry["flow"]
        ]
        return pd.concat(tables, ignore_index=True)[["cell", "score", "when", "state", "distance", *NORMS]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(
            f"{path}: expected a record of benchmarks/gradients.py, found something else ({error}). Run it again."
        ) from None
