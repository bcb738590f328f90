"""The section about generating text: search, sampling, long lines and speed."""

from collections.abc import Collection
from functools import partial
from typing import Any, Literal, Self

from pydantic import PositiveFloat, ValidationError, ValidatorFunctionWrapHandler, field_validator, model_validator

from seq2seq.config.section import Section, field, inherit_field

MAX_LENGTH = 100  # default maximum length of generated text, in tokens

# Fields for keys, by the heading under which commands list their options.
search_key, sampling_key, decision_key, long_lines_key, speed_key = (
    partial(field, panel=panel) for panel in ("Search", "Sampling", "Decision", "Long lines", "Speed")
)


class TextSearchOptions(Section):
    """Options of search and sampling that apply to all models."""

    beam_size: int = search_key(
        5, "Number of hypotheses kept at each step; 1 is greedy search.", unit="hypotheses", ge=1
    )
    beam_groups: int = search_key(
        1,
        "Number of groups into which the beam is divided; each group avoids tokens that the groups before it choose at "
        "the same step, so that their hypotheses differ; 1: off. It must divide `beam_size`.",
        unit="groups",
        paper="Vijayakumar et al. 2018",
        ge=1,
    )
    diversity_penalty: float = search_key(
        0.5,
        "Penalty per hypothesis of another beam group that chooses the same token at the same step, in nats; for "
        "`beam_groups` above 1.",
        unit="nats",
        paper="Vijayakumar et al. 2018",
        ge=0.0,
        le=100.0,
    )
    length_penalty: float | Literal["average"] = search_key(
        1.0,
        "Preference for length: above the default, longer outputs; below it, shorter ones. Scores are divided by "
        "((5 + length) / 6) ** `length_penalty`, which is from -1 to 10; 0: no normalisation, in which case an output "
        "may be a fragment; `average`: divide by the length.",
        paper="Wu et al. 2016",
    )
    n_best: int = search_key(
        1,
        "Number of outputs per input, at most `beam_size`; when sampling, number of samples, which may contain "
        "duplicates.",
        ge=1,
    )
    min_length: int = search_key(
        1, "Minimum length of an output in tokens, EOS included.", unit="tokens, EOS included", ge=1
    )
    max_length: int | None = search_key(
        None,
        "Maximum length of an output in tokens, EOS included, regardless of the length of the input.",
        unit="tokens, EOS included",
        ge=1,
    )
    no_repeat_ngram_size: int = search_key(
        0,
        "Length of token n-grams that may occur only once in an output; 0: no restriction. Typical: 3. An output ends "
        "when all of its next tokens are blocked, even before `min_length`.",
        unit="tokens",
        paper="Paulus et al. 2018",
        ge=0,
        le=100,
    )
    repetition_penalty: float = search_key(
        1.0,
        "Factor by which the log-probability of tokens that are already in the output is multiplied; 1: no penalty. "
        "Typical: 1.2.",
        paper="Keskar et al. 2019",
        ge=1.0,
        le=10.0,
    )
    sample: bool = sampling_key(
        False,
        "Sample from the model's distribution instead of searching. A sample depends on `seed` and on the input, not "
        "on its batch.",
    )
    temperature: float = sampling_key(
        1.0, "Sampling temperature; values below 1 sharpen the distribution.", ge=0.001, le=1000.0
    )
    top_k: int | None = sampling_key(
        None, "Number of most likely tokens to sample from.", unit="tokens", paper="Fan et al. 2018", ge=1
    )
    top_p: float = sampling_key(
        1.0,
        "Cumulative probability of the smallest set of most likely tokens to sample from (nucleus sampling).",
        paper="Holtzman et al. 2020",
        gt=0.0,
        le=1.0,
    )
    seed: int = sampling_key(1, "Random seed for sampling.", ge=0, lt=2**31)

    @field_validator("length_penalty", mode="wrap")
    @classmethod
    def _check_length_penalty(cls, value: Any, accept: ValidatorFunctionWrapHandler) -> float | str:
        try:
            accepted = accept(value)
        except ValidationError:
            accepted = None
        # Beyond these limits, scores of long hypotheses leave the range in which a search can compare them.
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
                raise ValueError(f"'{name}' is {value}: it is for sampling, but 'sample' is false")
        if self.beam_groups > 1 and self.sample:
            raise ValueError(f"'beam_groups' is {self.beam_groups}: it is for beam search, but 'sample' is true")
        if self.beam_size % self.beam_groups:
            raise ValueError(f"'beam_size' is {self.beam_size}, not a multiple of 'beam_groups' {self.beam_groups}")
        if self.beam_groups == 1 and self.diversity_penalty != type(self).model_fields["diversity_penalty"].default:
            raise ValueError(f"'diversity_penalty' is {self.diversity_penalty:g}, but 'beam_groups' is 1")
        if self.max_length is not None and self.max_length < self.min_length:
            raise ValueError(f"'max_length' {self.max_length} is below 'min_length' {self.min_length}")
        return self

    @property
    def num_candidates(self) -> int:
        """Number of hypotheses per sentence that the search returns."""
        return self.n_best

    @property
    def num_hypotheses(self) -> int:
        """Number of hypotheses per sentence that are decoded at once."""
        return self.num_candidates if self.sample else self.beam_size


