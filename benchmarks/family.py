"""Comparison of the family of cells: the same corpus, and the same numbers of updates and parameters for each cell.

python benchmarks/family.py phrasebook [--cells gru lstm ...] [--seeds 1 2 3] [--work runs/family]
python benchmarks/family.py multi30k

A queue of runs: runs in the record (in `seq2seq.analysis.records`) are skipped, and an interrupted run is resumed.
Before its first seed, each cell tries learning rates, for a part of the updates and with a seed of its own; the rate
with the lowest validation loss is used. A run that ends with a higher loss than its shorter pilot is repeated
at the next best rate. The widths of the recurrent layers are chosen so that all models have as many parameters as the
GRU. Each run ends with BLEU and chrF on the test set and, on the phrasebook, with the accuracy on words with
long-distance dependencies.
"""

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from measure import show

from seq2seq import SearchOptions, Translator, evaluate, evaluate_challenge_sets, open_corpus
from seq2seq.analysis.comparison import select_runs, summarize
from seq2seq.analysis.records import RECORDS
from seq2seq.config import Config, load_config
from seq2seq.layers.cells import CELLS
from seq2seq.models.equal_size import count_parameters, units_of_size
from seq2seq.training import train

# Depth gates connect layers, so this cell has two; an LSTM of two layers is added for comparison.
STACKS = {"depth_gated_lstm": ("depth_gated_lstm", 2), "lstm, 2 layers": ("lstm", 2)}
PILOT = 0  # seed of the runs that try learning rates


@dataclass(frozen=True)
class Experiment:
    """Settings of all runs on a corpus."""

    recipe: str
    overrides: tuple[str, ...]
    cells: tuple[str, ...]
    rates: tuple[float, ...]
    updates: int
    pilot_updates: int
    units: int  # of the GRU, whose parameters are the budget

    def config(self, name: str, units: int, rate: float, seed: int) -> Config:
        cell, layers = STACKS.get(name, (name, 1))
        updates = self.pilot_updates if seed == PILOT else self.updates
        return load_config(
            self.recipe,
            [
                *self.overrides,
                f"seed={seed + 1}",
                *(
                    f"{side}.{key}={value}"
                    for side in ("encoder", "decoder")
                    for key, value in (("cell", cell), ("units", units), ("layers", layers))
                ),
                f"training.updates={updates}",
                "training.epochs=null",
                f"training.learning_rate={rate}",
                f"training.schedule={{type: cosine, decay_updates: {updates}, min_learning_rate: {rate / 50}}}",
                f"validation.interval_updates={updates}",
                "validation.compute_bleu=false",
                "validation.metric=loss",
                "validation.patience=null",
            ],
        )


EXPERIMENTS = {
    "phrasebook": Experiment(
        "quickstart",
        (
            "decoder.heads=1",
            "embeddings.dropout=0.1",
        ),
        (*CELLS, "lstm, 2 layers"),
        (7e-4, 2e-3, 6e-3),
        1250,
        400,
        128,
    ),
    "multi30k": Experiment(
        "multi30k-en-de-small",
        # With half of the recipe's vocabulary the cells are a larger part of the parameters and of the time. A decoder
        # with one cell per layer, so that it differs between the runs in nothing but the cell.
        (
            "batching.max_tokens=2000",
            "tokenizer.vocabulary_size=3000",
            "embeddings={size: 256, tied: all, dropout: 0.3}",
            "encoder.dropout=0.3",
            "decoder.type=luong",
            "decoder.attention=dot",
            "decoder.bridge=dense",
            "decoder.dropout=0.3",
            "training.beta_2=0.999",
        ),
        ("elman", "irnn", "lstm", "peephole_lstm", "cifg", "gru"),
        (1e-3, 3e-3),
        1500,
        400,
        192,
    ),
}


def equal_units(experiment: Experiment, cell: str) -> tuple[int, int]:
    """Width with which a cell's model has as many parameters as the GRU's, and their number."""

    def recipe(kind: str, units: int) -> Config:
        return experiment.config(kind, units, 1e-3, 1)

    vocabulary = (recipe("gru", 8).tokenizer.vocabulary_size,) * 2
    budget = count_parameters(recipe("gru", experiment.units), vocabulary)
    units = units_of_size(partial(recipe, cell), budget, vocabulary, step=8 if cell == "clockwork" else 2)
    return units, count_parameters(recipe(cell, units), vocabulary)


