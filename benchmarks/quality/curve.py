"""Quality of a run of `seq2seq train` over CPU minutes, in rows like those of `transformer.py`.

    python benchmarks/quality/curve.py runs/multi30k-en-de-small [--budgets 15 30 60 120]

At each budget, the weights with the best BLEU of all validations that had ended by then translate the test set at beam
size 5, and a line is appended to `recurrent.jsonl`. They must have been kept: train with
`--set training.keep_last=1000`.

CPU minutes are those of the history: user and system time from the call of `train` on, over all sessions. `--before`
adds those of what the run needs, such as the training of its teachers and their translations.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import records

from seq2seq import Translator, open_corpus
from seq2seq.model_directory.directory import load_model_config, load_weights, read_metadata
from seq2seq.model_directory.history import read_history
from seq2seq.models.base import assign_weights
from seq2seq.storage.arrays import load_arrays
from seq2seq.training.averaging import list_kept_weights

HERE = Path(__file__).parent
BUDGETS = (15.0, 30.0, 60.0, 120.0)  # CPU minutes


class RecurrentRun:
    """A trained model directory, with its history and kept weights."""

    def __init__(self, folder: Path, before: float) -> None:
        self.folder, self.before = folder, before
        self.config, self.history = load_model_config(folder), read_history(folder)
        self.kept = {about["update"]: file for file, about in list_kept_weights(folder)}
        self.translator = Translator.load(folder)
        self._scores: dict[int, records.Row] = {}  # by update: several budgets may have the same best weights

    def minutes(self, entry: dict[str, Any]) -> float:
        """CPU minutes by the end of a validation."""
        return round(self.before + entry["cpu_seconds"] / 60, 2)

    def row(self, budget: float) -> records.Row:
        """The position and the best validation by the end of a budget, and the scores of its weights."""
        ended = [entry for entry in self.history if self.minutes(entry) <= budget and entry["bleu"] is not None]
        if not ended:
            raise SystemExit(
                f"{self.folder}: has no BLEU of a validation within {budget:g} CPU minutes. Give larger --budgets."
            )
        best = max(ended, key=lambda entry: (entry["bleu"], -entry["valid_loss"]))
        return {
            "budget": budget,
            "cpu_minutes": self.minutes(ended[-1]),
            "parameters": self.translator.model.count_params(),
            "updates": ended[-1]["update"],
            "epochs": ended[-1]["epoch"],
            "best_update": best["update"],
            "best_cpu_minutes": self.minutes(best),
            "valid_loss": round(best["valid_loss"], 4),
            "valid_bleu": round(best["bleu"], 2),
            **self.scores(best["update"]),
        }

    def scores(self, update: int) -> records.Row:
        """Scores of the weights that were validated after an update, on the test set."""
        if update not in self._scores:
            assign_weights(self.translator.model, self.weights(update), self.folder)
            pairs, language = list(open_corpus(self.config.data.test)), self.config.data.target_language
            translations = self.translator.translate([pair.source for pair in pairs], records.TEST_SEARCH)
            texts = [translation.text for translation in translations]
            self._scores[update] = records.score(texts, [pair.target for pair in pairs], language)
        return self._scores[update]

    def weights(self, update: int) -> dict[str, np.ndarray]:
        if update in self.kept:
            return load_arrays(self.kept[update])[0]
        if update == read_metadata(self.folder)["scores"]["validation"]["update"]:
            return load_weights(self.folder)
        raise SystemExit(
            f"{self.folder}: the weights of update {update:,} were not kept. Train with --set training.keep_last=1000."
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="model directory")
    parser.add_argument("--budgets", nargs="+", type=float, default=BUDGETS, help="CPU minutes")
    parser.add_argument("--before", type=float, default=0.0, help="CPU minutes spent before the run")
    parser.add_argument("--record", type=Path, default=HERE / "recurrent.jsonl", help="file for the rows")
    parser.add_argument("--model", default="recurrent", help="name of the model in the record; default: %(default)s")
    options = parser.parse_args()
    budgets = records.budgets_left(options.record, options.run.name, options.budgets)
    run = RecurrentRun(options.run, options.before)
    for budget in budgets:
        records.append(options.record, {"model": options.model, "run": options.run.name} | run.row(budget))


if __name__ == "__main__":
    main()
