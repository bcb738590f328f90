"""From gradients of summed losses to one optimizer step: accumulate, unscale, check, clip, apply."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

FIRST_LOSS_SCALE = 2.0**15
GROW_AFTER = 2000  # updates without overflow


class GradientUpdate:
    """Turn the gradients of one or several batches into one optimizer step.

    Each batch hands in the gradient of its mean loss a target token, and how many tokens those were; an
    update weighs its batches by their tokens, so N accumulated batches equal one batch N times as large. In
    float16 the loss is scaled by a power of two, an update with a gradient that is not finite is skipped and
    halves the scale, and `GROW_AFTER` good ones in a row double it (Micikevicius et al. 2018, section 3.2).
    It is the mean that is differentiated, since the gradient of a sum over a batch overflows float16.

    With `ema`, an average of the weights follows them: after the t-th applied update (a skipped one does not
    count) it is d * average + (1 - d) * weight with d = min(ema, (1 + t) / (10 + t)), starting from the weights
    that the constructor finds (Polyak and Juditsky 1992).

    Args:
        optimizer: Built without any clip argument.
        variables: What is trained, float32.
        clip_norm: Largest global norm of the gradient (Pascanu et al. 2013); None leaves it.
        accumulate: Batches in an update, at least 1.
        scale_loss: For float16.
        ema: Decay of the weights' average, above 0 and below 1; None for none.

    All state is in `state_variables()`, so saving it mid-accumulation is exact.
    """

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        variables: Sequence[keras.Variable],
        clip_norm: float | None,
        accumulate: int,
        scale_loss: bool,
        ema: float | None = None,
    ) -> None:
        if optimizer.clipnorm or optimizer.clipvalue or optimizer.global_clipnorm:
            raise ValueError("the optimizer has a clip argument; pass clip_norm to compile() instead")
        self.optimizer, self.variables = optimizer, list(variables)
        self.clip_norm, self.accumulate, self.ema = clip_norm, accumulate, ema
        optimizer.build(self.variables)

        def counter(name: str, value: float, dtype: str = "int32") -> tf.Variable:
            return tf.Variable(value, dtype=dtype, trainable=False, name=name)

        self.batches = counter("batches", 0)  # in the update that is being gathered
        self.tokens = counter("tokens", 0.0, "float32")
        self.skipped = counter("skipped_updates", 0)
        self.loss_scale = counter("loss_scale", FIRST_LOSS_SCALE, "float32") if scale_loss else None
        self.good_updates = counter("good_updates", 0)
        self.norm = counter("gradient_norm", 0.0, "float32")  # of the last update

        def beside(name: str, start: Callable[[keras.Variable], tf.Tensor]) -> list[tf.Variable]:
            return [tf.Variable(start(v), trainable=False, name=f"{name}/{v.path}") for v in self.variables]

        self.sums = beside("sum", lambda v: tf.zeros(v.shape)) if accumulate > 1 else []
        self.averages = beside("average", tf.convert_to_tensor) if ema is not None else []

    def state_variables(self) -> dict[str, tf.Variable]:
        """Everything that a later step depends on, besides weights and optimizer slots, by name."""
        scalars = [self.batches, self.tokens, self.skipped, self.good_updates, self.norm]
        scalars += [self.loss_scale] if self.loss_scale is not None else []
        return {variable.name.removesuffix(":0"): variable for variable in [*scalars, *self.sums, *self.averages]}

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Within the block the variables hold their averages; without `ema` they stay as they are."""
        if not self.averages:
            yield
            return
        live = [np.array(variable) for variable in self.variables]
        for variable, average in zip(self.variables, self.averages, strict=True):
            variable.assign(average)
        try:
            yield
        finally:
            for variable, value in zip(self.variables, live, strict=True):
                variable.assign(value)

    def scaled(self, loss: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
        """What to differentiate: the mean of a batch's summed loss, times the loss scale."""
        mean = loss / tokens
        return mean if self.loss_scale is None else mean * self.loss_scale

    def add(self, gradients: Sequence[tf.Tensor], tokens: tf.Tensor) -> tf.Tensor:
        """Take in one batch; with the last one of an update, apply it.

        Args:
            gradients: Of `scaled(...)`, float32, dense or IndexedSlices, in the order of `variables`.
            tokens: Real target tokens of the batch, float32 scalar.

        Returns:
            The global norm of the last update's mean gradient, before clipping.

        Raises:
            ValueError: A gradient is None.
        """
        unread = [v.path for v, gradient in zip(self.variables, gradients, strict=True) if gradient is None]
        if unread:
            raise ValueError(
                f"the loss does not depend on {', '.join(unread)}: nothing reads what these weights make. Leave out "
                "the option that they belong to, or freeze them."
            )
        dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
        if self.accumulate == 1:
            return self._apply(dense, tf.constant(1.0))
        for total, gradient in zip(self.sums, dense, strict=True):
            total.assign_add(gradient * tokens)
        self.tokens.assign_add(tokens)
        self.batches.assign_add(1)
        return tf.cond(self.batches >= self.accumulate, self._apply_sums, self.norm.value)

    def _apply_sums(self) -> tf.Tensor:
        norm = self._apply([total.value() for total in self.sums], self.tokens.value())
        with tf.control_dependencies([norm]):
            for variable in (*self.sums, self.tokens, self.batches):
                variable.assign(tf.zeros_like(variable))
        return norm

    def _apply(self, gradients: list[tf.Tensor], by: tf.Tensor) -> tf.Tensor:
        """Divide gradients by `by` and the loss scale, check, clip, apply; returns the norm."""
        if self.loss_scale is not None:
            by *= self.loss_scale
        norm = tf.linalg.global_norm(gradients) / by
        finite = tf.math.is_finite(norm)
        factor = 1.0 / by
        if self.clip_norm is not None:
            factor *= tf.minimum(1.0, self.clip_norm / tf.maximum(norm, 1e-12))

        def apply() -> tf.Tensor:
            self.optimizer.apply([gradient * factor for gradient in gradients], self.variables)
            self._average()
            return tf.constant(True)

        def skip() -> tf.Tensor:
            self.skipped.assign_add(1)
            return tf.constant(False)

        with tf.control_dependencies([tf.cond(finite, apply, skip)]):
            if self.loss_scale is not None:
                self._adapt_loss_scale(finite)
            self.norm.assign(norm)
            return tf.identity(norm)

    def _average(self) -> None:
        if self.ema is None:
            return
        applied = tf.cast(self.optimizer.iterations.value, tf.float32)
        decay = tf.minimum(self.ema, (1.0 + applied) / (10.0 + applied))
        for average, variable in zip(self.averages, self.variables, strict=True):
            average.assign(decay * average + (1.0 - decay) * variable)

    def _adapt_loss_scale(self, finite: tf.Tensor) -> None:
        assert self.loss_scale is not None
        good = tf.where(finite, self.good_updates + 1, 0)
        grow = good >= GROW_AFTER
        scale = tf.where(finite, tf.where(grow, 2.0, 1.0), 0.5) * self.loss_scale
        self.loss_scale.assign(tf.clip_by_value(scale, 1.0, 2.0**24))
        self.good_updates.assign(tf.where(grow, 0, good))
