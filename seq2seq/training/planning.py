"""The batches of an epoch, and the updates that they make."""

from seq2seq.config import Config, TrainingConfig
from seq2seq.data.batching import BatchPlan, plan_batches
from seq2seq.data.mixture import EncodedMixture
from seq2seq.errors import TrainingError
from seq2seq.training.display import count_noun


def plan_epoch(config: Config, train: EncodedMixture, epoch: int, full_pass: bool = False) -> BatchPlan:
    """The batches of an epoch; or, with `full_pass`, with every sentence of a mixture exactly once.

    Args:
        config: The recipe, with `batching.max_tokens`.
        train: The training corpora.
        epoch: From 1.
        full_pass: Whether to leave out the sampling of a mixture.
    """
    batching = config.batching
    assert batching.max_tokens is not None  # see `with_batch_tokens`
    return plan_batches(
        train.source.lengths,
        train.target.lengths,
        max_tokens=batching.max_tokens,
        shuffle_buffer=batching.shuffle_buffer,
        seed=config.seed,
        epoch=epoch,
        indices=None if full_pass else train.epoch_indices(config.seed, epoch),
    )


def planned_updates(training: TrainingConfig, batches: int) -> int:
    """Updates of a whole run whose epochs have `batches` batches each."""
    by_epochs = None if training.epochs is None else batches * training.epochs // training.accumulation_steps
    return min(end for end in (by_epochs, training.updates) if end is not None)


def check_updates(training: TrainingConfig, batches: int) -> None:
    """Check that the run makes at least one update.

    Raises:
        TrainingError: All its epochs together have fewer batches than one update takes.
    """
    if training.epochs is not None and batches * training.epochs < training.accumulation_steps:
        raise TrainingError(
            f"no update would be made: the run has {count_noun(training.epochs, 'epoch')} of "
            f"{count_noun(batches, 'batch')}, "
            f"and an update takes training.accumulation_steps = {training.accumulation_steps}. Lower it, or raise "
            "training.epochs."
        )