class GenerationOptions(TextSearchOptions):
    """Search and sampling of text from a language model."""

    sample: bool = inherit_field(TextSearchOptions, "sample", True)
    max_length: int | None = inherit_field(TextSearchOptions, "max_length", MAX_LENGTH)


class TranslationSearchOptions(TextSearchOptions):
    """Search and sampling of translations by a translation model without further files."""

    coverage_penalty: float = field(
        0.0,
        "Weight of a penalty on unattended source positions: weight times the sum of log(min(attention, 1)) over the "
        "positions is added to the score of a finished hypothesis. Typical: 0.2.",
        paper="Wu et al. 2016",
        panel="Search",
        ge=0.0,
        le=10.0,
    )
    max_length_factor: float = search_key(
        2.0,
        "Maximum length of a translation relative to its source: factor times the source's length, plus "
        "`max_length_extra`.",
        gt=0.0,
    )
    max_length_extra: int = search_key(
        10, "Number of tokens added to `max_length_factor` times the source's length.", unit="tokens", ge=1
    )
    unk_handling: Literal["keep", "suppress", "replace"] = search_key(
        "keep",
        "Treatment of unknown tokens that the model generates; unknown characters of the source are another matter. "
        "`keep`: output them as unknown; `suppress`: never generate them; `replace`: replace each with the source text "
        "that it attends to most.",
        paper="Luong et al. 2015 (rare words)",
    )
    split_sentences: bool = long_lines_key(
        True,
        "Split a line of several sentences before translation, into as many sentences at a time as the lines of the "
        "training corpus usually have: sentence by sentence if they have one each.",
    )
    max_source_tokens: int | None = long_lines_key(
        None,
        "Maximum length of a segment that is translated as a whole; `long_lines` determines the treatment of longer "
        "sentences. Default: the length of the longest line in the training corpus, or 200 if unknown.",
        unit="tokens, EOS included",
        ge=2,
    )
    long_lines: Literal["split", "truncate"] = long_lines_key(
        "split",
        "Treatment of sentences longer than `max_source_tokens`. `split`: divide them into segments, at the end of a "
        "clause if possible, and join the translations; `truncate`: cut them off, with a warning.",
    )
    batch_tokens: int | None = speed_key(
        None,
        "Maximum batch size: padded source tokens times hypotheses per sentence. Default: 16,000 on a CPU; "
        "128,000 on a GPU, or less if the scores of all target tokens would take more than 4 GiB.",
        unit="tokens",
        ge=1,
    )

    def option_requiring_attention(self) -> str:
        """An option that only models with attention support, with its value; "" if there is none."""
        if self.unk_handling == "replace":
            return "unk_handling: replace"
        return f"coverage_penalty: {self.coverage_penalty}" if self.coverage_penalty else ""


