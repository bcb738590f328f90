"""The result of a training run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seq2seq.plurals import pluralize
from seq2seq.training.corpus_checks import Overlap
from seq2seq.training.ending import Comparison
from seq2seq.training.run_state import StopResult


@dataclass(frozen=True, repr=False)
class TrainingReport:
    """The result of a run.

    Attributes:
        directory: The model directory.
        end: Why training ended; None if it was interrupted and can be resumed.
        stopped: Whether a signal asked the run to stop, perhaps only when it was ending anyway.
        updates: Number of updates, including skipped ones.
        seconds: Training time over all sessions, including validation.
        best: Best value of `validation.metric`; None if no validation was clearly better than token frequencies
            (`alarms.MIN_GAIN`).
        history: One entry per validation, as in `history.jsonl`; `warnings` are the alarms active at the validation,
            `new_warnings` those that it raised.
        warnings: Alarms of all sessions of the run, each with its remedy; see docs/robustness.md.
        remaining_warnings: Alarms that apply to the delivered model.
        comparison: BLEU and chrF2 of the delivered model, of copying the source and of the most frequent target, on the
            validation corpus; None if the run did not end in this session or BLEU is not measured.
        samples: Source and reference of up to five validation pairs; [] for a language model.
        overlaps: Numbers of sentences of the corpora `validation` and `test` that are in the training corpora: `total`,
            `sources` and `pairs`, see `Overlap`.
    """

    directory: Path
    end: StopResult | None
    updates: int
    seconds: float
    best: float | None
    history: list[dict[str, Any]]
    warnings: list[str] = field(default_factory=list)
    remaining_warnings: list[str] = field(default_factory=list)
    comparison: Comparison | None = None
    samples: list[tuple[str, str]] = field(default_factory=list)
    overlaps: dict[str, Overlap] = field(default_factory=dict)
    stopped: bool = False

    def __repr__(self) -> str:
        best = "none" if self.best is None else f"{self.best:.4g}"
        end = self.end.message if self.end else "interrupted"
        return f"TrainingReport({str(self.directory)!r}, {pluralize(self.updates, 'update')}, best {best}, {end})"

    def _repr_html_(self) -> str:
        from seq2seq.training.report_html import report_html

        return report_html(self)
