"""Rows of RESULTS.md: what each run is, what it cost, and its scores at the recipe's search options.

    python benchmarks/quality/results.py RUN ... [--test] [--of RECIPE]

A row has the changes of a run relative to a packaged recipe, its number of parameters, CPU minutes of training (all
stages and teachers), and sacreBLEU's BLEU, BLEU of lowercased text, and chrF2 on the validation corpus; with `--test`,
on the test corpus, too. Several directories with a plus sign between them are an ensemble.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import records

from seq2seq import Translator, open_corpus
from seq2seq.config import Config, load_config
from seq2seq.model_directory.directory import load_model_config
from seq2seq.model_directory.history import read_history

COLUMNS = "run", "changes", "parameters", "CPU minutes", "epochs", "BLEU", "lowercased", "chrF2"


def changes(config: Config, recipe: Config) -> Iterator[str]:
    """The options of a run that differ from a recipe's, as they are given to `--set`."""
    ours, theirs = (flatten(each.model_dump()) for each in (config, recipe))
    for key, value in ours.items():
        if key not in theirs or value != theirs[key]:
            yield f"{key}={value if isinstance(value, str) else json.dumps(value)}"


def flatten(section: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in section.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def cpu_minutes(folder: Path) -> float:
    """CPU minutes of all stages and teachers of a run; 0 if it was trained before the history had them."""
    parts = [*folder.glob("teachers/[0-9]*"), *stages(folder)]
    return sum(read_history(part)[-1].get("cpu_seconds", 0.0) for part in parts) / 60


def stages(folder: Path) -> list[Path]:
    """Directories of the stages of a run, in their order; the last one is its own."""
    return [*sorted(folder.glob("stages/*"), key=lambda stage: int(stage.name)), folder]


def rows(run: str, recipe: Config, test: bool) -> Iterator[list[str]]:
    folders = [Path(each) for each in run.split("+")]
    config, translator = load_model_config(folders[0]), Translator.load(folders)
    facts = [
        " + ".join(folder.name for folder in folders),
        ", then ".join("; ".join(changes(load_model_config(stage), recipe)) for stage in stages(folders[0])),
        f"{sum(model.count_params() for model in translator.models):,}",
        f"{sum(map(cpu_minutes, folders)):.1f}",
        " + ".join(
            ", then ".join(str(read_history(each)[-1]["epoch"]) for each in stages(folder)) for folder in folders
        ),
    ]
    for name in ("valid", "test")[: 1 + test]:
        pairs = list(open_corpus(getattr(config.data, name)))
        texts = [each.text for each in translator.translate([pair.source for pair in pairs])]
        scores = records.score(texts, [pair.target for pair in pairs], config.data.target_language)
        yield [
            f"{facts[0]}, {name}",
            *facts[1:],
            *(f"{scores[key]:.2f}" for key in ("bleu", "bleu_lowercased", "chrf2")),
        ]


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="model directory; A+B+C: an ensemble of three")
    parser.add_argument("--of", default="multi30k-en-de-small", metavar="RECIPE", help="default: %(default)s")
    parser.add_argument("--test", action="store_true", help="score the test corpus, too")
    options = parser.parse_args()
    print(line(COLUMNS), line(["---"] * len(COLUMNS)), sep="\n")
    recipe = load_config(options.of)
    for run in options.runs:
        for cells in rows(run, recipe, options.test):
            print(line(cells), flush=True)


if __name__ == "__main__":
    main()
