"""Base class of trainable models: the training step, `compile`, and the graphs that are made from them."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from seq2seq.arguments import AtLeastOne, check_arguments, describe
from seq2seq.config import Precision
from seq2seq.config.objective import ConsistencyConfig
from seq2seq.config.precision import PRECISIONS, policy_name
from seq2seq.devices.device import set_tf32
from seq2seq.devices.forks import check_process
from seq2seq.devices.replicas import local_replica_count, replica_id, run_on_replicas, sum_over_replicas
from seq2seq.errors import ArgumentError
from seq2seq.layers import RandomStream
from seq2seq.layers.custom_gradient import forward_only
from seq2seq.models.distillation import Distillation
from seq2seq.models.inputs import BATCH_SPEC, check_data, explained_batches, refuse_weights, validate_batch
from seq2seq.models.objective import objective_sums
from seq2seq.models.refusals import UNSUPPORTED_ARGUMENTS, RefusingModel
from seq2seq.models.update import GradientUpdate, TokenMean

STATE_PREFIX = "training_state_"  # of names in Keras's files


class TrainableModel(RefusingModel):
    """Base class of models with a loss and a training step of their own, which `fit` and `seq2seq train` share.

    A subclass defines `loss_sums` and `vocabulary_sizes`, as `DecoderModel` does.

    `fit`, `evaluate`, `train_on_batch` and `test_on_batch` accept what `check_data` and `validate_batch` accept.
    `predict` is not supported, nor are the arguments of `compile` in `UNSUPPORTED_ARGUMENTS`. Training resumes exactly
    from a compiled model that `save` wrote and `keras.models.load_model` read: the file includes the optimizer's slots
    and the state of `GradientUpdate`. To translate, use `Translator`, which reads model directories with their
    tokenizers.

    Args:
        name: Name of the model.
        precision: `float32`, `tf32`, `mixed_float16` or `mixed_bfloat16`.
        random_stream: Source of the dropout seeds; its `step` counts training steps.

    Attributes:
        uses_consistency: Whether a step has the second pass of `consistency`; true unless it is set.
    """

    def __init__(self, name: str, precision: Precision, random_stream: RandomStream) -> None:
        check_process()
        policy = keras.config.dtype_policy().name
        if policy != "float32" and precision == "float32":
            how = f"precision='{policy}'" if policy in PRECISIONS else "precision, one of " + ", ".join(PRECISIONS)
            warnings.warn(f"Keras's global dtype policy '{policy}' is ignored: pass {how}", stacklevel=5)
        super().__init__(name=name, dtype=keras.DTypePolicy(policy_name(precision)))
        self.precision, self.random_stream = precision, random_stream
        self.loss_metric, self.nll_metric = TokenMean("loss"), TokenMean("nll")
        self.consistency_metric, self.distillation_metric = TokenMean("consistency"), TokenMean("distillation")
        self.consistency, self.uses_consistency = ConsistencyConfig(), True
        self.distillation: Distillation | None = None
        self._step_functions: dict[bool, Any] = {}  # by whether they have a second pass
        self._sums_function: Any = None

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Keras's `fit` for token ids, see `check_data`."""
        valid = kwargs.get("validation_data")
        if isinstance(valid, (tuple, list)):
            name = f"{type(self).__name__}.fit: validation_data"
            source, target, weights = keras.utils.unpack_x_y_sample_weight(valid)
            refuse_weights(name, sample_weight=weights)
            kwargs["validation_data"] = check_data(name, source, target, self.vocabulary_sizes)
        return self._with_checked_data("fit", x, y, *args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Keras's `evaluate` for token ids, see `check_data`."""
        return self._with_checked_data("evaluate", x, y, *args, **kwargs)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Keras's `train_on_batch` for token ids, see `check_data`."""
        return self._with_checked_data("train_on_batch", x, y, *args, **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Keras's `test_on_batch` for token ids, see `check_data`."""
        return self._with_checked_data("test_on_batch", x, y, *args, **kwargs)

    def _with_checked_data(self, method: str, x: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
        name = f"{type(self).__name__}.{method}"
        refuse_weights(name, **_weights_of(kwargs))
        x, y = check_data(name, x, y, self.vocabulary_sizes)
        with explained_batches(name):
            return getattr(super(), method)(x, y, *args, **kwargs)

    def make_train_function(self, force: bool = False) -> Any:
        """Called first by `fit` and `train_on_batch`; sets the precision of products to the model's."""
        set_tf32(self.precision)
        if force:
            self._step_functions.clear()
        return super().make_train_function(force)

    def make_test_function(self, force: bool = False) -> Any:
        """Called first by `evaluate` and `test_on_batch`; sets the precision of products to the model's."""
        set_tf32(self.precision)
        if force:
            self._sums_function = None
        return super().make_test_function(force)

    @check_arguments()
    def compile(
        self,
        optimizer: str | dict[str, Any] | keras.optimizers.Optimizer = "adam",
        loss: Any = None,
        *,
        label_smoothing: float = 0.0,
        consistency: ConsistencyConfig | None = None,
        distillation: Distillation | None = None,
        clip_norm: float | None = 1.0,
        accumulation_steps: AtLeastOne = 1,
        ema_decay: float | None = None,
        max_norm_ratio: float | None = None,
        **kwargs: Any,
    ) -> None:
        """Prepare training of the weights that are trainable now.

        For several replicas, make the model and its optimizer within the scope of a strategy, and call this outside it:
        weights and optimizer slots are on every replica, and all other training state exists once.

        Args:
            optimizer: A Keras optimizer without clip arguments, its name, or its name and configuration as Keras
                serializes them.
            loss: Not supported: the model has its own.
            label_smoothing: Share of the label's probability that is spread over the vocabulary.
            consistency: Section `training.consistency` of a recipe, or a dict of its keys; None: none. With Keras's
                `fit`, it applies from the first epoch.
            distillation: Teachers; None: none. Files of a compiled model do not contain them.
            clip_norm: Maximum global norm of an update's gradient; None: no clipping.
            accumulation_steps: Number of batches per update.
            ema_decay: Decay of a moving average of the weights, which `model.update.averaged_weights()` puts in their
                place.
            max_norm_ratio: Skip an update whose gradient norm is above this multiple of its running mean; None: no
                limit.
            kwargs: Arguments of `keras.Model.compile`: `run_eagerly`, `steps_per_execution`. Those in
                `UNSUPPORTED_ARGUMENTS` are errors.

        Raises:
            ValueError: An argument of `UNSUPPORTED_ARGUMENTS` is given, or the optimizer clips gradients or scales the
                loss.
            ConfigError: The precision is `tf32` and no GPU supports it.
        """
        set_tf32(self.precision)
        for name, instead in UNSUPPORTED_ARGUMENTS.items():
            value = loss if name == "loss" else kwargs.pop(name, None)
            if not (value is None or value is False or (isinstance(value, str) and value == "auto")):
                raise ValueError(f"{type(self).__name__} does not take {name}={value!r}: {instead}")
        if isinstance(optimizer, dict) and not {"class_name", "config"} <= optimizer.keys():
            raise ArgumentError(
                f"{type(self).__name__}.compile: optimizer: expected what `keras.optimizers.serialize` returns, with "
                f"'class_name' and 'config', found {describe(optimizer)}."
            )
        super().compile(optimizer=optimizer, auto_scale_loss=False, jit_compile=False, **kwargs)
        self._step_functions.clear()  # as Keras forgets its own
        self._sums_function = None
        self.label_smoothing, self.consistency = label_smoothing, consistency or ConsistencyConfig()
        self.distillation = distillation
        self.update = GradientUpdate(
            self.optimizer,
            self.trainable_variables,
            clip_norm=clip_norm,
            accumulation_steps=accumulation_steps,
            scale_loss=self.compute_dtype == "float16",
            ema_decay=ema_decay,
            max_norm_ratio=max_norm_ratio,
            strategy=self.distribute_strategy,
        )

    def get_compile_config(self) -> dict[str, Any] | None:
        """Arguments of `compile` and indices of the frozen weights, as plain values; None before `compile`."""
        options = super().get_compile_config()
        if not self.compiled:
            return options
        ours = {
            name: getattr(self.update, name)
            for name in ("clip_norm", "accumulation_steps", "ema_decay", "max_norm_ratio")
        }
        frozen = [place for place, weight in enumerate(self.weights) if not weight.trainable]
        ours |= {"label_smoothing": self.label_smoothing, "consistency": self.consistency.model_dump()}
        return options | ours | {"frozen": frozen}

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile with the values of `get_compile_config`."""
        options = keras.saving.deserialize_keras_object(dict(config))
        for place in options.pop("frozen"):
            self.weights[place].trainable = False
        self.compile(**options)

    def save_own_variables(self, store: Any) -> None:
        """Store weights that belong to no layer, and the training state besides optimizer slots; called by Keras."""
        super().save_own_variables(store)
        for name, variable in self._training_state().items():
            store[f"{STATE_PREFIX}{name}"] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` stored; the training state only if the model is compiled in the same way."""
        stored = {name: store[name] for name in list(store.keys())}
        kept = {
            name.removeprefix(STATE_PREFIX): stored.pop(name) for name in list(stored) if name.startswith(STATE_PREFIX)
        }
        super().load_own_variables(stored)
        state = self._training_state()
        shapes = {name: tuple(variable.shape) for name, variable in state.items()}
        if {name: value.shape for name, value in kept.items()} == shapes:
            for name, variable in state.items():
                variable.assign(kept[name])
        elif state:
            warnings.warn(
                "the model in the file was compiled differently: its training state is not used", stacklevel=2
            )

    def _training_state(self) -> dict[str, tf.Variable]:
        """Training state by names that Keras's files accept as keys, in which a slash would mean a folder."""
        if not self.compiled:
            return {}
        state = {"dropout_step": self.random_stream.step} | self.update.state_variables()
        return {name.replace("/", "|"): variable for name, variable in state.items()}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return self._metrics_of(self.consistency.type != "none")

    def _metrics_of(self, passes_twice: bool) -> list[keras.metrics.Metric]:
        """Metrics of a training step, in the order of `ObjectiveSums`."""
        extra = [self.consistency_metric] * passes_twice + [self.distillation_metric] * bool(self.distillation)
        return [self.loss_metric, self.nll_metric, *extra]

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Run `train_batch` on data from Keras's `fit` or `train_on_batch`; see `validate_batch`.

        Keras traces a graph for each form of data. Each of these graphs calls the same `step_function`.
        """
        batch = validate_batch(data, self.vocabulary_sizes)
        return self.train_batch(batch) if self.run_eagerly else self.step_function()(*batch)

    def train_batch(self, data: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
        """Train on one batch: forward and backward pass and, once enough batches are accumulated, an update.

        Args:
            data: `(source, target)`; on several replicas, those of each replica on this machine, one after the other.

        Returns:
            `loss`: running mean per token, with label smoothing; `nll`: the same without it; `consistency` and
            `distillation`, if there are any: those of the divergence and of the cross-entropy with the teachers,
            without their weights; `gradient_norm`: norm of the last update's gradient, before clipping.
        """
        strategy = self.distribute_strategy
        gradients, sums = run_on_replicas(strategy, self._differentiate, data)
        loss, nll, tokens, *extra = tf.unstack(strategy.experimental_local_results(sums)[0])
        norm = self.update.add(gradients, tokens)
        self.random_stream.step.assign_add(1)
        metrics = self._metrics_of(self._passes_twice)
        return self._measure(metrics, tokens, loss, nll, *extra) | {"gradient_norm": norm}

    def step_function(self) -> Callable[..., dict[str, tf.Tensor]]:
        """`train_batch` as a graph for batches of all shapes, which takes source and target of each replica in turn.

        It is traced at the first call and kept, as Keras keeps the `train_function` of `fit`, until the next `compile`
        or `make_train_function(force=True)`. Sizes, dropout rates and the choice of frozen weights are constants in the
        graph. Weights, the learning rate and everything else that is kept in variables may change. With
        `uses_consistency` set to the other value, the result is another graph.
        """
        key = self._passes_twice
        if key not in self._step_functions:
            self._step_functions[key] = tf.function(
                lambda *batch: self.train_batch(batch),
                input_signature=[BATCH_SPEC] * 2 * local_replica_count(self.distribute_strategy),
                autograph=False,
            )
        return self._step_functions[key]

    @property
    def _passes_twice(self) -> bool:
        return self.uses_consistency and self.consistency.type != "none"

    def loss_sums_function(self) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """Graph that returns the summed negative log-likelihood (nats) and the number of real target tokens of a batch.

        The result is (2,) float32, computed without dropout and label smoothing. The graph takes batches of all shapes
        and is kept like that of `step_function`.
        """
        if self._sums_function is None:

            def sums(source: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
                with forward_only():
                    return tf.stack(self.loss_sums(source, target)[1:])

            self._sums_function = tf.function(sums, input_signature=[BATCH_SPEC] * 2, autograph=False)
        return self._sums_function

    def _differentiate(self, data: tuple[tf.Tensor, ...]) -> tuple[list[tf.Tensor], tf.Tensor]:
        """On each replica: its share of the gradient, and sums over all replicas, (3 to 5,) float32.

        The sums are those of `loss_sums` or of `objective_sums`, without the objective.
        """
        place = 2 * (replica_id() % (len(data) // 2))
        source, target = data[place : place + 2]
        taught = self.distillation and self.distillation.probabilities(source, target)
        with tf.GradientTape() as tape:
            if self._passes_twice or self.distillation is not None:
                consistency = self.consistency if self._passes_twice else ConsistencyConfig()
                objective, *found = objective_sums(
                    self, source, target, self.label_smoothing, consistency, self.distillation, taught
                )
                parts = [part for part in found if part is not None]
            else:
                parts = list(self.loss_sums(source, target, self.label_smoothing, training=True))
                objective = parts[0]
            # Constant to the gradient, which would otherwise be summed over replicas once more, to no effect.
            sums = sum_over_replicas(tf.stop_gradient(tf.stack(parts)))
            scaled = self.update.scaled_loss(objective, sums[2])
        gradients = tape.gradient(scaled, [v.value for v in self.update.variables])
        return self.update.densify(gradients), sums

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Losses of one batch, without dropout and label smoothing, for `evaluate` and `test_on_batch`."""
        batch = validate_batch(data, self.vocabulary_sizes)
        if self.run_eagerly:
            loss, nll, tokens = self.loss_sums(*batch)
            return self._measure(self._metrics_of(False)[:2], tokens, loss, nll)
        nll, tokens = tf.unstack(self.loss_sums_function()(*batch))
        return self._measure(self._metrics_of(False)[:2], tokens, nll, nll)

    def _measure(self, metrics: Sequence[TokenMean], tokens: tf.Tensor, *sums: tf.Tensor) -> dict[str, tf.Tensor]:
        for metric, total in zip(metrics, sums, strict=True):
            metric.update_state(total, tokens)
        return {metric.name: metric.result() for metric in metrics}


def _weights_of(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in ("sample_weight", "class_weight")}
