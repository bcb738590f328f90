"""Sections about training: schedule, optimizer, validation."""

from typing import Literal, Self

from pydantic import model_validator

from seq2seq.config.precision import Precision
from seq2seq.config.section import Rate, Section, field, inherit_field
from seq2seq.plurals import pluralize


class ScheduleConfig(Section):
    """How the learning rate moves: linear warmup over `warmup_updates`, then by `type`."""

    type: Literal["constant", "inverse_sqrt", "cosine", "step", "plateau"] = field(
        "constant",
        "`inverse_sqrt`: with the inverse square root of the update; `cosine`: half a cosine from `learning_rate` down "
        "to `min_learning_rate`, from `decay_start` on over `decay_updates`; `step`: times `factor` at `decay_start` "
        "and then every `decay_updates`; `plateau`: times `factor` after `patience` validations that are no better, "
        "see `validation.metric`.",
        paper="Vaswani et al. 2017 (inverse_sqrt); Loshchilov and Hutter 2017 (cosine); Luong et al. 2015 (step)",
    )
    warmup_updates: int = field(0, "Length of the linear warmup, for every `type`.", unit="updates", ge=0)
    decay_start: int = field(
        0,
        "Of `cosine` and `step`: where the decay begins; 0: `cosine` at the end of the warmup, `step` `decay_updates` "
        "after it.",
        unit="updates",
        ge=0,
    )
    decay_updates: int | None = field(
        None,
        "Length of `cosine`; null: until the end of the run (`updates`, or `epochs` times the batches of the first "
        "epoch). Interval between decays of `step`.",
        unit="updates",
        ge=1,
    )
    factor: float = field(0.5, "Of `step` and `plateau`: what the learning rate is multiplied by.", gt=0.0, lt=1.0)
    patience: int = field(1, "Of `plateau`: how many that are no better it waits for.", unit="validations", ge=1)
    min_learning_rate: float = field(
        1e-6, "Of `cosine`, `step` and `plateau`: the learning rate never falls below it.", ge=0.0
    )

    @model_validator(mode="after")
    def _check_keys(self) -> "ScheduleConfig":
        if self.type == "inverse_sqrt" and self.warmup_updates < 1:
            raise ValueError("'inverse_sqrt' needs 'warmup_updates' of at least 1 update")
        if self.type == "step" and self.decay_updates is None:
            raise ValueError("'step' needs 'decay_updates'")
        if self.type in ("cosine", "step") and self.decay_start < self.warmup_updates and self.decay_start:
            raise ValueError(
                f"'decay_start' {self.decay_start} lies within the 'warmup_updates' of "
                f"{pluralize(self.warmup_updates, 'update')}"
            )
        for name in ("decay_start", "decay_updates"):
            if self.type not in ("cosine", "step") and getattr(self, name):
                raise ValueError(f"'{name}' belongs to cosine and step, and 'type' is {self.type}")
        return self


class RecoveryConfig(Section):
    """Updates whose gradient is not finite or explodes are skipped; what happens when there are many of them."""

    max_norm_ratio: float | None = field(
        100.0,
        "Maximum gradient norm, as a multiple of its running mean; updates above it are skipped, too; null: no limit.",
        gt=1.0,
    )
    max_skipped_updates: int = field(
        20,
        "So many skipped in a row, and the run goes back to its last good checkpoint with half the learning rate, as "
        "it does when validation finds a model that is worse than guessing.",
        unit="updates",
        ge=1,
    )
    max_rollbacks: int = field(3, "How often it goes back before it stops and says what it saw.", ge=0)


