"""The section about translating: how a translation is searched for, sampled and written."""

from typing import Any, Literal

from pydantic import ValidationError, ValidatorFunctionWrapHandler, field_validator, model_validator

from seq2seq.config.section import Section, key


class SearchOptions(Section):
    """How a translation is searched for."""

    beam_size: int = key(5, "Hypotheses kept at each step; 1 is greedy.", unit="hypotheses", ge=1)
    length_penalty: float | Literal["average"] = key(
        1.0,
        "Divide a score by ((5 + length) / 6) ** this; 0: no penalty; `average`: divide by the length.",
        paper="Wu et al. 2016",
    )
    coverage_penalty: float = key(
        0.0,
        "Add this times the summed log of each source position's attention, at most 1 each, to a finished "
        "hypothesis's score, so that one that leaves out a part of the source falls behind. Common: 0.2.",
        paper="Wu et al. 2016",
        ge=0.0,
        le=10.0,
    )
    n_best: int = key(
        1,
        "Translations a sentence, at most `beam_size`; when sampling, so many draws, of which two may be the same.",
        ge=1,
    )
    min_length: int = key(1, "Shortest translation.", unit="tokens, EOS included", ge=1)
    max_length: int | None = key(
        None, "Longest translation, whatever the source's length.", unit="tokens, EOS included", ge=1
    )
    max_length_factor: float = key(
        2.0, "Longest translation: this times the source's length, plus `max_length_extra`.", gt=0.0
    )
    max_length_extra: int = key(10, "See `max_length_factor`.", unit="tokens", ge=1)
    sample: bool = key(
        False,
        "Draw tokens from the model's distribution rather than search. A draw depends on `seed` and the sentence, "
        "not on its batch.",
    )
    temperature: float = key(1.0, "When sampling: logits are divided by it; below 1 is safer.", ge=0.001, le=1000.0)
    top_k: int | None = key(
        None, "When sampling: draw among so many likeliest.", unit="tokens", paper="Fan et al. 2018", ge=1
    )
    top_p: float = key(
        1.0,
        "When sampling: draw among the fewest likeliest that together have this probability.",
        paper="Holtzman et al. 2020",
        gt=0.0,
        le=1.0,
    )
    seed: int = key(1, "Of sampling.", ge=0, lt=2**31)
    unk: Literal["keep", "suppress", "replace"] = key(
        "keep",
        "Unknown tokens in a translation: write them as they are, never choose them, or put the source's text that "
        "they attend to most.",
        paper="Luong et al. 2015 (rare words)",
    )
    max_source_tokens: int = key(
        200, "A longer line is handled as `long_lines` says.", unit="tokens, EOS included", ge=2
    )
    long_lines: Literal["split", "cut"] = key(
        "split",
        "Translate a long line in pieces, cut where a sentence or clause ends if possible, and join them; or cut it "
        "off, with a warning.",
    )
    shortlist: int | None = key(
        None,
        "Choose only among so many candidates of each source token and the most frequent target tokens, which is "
        "faster. The model needs a shortlist: `seq2seq shortlist MODEL`.",
        unit="tokens",
        paper="Jean et al. 2015",
        ge=1,
        le=100,
    )
    int8: bool = key(
        False,
        "Decode with 8-bit integer products on the CPU, which is faster and less exact. The model needs a quantized "
        "decoder: `seq2seq quantize MODEL`.",
    )
    language_model: str | None = key(
        None,
        "Directory of a language model with the translator's target tokenizer: a token's score is its log-probability "
        "plus `language_model_weight` times the language model's (shallow fusion). Of greedy and beam search.",
        paper="Gülçehre et al. 2015",
    )
    language_model_weight: float = key(0.2, "See `language_model`; 0: it is not used.", ge=0.0, le=10.0)
    batch_tokens: int | None = key(
        None,
        "Padded source tokens translated at once, times `beam_size`, or `n_best` when sampling. null: as suits the "
        "device that translates, 16,000 on a CPU, and on a GPU 128,000, or fewer where the vocabulary is so large that "
        "the scores of all tokens would take more than 4 GiB.",
        unit="tokens",
        ge=1,
    )

    @field_validator("length_penalty", mode="wrap")
    @classmethod
    def number_or_average(cls, value: Any, accept: ValidatorFunctionWrapHandler) -> float | str:
        try:
            return accept(value)
        except ValidationError:
            raise ValueError(f"found {value!r}, expected a number or 'average'") from None

    @model_validator(mode="after")
    def numbers_fit(self) -> "SearchOptions":
        if self.n_best > self.beam_size and not self.sample:
            raise ValueError(f"'n_best' is {self.n_best}, more than 'beam_size' {self.beam_size}")
        for name in ("temperature", "top_k", "top_p"):
            value = getattr(self, name)
            if not self.sample and value != type(self).model_fields[name].default:
                raise ValueError(f"'{name}' is {value}: it is for sampling, and 'sample' is false")
        if self.shortlist is not None and self.sample:
            raise ValueError(f"'shortlist' is {self.shortlist}: it is for greedy and beam search, and 'sample' is true")
        if self.shortlist is not None and self.int8:
            raise ValueError(f"'shortlist' is {self.shortlist}, and 'int8' is true: use one of the two")
        self.fusion_fits()
        if self.max_length is not None and self.max_length < self.min_length:
            raise ValueError(f"'max_length' {self.max_length} is below 'min_length' {self.min_length}")
        return self

    def fusion_fits(self) -> None:
        """Raises: ValueError: A language model is asked for where it cannot be, or its weight without it."""
        weight = self.language_model_weight
        if self.language_model is None and weight != type(self).model_fields["language_model_weight"].default:
            raise ValueError(f"'language_model_weight' is {weight:g}, and there is no 'language_model'")
        rivals = {"sample": self.sample, "shortlist": self.shortlist is not None, "int8": self.int8}
        for name, asked in rivals.items():
            if asked and self.fusion:
                raise ValueError(
                    f"'language_model' is {self.language_model!r}, and '{name}' is {str(getattr(self, name)).lower()}: "
                    "use one of the two; with 'language_model_weight' 0 (--language-model-weight 0) the language model "
                    "is not used"
                )

    @property
    def hypotheses(self) -> int:
        """Hypotheses of a sentence that are searched for at once."""
        return self.n_best if self.sample else self.beam_size

    @property
    def fusion(self) -> bool:
        """Whether a language model has a say."""
        return self.language_model is not None and self.language_model_weight > 0

    def looks_at_attention(self) -> str:
        """The option that no model without attention can obey, with its value; "" if there is none."""
        if self.unk == "replace":
            return "unk: replace"
        return f"coverage_penalty: {self.coverage_penalty}" if self.coverage_penalty else ""
