"""From gradients of summed losses to one optimizer step: accumulate, unscale, check, clip, apply."""

from collections.abc import Sequence

import keras
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

    Args:
        optimizer: Built without any clip argument.
        variables: What is trained.
        clip_norm: Largest global norm of the gradient (Pascanu et al. 2013); None leaves it.
        accumulate: Batches in an update, at least 1.
        scale_loss: For float16.

    All state is in `state_variables()`, so saving it mid-accumulation is exact.
    """

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        variables: Sequence[keras.Variable],
        clip_norm: float | None,
        accumulate: int,
        scale_loss: bool,
    ) -> None:
        if optimizer.clipnorm or optimizer.clipvalue or optimizer.global_clipnorm:
            raise ValueError("the optimizer has a clip argument; pass clip_norm to compile() instead")
        self.optimizer, self.variables = optimizer, list(variables)
        self.clip_norm, self.accumulate = clip_norm, accumulate
        optimizer.build(self.variables)

        def counter(name: str, value: float, dtype: str = "int32") -> tf.Variable:
            return tf.Variable(value, dtype=dtype, trainable=False, name=name)

        self.batches = counter("batches", 0)  # in the update that is being gathered
        self.tokens = counter("tokens", 0.0, "float32")
        self.skipped = counter("skipped_updates", 0)
        self.loss_scale = counter("loss_scale", FIRST_LOSS_SCALE, "float32") if scale_loss else None
        self.good_updates = counter("good_updates", 0)
        self.norm = counter("gradient_norm", 0.0, "float32")  # of the last update
        self.sums = (
            [tf.Variable(tf.zeros(v.shape), trainable=False, name=f"sum/{v.path}") for v in self.variables]
            if accumulate > 1
            else []
        )

    def state_variables(self) -> dict[str, tf.Variable]:
        """Everything that a later step depends on, besides weights and optimizer slots, by name."""
        scalars = [self.batches, self.tokens, self.skipped, self.good_updates, self.norm]
        scalars += [self.loss_scale] if self.loss_scale is not None else []
        return {variable.name.removesuffix(":0"): variable for variable in [*scalars, *self.sums]}

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
        """
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
            return tf.constant(True)

        def skip() -> tf.Tensor:
            self.skipped.assign_add(1)
            return tf.constant(False)

        with tf.control_dependencies([tf.cond(finite, apply, skip)]):
            if self.loss_scale is not None:
                self._adapt_loss_scale(finite)
            self.norm.assign(norm)
            return tf.identity(norm)

    def _adapt_loss_scale(self, finite: tf.Tensor) -> None:
        assert self.loss_scale is not None
        good = tf.where(finite, self.good_updates + 1, 0)
        grow = good >= GROW_AFTER
        scale = tf.where(finite, tf.where(grow, 2.0, 1.0), 0.5) * self.loss_scale
        self.loss_scale.assign(tf.clip_by_value(scale, 1.0, 2.0**24))
        self.good_updates.assign(tf.where(grow, 0, good))
