"""Speed and memory of preparing and reading a corpus.

python benchmarks/data.py [--pairs 10000 1000000 10000000] [--folder DIR] [--json FILE]

Each size runs in a process of its own, on generated text: the first half of a phrasebook sentence before the second
half of another. Measured are pairs per second of training the tokenizer (4,000 pieces, on at most 20,000,000
characters), of reading, filtering, tokenizing and writing, of planning an epoch, and of the batches that `tf.data`
yields; and the peak memory of this process and its children up to the end of each: all resident memory, and the part
that is not pages of files.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

BATCHES = 2_000  # maximum number of batches that are read


def generate(pairs: int, folder: Path) -> tuple[Path, Path]:
    """Write two aligned files of generated text."""
    from seq2seq.phrasebook.phrasebook import generate_pairs

    known = [[side.split() for side in pair] for pair in generate_pairs("train", 50_000)]
    halves = [[(" ".join(s[: len(s) // 2]), " ".join(s[len(s) // 2 :])) for s in pair] for pair in known]
    generator = random.Random(1)
    paths = folder / f"{pairs}.en", folder / f"{pairs}.de"
    with paths[0].open("w", encoding="utf-8") as source, paths[1].open("w", encoding="utf-8") as target:
        for _ in range(pairs):
            first, second = generator.choice(halves), generator.choice(halves)
            source.write(f"{first[0][0]} {second[0][1]}\n")
            target.write(f"{first[1][0]} {second[1][1]}\n")
    return paths


class Memory:
    """Peak memory in MB of a process and its children: all resident memory, and the part that is not pages of files."""

    def __init__(self) -> None:
        self.resident = self.anonymous = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            found = [sizes for pid in family(os.getpid()) if (sizes := self._sizes(pid))]
            resident, anonymous = (sum(column) / 1024 for column in zip(*found, strict=True))
            self.resident, self.anonymous = max(self.resident, resident), max(self.anonymous, anonymous)
            time.sleep(0.1)

    def _sizes(self, pid: int) -> tuple[int, int] | None:
        with suppress(OSError, KeyError):  # it has just ended
            text = Path(f"/proc/{pid}/status").read_text()
            lines = dict(line.split(":", 1) for line in text.splitlines())
            return int(lines["VmRSS"].split()[0]), int(lines["RssAnon"].split()[0])
        return None


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    with suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [process for child in children.read_text().split() for process in family(int(child))]
    return found


def child(source: Path, target: Path, folder: Path) -> Iterator[dict[str, Any]]:
    memory = Memory()
    from seq2seq.config import CorpusConfig, FilterConfig, TokenizerConfig
    from seq2seq.corpora import open_corpus
    from seq2seq.corpora.filters import FilterReport, filter_pairs
    from seq2seq.data.batching import batch_dataset, plan_batches
    from seq2seq.data.encoded import encode_corpus
    from seq2seq.data.tokenizer import Tokenizer

    start = 0.0

    def begin() -> None:
        nonlocal start
        start = time.perf_counter()

    def row(what: str, pairs: int) -> dict[str, Any]:
        seconds = time.perf_counter() - start
        return {
            "": what,
            "pairs": f"{pairs:,}",
            "seconds": seconds,
            "pairs/s": f"{pairs / seconds:,.0f}",
            "peak MB": f"{memory.resident:,.0f}",
            "without files": f"{memory.anonymous:,.0f}",
        }

    corpus = open_corpus(CorpusConfig(source=str(source), target=str(target)))
    filters = FilterConfig()
    begin()
    kept = filter_pairs(corpus, filters, FilterReport())
    tokenizer = Tokenizer.train((side for pair in kept for side in pair[:2]), TokenizerConfig(vocabulary_size=4000))
    pairs = sum(1 for _ in source.open("rb"))
    yield row("train the tokenizer", pairs)
    begin()
    encoded = encode_corpus(corpus, tokenizer, tokenizer, folder, filtering=filters)
    yield row("filter, tokenize, write", pairs)
    begin()
    lengths = encoded.source.lengths, encoded.target.lengths
    plan = plan_batches(*lengths, max_tokens=4000, shuffle_buffer=65_536, seed=1, epoch=1)
    yield row("plan an epoch", len(encoded))
    begin()
    rows = 0
    for batch, _ in batch_dataset(encoded, plan).take(BATCHES):
        rows += len(batch)
    yield row("read batches", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000])
    parser.add_argument("--folder", type=Path, help="folder for the text and the ids; about 3 GB for 10,000,000 pairs")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", type=Path, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        for row in child(*options.child):
            print(json.dumps(row), flush=True)
        return
    from measure import machine, show, write

    report: dict[str, Any] = {"machine": machine()}
    for pairs in options.pairs:
        with TemporaryDirectory(dir=options.folder) as scratch:
            paths = generate(pairs, Path(scratch))
            command = [sys.executable, __file__, "--child", *map(str, paths), str(Path(scratch) / "ids")]
            lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
        report[str(pairs)] = [json.loads(line) for line in lines]
        show(f"{pairs:,} pairs", report[str(pairs)])
    write(options.json, report)


if __name__ == "__main__":
    main()
