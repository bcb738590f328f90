"""The table of a sweep: for each setting the means over its seeds, with intervals, and which one is best."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

from seq2seq.evaluation.intervals import mean_confidence_interval
from seq2seq.sweeps.grid import Setting
from seq2seq.sweeps.record import RunRecord

TEST_SCORES = ("BLEU", "BLEU_lowercased", "chrF2", "BLEU_difference")


class Mean(NamedTuple):
    """A mean over seeds with its 95% interval (Student's t); the ends are None for a single seed."""

    mean: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Mean | None":
        """The mean of the values that are known; None if there are none."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        low, high = mean_confidence_interval(known) if len(known) > 1 else (None, None)
        return cls(fmean(known), low, high)

    def describe(self, digits: int = 2, sign: str = "") -> str:
        """The mean and, if there are several seeds, its interval: `38.78 [38.1, 39.4]`."""
        interval = "" if self.low is None else f" [{self.low:{sign}.{digits}f}, {self.high:{sign}.{digits}f}]"
        return f"{self.mean:{sign}.{digits}f}{interval}"


@dataclass(frozen=True)
class SettingRow:
    """A setting, and its runs in the order of seeds."""

    label: str
    runs: tuple[RunRecord, ...]

    @property
    def done(self) -> list[RunRecord]:
        """The runs that are trained and scored on validation."""
        return [run for run in self.runs if run.state == "done"]

    @property
    def is_done(self) -> bool:
        """Whether all runs are done."""
        return len(self.done) == len(self.runs)

    def validation(self, name: str) -> Mean | None:
        """Mean of a validation score: `BLEU` or `loss`."""
        return Mean.of(run.validation.get(name) for run in self.done)

    def test(self, name: str) -> Mean | None:
        """Mean of one of `TEST_SCORES`."""
        return Mean.of(run.test.get(name) for run in self.done)

    @property
    def parameters(self) -> int | None:
        """Number of parameters, the largest one if the seeds differ."""
        return max((run.parameters for run in self.done if run.parameters is not None), default=None)

    @property
    def cpu_minutes(self) -> Mean | None:
        """Mean of the CPU minutes of training."""
        return Mean.of(run.cpu_minutes for run in self.done)

    def as_dict(self) -> dict[str, Any]:
        """Values that can be stored as JSON."""

        def plain(mean: Mean | None) -> dict[str, Any] | None:
            return None if mean is None else mean._asdict()

        return {
            "setting": self.label,
            "seeds": len(self.runs),
            "done": len(self.done),
            "validation": {name: plain(self.validation(name)) for name in ("BLEU", "loss")},
            "parameters": self.parameters,
            "cpu_minutes": plain(self.cpu_minutes),
            "test": {name: plain(self.test(name)) for name in TEST_SCORES},
            "p_bootstrap": [run.test.get("p_bootstrap") for run in self.done],
            "p_randomization": [run.test.get("p_randomization") for run in self.done],
        }


class SweepTable:
    """Summary of the runs of a sweep.

    Args:
        runs: The runs, in the order in which they were planned.

    Attributes:
        settings: The settings, in that order.
        by_label: The settings by their labels.
        ranked: The settings by validation BLEU and, if that is equal or not measured, by loss, best first; those
            without a finished run come last.
        best: The best of the settings whose runs are all done; None while there is none.
    """

    def __init__(self, runs: Iterable[RunRecord]) -> None:
        groups: dict[str, list[RunRecord]] = {}
        for run in runs:
            groups.setdefault(Setting(run.overrides).label, []).append(run)
        self.by_label = {
            label: SettingRow(label, tuple(sorted(group, key=lambda run: run.seed))) for label, group in groups.items()
        }
        self.settings = list(self.by_label.values())
        self.ranked = sorted(self.settings, key=_rank)
        self.best = next((row for row in self.ranked if row.is_done), None)

    @property
    def failed(self) -> list[RunRecord]:
        """The runs that failed."""
        return [run for row in self.settings for run in row.runs if run.state == "failed"]

    @property
    def signatures(self) -> list[str]:
        """The signatures of all scores, each once."""
        found = (
            f"{name.removesuffix('_signature')} signature: {value}"
            for row in self.settings
            for run in row.done
            for scores in (run.validation, run.test)
            for name, value in scores.items()
            if name.endswith("_signature")
        )
        return list(dict.fromkeys(found))

    def as_dict(self) -> dict[str, Any]:
        """Values that can be stored as JSON."""
        best = None if self.best is None else self.best.label
        return {"best": best, "settings": [row.as_dict() for row in self.ranked]}


def _rank(row: SettingRow) -> tuple[bool, float, float]:
    bleu, loss = row.validation("BLEU"), row.validation("loss")
    return loss is None, -bleu.mean if bleu else 0.0, loss.mean if loss else 0.0
