"""The optimizer of a recipe, and its learning rate schedule."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from seq2seq.config import TrainingConfig
from seq2seq.training.run_state import RunState

# Weights that are not matrices, by the last part of their names. Keras searches TensorFlow's names, which are full
# paths and end in ":0".
NO_DECAY_PATTERNS = {"biases": r"bias[^/]*$", "norms": r"(scale|shift)(:0)?$", "embeddings": r"\btable(:0)?$"}
KERAS_SLOT_ATTRIBUTES = (
    "_get_variable_index",
    "_momentums",
    "_velocities",
)  # private to Keras, which has no public name for them


class _Fused:
    """Adam's step as one operation per variable; Keras's own step reads and writes each variable a dozen times.

    If Keras has other names for its `KERAS_SLOT_ATTRIBUTES`, or more of them (`amsgrad`), its own step is used.
    """

    def build(self: Any, variables: Any) -> None:
        super().build(variables)  # type: ignore[misc]
        self.fused = not self.amsgrad and all(hasattr(self, name) for name in KERAS_SLOT_ATTRIBUTES)

    def apply(self: Any, grads: Any, trainable_variables: Any = None) -> None:
        step = tf.cast(self.iterations.value + 1, tf.float32)
        self._powers = self.beta_1**step, self.beta_2**step  # once per update, not once per variable
        super().apply(grads, trainable_variables)  # type: ignore[misc]

    def update_step(self: Any, gradient: tf.Tensor, variable: Any, learning_rate: tf.Tensor) -> None:
        if not self.fused:
            super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]
            return
        place = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[place]),
            v=_handle(self._velocities[place]),
            beta1_power=self._powers[0],
            beta2_power=self._powers[1],
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def _handle(variable: keras.Variable | tf.Variable) -> tf.Tensor:
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


class _Sparing:
    """Exempt weights from decay by patterns of their names, `spared`, which `get_config` includes, unlike Keras's."""

    def __init__(self: Any, *arguments: Any, spared: Sequence[str] = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.spared = list(spared)
        self.exclude_from_weight_decay(var_names=self.spared)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"spared": list(self.spared)}  # type: ignore[misc]


@keras.saving.register_keras_serializable("seq2seq")
class FusedAdam(_Fused, keras.optimizers.Adam):
    """`keras.optimizers.Adam` in fewer operations, equal up to rounding.

    Source: Kingma and Ba (2015), before section 2.1.
    """


@keras.saving.register_keras_serializable("seq2seq")
class FusedAdamW(_Sparing, _Fused, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` in fewer operations, equal up to rounding.

    Source: Loshchilov and Hutter (2019), algorithm 2.
    """


@keras.saving.register_keras_serializable("seq2seq")
class SGD(_Sparing, keras.optimizers.SGD):
    """`keras.optimizers.SGD`, with weights that are exempt from decay."""


def make_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """The optimizer of a recipe, without clipping, which `GradientUpdate` does.

    Weight decay is decoupled: a weight is multiplied by 1 - learning rate * decay before its step.
    """
    rate = config.learning_rate
    adam = {"beta_1": config.beta_1, "beta_2": config.beta_2, "epsilon": config.epsilon}
    if config.optimizer == "adam":
        return FusedAdam(rate, **adam)
    spared = [pattern for name, pattern in NO_DECAY_PATTERNS.items() if name not in config.weight_decay_include]
    if config.optimizer == "adamw":
        return FusedAdamW(rate, weight_decay=config.weight_decay, spared=spared, **adam)
    return SGD(rate, momentum=config.momentum, weight_decay=config.weight_decay or None, spared=spared)


def learning_rate(config: TrainingConfig, update: int, plateau_factor: float = 1.0, end: int | None = None) -> float:
    """The learning rate of an update, counted from 1; a cosine without a length of its own ends at the update `end`.

    Sources: Vaswani et al. (2017), section 5.3, `inverse_sqrt`; Loshchilov and Hutter (2017), equation 5 without
    restarts, `cosine`; Luong et al. (2015), section 4.1, `step`. Departure: `learning_rate` is the peak.
    """
    peak, schedule = config.learning_rate, config.schedule
    if update < schedule.warmup_updates:
        return peak * update / schedule.warmup_updates
    if schedule.type == "inverse_sqrt":
        return peak * (schedule.warmup_updates / update) ** 0.5
    if schedule.type == "plateau":
        return max(peak * plateau_factor, schedule.min_learning_rate)
    if schedule.type == "cosine":
        start = max(schedule.decay_start, schedule.warmup_updates)
        length = schedule.decay_updates
        if length is None:
            assert end is not None
            length = max(end - start, 1)
        done = (update - start) / length
        cosine = math.cos(math.pi * min(max(done, 0.0), 1.0))
        return schedule.min_learning_rate + (peak - schedule.min_learning_rate) * (1.0 + cosine) / 2.0
    if schedule.type == "step":
        assert schedule.decay_updates is not None
        start = schedule.decay_start or schedule.warmup_updates + schedule.decay_updates
        steps = max((update - start) // schedule.decay_updates + 1, 0)
        return max(peak * schedule.factor**steps, schedule.min_learning_rate)
    return peak


def update_plateau(config: TrainingConfig, run_state: RunState, improved: bool, update: int) -> None:
    """Record a validation, and lower the plateau factor after `patience` consecutive ones without improvement.

    Validations during the warmup, whose updates are still small, do not count.
    """
    if config.schedule.type != "plateau" or update <= config.schedule.warmup_updates:
        return
    run_state.plateau_wait = 0 if improved else run_state.plateau_wait + 1
    if run_state.plateau_wait >= config.schedule.patience:
        run_state.plateau_factor *= config.schedule.factor
        run_state.plateau_wait = 0