class TrainingConfig(Section):
    """The optimizer and the end of training."""

    optimizer: Literal["adam", "adamw", "sgd"] = field(
        "adam", "Update rule.", paper="Kingma and Ba 2015 (adam); Loshchilov and Hutter 2019 (adamw)"
    )
    learning_rate: float = field(1e-3, "Its peak, where a schedule moves it.", gt=0.0)
    schedule: ScheduleConfig = ScheduleConfig()
    beta_1: Rate = field(0.9, "Of adam and adamw: decay of the gradient's mean.")
    beta_2: Rate = field(0.999, "Of adam and adamw: decay of the gradient's mean square.")
    epsilon: float = field(1e-8, "Of adam and adamw: keeps the division finite.", gt=0.0)
    momentum: Rate = field(0.0, "Of sgd: share of the last step that each step repeats.", paper="Polyak 1964")
    weight_decay: float = field(
        0.0,
        "Of adamw and sgd: each update takes away this times the learning rate of every weight matrix, apart from the "
        "gradient.",
        paper="Loshchilov and Hutter 2019",
        ge=0.0,
    )
    weight_decay_include: tuple[Literal["biases", "norms", "embeddings"], ...] = field(
        (), "What `weight_decay` takes besides weight matrices."
    )
    clip_norm: float | None = field(1.0, "Largest global norm of the gradient.", paper="Pascanu et al. 2013", gt=0.0)
    label_smoothing: Rate = field(
        0.1, "Share of a label's probability that is spread over the vocabulary.", paper="Szegedy et al. 2016"
    )
    accumulation_steps: int = field(1, "Batches whose gradients make one update.", unit="batches", ge=1)
    ema_decay: float | None = field(
        None,
        "Decay of an exponential moving average of the weights, as 0.999. The average, not the last weights, is then "
        "validated, kept and delivered. It grows with the update t as (1 + t) / (10 + t) until it gets there.",
        paper="Polyak and Juditsky 1992",
        gt=0.0,
        lt=1.0,
    )
    warm_start: str | None = field(
        None,
        "A model directory whose weights initialise those of the same name and shape; the display shows which.",
        unit="directory",
    )
    freeze: tuple[str, ...] = field((), "Patterns of weight names that are not trained, as `encoder/*`.")
    recovery: RecoveryConfig = RecoveryConfig()
    distribution: Literal["none", "mirrored", "multi_worker"] = field(
        "none",
        "`mirrored`: on all GPUs of this machine; `multi_worker`: on those of all machines that `--workers` or "
        "TF_CONFIG name. Each replica learns from its share of a batch, so that what is learnt stays the same.",
        paper="Sergeev and Del Balso 2018",
    )
    precision: Literal["auto", Precision] = field(
        "auto",
        "`auto`: mixed_bfloat16 on a GPU of compute capability 8.0 or later, mixed_float16 on one of 7.0 or 7.5, "
        "float32 elsewhere. `tf32` is float32 whose matrix products round their operands to 10 bits of mantissa, on a "
        "GPU of 8.0 or later; `float32` never does that.",
        paper="Micikevicius et al. 2018",
    )
    deterministic: bool | None = field(
        None,
        "Compute the same bits each time: on one kind of machine the same recipe then trains the same model, and an "
        "interrupted run resumes as if it had not been. null: true on a CPU, false on a GPU. false: neither is "
        "promised. On a GPU it is slower, not yet tried, and does not cover sums over several GPUs.",
    )
    epochs: int | None = field(20, "Number of passes over the corpus after which training stops.", unit="epochs", ge=1)
    updates: int | None = field(None, "Number of updates after which training stops.", unit="updates", ge=1)
    minutes: float | None = field(
        None,
        "Planned duration of training and validation, without reading corpora and compiling. If `updates` is null, "
        "the speed is measured before the first update and determines `updates`, `validation.interval_updates` and "
        "`schedule.warmup_updates`. They are written into the recipe of the model directory, and the run follows them, "
        "not the clock. `epochs` remains an upper bound. If `updates` is given, it decides.",
        unit="minutes",
        gt=0.0,
    )
    checkpoint_minutes: float = field(10.0, "Write the last checkpoint at least so often.", unit="minutes", gt=0.0)
    keep_last: int = field(
        5, "Validations whose weights are kept for averaging, counted from the last.", unit="validations", ge=0
    )
    keep_best: int = field(
        5, "Validations whose weights are kept for averaging, counted from the best.", unit="validations", ge=0
    )
    tensorboard: bool = field(
        False,
        "Write scalars, sample translations and an attention map to `tensorboard/` in the model directory (needs the "
        "package's `tensorboard` extra).",
    )

    @model_validator(mode="after")
    def _check_keys(self) -> "TrainingConfig":
        if self.epochs is None and self.updates is None and self.minutes is None:
            raise ValueError("give 'epochs', 'updates' or 'minutes', or training never ends")
        schedule = self.schedule
        if schedule.type in ("plateau", "cosine", "step") and schedule.min_learning_rate > self.learning_rate:
            raise ValueError(
                f"'schedule.min_learning_rate' {schedule.min_learning_rate:g} is above 'learning_rate' "
                f"{self.learning_rate:g}"
            )
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"'momentum' belongs to sgd, and 'optimizer' is {self.optimizer}")
        if self.weight_decay and self.optimizer == "adam":
            raise ValueError(f"'weight_decay' belongs to adamw and sgd, and 'optimizer' is {self.optimizer}")
        if self.weight_decay_include and not self.weight_decay:
            raise ValueError("'weight_decay_include' needs a 'weight_decay' above 0")
        return self


class BaseValidationConfig(Section):
    """Validation during training, and what it decides."""

    interval_updates: int | None = field(
        None,
        "Interval between validations; null: at the end of every epoch. `training.minutes` changes it if validation "
        "would take more than a tenth of the time or there would be fewer than 8 validations.",
        unit="updates",
        ge=1,
    )
    metric: Literal["loss", "bleu"] = field(
        "bleu",
        "Criterion of the best checkpoint, the plateau and early stopping; at equal BLEU, the lower loss is better. "
        "Until a validation is clearly better than token frequencies, no checkpoint is best, and losses are compared.",
    )
    patience: int | None = field(
        None,
        "Number of validations without improvement after which training stops, see `metric`.",
        unit="validations",
        ge=1,
    )

    @property
    def metric_name(self) -> str:
        """How displays spell `metric`."""
        return "BLEU" if self.metric == "bleu" else self.metric


class LossValidationConfig(BaseValidationConfig):
    """Validation during training, and what it decides."""

    metric: Literal["loss"] = inherit_field(BaseValidationConfig, "metric", "loss")


class ValidationConfig(BaseValidationConfig):
    """Validation during training, and what it decides."""

    beam_size: int = field(
        1, "Beam size of the translations that BLEU is measured on; 1 is greedy.", unit="hypotheses", ge=1
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
