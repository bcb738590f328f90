"""Loss of each packaged recipe after its first updates, compared with that of token frequencies, for several seeds.

    python benchmarks/safe_start.py quickstart language-model --seeds 1-10 --json benchmarks/safe_start.jsonl
    python benchmarks/safe_start.py quickstart --multi30k --seeds 1-10 --json benchmarks/safe_start.jsonl

Writes one line of JSON per run; runs that are already in the file are skipped. The exit code is 1 if a run stays above
the bound.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from seq2seq.config import Config, load_config

BOUND = 0.3  # nats per target token below token frequencies
OWN_PAIRS = (  # overrides for training on your own pairs, here those of Multi30k
    "data.train={source: $MULTI30K/train.en.gz, target: $MULTI30K/train.de.gz}",
    "data.valid={source: $MULTI30K/val.en.gz, target: $MULTI30K/val.de.gz}",
    "data.test=null",
    "tokenizer.vocabulary_size=6000",
)


def begin(config: Config, updates: int) -> dict[str, float]:
    """Train for some updates; return the validation loss and that of token frequencies, in nats per target token."""
    from seq2seq.data.encoded import EncodedCorpus
    from seq2seq.data.mixture import EncodedMixture
    from seq2seq.model_directory.directory import load_tokenizers
    from seq2seq.training import train
    from seq2seq.training.corpus_checks import unigram_loss

    ends = {"updates": updates, "epochs": None, "checkpoint_minutes": 600.0, "keep_last": 0, "keep_best": 0}
    measured = {"metric": "loss", "compute_bleu": False, "interval_updates": updates}
    changes = {"training": ends, "validation": measured}
    if config.task == "translation":  # of the student alone
        changes["teachers"] = {"count": 0, "changes": {}}
    config = config.model_copy(
        update={name: getattr(config, name).model_copy(update=values) for name, values in changes.items()}
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = train(config, folder, console=Console(quiet=True))
        data = [EncodedCorpus(folder / "encoded" / part) for part in ("train", "valid")]
        size = load_tokenizers(folder).target.vocabulary_size
        frequencies = unigram_loss(EncodedMixture(data[:1]), data[1], size)
    (entry,) = report.history
    return {"valid_loss": entry["valid_loss"], "frequencies": frequencies, "below": frequencies - entry["valid_loss"]}


def numbers(text: str) -> range:
    """Parse a range of seeds, `1-10` or `3`."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", metavar="RECIPE")
    parser.add_argument("--seeds", type=numbers, default=numbers("1-3"), metavar="FIRST-LAST")
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument(
        "--multi30k", action="store_true", help="train on Multi30k, as on your own pairs, with a vocabulary of 6,000"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key, for trials")
    parser.add_argument("--json", type=Path, help="file with one line per run, which is read and extended")
    options = parser.parse_args()
    lines = options.json.read_text().splitlines() if options.json and options.json.exists() else []
    done = [json.loads(line) for line in lines]
    above = 0
    for recipe in options.recipes:
        for seed in options.seeds:
            corpus = "Multi30k" if options.multi30k or recipe.startswith("multi30k") else "own"
            about = {"recipe": recipe, "corpus": corpus, "set": options.set, "seed": seed, "updates": options.updates}
            found = next((run for run in done if about.items() <= run.items()), None)
            if found is None:
                changes = [*(OWN_PAIRS if options.multi30k else ()), *options.set, f"seed={seed}"]
                found = about | begin(load_config(recipe, changes), options.updates)
                if options.json:
                    with options.json.open("a") as file:
                        file.write(json.dumps(found) + "\n")
            above += found["below"] < BOUND
            print(
                f"{recipe:30} {corpus:9} seed {seed:2}  valid loss {found['valid_loss']:.3f}  "
                f"token frequencies {found['frequencies']:.3f}  {found['below']:.3f} below",
                flush=True,
            )
    print(f"{above} runs are less than {BOUND} nats per token below token frequencies")
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
