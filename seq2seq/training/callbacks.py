"""Checks of Keras callbacks, which must leave the learning rate to the recipe."""

from collections.abc import Sequence

import keras
import numpy as np

from seq2seq.errors import ArgumentError, TrainingError

# Keras's callbacks that set the learning rate, and the equivalent settings of a recipe.
RATE_CALLBACKS: dict[type[keras.callbacks.Callback], str] = {
    keras.callbacks.LearningRateScheduler: "training.schedule, e.g. {type: cosine, warmup_updates: 100}",
    keras.callbacks.ReduceLROnPlateau: "training.schedule: {type: plateau, factor: 0.5, patience: 2}",
}


def check_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Refuse callbacks that would set the learning rate.

    Raises:
        ArgumentError: A callback is one of `RATE_CALLBACKS`.
    """
    for place, callback in enumerate(callbacks):
        for kind, instead in RATE_CALLBACKS.items():
            if isinstance(callback, kind):
                raise ArgumentError(
                    f"callbacks[{place}]: {type(callback).__name__} sets the learning rate, but the recipe sets it at "
                    f"each update. Leave the callback out, and use {instead}."
                )


class RateGuard:
    """Detect that a callback has set the learning rate.

    Args:
        optimizer: Optimizer of the run.
        callbacks: Callbacks of the run; if there are none, nothing is checked, which saves waiting for the GPU.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        self.optimizer, self.is_active = optimizer, bool(callbacks)
        self.remember()

    def remember(self) -> None:
        """Take the optimizer's learning rate as the run's own."""
        if self.is_active:
            self.rate = float(np.asarray(self.optimizer.learning_rate))

    def check(self) -> None:
        """Compare the optimizer's learning rate with the run's own.

        Raises:
            TrainingError: A callback has changed it.
        """
        found = float(np.asarray(self.optimizer.learning_rate)) if self.is_active else None
        if found is not None and found != self.rate:
            raise TrainingError(
                f"a callback set the learning rate to {found:.3g}, but the recipe sets it at each update. Leave the "
                "callback out, and use training.schedule."
            )

    def assign(self, rate: float) -> None:
        """Set the learning rate."""
        self.optimizer.learning_rate.assign(rate)
        self.rate = float(np.float32(rate))
