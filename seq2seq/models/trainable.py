"""How a model learns: the step that trains it, what it is compiled with, and the graphs that are made of both."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from seq2seq.config import Precision
from seq2seq.config.precision import policy_name
from seq2seq.devices.device import use_precision
from seq2seq.devices.replicas import local_replicas, on_each, replica_number, sum_over_replicas
from seq2seq.layers import RandomStream
from seq2seq.layers.custom_gradient import forward_only
from seq2seq.models.update import GradientUpdate, TokenMean

BATCH = tf.TensorSpec([None, None], tf.int32)  # one side of a batch: (sentences, tokens)


class TrainableModel(keras.Model):
    """A model that has its own loss, `losses_of`, and its own step; `fit` and `seq2seq train` run the same one.

    Args:
        name: Of the model.
        precision: `float32`, `tf32`, `mixed_float16` or `mixed_bfloat16`.
        stream: What dropout draws from; the step counts its draws.
    """

    def __init__(self, name: str, precision: Precision, stream: RandomStream) -> None:
        super().__init__(name=name, dtype=keras.DTypePolicy(policy_name(precision)))
        self.precision, self.stream = precision, stream
        self.loss_metric, self.nll_metric = TokenMean("loss"), TokenMean("nll")
        self._step_function: Any = None
        self._sums_function: Any = None

    def losses_of(
        self, source: tf.Tensor, target: tf.Tensor, label_smoothing: float = 0.0, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Sums over a batch of loss and negative log-likelihood, and its number of target tokens; float32 scalars."""
        raise NotImplementedError

    def fit(self, *arguments: Any, **options: Any) -> Any:
        """`keras.Model.fit`, with the products of the model's precision."""
        use_precision(self.precision)
        return super().fit(*arguments, **options)

    def evaluate(self, *arguments: Any, **options: Any) -> Any:
        """`keras.Model.evaluate`, with the products of the model's precision."""
        use_precision(self.precision)
        return super().evaluate(*arguments, **options)

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        *,
        label_smoothing: float = 0.0,
        clip_norm: float | None = 1.0,
        accumulate: int = 1,
        ema: float | None = None,
        explosion: float | None = None,
        **kwargs: Any,
    ) -> None:
        """Prepare for training what is trainable now.

        On several replicas the model and its optimizer are made within a strategy's scope, and this is called outside:
        weights and the optimizer's slots are on every replica, all other numbers of training are kept once.

        Args:
            optimizer: A Keras optimizer without clip arguments, or its name.
            loss: Must be None: the model has its own.
            label_smoothing: Share of the label's probability that is spread over the vocabulary.
            clip_norm: Largest global norm of an update's gradient; None for no clipping.
            accumulate: Batches whose gradients make one update.
            ema: Decay of a moving average of the weights; `model.update.averaged_weights()` puts it in their place.
            explosion: Skip an update whose gradient norm is above so many times its running mean; None for none.
            kwargs: For `keras.Model.compile`.

        Raises:
            ValueError: A loss is given, or the optimizer clips.
            ConfigError: The precision is `tf32` and there is no GPU that has it.
        """
        use_precision(self.precision)
        if loss is not None:
            raise ValueError(
                f"{type(self).__name__} has its own loss, found loss={loss!r}; pass label_smoothing to shape it"
            )
        kwargs = {"jit_compile": False} | kwargs
        super().compile(optimizer=optimizer, auto_scale_loss=False, **kwargs)
        self._step_function = self._sums_function = None  # as Keras forgets its own
        self.label_smoothing = label_smoothing
        self.update = GradientUpdate(
            self.optimizer,
            self.trainable_variables,
            clip_norm=clip_norm,
            accumulate=accumulate,
            scale_loss=self.compute_dtype == "float16",
            ema=ema,
            explosion=explosion,
            strategy=self.distribute_strategy,
        )

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [self.loss_metric, self.nll_metric]

    def train_step(self, data: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
        """One batch: forward, backward and, when enough are gathered, an update.

        Args:
            data: `(source, target)`; on several replicas the share of each one on this machine, one after the other.

        Returns:
            `loss`: running mean a token, with label smoothing; `nll`: the same without; `gradient_norm`: of
            this batch's update, before clipping.
        """
        strategy = self.distribute_strategy
        gradients, sums = on_each(strategy, self._learn, data)
        loss, nll, tokens = tf.unstack(strategy.experimental_local_results(sums)[0])
        norm = self.update.add(gradients, tokens)
        self.stream.draw.assign_add(1)
        return self._measure(loss, nll, tokens) | {"gradient_norm": norm}

    def step_function(self) -> Callable[..., dict[str, tf.Tensor]]:
        """`train_step` as a graph, for batches of all shapes. It takes source and target of each replica one by one.

        Traced at the first call and kept until the next `compile`, as Keras keeps the `train_function` that `fit`
        calls with an iterator. The graph holds what is a constant to it: sizes, rates of dropout, which weights are
        frozen. Weights, the learning rate and everything else that a variable has may change.
        """
        if self._step_function is None:
            self._step_function = tf.function(
                lambda *batch: self.train_step(batch),
                input_signature=[BATCH] * 2 * local_replicas(self.distribute_strategy),
                autograph=False,
            )
        return self._step_function

    def sums_function(self) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """The sum of the negative log-likelihood, in nats, and the number of real target tokens, (2,) float32.

        Of a batch of any shape, without dropout and without smoothing; a graph that is kept as `step_function`'s.
        """
        if self._sums_function is None:

            def sums(source: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
                with forward_only():
                    return tf.stack(self.losses_of(source, target)[1:])

            self._sums_function = tf.function(sums, input_signature=[BATCH] * 2, autograph=False)
        return self._sums_function

    def _learn(self, data: tuple[tf.Tensor, ...]) -> tuple[list[tf.Tensor], tf.Tensor]:
        """On each replica: its share of the gradient, and the sums of `losses_of` over all replicas, (3,) float32."""
        place = 2 * (replica_number() % (len(data) // 2))
        source, target = data[place : place + 2]
        with tf.GradientTape() as tape:
            loss, nll, tokens = self.losses_of(source, target, self.label_smoothing, training=True)
            # A constant to the gradient, which would be summed over replicas once more for nothing.
            sums = sum_over_replicas(tf.stop_gradient(tf.stack([loss, nll, tokens])))
            scaled = self.update.scaled(loss, sums[2])
        gradients = tape.gradient(scaled, [v.value for v in self.update.variables])
        return self.update.dense(gradients), sums

    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The losses of one batch, without dropout and without smoothing."""
        return self._measure(*self.losses_of(*data))

    def _measure(self, loss: tf.Tensor, nll: tf.Tensor, tokens: tf.Tensor) -> dict[str, tf.Tensor]:
        self.loss_metric.update_state(loss, tokens)
        self.nll_metric.update_state(nll, tokens)
        return {metric.name: metric.result() for metric in self.metrics}
