"""The learning rate as a function of the update, and what a validation does to it."""

from seq2seq.config import TrainingConfig
from seq2seq.training.progress import Progress


def learning_rate(config: TrainingConfig, update: int, plateau_factor: float = 1.0) -> float:
    """The learning rate of an update, counted from 1.

    Source of `inverse_sqrt`: Vaswani et al. (2017), section 5.3. Departure: `learning_rate` is the peak.
    """
    schedule = config.schedule
    if update < schedule.warmup:
        return config.learning_rate * update / schedule.warmup
    if schedule.kind == "inverse_sqrt":
        return config.learning_rate * (schedule.warmup / update) ** 0.5
    if schedule.kind == "plateau":
        return max(config.learning_rate * plateau_factor, schedule.minimum)
    return config.learning_rate


def watch_plateau(config: TrainingConfig, progress: Progress, improved: bool) -> None:
    """After a validation: lower the plateau factor when `patience` of them in a row brought nothing."""
    if config.schedule.kind != "plateau":
        return
    progress.plateau_waited = 0 if improved else progress.plateau_waited + 1
    if progress.plateau_waited >= config.schedule.patience:
        progress.plateau_factor *= config.schedule.factor
        progress.plateau_waited = 0
