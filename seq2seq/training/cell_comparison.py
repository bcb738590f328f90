"""Compare cells on your own pairs in one call: equal parameters, updates, data and seeds."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import lcm
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from seq2seq.analysis.comparison import group_difference, summarize
from seq2seq.arguments import check_arguments
from seq2seq.config import TranslationConfig
from seq2seq.config.network import CLOCKWORK_GROUPS, CellName
from seq2seq.config.overrides import override_strings
from seq2seq.corpora.held_out import open_train, open_valid
from seq2seq.errors import ArgumentError, TrainingError
from seq2seq.evaluation.metrics import evaluate
from seq2seq.extras import require_extra
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import load_recipe, load_tokenizers
from seq2seq.models.equal_size import count_parameters, units_of_size
from seq2seq.notebook_html import html_block, html_note, html_table
from seq2seq.plurals import pluralize
from seq2seq.training.display import make_display
from seq2seq.training.pairs import plan_pairs
from seq2seq.training.planning import override_recipe
from seq2seq.training.report import TrainingReport
from seq2seq.training.run import train

with require_extra("analysis", needed_by=__name__):
    import pandas as pd

# The checkpoints of all runs are selected by the loss, which is cheap to measure.
FIXED = {"validation.metric": "loss", "validation.compute_bleu": False, "validation.patience": None}
MAX_DIFFERENCE = 0.01  # relative difference in the number of parameters; a larger one is noted


@dataclass(frozen=True, repr=False)
class CellComparison:
    """Results of a comparison of cells.

    Attributes:
        runs: One row per run: cell, seed, units, parameters, updates, seconds, tokens_per_second (in training),
            valid_loss (nats per token), bleu, chrf.
    """

    runs: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """One row per cell, best first: sizes, and means over seeds; scores have 95% intervals (Student's t)."""
        by_cell = self.runs.groupby("cell", sort=False)
        sizes = by_cell[["units", "parameters", "updates"]].first()
        means = by_cell[["valid_loss", "tokens_per_second"]].mean()
        scores = summarize(self.runs, ["bleu", "chrf"], bounds=(0, 100))
        return sizes.join(scores).join(means).sort_values("bleu", ascending=False)

    def difference(self, first: str, second: str) -> dict[str, float]:
        """Difference of two cells in BLEU, paired by seed; see `group_difference`."""
        return group_difference(self.runs, [first], [second], "bleu")

    def notes(self) -> list[str]:
        """Caveats about the numbers."""
        counts = self.runs["parameters"]
        notes = ["All cells have the same learning rate and dropout; other values may suit a cell better."]
        if counts.max() > (1 + MAX_DIFFERENCE) * counts.min():
            notes.append(f"Parameters differ: {counts.min():,} to {counts.max():,}.")
        if self.runs["seed"].nunique() < 3:
            notes.append("Fewer than three seeds are not conclusive: runs of the same cell differ, too.")
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
        return html_block(f"Cells after {pluralize(updates, 'update')}", table, *map(html_note, self.notes()))


@check_arguments()
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

    The recipe is that of `train_pairs`; encoder and decoder get the cell, and the width at which the model has as many
    parameters as that of the first cell. All runs train on the same data for the same number of updates, and the
    weights with the lowest validation loss are scored with the search options of the recipe.

    Args:
        pairs, valid, languages, columns, overrides: See `train_pairs`.
        cells: Names in `seq2seq.layers.cells.CELLS`.
        directory: Directory of the runs, with a folder for each, so that the same call resumes an interrupted
            comparison; by default a temporary one.
        seeds: Seeds of initial weights, dropout and data order.
        updates: Number of updates of each run.
        minutes: Duration of the first run, instead of `updates`; the other runs get its number of updates.
        console: See `train`; one line is printed per run.

    Raises:
        ArgumentError: There are no cells or no seeds.
        CorpusError, ConfigError, TrainingError: See `train_pairs`.
        MissingExtraError: The extra `analysis` is not installed.
    """
    if not cells or not seeds:
        raise ArgumentError("compare_cells: expected at least one cell and one seed, found none.")
    with TemporaryDirectory(prefix="seq2seq-") as temporary:
        folder = Path(temporary if directory is None else directory)
        fixed = FIXED if updates is None else FIXED | _run_length(updates)
        recipe = plan_pairs(
            pairs,
            folder,
            valid=valid,
            minutes=minutes,
            languages=languages,
            columns=columns,
            overrides=[*override_strings(fixed), *override_strings(overrides)],
        )
        first, display = folder / f"{cells[0]}-{seeds[0]}", make_display(console)
        rows: list[dict[str, Any]] = []
        for seed in seeds:
            for cell in cells:
                run = folder / f"{cell}-{seed}"
                config = recipe if run == first else _share_corpora(recipe, first, run)
                config = _with_cell(config, cells[0], cell, load_tokenizers(first).vocabulary_sizes if rows else None)
                # One line per run: the full output of each would be too much.
                with display.spinner(f"{cell}, seed {seed}: training"):
                    report = train(override_recipe(config, {"seed": seed}), run, console=Console(quiet=True))
                is_last = (seed, cell) == (seeds[-1], cells[-1])
                if report.end is None or (report.stopped and not is_last):
                    raise TrainingError(f"{run}: interrupted. The same call with a directory resumes the comparison.")
                rows.append({"cell": cell, "seed": seed, **_measure(run, report)})
                bleu, loss = rows[-1]["bleu"], rows[-1]["valid_loss"]
                display.print(f"{cell}, seed {seed}: BLEU {bleu:.2f}, validation loss {loss:.3f}")
                if run == first:
                    recipe = override_recipe(recipe, _run_length(report.updates))
        return CellComparison(pd.DataFrame(rows))


def _run_length(updates: int) -> dict[str, Any]:
    return {"training.updates": updates, "training.epochs": None}


def _with_cell(
    recipe: TranslationConfig, reference: CellName, cell: CellName, vocabulary_sizes: tuple[int, int] | None
) -> TranslationConfig:
    """The recipe with a different cell, at the width at which it has as many parameters as with `reference`.

    If there are no vocabulary sizes, it is the recipe with `reference`.
    """

    def changed(name: CellName, units: int) -> TranslationConfig:
        sides = ("encoder", "decoder")
        return override_recipe(
            recipe, {f"{side}.cell": name for side in sides} | {f"{side}.units": units for side in sides}
        )

    units = recipe.decoder.units
    if vocabulary_sizes is None or cell == reference:
        return changed(reference, units)
    parameters = count_parameters(changed(reference, units), vocabulary_sizes)
    # The width must be divisible by the numbers of directions, heads and groups of a clockwork cell.
    step = lcm(2 * CLOCKWORK_GROUPS if cell == "clockwork" else 2, recipe.decoder.heads)
    return changed(cell, units_of_size(partial(changed, cell), parameters, vocabulary_sizes, step))


def _share_corpora(recipe: TranslationConfig, first: Path, run: Path) -> TranslationConfig:
    """Reuse the tokenizers and encoded corpora of the first run, which are the same for all."""
    if not run.exists():
        run.mkdir(parents=True)
        shutil.copytree(first / "encoded", run / "encoded")
    return override_recipe(recipe, {"tokenizer.from_model": str(first.resolve())})


def _measure(run: Path, report: TrainingReport) -> dict[str, Any]:
    """Sizes, speed and scores of a run."""
    config, translator = load_recipe(run, TranslationConfig), Translator.load(run)
    data = config.corpora
    valid = list(open_valid(data, open_train(data)))
    language = config.data.target_language if config.data else None
    scores = evaluate(translator, valid, bootstrap=False, language=language, metrics=["BLEU", "chrF2"])
    return {
        "units": config.decoder.units,
        "parameters": translator.model.count_params(),
        "updates": report.updates,
        "seconds": report.seconds,
        "tokens_per_second": median(entry["tokens_per_second"] for entry in report.history),
        "valid_loss": min(entry["valid_loss"] for entry in report.history),
        "bleu": scores["BLEU"].score,
        "chrf": scores["chrF2"].score,
    }


def _mean(row: Any, name: str) -> str:
    """A mean, with its interval if there are several seeds."""
    interval = f" [{row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f}]" if row["seeds"] > 1 else ""
    return f"{row[name]:.2f}{interval}"
