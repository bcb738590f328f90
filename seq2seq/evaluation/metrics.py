"""Scores of translations: sacreBLEU's scores, signatures and bootstrap intervals, on raw text."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from seq2seq.arguments import Pair, check_arguments
from seq2seq.config import SearchOptions
from seq2seq.data.progress import ProgressCallback, no_progress
from seq2seq.errors import ArgumentError, EvaluationError, EvaluationWarning, suggest_similar
from seq2seq.evaluation import BOOTSTRAP_SAMPLES
from seq2seq.evaluation.scorers import METRICS, StatisticsMetric, make_metric
from seq2seq.evaluation.text_checks import (
    check_no_markup,
    cleaning_warning,
    script_warning,
    small_set_note,
    text_warnings,
)
from seq2seq.evaluation.tokenizers import bleu_tokenizer
from seq2seq.inference.results import truncation_warning
from seq2seq.notebook_html import html_block, html_table
from seq2seq.plurals import pluralize
from seq2seq.text.cleaning import clean

if TYPE_CHECKING:  # scoring texts needs no TensorFlow
    from seq2seq.inference.results import Translation
    from seq2seq.inference.translator import Translator

INTERVAL = (2.5, 97.5)  # percentiles of the samples' scores


@dataclass(frozen=True)
class Score:
    """A corpus score with its 95% bootstrap interval and sacreBLEU signature.

    Scores are percentages; TER, the number of edits per reference word, can be above 100, and lower is better. The
    interval goes from the 2.5th to the 97.5th percentile of the scores of 1,000 resampled corpora (Koehn 2004). The
    `sacrebleu` command centres an interval of the same width on their mean instead.

    Attributes:
        name: Name of the metric.
        score: Score of the corpus.
        low, high: Ends of the interval; None if it was not measured.
        signature: sacreBLEU's signature, which names all settings of the metric.
        lower_is_better: Whether a lower score is better.
    """

    name: str
    score: float
    low: float | None
    high: float | None
    signature: str
    lower_is_better: bool = False

    def __str__(self) -> str:
        return " ".join(
            filter(None, (self.name, f"{self.score:.2f}", f"[{self.interval()}]" if self.interval() else ""))
        )

    def interval(self) -> str:
        """The interval as `28.11 to 30.25`; "" if it was not measured."""
        return "" if self.low is None else f"{self.low:.2f} to {self.high:.2f}"


@dataclass(frozen=True, repr=False)
class EvaluationReport:
    """Scores of a corpus and, if it was translated here, the speed and the translations in order (without attention).

    Speed is measured from raw text to raw text, including tracing, and counts target tokens, EOS included.
    """

    sentences: int
    scores: tuple[Score, ...]
    seconds: float | None = None
    sentences_per_second: float | None = None
    tokens_per_second: float | None = None
    translations: "tuple[Translation, ...]" = ()

    @check_arguments()
    def __getitem__(self, name: str) -> Score:
        """The score of a metric, ignoring case: `bleu` and `BLEU` are the same.

        Raises:
            ArgumentError: The metric was not measured.
        """
        scores = {score.name.lower(): score for score in self.scores}
        if name.lower() not in scores:
            measured = ", ".join(score.name for score in self.scores)
            raise ArgumentError(
                f"there is no score '{name}'.{suggest_similar(name.lower(), scores)} Measured: {measured}."
            )
        return scores[name.lower()]

    @property
    def note(self) -> str:
        """Caveat about the scores, such as a very small test set; "" if there is none."""
        return small_set_note(self.sentences)

    def __repr__(self) -> str:
        return f"EvaluationReport({', '.join(map(str, self.scores))}, {pluralize(self.sentences, 'sentence')})"

    def _repr_html_(self) -> str:
        rows = [(score.name, f"{score.score:.2f}", score.interval(), score.signature) for score in self.scores]
        table = html_table(rows, ("", "score", "95% interval", "signature"), numeric=[1])
        speed = "" if self.seconds is None else f", {self.seconds:.1f} s, {self.tokens_per_second:,.0f} tokens/s"
        note = f". {self.note}" if self.note else ""
        return html_block(f"{pluralize(self.sentences, 'sentence')}{speed}{note}", table)

    def as_dict(self) -> dict[str, Any]:
        """Values that can be stored as JSON, without the translations."""
        values = asdict(replace(self, translations=()))
        return {key: value for key, value in values.items() if key != "translations"} | {"note": self.note}


@check_arguments()
def score_texts(
    hypotheses: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    bootstrap: bool = True,
    *,
    language: str | None = None,
    metrics: Sequence[str] = METRICS,
    tokenizer: str | None = None,
) -> tuple[Score, ...]:
    """Compute BLEU, chrF2 and TER as the `sacrebleu` command does, on text that is cleaned first (`text.cleaning`).

    Args:
        hypotheses: Detokenized translations.
        references: One human translation per hypothesis; or several lists of these, each as long as the hypotheses.
        bootstrap: Also resample 1,000 times for an interval.
        language: Language of the references, by code or name, e.g. `zh`, `zh-Hans`, `jpn` or `Thai`. It selects BLEU's
            tokenizer: `zh`, `ja-mecab` or `ko-mecab` for Chinese, Japanese and Korean, `char` for Thai, Lao, Khmer,
            Burmese, Tibetan and others whose words are not separated by spaces, 13a for all others. Except in Korean,
            TER then counts characters, too.
        metrics: Metrics to compute, some of `BLEU`, `chrF2`, `chrF2++` and `TER`, in the order of the scores.
        tokenizer: Another tokenizer for BLEU: `13a`, `char`, `flores200`, `intl`, `ja-mecab`, `ko-mecab`, `none` or
            `zh`. sacreBLEU downloads the model of `flores200` once.

    Warns:
        EvaluationWarning: Cleaning changed a text; the hypotheses or references have markup, are split into subwords or
            look tokenized; or the references are in a script for which BLEU's tokenizer is not made.

    Raises:
        EvaluationError: The texts differ in number, there are none, they are a document in markup; or a metric,
            language or tokenizer is unknown.
        MissingExtraError: BLEU for Japanese or Korean needs the extra `cjk`, which is not installed.

    Source: Papineni et al. (2002), Popović (2015), Snover et al. (2006), Post (2018).
    """
    sets = reference_sets(references)
    check_no_markup(hypotheses, "hypotheses")
    for lines in sets:
        check_no_markup(lines, "references")
    scores = corpus_scores(hypotheses, sets, bootstrap, language=language, metrics=metrics, tokenizer=tokenizer)
    for warning in _warnings(hypotheses, sets, language, metrics, tokenizer):
        warnings.warn(warning, EvaluationWarning, stacklevel=3)
    return scores


def _warnings(
    hypotheses: Sequence[str],
    sets: Sequence[Sequence[str]],
    language: str | None,
    metrics: Sequence[str],
    tokenizer: str | None,
) -> list[str]:
    """Warnings about texts that make scores meaningless; arguments as in `corpus_scores`."""
    return [
        *filter(None, [cleaning_warning(hypotheses, sets)]),
        *text_warnings(hypotheses, "hypotheses", tokenizer),
        *reference_warnings(sets, language, metrics, tokenizer),
    ]


def reference_sets(references: Sequence[str] | Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """References as a list of sets, of which there may be only one."""
    one_each = all(isinstance(line, str) for line in references)
    return cast(Sequence[Sequence[str]], [references] if one_each else references)


def reference_warnings(
    sets: Sequence[Sequence[str]],
    language: str | None = None,
    metrics: Sequence[str] = METRICS,
    tokenizer: str | None = None,
    in_training: bool = False,
) -> list[str]:
    """Warnings about references that make scores meaningless; arguments as in `corpus_scores` and `text_warnings`."""
    found = [warning for lines in sets for warning in text_warnings(lines, "references", tokenizer, in_training)]
    if "BLEU" in metrics and tokenizer is None:
        found += filter(None, [script_warning(sets[0], bleu_tokenizer(language), in_training)])
    return found


def corpus_scores(
    hypotheses: Sequence[str],
    sets: Sequence[Sequence[str]],
    bootstrap: bool = True,
    *,
    language: str | None = None,
    metrics: Sequence[str] = METRICS,
    tokenizer: str | None = None,
) -> tuple[Score, ...]:
    """`score_texts` without its warnings, with a list of reference sets."""
    scorers = {name: make_metric(name, language, tokenizer) for name in metrics}
    for number, lines in enumerate(sets, start=1):
        if len(lines) != len(hypotheses):
            which = f" in set {number} of {len(sets)}" if len(sets) > 1 else ""
            raise EvaluationError(
                f"{pluralize(len(hypotheses), 'hypothesis')} for {pluralize(len(lines), 'reference')}{which}. Line N "
                "must correspond to line N; compare the lengths of the files with `wc -l`."
            )
    if not hypotheses:
        raise EvaluationError("there is nothing to score: no hypotheses and no references.")
    texts, *cleaned = ([clean(line) for line in lines] for lines in (hypotheses, *sets))
    return tuple(
        score_statistics(name, scorer, scorer.statistics(texts, cleaned), BOOTSTRAP_SAMPLES if bootstrap else 0)
        for name, scorer in scorers.items()
    )


def score_statistics(name: str, metric: StatisticsMetric, statistics: Sequence[Any], samples: int) -> Score:
    """The score of sentences by their statistics.

    Args:
        name: Name of the metric.
        metric: The metric that made the statistics.
        statistics: One entry per sentence, from `StatisticsMetric.statistics`.
        samples: Number of bootstrap samples for the interval; 0: no interval.
    """
    highest = np.inf if name == "TER" else 100.0  # a perfect BLEU is 4e-14 above 100
    low = high = None
    if samples:
        ends = np.percentile(metric.resample(statistics, samples), INTERVAL, method="nearest")
        low, high = (min(float(end), highest) for end in ends)
    score = min(metric.score(statistics), highest)
    return Score(name, score, low, high, str(metric.get_signature()), name == "TER")


@check_arguments(pairs="Pass list(zip(sources, references)).")
def evaluate(
    translator: "Translator",
    pairs: Sequence[Pair],
    options: SearchOptions | None = None,
    bootstrap: bool = True,
    on_progress: ProgressCallback = no_progress,
    *,
    extra_references: Sequence[Sequence[str]] = (),
    language: str | None = None,
    metrics: Sequence[str] = METRICS,
    tokenizer: str | None = None,
) -> EvaluationReport:
    """Translate the sources of (source, reference) pairs and score the result.

    Args:
        translator: The translator to evaluate.
        pairs: Raw source and reference; further elements, such as the origin of a `SentencePair`, are ignored.
        options: Search options; by default those of the translator.
        bootstrap: Also resample for 95% intervals.
        on_progress: Function called with the number of sentences done so far.
        extra_references: Further translations of all sources, each a sequence as long as `pairs`.
        language: Language of the references; see `score_texts`.
        metrics: Metrics to compute; see `score_texts`.
        tokenizer: Tokenizer for BLEU; see `score_texts`.

    Warns:
        EvaluationWarning: Sentences were truncated; see also `score_texts`.

    Raises:
        EvaluationError, MissingExtraError: See `score_texts`; or there are no pairs.
    """
    if not pairs:
        raise EvaluationError("there is nothing to evaluate: the corpus has no pairs.")
    for number, lines in enumerate(extra_references, start=1):
        if len(lines) != len(pairs):
            raise EvaluationError(
                f"{pluralize(len(pairs), 'pair')} for {pluralize(len(lines), 'line')} in list {number} of "
                "'extra_references'."
            )
    references = [[pair[1] for pair in pairs], *extra_references]
    for name in metrics:
        make_metric(name, language, tokenizer)  # report errors before translating
    for lines, what in (([pair[0] for pair in pairs], "sources"), *((lines, "references") for lines in references)):
        check_no_markup(lines, what)
    start = time.perf_counter()
    translations = translator.translate([pair[0] for pair in pairs], options, attention=False, on_progress=on_progress)
    seconds = time.perf_counter() - start
    cut = sum(translation.truncated_tokens > 0 for translation in translations)
    if cut:
        warnings.warn(truncation_warning(cut, len(pairs)), EvaluationWarning, stacklevel=3)
    texts = [translation.text for translation in translations]
    for warning in _warnings(texts, references, language, metrics, tokenizer):
        warnings.warn(warning, EvaluationWarning, stacklevel=3)
    scores = corpus_scores(texts, references, bootstrap, language=language, metrics=metrics, tokenizer=tokenizer)
    return EvaluationReport(
        sentences=len(pairs),
        scores=scores,
        seconds=seconds,
        sentences_per_second=len(pairs) / seconds,
        tokens_per_second=sum(len(t.tokens) for t in translations) / seconds,
        translations=tuple(translations),
    )
