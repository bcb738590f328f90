"""Why training ends: a pure function of the recipe, of where the run stands, and of `stopped_by_callback`."""

from enum import Enum
from typing import NamedTuple

from seq2seq.config import Config
from seq2seq.training.display import count_noun
from seq2seq.training.run_state import RunState


class EndReason(Enum):
    """What ended a run."""

    UPDATES = "updates"  # training.updates
    EPOCHS = "epochs"  # training.epochs
    PATIENCE = "patience"  # validation.patience
    CALLBACK = "callback"  # `model.stop_training`


class RunEnd(NamedTuple):
    """The end of a run; an interrupted run has none.

    reason   for programs
    message  for people, as `3 epochs are done`
    """

    reason: EndReason
    message: str


def find_end(config: Config, run_state: RunState, stopped_by_callback: bool) -> RunEnd | None:
    """Why a run is over; None while it is not.

    Args:
        config: The recipe.
        run_state: Where the run stands.
        stopped_by_callback: Whether a callback set `model.stop_training`.

    Returns:
        The first that holds: updates done, epochs done, patience exhausted, stopped by a callback.
    """
    training, validation = config.training, config.validation
    if training.updates is not None and run_state.total_batches // training.accumulation_steps >= training.updates:
        return RunEnd(EndReason.UPDATES, _done(run_state.total_batches // training.accumulation_steps, "update"))
    if training.epochs is not None and run_state.epoch > training.epochs:
        return RunEnd(EndReason.EPOCHS, _done(training.epochs, "epoch"))
    if validation.patience is not None and run_state.wait >= validation.patience:
        return RunEnd(
            EndReason.PATIENCE, f"no better {validation.metric} in {count_noun(validation.patience, 'validation')}"
        )
    if stopped_by_callback:
        return RunEnd(EndReason.CALLBACK, "a callback stopped it")
    return None


def _done(count: int, noun: str) -> str:
    return f"{count_noun(count, noun)} {'is' if count == 1 else 'are'} done"
