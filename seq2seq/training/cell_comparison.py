"""Cells compared on somebody's own pairs: equal parameters, updates, data and seeds, in one call."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import lcm
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from seq2seq.analysis.comparison import group_difference, summarize
from seq2seq.config import TranslationConfig
from seq2seq.config.network import CLOCKWORK_GROUPS, CellName
from seq2seq.corpora.held_out import open_train, open_valid
from seq2seq.evaluation.metrics import evaluate
from seq2seq.extras import require_extra
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import load_recipe, load_tokenizers
from seq2seq.models.equal_size import count_parameters, units_of_size
from seq2seq.notebook_html import html_block, html_note, html_table
from seq2seq.training.pairs import override_recipe, plan_pairs
from seq2seq.training.run import TrainingReport, train

with require_extra("analysis", needed_by=__name__):
    import pandas as pd

MAX_DIFFERENCE = 0.01  # of the numbers of parameters, beyond which it is said


@dataclass(frozen=True, repr=False)
class CellComparison:
    """Runs of several cells.

    runs  one row a run: cell, seed, units, parameters, updates, seconds, tokens_per_second (in training), valid_loss
          (nats per token), bleu, chrf
    """

    runs: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """One row a cell, best first: units, parameters, and means over seeds with 95% intervals (Student's t)."""
        means = summarize(self.runs, ["bleu", "chrf", "valid_loss", "tokens_per_second"])
        fixed = self.runs.groupby("cell", sort=False)[["units", "parameters", "updates"]].first()
        return fixed.join(means).sort_values("bleu", ascending=False)

    def difference(self, first: str, second: str) -> dict[str, float]:
        """How many BLEU points one cell is better than another, run by run of the same seed: `group_difference`."""
        return group_difference(self.runs, [first], [second], "bleu")

    def notes(self) -> list[str]:
        """What to know before one believes the numbers."""
        counts = self.runs["parameters"]
        notes = ["Learning rate and dropout are one choice for all cells; another one may suit a cell better."]
        if counts.max() > (1 + MAX_DIFFERENCE) * counts.min():
            notes.append(f"Parameters differ: {counts.min():,} to {counts.max():,}.")
        if self.runs["seed"].nunique() < 3:
            notes.append("Fewer than three seeds tell little: runs of one cell differ, too.")
        return notes

    def __repr__(self) -> str:
        return "\n".join([self.summary.to_string(float_format="{:.2f}".format), *self.notes()])

    def _repr_html_(self) -> str:
        rows = [
            (
                cell,
                f"{row['units']:.0f}",
                f"{row['parameters']:,.0f}",
                f"{row['seeds']:.0f}",
                _mean(row, "bleu"),
                _mean(row, "chrf"),
                f"{row['valid_loss']:.3f}",
                f"{row['tokens_per_second']:,.0f}",
            )
            for cell, row in self.summary.iterrows()
        ]
        header = ("cell", "units", "parameters", "seeds", "BLEU", "chrF2", "valid loss", "tokens/s")
        updates = self.runs["updates"].iloc[0]
        table = html_table(rows, header, numeric=range(1, len(header)))
        return html_block(f"Cells after {updates:,} updates", table, *map(html_note, self.notes()))


def compare_cells(
    pairs: Any,
    cells: Sequence[CellName] = ("gru", "lstm"),
    directory: str | Path | None = None,
    *,
    seeds: Sequence[int] = (1, 2, 3),
    valid: Any = None,
    updates: int | None = None,
    minutes: float | None = None,
    languages: str | tuple[str, str] | None = None,
    columns: Sequence[str | int] | None = None,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    console: Console | None = None,
) -> CellComparison:
    """Train one model for each cell and seed, and score all of them on the validation pairs.

    The recipe is that of `train_pairs`; encoder and decoder get the cell, and widths with which all models have as many
    parameters as the first cell's. All runs read the same data for the same number of updates, and the weights with the
    lowest validation loss are scored, with the recipe's search.

    Args:
        pairs, valid, languages, columns, overrides: See `train_pairs`.
        cells: Names in `seq2seq.layers.cells.CELLS`.
        directory: Where the runs lie, a folder for each, so that the same call goes on with what was interrupted; by
            default a temporary one.
        seeds: Of initial weights, dropout and order.
        updates: Of each run.
        minutes: Instead: how long the first run takes, whose updates all others then get.
        console: See `train`.

    Raises:
        CorpusError, ConfigError, TrainingError: See `train_pairs`.
        MissingExtraError: The extra `analysis` is not installed.
    """
    with TemporaryDirectory(prefix="seq2seq-") as temporary:
        folder = Path(directory or temporary)
        plan = plan_pairs(pairs, folder, valid=valid, minutes=minutes, languages=languages, columns=columns)
        fixed = {"validation.metric": "loss", "validation.compute_bleu": False, "validation.patience": None}
        recipe = override_recipe(override_recipe(plan, fixed), overrides)
        if updates is not None:
            recipe = override_recipe(recipe, {"training.updates": updates, "training.epochs": None})
        rows = []
        first: Path | None = None
        for seed in seeds:
            for cell in cells:
                run = folder / f"{cell}-{seed}"
                if first is not None:
                    recipe = _share(recipe, first, run)
                config = _recipe_of_size(recipe, cells[0], cell, first, seed)
                report = train(config, run, console=console)
                rows.append(_row(cell, seed, report, run))
                first = first or run
                if minutes is not None and updates is None:
                    updates = report.updates
                    recipe = override_recipe(
                        recipe, {"training.updates": updates, "training.epochs": None, "training.minutes": None}
                    )
        return CellComparison(pd.DataFrame(rows))
