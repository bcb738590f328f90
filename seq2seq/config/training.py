"""Sections about training: schedule, optimizer and validation."""

from typing import Literal, Self

from pydantic import model_validator

from seq2seq.config.objective import ConsistencyConfig, DistillationConfig
from seq2seq.config.precision import Precision
from seq2seq.config.section import Rate, Section, field, inherit_field
from seq2seq.plurals import pluralize


class ScheduleConfig(Section):
    """Learning-rate schedule: linear warmup over `warmup_updates`, then `type`."""

    type: Literal["constant", "inverse_sqrt", "cosine", "step", "plateau"] = field(
        "constant",
        "Decay of the learning rate. `inverse_sqrt`: proportional to the inverse square root of the update number; "
        "`cosine`: half a cosine from `learning_rate` down to `min_learning_rate`, starting at `decay_start`, over "
        "`decay_updates`; `step`: multiplied by `factor` at `decay_start` and then every `decay_updates`; `plateau`: "
        "multiplied by `factor` after `patience` validations without improvement, see `validation.metric`.",
        paper="Vaswani et al. 2017 (inverse_sqrt); Loshchilov and Hutter 2017 (cosine); Luong et al. 2015 (step)",
    )
    warmup_updates: int = field(0, "Length of the linear warmup, for every `type`.", unit="updates", ge=0)
    decay_start: int = field(
        0,
        "Start of the decay of `cosine` and `step`; 0: `cosine` starts at the end of the warmup, `step` after another "
        "`decay_updates`.",
        unit="updates",
        ge=0,
    )
    decay_updates: int | None = field(
        None,
        "With `cosine`, length of the decay; null: until the end of the run (`updates`, or `epochs` times the number "
        "of batches of the first epoch). With `step`, interval between decays.",
        unit="updates",
        ge=1,
    )
    factor: float = field(0.5, "Factor of each decay of `step` and `plateau`.", gt=0.0, lt=1.0)
    patience: int = field(
        1, "Number of validations without improvement before `plateau` decays.", unit="validations", ge=1
    )
    min_learning_rate: float = field(1e-6, "Minimum learning rate of `cosine`, `step` and `plateau`.", ge=0.0)

    @model_validator(mode="after")
    def _check_keys(self) -> "ScheduleConfig":
        if self.type == "inverse_sqrt" and self.warmup_updates < 1:
            raise ValueError("'inverse_sqrt' needs 'warmup_updates' of at least 1 update")
        if self.type == "step" and self.decay_updates is None:
            raise ValueError("'step' needs 'decay_updates'")
        if self.type in ("cosine", "step") and self.decay_start < self.warmup_updates and self.decay_start:
            raise ValueError(
                f"'decay_start' {self.decay_start} is within the 'warmup_updates' of "
                f"{pluralize(self.warmup_updates, 'update')}"
            )
        for name in ("decay_start", "decay_updates"):
            if self.type not in ("cosine", "step") and getattr(self, name):
                raise ValueError(f"'{name}' is for cosine and step, but 'type' is {self.type}")
        return self


class RecoveryConfig(Section):
    """Recovery from divergence: updates with a non-finite or exploding gradient are skipped, and runs rolled back."""

    max_norm_ratio: float | None = field(
        100.0,
        "Maximum gradient norm as a multiple of its running mean; updates above it are skipped; null: no limit.",
        gt=1.0,
    )
    max_skipped_updates: int = field(
        20,
        "Number of consecutive skipped updates after which the run rolls back to its last good checkpoint and halves "
        "the learning rate, as it does when a validation loss is more than twice that of a uniform guess.",
        unit="updates",
        ge=1,
    )
    max_rollbacks: int = field(3, "Maximum number of rollbacks before training stops with an error.", ge=0)


