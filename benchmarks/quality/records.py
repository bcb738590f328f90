"""Records of quality by CPU minutes: a line of JSON for each run and budget, with the scores on the test set."""

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seq2seq.config import SearchOptions
from seq2seq.evaluation.metrics import corpus_scores, score_statistics
from seq2seq.evaluation.scorers import StatisticsBLEU
from seq2seq.evaluation.tokenizers import bleu_tokenizer
from seq2seq.text.cleaning import clean

TEST_SEARCH = SearchOptions(beam_size=5, length_penalty=1.0)
Row = dict[str, Any]


def read(record: Path) -> Iterator[Row]:
    if record.exists():
        yield from map(json.loads, record.read_text(encoding="utf-8").splitlines())


def budgets_left(record: Path, run: str, budgets: Sequence[float]) -> list[float]:
    """The budgets for which the record has no row of this run, in ascending order."""
    done = {row["budget"] for row in read(record) if row["run"] == run}
    return sorted(set(budgets) - done)


def append(record: Path, row: Row) -> None:
    """Append a row, with the command of this process, and print it."""
    line = json.dumps({"command": shlex.join(["python", *sys.argv])} | row, ensure_ascii=False)
    with record.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    print(line, flush=True)


def score(hypotheses: Sequence[str], references: Sequence[str], language: str | None) -> Row:
    """BLEU, BLEU of lowercased text, and chrF2 with their signatures, of raw text."""
    bleu, chrf = corpus_scores(hypotheses, [references], bootstrap=False, language=language, metrics=["BLEU", "chrF2"])
    metric = StatisticsBLEU(tokenize=bleu_tokenizer(language), lowercase=True, force=True)
    texts, answers = ([clean(line) for line in lines] for lines in (hypotheses, references))
    lowercased = score_statistics("BLEU", metric, metric.statistics(texts, [answers]), samples=0)
    found = {"bleu": bleu, "bleu_lowercased": lowercased, "chrf2": chrf}
    return {name: round(one.score, 2) for name, one in found.items()} | {
        "signatures": {name: one.signature for name, one in found.items()}
    }