class SearchOptions(TranslationSearchOptions):
    """Search and sampling of translations."""

    shortlist: int | None = speed_key(
        None,
        "Number of candidates per source token. Only these and the most frequent target tokens are scored, which is "
        "faster. Requires a shortlist, made by `seq2seq shortlist MODEL`.",
        unit="tokens",
        paper="Jean et al. 2015",
        ge=1,
        le=100,
    )
    int8: bool = speed_key(
        False,
        "Decode with 8-bit integer products on the CPU, which is faster but less exact. Requires a quantized decoder, "
        "made by `seq2seq quantize MODEL`.",
    )
    glossary: str | None = search_key(
        None,
        "Glossary: a TSV or CSV file with a source term and its translation in each row, as DeepL and OmegaT have "
        "them. The translation of a text with the term must contain the translation of the term. Variants are "
        "separated by |.",
        unit="file",
    )
    decision: Literal["score", "mbr-chrf", "mbr-bleu"] = decision_key(
        "score",
        "Order of the outputs. `score`: that of the search; `mbr-chrf`, `mbr-bleu`: minimum Bayes risk, the "
        "hypothesis with the highest expected chrF or sentence BLEU against all `candidates` first.",
        paper="Eikema and Aziz 2020",
    )
    candidates: int | None = decision_key(
        None,
        "Number of hypotheses, samples or the best of a beam, from which `n_best` outputs are chosen. Default: "
        "`beam_size` if `decision`, `distinct` or `rerank_model` is set, otherwise `n_best`; when sampling, `n_best`. "
        "Typical when sampling: 50.",
        unit="hypotheses",
        ge=1,
    )
    distinct: bool = decision_key(
        False, "Omit outputs with the same text as a better one; there may then be fewer than `n_best`."
    )
    confidence: bool = decision_key(
        False,
        "Compute calibrated probabilities of tokens, words and sentences. Requires a temperature, fitted by "
        "`seq2seq calibrate MODEL`.",
        paper="Guo et al. 2017",
    )
    language_model: str | None = search_key(
        None,
        "Language model for shallow fusion: a directory of a model with the same target tokenizer. The score of a "
        "token is its log-probability plus `language_model_weight` times that of the language model; when sampling, "
        "probabilities are proportional to the exponential of this score.",
        unit="directory",
        paper="Gülçehre et al. 2015",
    )
    language_model_weight: float = search_key(
        0.2, "Weight of the language model in shallow fusion; 0 disables it.", ge=0.0, le=10.0
    )

    ensemble_weights: tuple[PositiveFloat, ...] | None = search_key(
        None, "Positive weight of each model of an ensemble, in their order, relative to the others. Default: equal."
    )
    ensemble_average: Literal["log_probability", "probability"] = search_key(
        "log_probability",
        "Mean of the predictions of an ensemble. `log_probability`: geometric mean, in which each model can veto a "
        "token; `probability`: arithmetic mean.",
    )
    rerank_model: str | None = search_key(
        None,
        "Model that rescores all hypotheses of a search: a directory of a model of the same or the reverse direction, "
        "or of a language model. The score of a hypothesis becomes its own plus `rerank_weight` times that of the "
        "model, normalised by `length_penalty`.",
        unit="directory",
        paper="Li and Jurafsky 2016",
    )
    rerank_weight: float = search_key(1.0, "Weight of `rerank_model`; 0 disables it.", ge=0.0, le=100.0)

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        for key in ("language_model", "rerank_model"):
            name = "rerank_weight" if key == "rerank_model" else f"{key}_weight"
            weight = getattr(self, name)
            if getattr(self, key) is None and weight != type(self).model_fields[name].default:
                raise ValueError(f"'{name}' is {weight:g}, but there is no '{key}'")
        return self

    @model_validator(mode="after")
    def _check_candidates(self) -> Self:
        if self.uses_reranking and self.decision != "score":
            raise ValueError(
                f"'decision' is '{self.decision}', which does not depend on scores, but there is a 'rerank_model', "
                "which changes only scores: set 'decision' to score, or remove 'rerank_model'"
            )
        if self.candidates is None:
            key, other = ("decision", "score") if self.decision != "score" else ("rerank_model", "null")
            if self.sample and (key == "decision" or (self.uses_reranking and self.n_best == 1)):
                raise ValueError(
                    f"'{key}' is '{getattr(self, key)}' and 'sample' is true, but there are no 'candidates', the "
                    f"number of samples, e.g. 50: set them, or set '{key}' to {other}"
                )
            return self
        if not (self.sample or self.decides):
            raise ValueError(
                f"'candidates' is {self.candidates}: it is for 'decision: mbr-chrf' and 'mbr-bleu', for 'distinct', "
                "for 'rerank_model' and for 'sample'"
            )
        if self.candidates < self.n_best:
            raise ValueError(f"'candidates' is {self.candidates}, less than 'n_best' {self.n_best}")
        if self.candidates > self.beam_size and not self.sample:
            raise ValueError(f"'candidates' is {self.candidates}, more than 'beam_size' {self.beam_size}")
        return self

    @property
    def decides(self) -> bool:
        """Whether outputs are chosen from the hypotheses of the search other than by their score."""
        return self.decision != "score" or self.distinct or self.uses_reranking

    @property
    def num_candidates(self) -> int:
        """Number of hypotheses per sentence that the search returns, from which `n_best` outputs are chosen."""
        return self.candidates or (self.beam_size if self.decides and not self.sample else self.n_best)

    @property
    def uses_fusion(self) -> bool:
        """Whether shallow fusion is active."""
        return self.language_model is not None and self.language_model_weight > 0

    @property
    def uses_reranking(self) -> bool:
        """Whether another model rescores the hypotheses."""
        return self.rerank_model is not None and self.rerank_weight > 0

    def without(self, names: Collection[str]) -> "SearchOptions":
        """The same options with the defaults of some; `candidates` are left out if nothing is chosen from them."""
        kept = self.model_dump(exclude=set(names))
        if not (self.sample or kept.get("decision", "score") != "score" or kept.get("distinct")):
            kept.pop("candidates", None)
        return SearchOptions(**kept)

    def without_external_files(self) -> "SearchOptions":
        """The same options without those that training does not use, see `EXTERNAL_OPTIONS`."""
        return self.without(EXTERNAL_OPTIONS)


# Keys without effect in training, where there is one model, without files derived from it, and one hypothesis.
EXTERNAL_OPTIONS = tuple(key for key in SearchOptions.model_fields if key not in TranslationSearchOptions.model_fields)
