"""The section about writing text: how it is searched for and sampled, and what a translation is made with."""

from functools import partial
from typing import Any, Literal, Self

from pydantic import ValidationError, ValidatorFunctionWrapHandler, field_validator, model_validator

from seq2seq.config.section import Section, field, inherit_field

MAX_LENGTH = 100  # tokens of a text that is generated, unless something else is said

# Keys under the headings that a command shows its options under.
search_key, sampling_key, long_lines_key, speed_key = (
    partial(field, panel=panel) for panel in ("Search", "Sampling", "Long lines", "Speed")
)


class TextSearchOptions(Section):
    """Search and sampling of text, whatever it is made from."""

    beam_size: int = search_key(5, "Hypotheses kept at each step; 1 is greedy search.", unit="hypotheses", ge=1)
    length_penalty: float | Literal["average"] = search_key(
        1.0,
        "Divide a score by ((5 + length) / 6) ** this, from -1 to 10; 0: no penalty; `average`: divide by the length.",
        paper="Wu et al. 2016",
    )
    n_best: int = search_key(
        1,
        "Number of outputs per input, at most `beam_size`; when sampling, number of samples, two of which may be the "
        "same.",
        ge=1,
    )
    min_length: int = search_key(
        1, "Minimum length of an output, in tokens, EOS included.", unit="tokens, EOS included", ge=1
    )
    max_length: int | None = search_key(
        None,
        "Maximum length of an output, in tokens, EOS included, whatever the length of the input.",
        unit="tokens, EOS included",
        ge=1,
    )
    no_repeat_ngram_size: int = search_key(
        0,
        "Length of the n-grams of tokens that may come only once in an output; 0: any may be repeated. Typical: 3. An "
        "output in which all tokens are blocked ends, even before `min_length`.",
        unit="tokens",
        paper="Paulus et al. 2018",
        ge=0,
        le=100,
    )
    repetition_penalty: float = search_key(
        1.0,
        "Multiply the log-probability of a token that is already in the output by this; 1: no penalty. Typical: 1.2.",
        paper="Keskar et al. 2019",
        ge=1.0,
        le=10.0,
    )
    sample: bool = sampling_key(
        False,
        "Sample from the model's distribution instead of searching. A sample depends on `seed` and the "
        "input, not on its batch.",
    )
    temperature: float = sampling_key(
        1.0, "Sampling temperature; below 1 sharpens the distribution.", ge=0.001, le=1000.0
    )
    top_k: int | None = sampling_key(
        None, "When sampling: sample from the k most likely tokens.", unit="tokens", paper="Fan et al. 2018", ge=1
    )
    top_p: float = sampling_key(
        1.0,
        "When sampling: sample from the smallest set of most likely tokens with this cumulative probability.",
        paper="Holtzman et al. 2020",
        gt=0.0,
        le=1.0,
    )
    seed: int = sampling_key(1, "Seed of sampling.", ge=0, lt=2**31)

    @field_validator("length_penalty", mode="wrap")
    @classmethod
    def _check_length_penalty(cls, value: Any, accept: ValidatorFunctionWrapHandler) -> float | str:
        try:
            accepted = accept(value)
        except ValidationError:
            accepted = None
        # Beyond these, scores of long hypotheses leave the range of what can be chosen.
        if accepted is None or (accepted != "average" and not -1.0 <= accepted <= 10.0):
            raise ValueError(f"found {value!r}, expected a number from -1 to 10, or 'average'")
        return accepted

    @model_validator(mode="after")
    def _check_numbers(self) -> Self:
        if self.n_best > self.beam_size and not self.sample:
            raise ValueError(f"'n_best' is {self.n_best}, more than 'beam_size' {self.beam_size}")
        for name in ("temperature", "top_k", "top_p"):
            value = getattr(self, name)
            if not self.sample and value != type(self).model_fields[name].default:
                raise ValueError(f"'{name}' is {value}: it is for sampling, and 'sample' is false")
        if self.max_length is not None and self.max_length < self.min_length:
            raise ValueError(f"'max_length' {self.max_length} is below 'min_length' {self.min_length}")
        return self

    @property
    def num_hypotheses(self) -> int:
        """Hypotheses of a sentence that are searched for at once."""
        return self.n_best if self.sample else self.beam_size