class TrainingConfig(Section):
    """Optimization, precision and stopping."""

    optimizer: Literal["adam", "adamw", "sgd"] = field(
        "adam", "Update rule.", paper="Kingma and Ba 2015 (adam); Loshchilov and Hutter 2019 (adamw)"
    )
    learning_rate: float = field(1e-3, "Learning rate; the peak of the schedule.", gt=0.0)
    schedule: ScheduleConfig = ScheduleConfig()
    beta_1: Rate = field(0.9, "Decay rate of the gradient's running mean in adam and adamw.")
    beta_2: Rate = field(0.999, "Decay rate of the gradient's running mean square in adam and adamw.")
    epsilon: float = field(1e-8, "Constant in the denominator of adam and adamw that keeps it above 0.", gt=0.0)
    momentum: Rate = field(
        0.0, "Momentum of sgd: share of the previous step that is added to each step.", paper="Polyak 1964"
    )
    weight_decay: float = field(
        0.0,
        "Decoupled weight decay of adamw and sgd: each update subtracts weight decay times learning rate times weight "
        "from all weight matrices, independently of the gradient.",
        paper="Loshchilov and Hutter 2019",
        ge=0.0,
    )
    weight_decay_include: tuple[Literal["biases", "norms", "embeddings"], ...] = field(
        (), "Kinds of weights besides weight matrices that `weight_decay` applies to."
    )
    clip_norm: float | None = field(
        1.0,
        "Maximum global norm of the gradient; larger gradients are scaled down.",
        paper="Pascanu et al. 2013",
        gt=0.0,
    )
    label_smoothing: Rate = field(
        0.1, "Share of a label's probability that is spread over the vocabulary.", paper="Szegedy et al. 2016"
    )
    consistency: ConsistencyConfig = ConsistencyConfig()
    distillation: DistillationConfig = DistillationConfig()
    accumulation_steps: int = field(
        1, "Number of batches whose gradients are accumulated for one update.", unit="batches", ge=1
    )
    ema_decay: float | None = field(
        None,
        "Decay of an exponential moving average of the weights, e.g. 0.999. The average, not the last weights, is "
        "then validated and saved. At update t the decay is at most (1 + t) / (10 + t).",
        paper="Polyak and Juditsky 1992",
        gt=0.0,
        lt=1.0,
    )
    warm_start: str | None = field(
        None,
        "Model directory whose weights initialise those of the same name and shape; training reports which ones.",
        unit="directory",
    )
    freeze: tuple[str, ...] = field((), "Patterns for the names of weights that are not trained, e.g. `encoder/*`.")
    recovery: RecoveryConfig = RecoveryConfig()
    distribution: Literal["none", "mirrored", "multi_worker"] = field(
        "none",
        "Data-parallel training. `mirrored`: on all GPUs of this machine; `multi_worker`: on the GPUs of all machines "
        "in `--workers` or TF_CONFIG. Each replica processes its share of every batch, so the updates equal those of "
        "a single device.",
        paper="Sergeev and Del Balso 2018",
    )
    precision: Literal["auto", Precision] = field(
        "auto",
        "Precision of computation. `auto`: mixed_bfloat16 on GPUs of compute capability 8.0 or higher, mixed_float16 "
        "on those of 7.0 or 7.5, float32 elsewhere. `tf32`: float32 with matrix products whose operands are rounded "
        "to 10 bits of mantissa, on GPUs of 8.0 or higher; `float32` never rounds them.",
        paper="Micikevicius et al. 2018",
    )
    deterministic: bool | None = field(
        None,
        "Reproducible computation: on one kind of machine the same recipe then trains the same model, bit for bit, and "
        "an interrupted run resumes exactly. null: true on a CPU, false on a GPU. false: neither is guaranteed. On a "
        "GPU, true is slower, not yet tested, and does not cover sums over several GPUs.",
    )
    epochs: int | None = field(20, "Maximum number of passes over the training corpus.", unit="epochs", ge=1)
    updates: int | None = field(None, "Maximum number of updates.", unit="updates", ge=1)
    minutes: float | None = field(
        None,
        "Planned duration of training and validation, not counting reading corpora and compiling. If `updates` is "
        "null, the speed is measured before the first update and determines `updates`, `validation.interval_updates` "
        "and `schedule.warmup_updates`. These are written to the recipe in the model directory, and the run follows "
        "them, not the clock. `epochs` remains an upper bound. If `updates` is given, it takes precedence.",
        unit="minutes",
        gt=0.0,
    )
    checkpoint_minutes: float = field(10.0, "Maximum time between checkpoints.", unit="minutes", gt=0.0)
    keep_last: int = field(
        5, "Number of most recent validations whose weights are kept for averaging.", unit="validations", ge=0
    )
    keep_best: int = field(
        5, "Number of best validations whose weights are kept for averaging.", unit="validations", ge=0
    )
    tensorboard: bool = field(
        False,
        "Write scalars, sample translations and an attention map to `tensorboard/` in the model directory. Requires "
        "the package's extra `tensorboard`.",
    )

    @model_validator(mode="after")
    def _check_keys(self) -> "TrainingConfig":
        if self.epochs is None and self.updates is None and self.minutes is None:
            raise ValueError("give 'epochs', 'updates' or 'minutes', or training never ends")
        consistency, schedule = self.consistency, self.schedule
        if consistency.type != "none" and self.epochs is not None and consistency.start_epoch > self.epochs:
            raise ValueError(
                f"'consistency.start_epoch' is {consistency.start_epoch}, but 'epochs' is {self.epochs}, so there is "
                "no second pass: lower 'consistency.start_epoch', or set 'consistency.type' to none"
            )
        if schedule.type in ("plateau", "cosine", "step") and schedule.min_learning_rate > self.learning_rate:
            raise ValueError(
                f"'schedule.min_learning_rate' {schedule.min_learning_rate:g} is above 'learning_rate' "
                f"{self.learning_rate:g}"
            )
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"'momentum' is for sgd, but 'optimizer' is {self.optimizer}")
        if self.weight_decay and self.optimizer == "adam":
            raise ValueError(f"'weight_decay' is for adamw and sgd, but 'optimizer' is {self.optimizer}")
        if self.weight_decay_include and not self.weight_decay:
            raise ValueError("'weight_decay_include' needs a 'weight_decay' above 0")
        return self


