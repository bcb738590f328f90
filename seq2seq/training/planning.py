"""The batches of an epoch, and the updates that they make."""

from seq2seq.config import Config, TrainingConfig
from seq2seq.data.batching import BatchPlan, plan_batches
from seq2seq.data.mixture import EncodedMixture
from seq2seq.errors import TrainingError
from seq2seq.training.display import counted


def plan_epoch(config: Config, train: EncodedMixture, epoch: int, whole: bool = False) -> BatchPlan:
    """The batches of an epoch; or, with `whole`, with every sentence of a mixture exactly once.

    Args:
        config: The recipe, with `batching.tokens`.
        train: The training corpora.
        epoch: From 1.
        whole: Whether to leave out the sampling of a mixture.
    """
    batching = config.batching
    assert batching.tokens is not None  # see `with_tokens`
    return plan_batches(
        train.source.lengths,
        train.target.lengths,
        tokens=batching.tokens,
        pool=batching.pool,
        seed=config.seed,
        epoch=epoch,
        rows=None if whole else train.rows(config.seed, epoch),
    )


def planned_updates(training: TrainingConfig, batches: int) -> int:
    """Updates of a whole run whose epochs have `batches` batches each."""
    by_epochs = None if training.epochs is None else batches * training.epochs // training.accumulate
    return min(end for end in (by_epochs, training.updates) if end is not None)


def check_updates(training: TrainingConfig, batches: int) -> None:
    """Check that the run makes at least one update.

    Raises:
        TrainingError: All its epochs together have fewer batches than one update takes.
    """
    if training.epochs is not None and batches * training.epochs < training.accumulate:
        raise TrainingError(
            f"no update would be made: the run has {counted(training.epochs, 'epoch')} of {counted(batches, 'batch')}, "
            f"and an update takes training.accumulate = {training.accumulate}. Lower it, or raise training.epochs."
        )
