"""Why training ends: a pure function of the recipe, of where the run stands, and of `stopped_by_callback`."""

from enum import Enum
from typing import NamedTuple

from seq2seq.config import Config
from seq2seq.training.display import counted
from seq2seq.training.progress import Progress


class Reason(Enum):
    """What ended a run."""

    UPDATES = "updates"  # training.updates
    EPOCHS = "epochs"  # training.epochs
    PATIENCE = "patience"  # validation.patience
    CALLBACK = "callback"  # `model.stop_training`


class End(NamedTuple):
    """The end of a run; an interrupted run has none.

    reason   for programs
    message  for people, as `3 epochs are done`
    """

    reason: Reason
    message: str


def end_of(config: Config, progress: Progress, stopped_by_callback: bool) -> End | None:
    """Why a run is over; None while it is not.

    Args:
        config: The recipe.
        progress: Where the run stands.
        stopped_by_callback: Whether a callback set `model.stop_training`.

    Returns:
        The first that holds: updates done, epochs done, patience exhausted, stopped by a callback.
    """
    training, validation = config.training, config.validation
    if training.updates is not None and progress.batches // training.accumulate >= training.updates:
        return End(Reason.UPDATES, _done(progress.batches // training.accumulate, "update"))
    if training.epochs is not None and progress.epoch > training.epochs:
        return End(Reason.EPOCHS, _done(training.epochs, "epoch"))
    if validation.patience is not None and progress.waited >= validation.patience:
        return End(Reason.PATIENCE, f"no better {validation.metric} in {counted(validation.patience, 'validation')}")
    if stopped_by_callback:
        return End(Reason.CALLBACK, "a callback stopped it")
    return None


def _done(count: int, noun: str) -> str:
    return f"{counted(count, noun)} {'is' if count == 1 else 'are'} done"
