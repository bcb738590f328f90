"""Where a run stands: everything that is not an array, as plain numbers that go into a checkpoint."""

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class RunState:
    """Counters of a run.

    epoch            the current one, from 1
    batch            batches of this epoch that are done
    total_batches    batches done in all
    last_validation  how many of them the last validation had seen
    seconds          wall-clock training time so far, over all sessions
    best             best value of the validation metric, of models that had learnt something
    best_update      the update it was reached at
    best_loss        the loss of that validation
    lowest_loss      lowest loss of all validations
    wait             validations since the best one; as long as there is none, since the lowest loss
    plateau_factor   what the plateau schedule has multiplied the learning rate by
    plateau_wait     validations without improvement that it has counted
    rollbacks        how often the run has gone back to a checkpoint, each time with half the learning rate
    """

    epoch: int = 1
    batch: int = 0
    total_batches: int = 0
    last_validation: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_update: int = 0
    best_loss: float | None = None
    lowest_loss: float | None = None
    wait: int = 0
    plateau_factor: float = 1.0
    plateau_wait: int = 0
    rollbacks: int = 0

    def update_best(
        self, loss: float, bleu: float | None, metric: str, update: int, beats_baseline: bool = True
    ) -> bool:
        """Take in a validation; is it the best so far, by the metric, and of equal BLEU by the loss?

        That of a model that has learnt nothing is not; until one has, the loss tells whether things get better.
        """
        by_bleu = metric == "bleu" and bleu is not None
        value = bleu if metric == "bleu" and bleu is not None else loss
        better = self.best is None or (value > self.best if by_bleu else value < self.best)
        if by_bleu and value == self.best and self.best_loss is not None:
            better = loss < self.best_loss
        best = beats_baseline and better and not math.isnan(loss)
        lower = not math.isnan(loss) and (self.lowest_loss is None or loss < self.lowest_loss)
        self.wait = 0 if best or (self.best is None and lower) else self.wait + 1
        if best:
            self.best, self.best_loss, self.best_update = value, loss, update
        if lower:
            self.lowest_loss = loss
        return best

    def as_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)