class GenerationOptions(TextSearchOptions):
    """Search and sampling of text by a language model."""

    sample: bool = inherit_field(TextSearchOptions, "sample", True)
    max_length: int | None = inherit_field(TextSearchOptions, "max_length", MAX_LENGTH)


class TranslationSearchOptions(TextSearchOptions):
    """Search and sampling of translations, by a translation model alone."""

    coverage_penalty: float = field(
        0.0,
        "Weight of a penalty on unattended source positions: this times the sum of log(min(attention, 1)) over the "
        "positions is added to a finished hypothesis's score. Typical: 0.2.",
        paper="Wu et al. 2016",
        panel="Search",
        ge=0.0,
        le=10.0,
    )
    max_length_factor: float = search_key(
        2.0, "Maximum length of a translation: this times the source's length, plus `max_length_extra`.", gt=0.0
    )
    max_length_extra: int = search_key(
        10, "Tokens added to `max_length_factor` times the source's length.", unit="tokens", ge=1
    )
    unk_handling: Literal["keep", "suppress", "replace"] = search_key(
        "keep",
        "Unknown tokens in a translation: write them as they are, never choose them, or replace them with the source "
        "text they attend to most.",
        paper="Luong et al. 2015 (rare words)",
    )
    split_sentences: bool = long_lines_key(
        True,
        "Translate a line of several sentences in groups of as many as the lines that the model was trained on usually "
        "had: sentence by sentence if they had one each.",
    )
    max_source_tokens: int | None = long_lines_key(
        None,
        "Maximum length of what is translated as a whole; `long_lines` decides what happens to longer sentences. null "
        "(the default): the length of the longest line that the model was trained on, or 200 if that is unknown.",
        unit="tokens, EOS included",
        ge=2,
    )
    long_lines: Literal["split", "truncate"] = long_lines_key(
        "split",
        "Translate what is too long in segments, divided where a clause ends if possible, and join them; or truncate "
        "it, with a warning.",
    )
    batch_tokens: int | None = speed_key(
        None,
        "Largest batch: padded source tokens times hypotheses per sentence. null (the default): 16,000 on a CPU; on a "
        "GPU 128,000, or fewer where the scores of all tokens would take more than 4 GiB.",
        unit="tokens",
        ge=1,
    )

    def option_requiring_attention(self) -> str:
        """The option that no model without attention can obey, with its value; "" if there is none."""
        if self.unk_handling == "replace":
            return "unk_handling: replace"
        return f"coverage_penalty: {self.coverage_penalty}" if self.coverage_penalty else ""


class SearchOptions(TranslationSearchOptions):
    """Search and sampling of translations."""

    shortlist: int | None = speed_key(
        None,
        "Number of candidates per source token; only these and the most frequent target tokens are scored, which is "
        "faster. The model needs a shortlist: `seq2seq shortlist MODEL`.",
        unit="tokens",
        paper="Jean et al. 2015",
        ge=1,
        le=100,
    )
    int8: bool = speed_key(
        False,
        "Decode with 8-bit integer products on the CPU, which is faster and less exact. The model needs a quantized "
        "decoder: `seq2seq quantize MODEL`.",
    )
    language_model: str | None = search_key(
        None,
        "Directory of a language model with the translator's target tokenizer, for shallow fusion: a token's score is "
        "its log-probability plus `language_model_weight` times the language model's. When sampling, tokens have "
        "probabilities proportional to the exponential of that score.",
        unit="directory",
        paper="Gülçehre et al. 2015",
    )
    language_model_weight: float = search_key(
        0.2, "Weight of the language model in shallow fusion; 0 disables it.", ge=0.0, le=10.0
    )

    @model_validator(mode="after")
    def _check_language_model(self) -> Self:
        weight = self.language_model_weight
        if self.language_model is None and weight != type(self).model_fields["language_model_weight"].default:
            raise ValueError(f"'language_model_weight' is {weight:g}, and there is no 'language_model'")
        return self

    @property
    def uses_fusion(self) -> bool:
        """Whether shallow fusion is active."""
        return self.language_model is not None and self.language_model_weight > 0

    def without_external_files(self) -> "SearchOptions":
        """The same options without what training does not have yet, see `EXTERNAL_OPTIONS`."""
        return SearchOptions(**self.model_dump(exclude=set(EXTERNAL_OPTIONS)))


# Keys about what is made of a trained model, or stands beside it.
EXTERNAL_OPTIONS = tuple(key for key in SearchOptions.model_fields if key not in TranslationSearchOptions.model_fields)
