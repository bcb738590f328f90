"""Where a run stands: everything that is not an array, as plain numbers that go into a checkpoint."""

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Progress:
    """Counters of a run.

    epoch            the current one, from 1
    batch            batches of this epoch that are done
    batches          batches done in all
    validated        how many of them the last validation had seen
    seconds          wall-clock training time so far, over all sessions
    best             best value of the validation metric, of models that had learnt something
    best_update      the update it was reached at
    reached          best value of the validation metric of all
    waited           validations since it was reached, or the best one
    plateau_factor   what the plateau schedule has multiplied the learning rate by
    plateau_waited   validations without improvement that it has counted
    recoveries       how often the run has gone back to a checkpoint, each time with half the learning rate
    finished         why training ended, or ""
    """

    epoch: int = 1
    batch: int = 0
    batches: int = 0
    validated: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_update: int = 0
    reached: float | None = None
    waited: int = 0
    plateau_factor: float = 1.0
    plateau_waited: int = 0
    recoveries: int = 0
    finished: str = ""

    def judge(self, value: float, metric: str, update: int, learnt: bool = True) -> bool:
        """Take in a validation's `loss` or `bleu`; is it the best so far? Not of a model that has learnt nothing."""

        def better(than: float | None) -> bool:
            return not math.isnan(value) and (than is None or (value > than if metric == "bleu" else value < than))

        best, improved = learnt and better(self.best), better(self.reached)
        if best:
            self.best, self.best_update = value, update
        if improved:
            self.reached = value
        self.waited = 0 if best or improved else self.waited + 1
        return best

    def as_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)
