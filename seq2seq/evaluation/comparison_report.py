"""The result of `compare_systems`: as values for JSON, as a table in a notebook, and as a page of HTML."""

from dataclasses import asdict, dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from seq2seq.arguments import check_arguments
from seq2seq.errors import ArgumentError, suggest_similar
from seq2seq.evaluation.breakdowns import Breakdown
from seq2seq.evaluation.paired_tests import ComparedScore
from seq2seq.evaluation.sentence_differences import Problems, SentenceDifference
from seq2seq.evaluation.text_checks import small_set_note
from seq2seq.notebook_html import html_block, html_note, html_table
from seq2seq.plurals import pluralize
from seq2seq.storage.streams import open_output

SCORE_HEADER = ("metric", "system", "score", "95% interval", "difference", "p (bs)", "p (ar)")


@dataclass(frozen=True)
class ComparedSystem:
    """A system in a comparison.

    Attributes:
        name: Name of the system.
        scores: A score per metric.
        problems: Problems of its translations that can be counted.
        different: Number of sentences that it translates differently from the baseline.
        better: Number of those with a higher sentence-level chrF2 than the baseline's.
        worse: Number of those with a lower one.
        wins: Sentences with the largest gain in chrF2, the largest first.
        losses: Sentences with the largest loss, the largest first.
    """

    name: str
    scores: tuple[ComparedScore, ...]
    problems: Problems
    different: int
    better: int
    worse: int
    wins: tuple[SentenceDifference, ...]
    losses: tuple[SentenceDifference, ...]

    @check_arguments()
    def __getitem__(self, name: str) -> ComparedScore:
        """The score of a metric, ignoring case.

        Raises:
            ArgumentError: The metric was not measured.
        """
        scores = {score.name.lower(): score for score in self.scores}
        return _find(name, scores, "score", ", ".join(score.name for score in self.scores))


@dataclass(frozen=True, repr=False)
class ComparisonReport:
    """Comparison of several systems on one test set.

    Attributes:
        sentences: Number of sentences.
        references: Number of references per sentence.
        bootstrap_samples: Number of bootstrap samples.
        randomization_trials: Number of trials of approximate randomization; 0: no such test.
        systems: The systems; the first is the baseline.
        breakdowns: Scores of groups of sentences, and recall of groups of words.
    """

    sentences: int
    references: int
    bootstrap_samples: int
    randomization_trials: int
    systems: tuple[ComparedSystem, ...]
    breakdowns: tuple[Breakdown, ...]

    @property
    def note(self) -> str:
        """Caveat about the scores, such as a very small test set; "" if there is none."""
        return small_set_note(self.sentences)

    @check_arguments()
    def __getitem__(self, name: str) -> ComparedSystem:
        """A system by its name.

        Raises:
            ArgumentError: There is no such system.
        """
        systems = {system.name: system for system in self.systems}
        return _find(name, systems, "system", ", ".join(systems))

    def __repr__(self) -> str:
        names = ", ".join(system.name for system in self.systems)
        return f"ComparisonReport({names}; {pluralize(self.sentences, 'sentence')})"

    def score_rows(self) -> list[tuple[str, ...]]:
        """Rows of a table with the columns `SCORE_HEADER`: metrics in order, and within each the systems."""
        rows = []
        for scores in zip(*(system.scores for system in self.systems), strict=True):
            for system, score in zip(self.systems, scores, strict=True):
                difference = "baseline" if score.difference is None else f"{score.difference:+.2f}"
                p_values = [p_text(p) for p in (score.p_bootstrap, score.p_randomization)]
                rows.append((score.name, system.name, f"{score.score:.2f}", score.interval(), difference, *p_values))
        return rows

    def problem_rows(self) -> list[tuple[str, ...]]:
        """Rows of a table of problems: a description, and a number per system."""
        labels = {
            "length_ratio": "words per word of the reference",
            "empty": "empty translations",
            "short": "translations under half the reference's length",
            "repeating": "translations that repeat themselves",
            "looped_words": "words repeated immediately, in excess of the references",
            "repeated_word_pairs": "word pairs repeated, in excess of the references",
            "copied_words": "words copied from the source",
        }
        rows = []
        for key, label in labels.items():
            values = [getattr(system.problems, key) for system in self.systems]
            if None not in values:
                cells = [f"{value:.3f}" if isinstance(value, float) else f"{value:,}" for value in values]
                rows.append((label, *cells))
        return rows

    def tests(self) -> str:
        """The tests behind the p-values, in one sentence."""
        trials = f"; ar: approximate randomization, {self.randomization_trials:,} trials"
        return (
            f"p-values against {self.systems[0].name}, by sacreBLEU; bs: paired bootstrap resampling, "
            f"{self.bootstrap_samples:,} samples{trials if self.randomization_trials else ''}. They are not corrected "
            "for the number of systems or metrics."
        )

    def signatures(self) -> list[str]:
        """sacreBLEU's signatures of all scores and tests."""
        found = []
        for score in self.systems[0].scores:
            found.append(f"{score.name} (score, bs): {score.signature}")
            if score.randomization_signature:
                found.append(f"{score.name} (ar): {score.randomization_signature}")
        return found

    def _repr_html_(self) -> str:
        note = f". {self.note}" if self.note else ""
        title = f"{pluralize(self.sentences, 'sentence')}, baseline {self.systems[0].name}{note}"
        parts = [html_table(self.score_rows(), SCORE_HEADER, numeric=[2, 4, 5, 6]), html_note(self.tests())]
        for system in self.systems[1:]:
            text = f"{system.name}: {system.better:,} sentences better and {system.worse:,} worse by chrF2"
            parts.append(html_note(text))
        return html_block(title, *parts)

    @check_arguments()
    def write_html(self, path: str | PathLike[str]) -> None:
        """Write a page with all results, which loads nothing from elsewhere, to a file.

        Raises:
            CorpusError, StorageError: The file cannot be written.
        """
        from seq2seq.evaluation.comparison_page import render_page

        with open_output(Path(fspath(path))) as handle:
            handle.write(render_page(self))

    def as_dict(self) -> dict[str, Any]:
        """Values that can be stored as JSON."""
        systems = []
        for system in self.systems:
            values = asdict(system)
            for kind in ("wins", "losses"):
                differences = getattr(system, kind)
                values[kind] = [asdict(difference) | {"gain": difference.gain} for difference in differences]
            systems.append(values)
        return {
            "sentences": self.sentences,
            "references": self.references,
            "bootstrap_samples": self.bootstrap_samples,
            "randomization_trials": self.randomization_trials,
            "baseline": self.systems[0].name,
            "note": self.note,
            "systems": systems,
            "breakdowns": [breakdown.as_dict() for breakdown in self.breakdowns],
        }


def p_text(value: float | None) -> str:
    """A p-value with four decimals; "" for none."""
    return "" if value is None else f"{value:.4f}"


def _find(name: str, found: dict[str, Any], what: str, known: str) -> Any:
    key = name.lower() if what == "score" else name
    if key not in found:
        raise ArgumentError(f"there is no {what} '{name}'.{suggest_similar(key, found)} Known: {known}.")
    return found[key]
