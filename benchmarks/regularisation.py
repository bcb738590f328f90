"""Time that subword sampling and consistency regularisation cost, relative to the same recipe without them.

    python benchmarks/regularisation.py [--recipe multi30k-en-de-small] [--batches 40] [--json FILE]

All variants of a tokenizer take turns, two batches at a time. An epoch costs drawing its subwords, and as much as the
measured batches for each of its batches; its validation is left out. Speeds are sentences and target tokens per CPU
second, and sentences per second of wall-clock time, relative to the first variant of the same tokenizer.
"""

import argparse
import itertools
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measure import machine, show, write

from seq2seq.config import load_config
from seq2seq.data.batching import batch_dataset
from seq2seq.training.display import Display
from seq2seq.training.machine import set_up_machine
from seq2seq.training.preparation import prepare_data
from seq2seq.training.run_state import plan_epoch
from seq2seq.training.setup import make_compiled_model

TOKENIZERS = {
    "unigram": {
        "no option": [],
        "alpha 0.5, both sides": ["source_alpha=0.5", "target_alpha=0.5"],
        "alpha 0.3, both sides": ["source_alpha=0.3", "target_alpha=0.3"],
        "alpha 0.1, both sides": ["source_alpha=0.1", "target_alpha=0.1"],
        "simcut": ["training.consistency.type=simcut"],
        "r_drop": ["training.consistency.type=r_drop"],
    },
    "bpe": {"no option": [], "BPE-dropout 0.1, both sides": ["source_bpe_dropout=0.1", "target_bpe_dropout=0.1"]},
}
TOGETHER = 2  # batches
CLOCKS = time.process_time, time.perf_counter
WARM_UP = 2  # turns that are not counted: tracing, first allocations


def seconds() -> np.ndarray:
    return np.array([clock() for clock in CLOCKS])


class Variant:
    """A model of a recipe with some options, and the first epoch's batches."""

    def __init__(self, recipe: str, overrides: list[str], folder: Path) -> None:
        config, display = load_config(recipe, overrides), Display()
        computer = set_up_machine(config)
        data = prepare_data(config, folder, display)
        start = seconds()
        corpus = data.read_epoch(1)
        self.drawing = seconds() - start
        self.sentences, self.tokens = len(corpus), int(corpus.target.lengths.sum())
        self.length = (self.tokens + int(corpus.source.lengths.sum())) / self.sentences
        plan = plan_epoch(config, corpus, 1)
        self.batches = len(plan)
        model = make_compiled_model(config, data.tokenizers, computer.precision, computer.replicas, display, True)
        self.step, self.feed = model.step_function(), itertools.cycle(batch_dataset(corpus, plan))
        self.seconds = np.zeros(len(CLOCKS))

    def turn(self) -> None:
        """Learn from some batches."""
        start = seconds()
        for batch in itertools.islice(self.feed, TOGETHER):
            logs = self.step(*batch)
        float(logs["loss"])  # waits for the last one
        self.seconds += seconds() - start

    def epoch_seconds(self, batches: int) -> np.ndarray:
        """Seconds of an epoch on each of `CLOCKS`."""
        return self.drawing + self.seconds / batches * self.batches


def measure(recipe: str, tokenizer: str, batches: int) -> list[dict[str, Any]]:
    """A row for each variant with a tokenizer."""
    with TemporaryDirectory() as folder:
        variants = {
            name: Variant(recipe, [f"tokenizer.model_type={tokenizer}", *map(full_key, options)], Path(folder, name))
            for name, options in TOKENIZERS[tokenizer].items()
        }
        for turn in range(WARM_UP + batches // TOGETHER):
            for variant in variants.values():
                if turn == WARM_UP:
                    variant.seconds = np.zeros(len(CLOCKS))
                variant.turn()
    plain = next(iter(variants.values()))

    def row(name: str, variant: Variant) -> dict[str, Any]:
        speed, by_wall_clock = plain.epoch_seconds(batches) / variant.epoch_seconds(batches)
        return {
            "tokenizer": tokenizer,
            "variant": name,
            "tokens per sentence, relative": round(variant.length / plain.length, 2),
            "drawing an epoch, CPU s": round(variant.drawing[0], 2),
            "an epoch, CPU s": round(variant.epoch_seconds(batches)[0], 1),
            "sentences/s, relative": round(speed, 2),
            "tokens/s, relative": round(speed * variant.tokens / plain.tokens, 2),
            "sentences/s by wall clock, relative": round(by_wall_clock, 2),
        }

    return [row(name, variant) for name, variant in variants.items()]


def full_key(option: str) -> str:
    return option if option.startswith("training.") else f"tokenizer.sampling.{option}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="multi30k-en-de-small")
    parser.add_argument("--batches", type=int, default=40, help="per variant; default: %(default)s")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [row for tokenizer in TOKENIZERS for row in measure(options.recipe, tokenizer, options.batches)]
    show("Costs", rows)
    write(options.json, {"machine": machine(), "recipe": options.recipe, "rows": rows})


if __name__ == "__main__":
    main()
