"""The optimizer of a recipe, and how its learning rate moves."""

import keras

from seq2seq.config import TrainingConfig
from seq2seq.training.progress import Progress


def make_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """The optimizer of a recipe, without any clip argument: `GradientUpdate` clips."""
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(config.learning_rate, momentum=config.momentum)
    adam = {"beta_1": config.beta_1, "beta_2": config.beta_2, "epsilon": config.epsilon}
    if config.optimizer == "adam":
        return keras.optimizers.Adam(config.learning_rate, **adam)
    optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay, **adam)
    optimizer.exclude_from_weight_decay(var_names=["bias", "table"])
    return optimizer


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
