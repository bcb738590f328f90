"""Text on which a sweep is judged, and scores of translations of it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.config import Config, TranslationConfig
from seq2seq.corpora import SentencePair, open_corpus
from seq2seq.corpora.held_out import open_train, open_valid
from seq2seq.corpora.lines import read_lines
from seq2seq.data.progress import no_progress
from seq2seq.errors import ConfigError
from seq2seq.evaluation import BOOTSTRAP_SAMPLES, RANDOMIZATION_TRIALS
from seq2seq.evaluation.metrics import score_statistics
from seq2seq.evaluation.paired_tests import compare_scores
from seq2seq.evaluation.scorers import make_metric
from seq2seq.storage.files import atomic_write
from seq2seq.text.cleaning import clean, plain_form


class TextFiles(NamedTuple):
    """Files of line-aligned sources and references."""

    source: Path
    reference: Path


def write_text(folder: Path, name: str, pairs: Sequence[SentencePair]) -> TextFiles:
    """Write `NAME.source` and `NAME.reference`, one pair per line; white space within a line is one space."""
    files = TextFiles(folder / f"{name}.source", folder / f"{name}.reference")
    for file, side in zip(files, ("source", "target"), strict=True):
        with atomic_write(file) as partial:
            lines = (f"{plain_form(getattr(pair, side))}\n" for pair in pairs)
            partial.write_text("".join(lines), encoding="utf-8")
    return files


def validation_pairs(config: Config) -> list[SentencePair]:
    """The validation pairs of a recipe: those of a corpus of their own, or held out from the training corpus."""
    data = config.corpora
    return list(open_valid(data, open_train(data, config.sides), config.sides))


def check_same_text(configs: dict[str, Config]) -> list[SentencePair]:
    """The validation pairs of all settings, which must be the same for their scores to be comparable.

    Args:
        configs: Recipe of each setting, by its label.

    Raises:
        ConfigError: Two settings validate on different text.
        CorpusError: A corpus cannot be read.
    """
    read: dict[str, tuple[str, list[SentencePair]]] = {}  # by the section `data`
    first: tuple[str, str] | None = None
    pairs: list[SentencePair] = []
    for label, config in configs.items():
        data = f"{config.corpora.model_dump_json()} {config.sides}"
        if data not in read:
            found = validation_pairs(config)
            text = "\n".join(f"{pair.source}\t{pair.target}" for pair in found)
            read[data] = hashlib.sha256(text.encode()).hexdigest(), found
        digest, pairs = read[data]
        if first is None:
            first = label, digest
        elif digest != first[1]:
            raise ConfigError(
                f"'{label}' validates on text that differs from that of '{first[0]}', so they cannot be compared. Give "
                "all settings the same data.valid, a corpus of its own: --set data.valid='{tsv: valid.tsv}'."
            )
    return pairs


def test_pairs(config: TranslationConfig) -> list[SentencePair]:
    """The test pairs of a recipe.

    Raises:
        ConfigError: It has no test corpus.
    """
    if config.corpora.test is None:
        raise ConfigError(
            "--test: the recipe has no data.test. Start the sweep with --set data.test='{tsv: test.tsv}'."
        )
    return list(open_corpus(config.corpora.test))


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
