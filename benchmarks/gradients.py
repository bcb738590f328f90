"""Gradients through time of each cell of the family, before and after it learns the temporal order task.

python benchmarks/gradients.py --output benchmarks/gradients.json [--cells lstm gru]

Every cell that is done is written at once; run the same command again to go on. Cells have about as many weights each
and the budget of `memory.py`, one seed. `depth_gated_lstm` is left out: without a layer below it is an LSTM.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from measure import ALONE, show

from seq2seq.analysis.memory.gradient_flow import NORMS, Flow, flow_of_training
from seq2seq.analysis.memory.tasks import TemporalOrderTask
from seq2seq.analysis.memory.trainer import Budget
from seq2seq.layers.cells import CELLS
from seq2seq.storage.files import replacing

DIGITS = 4  # that are kept


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
            flow = flow_of_training(cell, task, options.distance, budget, options.seed)
            found[cell] = {"setting": setting} | entry_of(flow)
            write(options.output, found)
            print(f"{cell:<18} score {flow.attempt.score:.2f}  {flow.attempt.seconds:.1f} s", flush=True)
    show("Norms of the derivatives by the first state", [row for cell in options.cells for row in rows(cell, found)])


def entry_of(flow: Flow) -> dict[str, Any]:
    """A training as it is recorded: one list a norm, by the distance from 0 on."""
    trainer, attempt = flow.trainer, flow.attempt
    lines = []
    for (when, state), table in flow.norms.groupby(["when", "state"], sort=False):
        norms = {name: [float(f"{value:.{DIGITS}g}") for value in table[name]] for name in NORMS}
        lines.append({"when": when, "state": state, "distance": table["distance"].tolist()} | norms)
    size = {"units": trainer.units, "parameters": trainer.parameters}
    return size | {
        "score": attempt.score,
        "updates": attempt.updates,
        "seconds": round(attempt.seconds, 1),
        "flow": lines,
    }


def write(path: Path, found: dict[str, Any]) -> None:
    """One line a cell, in the order of `CELLS`."""
    lines = [f"{json.dumps(cell)}: {json.dumps(found[cell])}" for cell in CELLS if cell in found]
    with replacing(path) as partial:
        partial.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def rows(cell: str, found: dict[str, Any]) -> list[dict[str, Any]]:
    """A cell's rows of the table, one a state."""
    before_and_after: dict[str, dict[str, Any]] = {}
    for line in found[cell]["flow"]:
        row = before_and_after.setdefault(
            line["state"], {"": f"{cell}, {line['state']}", "score": found[cell]["score"]}
        )
        row |= {f"{norm}, {line['when']}": f"{line[norm][-1]:.1e}" for norm in ("spectral", "loss")}
    return list(before_and_after.values())


if __name__ == "__main__":
    main()
