"""Time and quality of a beam with required phrases.

python benchmarks/constraints.py MODEL --source FILE --reference FILE [--sentences 200] [--rounds 3] [--json FILE]

Phrases are drawn from the tokens of the reference translation, so that they can all be met. "time" is CPU time relative
to a beam of 5 without automata, measured in turns; "gap" is the mean difference of the score from that of a beam of 40
with the same phrases, and "same" is the share of sentences with at most that score's rounding error between them.
"""

import argparse
import random
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import in_turns, machine, median, show, write

from seq2seq import SearchOptions, Translator
from seq2seq.corpora import read_lines
from seq2seq.data.tokenizer import EOS_ID
from seq2seq.inference.searcher import Searcher, length_limits
from seq2seq.inference.step_sources import AutomataSteps, Batch, ModelSteps
from seq2seq.search import Automata

PHRASES = ((1, 1), (1, 4), (2, 2), (3, 1), (3, 3), (6, 1), (6, 2))  # number of phrases, tokens of each
BATCH, BEAM, LARGE_BEAM = 32, SearchOptions(beam_size=5), SearchOptions(beam_size=40)


def automata(required: list[list[tuple[int, ...]]], size: int, positions: int) -> Automata:
    """Automata over token ids, one for each phrase of each sentence (Knuth, Morris and Pratt 1977)."""
    rows, advance, remaining, initial = [np.zeros(size, np.int32)], [[0]], [0], []
    for phrases in required:
        initial.append([len(rows) + sum(map(len, phrases[:n])) for n in range(len(phrases))])
        for phrase in phrases:
            start, fallback = len(rows), 0
            for place, token in enumerate(phrase):
                row = rows[start + fallback].copy() if place else np.full(size, start, np.int32)
                fallback = int(row[token]) - start if place else 0
                row[token] = start + place + 1 if place < len(phrase) - 1 else 0
                rows.append(row)
                advance.append([token])
                remaining.append(len(phrase) - place)
    blocked = np.zeros((len(rows), size), bool)
    blocked[1:, EOS_ID] = True
    states = [np.array(values, np.int32) for values in (advance, remaining, initial)]
    sources = np.zeros((*states[-1].shape, positions), np.float32)  # nothing is known of the source tokens
    return Automata(np.array(rows), blocked, *states, sources, np.ones(size, bool))


def drawn(tokens: list[int], number: int, length: int, generator: random.Random) -> list[tuple[int, ...]]:
    """Phrases of `length` tokens that do not overlap."""
    free = len(tokens) - number * length
    cuts = sorted(generator.sample(range(free + number), number))
    starts = [cut + n * (length - 1) for n, cut in enumerate(cuts)]
    return [tuple(tokens[start : start + length]) for start in starts]


def search(steps: Any, searcher: Searcher, batches: list[Batch], options: SearchOptions) -> tuple[np.ndarray, float]:
    """Scores of the best hypotheses, and CPU seconds."""
    scores, start = [], time.process_time()
    for batch in batches:
        limits = length_limits(np.array([len(ids) + 1 for ids in batch.sources]), options)
        scores.append(searcher.search(steps, batch, limits, options).scores[:, 0])
    return np.concatenate(scores), time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    translator, searcher = Translator.load(options.model), Searcher()
    source, target = translator.tokenizers.source, translator.tokenizers.target
    pairs = list(zip(read_lines(options.source), read_lines(options.reference), strict=True))
    ids = [(source.encode(one), target.encode(other)) for one, other in pairs]
    plain = ModelSteps(translator.model)
    rows = []
    for number, length in PHRASES:
        generator = random.Random(1)
        chosen = [pair for pair in ids if pair[0] and len(pair[1]) >= number * length][: options.sentences]
        chosen.sort(key=lambda pair: len(pair[0]))
        batches = [
            Batch(
                [one for one, _ in some],
                automata=automata(
                    [drawn(other, number, length, generator) for _, other in some],
                    target.vocabulary_size,
                    max(len(one) for one, _ in some) + 1,
                ),
            )
            for some in (chosen[start : start + BATCH] for start in range(0, len(chosen), BATCH))
        ]
        steps = AutomataSteps(plain)
        best, _ = search(steps, searcher, batches, LARGE_BEAM)
        scores, _ = search(steps, searcher, batches, BEAM)
        search(plain, searcher, batches, BEAM)
        runs = {
            "plain": lambda batches=batches: search(plain, searcher, batches, BEAM)[1],
            "required": partial(lambda steps, batches: search(steps, searcher, batches, BEAM)[1], steps, batches),
        }
        seconds = {name: median(values) for name, values in in_turns(runs, options.rounds).items()}
        rows.append(
            {
                "phrases": number,
                "tokens of each": length,
                "sentences": len(chosen),
                "CPU ms per sentence": 1000 * seconds["required"] / len(chosen),
                "time": seconds["required"] / seconds["plain"],
                "score": float(scores.mean()),
                "gap": float((best - scores).mean()),
                "same": float((np.abs(best - scores) < 1e-4).mean()),
            }
        )
    show(f"{options.model}, beam 5", rows)
    write(options.json, {"machine": machine(), "rows": rows})


if __name__ == "__main__":
    main()
