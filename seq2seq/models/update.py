"""Optimizer step from the gradients of batches: accumulate, unscale, check, clip and apply."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from seq2seq.devices.replicas import replica_id, run_on_replicas, sum_over_replicas

FIRST_LOSS_SCALE, LEAST_LOSS_SCALE = 2.0**15, 1.0
LOSS_SCALE_GROWTH_UPDATES = 2000  # updates without overflow, after which the scale doubles
NORM_WARMUP_UPDATES = 100  # updates after which a gradient norm can be called unusual
ALL_REDUCE_METHOD = "_all_reduce_sum_gradients"  # a method of Keras's optimizers
REPLICA_SUM_OPTIONS: dict[str, Any] = {
    "synchronization": tf.VariableSynchronization.ON_READ,
    "aggregation": tf.VariableAggregation.SUM,
}


class GradientUpdate:
    """Turn the gradients of one or several batches into one optimizer step.

    Each batch contributes the gradient of its mean loss per target token, and its number of target tokens. An update
    weights its batches by these numbers, so N accumulated batches equal one batch of all their sentences. The mean is
    differentiated because the gradient of a sum over a batch overflows float16.

    In float16, the loss is scaled by a power of two. An update with a non-finite gradient is skipped and halves the
    scale; `LOSS_SCALE_GROWTH_UPDATES` finite ones in a row double it (Micikevicius et al. 2018, section 3.2).

    With several replicas, each contributes its share of that gradient. Shares are summed once per update; then every
    replica checks, clips and applies the same sum to its own copy of the weights.

    With `ema_decay`, a moving average of the weights is kept (Polyak and Juditsky 1992). It starts from the weights at
    construction. The t-th applied update (skipped ones do not count) sets it to

        d * average + (1 - d) * weight,  d = min(ema_decay, (1 + t) / (10 + t))

    All state is in `state_variables()`, so saving in the middle of an accumulation is exact, too.

    Args:
        optimizer: Optimizer without clip arguments and without a loss scale.
        variables: Variables to train, float32.
        clip_norm: Maximum global norm of the gradient (Pascanu et al. 2013); None: no clipping.
        accumulation_steps: Number of batches per update, at least 1.
        scale_loss: Scale the loss, for float16.
        ema_decay: Decay of the weights' moving average, above 0 and below 1; None: no average.
        max_norm_ratio: Also skip an update whose gradient norm is above this multiple of the running mean over applied
            updates, once `NORM_WARMUP_UPDATES` have been applied; None: skip only non-finite gradients.
        strategy: Strategy of the variables' replicas, in whose scope the optimizer was made.

    Raises:
        ValueError: The optimizer clips gradients or scales the loss.
    """

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        variables: Sequence[keras.Variable],
        clip_norm: float | None,
        accumulation_steps: int,
        scale_loss: bool,
        ema_decay: float | None = None,
        max_norm_ratio: float | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        if optimizer.clipnorm or optimizer.clipvalue or optimizer.global_clipnorm:
            raise ValueError("the optimizer has a clip argument; pass clip_norm to compile() instead")
        if optimizer.loss_scale_factor or isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            raise ValueError("the optimizer scales the loss; mixed_float16 does so automatically")
        self.optimizer, self.variables = optimizer, list(variables)
        self.clip_norm, self.accumulation_steps = clip_norm, accumulation_steps
        self.ema_decay, self.max_norm_ratio = ema_decay, max_norm_ratio
        self.strategy = strategy or tf.distribute.get_strategy()
        with self.strategy.scope():
            optimizer.build(self.variables)
        # `optimizer.apply` sums over replicas what is already summed, and no public option turns that off. Without the
        # private method, `_step` gives it a single summand, which takes another collective operation per update.
        self.optimizer_reduces = not hasattr(optimizer, ALL_REDUCE_METHOD)
        if not self.optimizer_reduces:
            setattr(optimizer, ALL_REDUCE_METHOD, lambda pairs: pairs)

        self._scalars: list[tf.Variable] = []

        def counter(name: str, value: float, dtype: str = "int32") -> tf.Variable:
            self._scalars.append(tf.Variable(value, dtype=dtype, trainable=False, name=name))
            return self._scalars[-1]

        self.batches = counter("batches", 0)  # accumulated for the current update
        self.tokens = counter("tokens", 0.0, "float32")
        self.skipped = counter("skipped_updates", 0)
        self.consecutive_skips = counter("consecutive_skips", 0)  # without those that a smaller loss scale may prevent
        self.updates_since_overflow = counter("updates_since_overflow", 0)
        self.gradient_norm = counter("gradient_norm", 0.0, "float32")  # of the last update
        self.running_norm = counter("running_norm", 0.0, "float32")  # running mean over applied updates
        self.loss_scale = counter("loss_scale", FIRST_LOSS_SCALE, "float32") if scale_loss else None

        def beside(name: str, start: Callable[[keras.Variable], tf.Tensor], **kind: Any) -> list[tf.Variable]:
            return [tf.Variable(start(v), trainable=False, name=f"{name}/{v.path}", **kind) for v in self.variables]

        with self.strategy.scope():  # each replica sums its own shares; reading adds them up
            self.sums = (
                beside("sum", lambda v: tf.zeros(v.shape), **REPLICA_SUM_OPTIONS) if accumulation_steps > 1 else []
            )
        self.averages = beside("average", tf.convert_to_tensor) if ema_decay is not None else []

    def state_variables(self) -> dict[str, tf.Variable]:
        """Variables on which later steps depend, by name, without weights and optimizer slots."""
        return {v.name.removesuffix(":0"): v for v in [*self._scalars, *self.sums, *self.averages]}

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Scope in which the variables have their averages as values; without `ema_decay`, they do not change."""
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

    def scaled_loss(self, loss: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
        """Loss to differentiate: a batch's mean loss per token, times the loss scale."""
        mean = loss / tokens
        return mean if self.loss_scale is None else mean * self.loss_scale

    def densify(self, gradients: Sequence[tf.Tensor | None]) -> list[tf.Tensor]:
        """Gradients of all variables as dense tensors.

        Raises:
            ValueError: A gradient is None.
        """
        unread = [v.path for v, gradient in zip(self.variables, gradients, strict=True) if gradient is None]
        if unread:
            raise ValueError(
                f"the loss does not depend on {', '.join(unread)}: the outputs of these weights are not used. Leave "
                "out the option that they belong to, or freeze them."
            )
        return [tf.convert_to_tensor(gradient) for gradient in gradients]

    def add(self, gradients: Sequence[tf.Tensor], tokens: tf.Tensor) -> tf.Tensor:
        """Accumulate the gradients of one batch; apply the update once it is complete.

        Args:
            gradients: Gradients of `scaled_loss(...)`, float32, in the order of `variables`: the result of
                `run_on_replicas` for `densify`.
            tokens: Number of real target tokens of the batch on all replicas, float32 scalar.

        Returns:
            The global norm of the last update's mean gradient, before clipping.
        """
        if self.accumulation_steps == 1:
            return self._apply(gradients, tf.constant(1.0))
        run_on_replicas(self.strategy, self._gather, gradients, tokens)
        self.tokens.assign_add(tokens)
        self.batches.assign_add(1)
        return tf.cond(self.batches >= self.accumulation_steps, self._apply_sums, self.gradient_norm.value)

    def flush_after_next_batch(self) -> None:
        """Make the next batch the last one of its update, however many are accumulated."""
        self.batches.assign(self.accumulation_steps - 1)

    def _gather(self, gradients: Sequence[tf.Tensor], tokens: tf.Tensor) -> None:
        for total, gradient in zip(self.sums, gradients, strict=True):
            total.assign_add(gradient * tokens)

    def _apply_sums(self) -> tf.Tensor:
        sums = run_on_replicas(self.strategy, lambda: [total.read_value() for total in self.sums])
        norm = self._apply(sums, self.tokens.value())
        with tf.control_dependencies([norm]):
            run_on_replicas(self.strategy, lambda: [total.assign(tf.zeros(total.shape)) for total in self.sums])
            for variable in (self.tokens, self.batches):
                variable.assign(tf.zeros_like(variable))
        return norm

    def _apply(self, shares: Sequence[tf.Tensor], by: tf.Tensor) -> tf.Tensor:
        """Sum gradients over replicas, divide by `by` and the loss scale, check, clip, apply; returns the norm."""
        if self.loss_scale is not None:
            by *= self.loss_scale
        gradients, norms = run_on_replicas(self.strategy, self._sum_and_clip, shares, by)
        norm = self.strategy.experimental_local_results(norms)[0]
        good = tf.math.is_finite(norm)
        if self.max_norm_ratio is not None:
            usual = norm <= self.max_norm_ratio * self.running_norm
            good &= usual | (self.optimizer.iterations.value < NORM_WARMUP_UPDATES)

        def apply() -> tf.Tensor:
            run_on_replicas(self.strategy, self._step, gradients)
            self._follow(norm)
            self.consecutive_skips.assign(0)
            return tf.constant(True)

        def skip() -> tf.Tensor:
            self.skipped.assign_add(1)
            hopeless = True if self.loss_scale is None else self.loss_scale <= LEAST_LOSS_SCALE
            self.consecutive_skips.assign_add(tf.cast(hopeless, tf.int32))
            return tf.constant(False)

        with tf.control_dependencies([tf.cond(good, apply, skip)]):
            if self.loss_scale is not None:
                self._adapt_loss_scale(tf.math.is_finite(norm))
            self.gradient_norm.assign(norm)
            return tf.identity(norm)

    def _sum_and_clip(self, gradients: Sequence[tf.Tensor], by: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """On each replica: the gradients to apply, and the norm before clipping."""
        gradients = sum_over_replicas(list(gradients))
        norm = tf.linalg.global_norm(gradients) / by
        factor = 1.0 / by
        if self.clip_norm is not None:
            factor *= tf.minimum(1.0, self.clip_norm / tf.maximum(norm, 1e-12))
        return [gradient * factor for gradient in gradients], norm

    def _step(self, gradients: Sequence[tf.Tensor]) -> None:
        """On each replica: the optimizer's step by gradients that are the same on all of them."""
        if self.optimizer_reduces and replica_id():
            gradients = [tf.zeros_like(gradient) for gradient in gradients]
        self.optimizer.apply(gradients, self.variables)

    def _follow(self, norm: tf.Tensor) -> None:
        """Move the averages of weights and of norms after an applied update."""
        applied = tf.cast(self.optimizer.iterations.value, tf.float32)
        if self.ema_decay is not None:
            decay = tf.minimum(self.ema_decay, (1.0 + applied) / (10.0 + applied))
            for average, variable in zip(self.averages, self.variables, strict=True):
                average.assign(decay * average + (1.0 - decay) * variable)
        share = tf.maximum(1.0 / applied, 1.0 / NORM_WARMUP_UPDATES)
        self.running_norm.assign_add(share * (norm - self.running_norm))

    def _adapt_loss_scale(self, finite: tf.Tensor) -> None:
        assert self.loss_scale is not None
        good = tf.where(finite, self.updates_since_overflow + 1, 0)
        grow = good >= LOSS_SCALE_GROWTH_UPDATES
        scale = tf.where(finite, tf.where(grow, 2.0, 1.0), 0.5) * self.loss_scale
        self.loss_scale.assign(tf.clip_by_value(scale, LEAST_LOSS_SCALE, 2.0**24))
        self.updates_since_overflow.assign(tf.where(grow, 0, good))


class TokenMean(keras.metrics.Metric):
    """Running mean per token. Keras's own mean keeps a sum per replica, which only all workers together can read."""

    def __init__(self, name: str, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = keras.Variable(0.0, trainable=False, name="total")
        self.tokens = keras.Variable(0.0, trainable=False, name="tokens")

    def update_state(self, total: tf.Tensor, tokens: tf.Tensor) -> None:
        """Add a sum over a number of tokens; a non-finite one is skipped, as its update is."""
        finite = tf.math.is_finite(total)
        self.total.assign_add(tf.where(finite, total, 0.0))
        self.tokens.assign_add(tf.where(finite, tokens, 0.0))

    def result(self) -> tf.Tensor:
        return tf.math.divide_no_nan(self.total.value, self.tokens.value)