class BaseValidationConfig(Section):
    """Validation during training, and early stopping."""

    interval_updates: int | None = field(
        None,
        "Number of updates between validations; null: validate at the end of every epoch. `training.minutes` changes "
        "it if validation would take more than a tenth of the time, or if there would be fewer than 8 validations.",
        unit="updates",
        ge=1,
    )
    metric: Literal["loss", "bleu"] = field(
        "bleu",
        "Criterion of the best checkpoint, the plateau schedule and early stopping; of equal BLEU, the lower loss is "
        "better. Until a validation is clearly better than predicting token frequencies, no checkpoint counts as best, "
        "and losses are compared.",
    )
    patience: int | None = field(
        None,
        "Early stopping: number of validations without improvement, see `metric`, after which training stops.",
        unit="validations",
        ge=1,
    )

    @property
    def metric_name(self) -> str:
        """The spelling of `metric` in displays."""
        return "BLEU" if self.metric == "bleu" else self.metric


class LossValidationConfig(BaseValidationConfig):
    """Validation during training, and early stopping."""

    metric: Literal["loss"] = inherit_field(BaseValidationConfig, "metric", "loss")


class ValidationConfig(BaseValidationConfig):
    """Validation during training, and early stopping."""

    beam_size: int = field(
        1,
        "Beam size of the translations during training that BLEU is measured on; 1 is greedy search. Commands that "
        "translate use `search.beam_size`.",
        unit="hypotheses",
        ge=1,
    )
    compute_bleu: bool = field(
        True,
        "Translate the validation corpus at each validation, without `search.language_model`.",
        paper="Papineni et al. 2002",
    )

    @model_validator(mode="after")
    def _check_metric(self) -> Self:
        if self.metric == "bleu" and not self.compute_bleu:
            raise ValueError("'metric: bleu' needs 'compute_bleu: true'")
        return self
