"""Speed of a model's search, gain and cost of a shortlist, and independence of translations from their batch.

python benchmarks/decoding.py MODEL --source FILE [--reference FILE] [--rounds 3] [--json FILE]

Greedy search, beam 5 and beam 12 are measured taking turns. "first" is the first call after loading, including tracing.
Then some sentences are translated alone and compared with their translation in a batch: tokens, and score per token. If
the model directory has a shortlist (`seq2seq shortlist MODEL`), the last table compares its speed with that without any
output layer (16 tokens are ranked); there, every hypothesis is as long as its source, so that all take the same number
of steps. If it has a quantized decoder (`seq2seq quantize MODEL`), that is compared with the float32 decoder.
"""

import argparse
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import in_turns, machine, median, sgemm, show, write

from seq2seq import SearchOptions, Translator, evaluate
from seq2seq.corpora import read_lines
from seq2seq.inference.shortlist import SHORTLIST_FILE, Shortlist, load_shortlist

SEARCHES = {f"beam {size}": SearchOptions(beam_size=size) for size in (1, 5, 12)}
SHORTLISTS = (20, 50)
ALONE = 200  # sentences that are translated alone


def timed(translator: Translator, sentences: list[str], options: SearchOptions) -> float:
    start = time.perf_counter()
    translator.translate(sentences, options, attention=False)
    return time.perf_counter() - start


def searches(translator: Translator, sentences: list[str], rounds: int) -> list[dict[str, Any]]:
    first = {name: timed(translator, sentences, options) for name, options in SEARCHES.items()}
    runs = {name: partial(timed, translator, sentences, options) for name, options in SEARCHES.items()}
    seconds = {name: median(values) for name, values in in_turns(runs, rounds).items()}
    rows = []
    for name, options in SEARCHES.items():
        together = translator.translate(sentences, options, attention=False)
        translator.translate(sentences[:1], options, attention=False)
        times, alone = [], []
        for sentence in sentences[:ALONE]:
            start = time.perf_counter()
            alone += translator.translate([sentence], options, attention=False)
            times.append(time.perf_counter() - start)
        pairs = list(zip(together, alone, strict=False))
        same = [(a, b) for a, b in pairs if a.tokens == b.tokens]
        rows.append(
            {
                "": name,
                "first (s)": first[name],
                "sentences/s": len(sentences) / seconds[name],
                "tokens/s": sum(len(translation.tokens) for translation in together) / seconds[name],
                "alone (ms, median)": 1000 * statistics.median(times),
                "alone (ms, 95%)": 1000 * float(np.quantile(times, 0.95)),
                "other tokens alone": f"{len(pairs) - len(same)} of {len(pairs)}",
                "score difference per token": max(
                    (abs(a.score - b.score) / len(a.tokens) for a, b in same), default=0.0
                ),
            }
        )
    return rows


def shortlists(
    translator: Translator, found: Shortlist, sentences: list[str], references: list[str], rounds: int
) -> list[dict[str, Any]]:
    base = SEARCHES["beam 5"]
    few = found._replace(candidates=found.candidates * 0, frequent=np.arange(16, dtype=np.int32))
    bare = Translator(translator.model, *translator.tokenizers, shortlist=few)
    whole = base.model_copy(update={"max_length_factor": 1.0, "max_length_extra": 1})

    def long(**more: Any) -> SearchOptions:
        return whole.model_copy(update={"min_length": 1000, **more})

    runs = {"all tokens": partial(timed, translator, sentences, long())}
    for size in SHORTLISTS:
        runs[f"shortlist {size}"] = partial(timed, translator, sentences, long(shortlist=size))
    runs["no output layer"] = partial(timed, bare, sentences, long(shortlist=1))
    for run in runs.values():
        run()
    seconds = {name: median(values) for name, values in in_turns(runs, rounds).items()}
    gain = seconds["all tokens"] - seconds["no output layer"]
    rows = []
    for name, value in seconds.items():
        size = int(name.split()[1]) if name.startswith("shortlist") else None
        score: Any = ""
        if references and name != "no output layer":
            options = base.model_copy(update={"shortlist": size})
            score = evaluate(translator, list(zip(sentences, references, strict=True)), options)["BLEU"].score
        rows.append(
            {
                "beam 5": name,
                "seconds": value,
                "share of the gain": f"{(seconds['all tokens'] - value) / gain:.0%}",
                "BLEU": f"{score:.2f}" if score != "" else "",
            }
        )
    return rows


def quantized(translator: Translator, sentences: list[str], references: list[str], rounds: int) -> list[dict[str, Any]]:
    options = {
        f"{name}, {kind}": search.model_copy(update={"int8": kind == "int8"})
        for name, search in SEARCHES.items()
        for kind in ("float32", "int8")
        if name != "beam 12"
    }
    for search in options.values():
        translator.translate(sentences[:100], search, attention=False)
    runs = {name: partial(timed, translator, sentences, search) for name, search in options.items()}
    alone = {name: partial(timed, translator, sentences[:1], search) for name, search in options.items()}
    seconds = {name: median(values) for name, values in in_turns(runs, rounds).items()}
    one = {name: median(values) for name, values in in_turns(alone, 10 * rounds).items()}
    rows = []
    for name, search in options.items():
        together = translator.translate(sentences[:ALONE], search, attention=False)
        single = [translator.translate([sentence], search, attention=False)[0] for sentence in sentences[:ALONE]]
        other = sum(a.tokens != b.tokens for a, b in zip(together, single, strict=True))
        pairs = list(zip(sentences, references, strict=True)) if references else []
        rows.append(
            {
                "": name,
                "sentences/s": len(sentences) / seconds[name],
                "one sentence (ms)": 1000 * one[name],
                "BLEU": f"{evaluate(translator, pairs, search)['BLEU'].score:.2f}" if pairs else "",
                "other tokens alone": f"{other} of {len(single)}",
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sentences = list(read_lines(options.source))
    translator = Translator.load(options.model)
    report: dict[str, Any] = {"machine": machine(), "sentences": len(sentences), "sgemm": sgemm()}
    report["searches"] = searches(translator, sentences, options.rounds)
    show(f"{options.model}, {len(sentences):,} sentences", report["searches"])
    references = list(read_lines(options.reference)) if options.reference else []
    if (options.model / "decoder.int8.onnx").exists():
        report["int8"] = quantized(translator, sentences, references, options.rounds)
        show("int8", report["int8"])
    if (options.model / SHORTLIST_FILE).exists():
        found = load_shortlist(options.model, translator.tokenizers)
        report["shortlists"] = shortlists(translator, found, sentences, references, options.rounds)
        show("shortlists", report["shortlists"])
    report["sgemm"] = [report["sgemm"], sgemm()]
    print("sgemm before and after, GFLOP/s:", *(f"{value / 1e9:.0f}" for value in report["sgemm"]))
    write(options.json, report)


if __name__ == "__main__":
    main()
