"""Sections about what a model learns from besides the labels of the corpus."""

from typing import Any, Literal, Self

from pydantic import model_validator

from seq2seq.config.section import Section, field

DEFAULT_CUT_RATE = 0.05


class ConsistencyConfig(Section):
    """Consistency regularisation: each sentence passes through the model twice, and the two predictions must agree.

    The two passes have different dropout masks, variational ones included. All divergences are means per target token,
    with gradients through both passes.
    """

    type: Literal["none", "simcut", "cutoff", "r_drop"] = field(
        "none",
        "Kind of regularisation; CE is the cross-entropy with label smoothing, p the predictions of the first pass and "
        "q those of the second, in which `simcut` and `cutoff` zero some embeddings (`cut_rate`). `simcut`: "
        "CE(p) + weight * KL(p, q). `cutoff`: half of CE(p) + CE(q) + weight * JS(p, q), the Jensen-Shannon "
        "divergence. `r_drop`: half of CE(p) + CE(q) + weight * (KL(p, q) + KL(q, p)) / 2.",
        paper="Gao et al. 2022 (simcut); Shen et al. 2020 (cutoff); Liang et al. 2021 (r_drop)",
    )
    weight: float = field(3.0, "Weight of the divergence: 3 in the paper of `simcut`, 5 in that of `r_drop`.", gt=0.0)
    cut_rate: float = field(
        DEFAULT_CUT_RATE,
        "Share of source and target tokens whose embedding is zeroed in the second pass of `simcut` and `cutoff` "
        "(token cutoff), without the EOS of the source and the BOS of the target.",
        gt=0.0,
        lt=1.0,
    )
    start_epoch: int = field(
        1,
        "First epoch with the second pass, which about doubles the time of an update. Each stage counts its own "
        "epochs.",
        unit="epochs",
        ge=1,
    )

    @model_validator(mode="after")
    def _check_type(self) -> Self:
        if self.type == "none" and self != type(self).model_construct():
            raise ValueError(
                "'type' is none, and the other keys have no effect: set 'type' to simcut, cutoff or r_drop"
            )
        if self.type == "r_drop" and self.cut_rate != DEFAULT_CUT_RATE:
            raise ValueError("'cut_rate' is for simcut and cutoff: r_drop zeroes no embeddings, so leave it out")
        return self


class DistillationConfig(Section):
    """Word-level knowledge distillation: the predictions of trained models are labels besides the corpus's.

    For each target token, the teachers read the source and the correct previous tokens, without dropout. The mean q of
    their probabilities is a label, too: the objective is (1 - weight) * CE(label) + weight * T^2 * CE(q, p), where T is
    the temperature of both p and q.
    """

    teachers: tuple[str, ...] = field(
        (),
        "Model directories of the teachers, one model or an ensemble. Their tokenizers must be this run's, so set "
        "`tokenizer.from_model` to one of them; everything else may differ.",
        unit="directory",
        paper="Kim and Rush 2016, section 3.1",
    )
    weight: float = field(0.5, "Share of the teachers' predictions in the objective.", gt=0.0, le=1.0)
    temperature: float = field(
        1.0,
        "Divisor of the logits of teachers and student; above 1, unlikely tokens count more.",
        paper="Hinton et al. 2015",
        gt=0.0,
    )

    @model_validator(mode="after")
    def _check_teachers(self) -> Self:
        if not self.teachers and self != type(self).model_construct():
            raise ValueError("'teachers' is empty, and the other keys have no effect: give it model directories")
        return self


class TeachersConfig(Section):
    """Sequence-level knowledge distillation from an ensemble of teachers, which the run trains first.

    The teachers are trained on the recipe's corpora, and translate the training text together. Then the model is
    trained from the beginning on the original pairs and these translations.
    """

    count: int = field(
        0,
        "Number of teachers, which differ in their random seed; with `seed: 1`, theirs are 1, 2 and so on. 0: none.",
        unit="models",
        paper="Kim and Rush 2016, section 3.2",
        ge=0,
    )
    changes: dict[str, Any] = field(
        {},
        "Keys that differ in the recipe of the teachers, by section, e.g. `{encoder: {units: 384}}`. Their `search` "
        "translates the training text.",
    )
