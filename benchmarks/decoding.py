"""How fast a model translates, and whether a translation depends on its batch.

python benchmarks/decoding.py MODEL --source FILE [--json FILE]

Greedy and beam 5 take turns, three rounds each. "first" is the first call after loading, tracing included. Then each
sentence is translated alone and compared with its translation in a batch: tokens, and score a token.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from seq2seq import SearchOptions, Translator
from seq2seq.corpora import read_lines

SEARCHES = {"greedy": SearchOptions(beam_size=1), "beam 5": SearchOptions(beam_size=5)}
ROUNDS = 3


def measure(translator: Translator, sentences: list[str]) -> dict[str, dict[str, float]]:
    """Seconds, speed and differences of each search."""
    seconds: dict[str, list[float]] = {name: [] for name in SEARCHES}
    together = {}
    for _ in range(ROUNDS + 1):
        for name, options in SEARCHES.items():
            start = time.perf_counter()
            together[name] = translator.translate(sentences, options)
            seconds[name].append(time.perf_counter() - start)
    results = {}
    for name, options in SEARCHES.items():
        start = time.perf_counter()
        alone = [translator.translate([sentence], options)[0] for sentence in sentences]
        latency = (time.perf_counter() - start) / len(sentences)
        pairs = list(zip(together[name], alone, strict=True))
        same = [(a, b) for a, b in pairs if a.tokens == b.tokens]
        median = statistics.median(seconds[name][1:])
        results[name] = {
            "first_seconds": seconds[name][0],
            "seconds": median,
            "sentences_per_second": len(sentences) / median,
            "tokens_per_second": sum(len(translation.tokens) for translation in together[name]) / median,
            "milliseconds_alone": 1000 * latency,
            "other_tokens_alone": len(pairs) - len(same),
            "score_difference_a_token": max(abs(a.score - b.score) / max(len(a.tokens), 1) for a, b in same),
        }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    sentences = list(read_lines(arguments.source))
    start = time.perf_counter()
    translator = Translator.load(arguments.model)
    results = measure(translator, sentences) if sentences else {}
    table = Table(title=f"{len(sentences):,} sentences", title_justify="left")
    table.add_column("")
    for name in results:
        table.add_column(name, justify="right")
    for key in next(iter(results.values()), {}):
        table.add_row(key.replace("_", " "), *(f"{values[key]:.3g}" for values in results.values()))
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