class Queue:
    """Runs of an experiment, each recorded as one line of JSON."""

    def __init__(self, name: str, work: Path, record: Path) -> None:
        self.name, self.experiment, self.record = name, EXPERIMENTS[name], record
        self.work = work / name
        self.done = list(read(record))

    def find(self, **keys: Any) -> dict[str, Any] | None:
        return next((run for run in self.done if keys.items() <= run.items()), None)

    def run(self, cell: str, seed: int) -> None:
        """Run the pilots and then a cell; if that ends worse than its pilot, run it again at the next best rate."""
        pilots = [self.one(cell, PILOT, rate) for rate in self.experiment.rates]
        for pilot in sorted(pilots, key=lambda pilot: pilot["valid_loss"]):
            if self.one(cell, seed, pilot["learning_rate"])["valid_loss"] < pilot["valid_loss"]:
                return

    def one(self, cell: str, seed: int, rate: float) -> dict[str, Any]:
        known = self.find(cell=cell, seed=seed, learning_rate=rate)
        if known:
            return known
        sized = self.find(cell=cell)
        units, count = (sized["units"], sized["parameters"]) if sized else equal_units(self.experiment, cell)
        config = self.experiment.config(cell, units, rate, seed)
        folder = self.work / f"{cell}-{seed}-{rate:g}"
        report = train(self.share_corpora(config, folder), folder)
        if not report.end:
            raise SystemExit(f"{folder}: interrupted; the same command resumes the run")
        found = {
            "cell": cell,
            "seed": seed,
            "learning_rate": rate,
            "units": units,
            "parameters": count,
            "updates": report.updates,
            "seconds": round(report.seconds, 1),
            "valid_loss": report.history[-1]["valid_loss"],
        }
        if seed != PILOT:
            found |= self.measure(config, folder)
        self.done.append(found)
        with self.record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        print(json.dumps(found), flush=True)
        shutil.rmtree(folder)
        return found

    def share_corpora(self, config: Config, folder: Path) -> Config:
        """Reuse the tokenizers and encoded corpora of the first run, which are the same for all."""
        first = self.work / "first"
        if not (first / "model.safetensors").exists():
            train(changed(config, "training", updates=1), first)
        if not folder.exists():
            folder.mkdir(parents=True)
            shutil.copytree(first / "encoded", folder / "encoded")
        return changed(config, "tokenizer", from_model=str(first))

    def measure(self, config: Config, folder: Path) -> dict[str, Any]:
        translator = Translator.load(folder)
        options = SearchOptions(beam_size=5, length_penalty=1.0)
        report = evaluate(translator, list(open_corpus(config.data.test)), options)
        found: dict[str, Any] = {"bleu": report["BLEU"].score, "chrf": report["chrF2"].score}
        if self.name == "phrasebook":
            distances = evaluate_challenge_sets(
                translator, items=40, lexicon="basic", options=SearchOptions(beam_size=1)
            ).by_distance
            found["distances"] = {each.name: [each.correct, each.total] for each in distances}
        return found


def changed(config: Config, section: str, **keys: Any) -> Config:
    """The recipe with changed values in a section."""
    return config.model_copy(update={section: getattr(config, section).model_copy(update=keys)})


def read(record: Path) -> Iterator[dict[str, Any]]:
    if record.exists():
        yield from map(json.loads, record.read_text(encoding="utf-8").splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--cells", nargs="+", default=None)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--work", type=Path, default=Path("runs/family"), help="folder of models in training")
    options = parser.parse_args()
    queue = Queue(options.experiment, options.work, RECORDS / f"family-{options.experiment}.jsonl")
    for seed in options.seeds:
        for cell in options.cells or queue.experiment.cells:
            queue.run(cell, seed)
    show("BLEU: mean over seeds, 95% interval (Student's t), same parameters and updates", table(queue.record))


def table(record: Path) -> list[dict[str, Any]]:
    """One row per cell, best first."""
    runs = select_runs(pd.DataFrame(read(record)))
    rows = []
    means = summarize(runs, ["bleu", "chrf", "valid_loss"], bounds=(0, 100))
    for cell, row in means.sort_values("bleu", ascending=False).iterrows():
        of_cell = runs[runs["cell"] == cell]
        rows.append(
            {
                "": cell,
                "units": of_cell["units"].iloc[0],
                "parameters": f"{of_cell['parameters'].iloc[0]:,}",
                "learning rate": ", ".join(f"{rate:g}" for rate in of_cell["learning_rate"].unique()),
                "seeds": int(row["seeds"]),
                "BLEU": f"{row['bleu']:.1f} [{row['bleu_low']:.1f}, {row['bleu_high']:.1f}]",
                "chrF2": f"{row['chrf']:.1f}",
                "loss": f"{row['valid_loss']:.2f}",
            }
        )
    return rows


if __name__ == "__main__":
    main()
