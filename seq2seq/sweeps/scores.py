"""Scores of translations of the text of a sweep."""

from pathlib import Path
from typing import Any

from seq2seq.corpora.lines import read_lines
from seq2seq.data.progress import no_progress
from seq2seq.evaluation import BOOTSTRAP_SAMPLES, RANDOMIZATION_TRIALS
from seq2seq.evaluation.metrics import score_statistics
from seq2seq.evaluation.paired_tests import compare_scores
from seq2seq.evaluation.scorers import make_metric
from seq2seq.sweeps.texts import TextFiles
from seq2seq.text.cleaning import clean


def read_clean(file: Path) -> list[str]:
    """The lines of a file, cleaned as all scores require."""
    return [clean(line) for line in read_lines(file)]


def bleu(hypotheses: Path, files: TextFiles, language: str | None) -> dict[str, Any]:
    """BLEU of translations and its signature."""
    return _score("BLEU", *_texts(hypotheses, files), language)


def all_scores(hypotheses: Path, files: TextFiles, language: str | None) -> dict[str, Any]:
    """BLEU, BLEU of lowercased text, and chrF2 of translations, each with its signature."""
    texts = _texts(hypotheses, files)
    return (
        _score("BLEU", *texts, language)
        | _score("BLEU", *texts, language, lowercase=True)
        | _score("chrF2", *texts, language)
    )


def paired_test(hypotheses: Path, baseline: Path, files: TextFiles, language: str | None) -> dict[str, Any]:
    """Difference of the BLEU of translations from that of a baseline, and the p-values of sacreBLEU's paired tests."""
    systems = {"baseline": read_clean(baseline), "system": read_clean(hypotheses)}
    tests = BOOTSTRAP_SAMPLES, RANDOMIZATION_TRIALS
    references = [read_clean(files.reference)]
    found = compare_scores(systems, references, ["BLEU"], language, None, *tests, no_progress)["BLEU"]
    score = found.scores["system"]
    return {
        "BLEU_difference": score.difference,
        "p_bootstrap": score.p_bootstrap,
        "p_randomization": score.p_randomization,
    }


def _texts(hypotheses: Path, files: TextFiles) -> tuple[list[str], list[str]]:
    return read_clean(hypotheses), read_clean(files.reference)


def _score(
    name: str, hypotheses: list[str], references: list[str], language: str | None, lowercase: bool = False
) -> dict[str, Any]:
    metric = make_metric(name, language, lowercase=lowercase)
    score = score_statistics(name, metric, metric.statistics(hypotheses, [references]), samples=0)
    key = f"{name}_lowercased" if lowercase else name
    return {key: score.score, f"{key}_signature": score.signature}
