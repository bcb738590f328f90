"""Scores of translations: sacreBLEU's numbers, signatures and intervals, on raw text."""

import json
import os
import re
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from operator import ne
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sacrebleu.metrics import BLEU, CHRF, TER

from seq2seq.arguments import Pair, check_arguments
from seq2seq.config import SearchOptions
from seq2seq.corpora.languages import detect_cjk_language
from seq2seq.data.progress import ProgressCallback, no_progress
from seq2seq.errors import ArgumentError, EvaluationError, suggest_similar
from seq2seq.extras import missing_extra_error
from seq2seq.inference.results import truncation_warning
from seq2seq.notebook_html import html_block, html_table
from seq2seq.plurals import pluralize
from seq2seq.text.cleaning import clean

if TYPE_CHECKING:  # scoring texts needs no TensorFlow
    from seq2seq.inference.results import Translation
    from seq2seq.inference.translator import Translator

METRICS = ("BLEU", "chrF2", "TER")
BOOTSTRAP_SAMPLES = 1000
BLEU_TOKENIZERS = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}  # every other language: 13a
CHARACTER_TER_LANGUAGES = ("zh", "ja")  # written without spaces: TER counts characters there


@dataclass(frozen=True)
class Score:
    """A corpus score with its 95% bootstrap interval (Koehn 2004) and sacreBLEU signature.

    Scores are percentages; TER, the edits a reference word, can be above 100, and the lower it is the better.
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
        """`28.11 to 30.25`; "" where it was not measured."""
        return "" if self.low is None else f"{self.low:.2f} to {self.high:.2f}"


@dataclass(frozen=True, repr=False)
class EvaluationReport:
    """Scores of a corpus and, when it was translated here, how fast, and the translations in order (without attention).

    Speed counts target tokens, EOS included, and the time from raw text to raw text, tracing included.
    """

    sentences: int
    scores: tuple[Score, ...]
    seconds: float | None = None
    sentences_per_second: float | None = None
    tokens_per_second: float | None = None
    translations: "tuple[Translation, ...]" = ()

    @check_arguments()
    def __getitem__(self, name: str) -> Score:
        """The score of a metric; `bleu` and `BLEU` are the same.

        Raises:
            ArgumentError: It was not measured.
        """
        scores = {score.name.lower(): score for score in self.scores}
        if name.lower() not in scores:
            measured = ", ".join(score.name for score in self.scores)
            raise ArgumentError(
                f"there is no score '{name}'.{suggest_similar(name.lower(), scores)} Measured: {measured}."
            )
        return scores[name.lower()]

    def __repr__(self) -> str:
        return f"EvaluationReport({', '.join(map(str, self.scores))}, {pluralize(self.sentences, 'sentence')})"

    def _repr_html_(self) -> str:
        rows = [(score.name, f"{score.score:.2f}", score.interval(), score.signature) for score in self.scores]
        table = html_table(rows, ("", "score", "95% interval", "signature"), numeric=[1])
        speed = "" if self.seconds is None else f", {self.seconds:.1f} s, {self.tokens_per_second:,.0f} tokens/s"
        return html_block(f"{pluralize(self.sentences, 'sentence')}{speed}", table)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able values, without the translations."""
        values = asdict(replace(self, translations=()))
        return {key: value for key, value in values.items() if key != "translations"}


@check_arguments()
def score_texts(
    hypotheses: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    bootstrap: bool = True,
    *,
    language: str | None = None,
    metrics: Sequence[str] = METRICS,
) -> tuple[Score, ...]:
    """BLEU, chrF2 and TER as the `sacrebleu` command gives them, of text that was cleaned (`text.cleaning`).

    Warns (`UserWarning`) when cleaning changed any.
    Warns (`UserWarning`) when the references look Chinese, Japanese or Korean and BLEU's tokenizer is not theirs.

    Args:
        hypotheses: Detokenized translations.
        references: One human translation each; or several lists of them, each as long as the hypotheses.
        bootstrap: Also resample 1,000 times for an interval.
        language: Of the references, as `zh` (ISO 639). BLEU's tokenizer is `zh`, `ja-mecab` or `ko-mecab` for these
            three and 13a for every other; TER normalises and counts characters in `zh` and `ja`.
        metrics: Some of `BLEU`, `chrF2`, `TER`, in the order that the scores are to have.

    Raises:
        EvaluationError: The texts differ in number, there are none, or a metric or language is unknown.
        MissingExtraError: BLEU for Japanese or Korean, and the extra `cjk` is not installed.

    Source: Papineni et al. (2002), Popović (2015), Snover et al. (2006), Post (2018).
    """
    scorers = {name: make_metric(name, language) for name in metrics}
    one_each = all(isinstance(line, str) for line in references)
    sets = cast(Sequence[Sequence[str]], [references] if one_each else references)
    for number, lines in enumerate(sets, start=1):
        if len(lines) != len(hypotheses):
            which = f" in set {number} of {len(sets)}" if len(sets) > 1 else ""
            raise EvaluationError(
                f"{pluralize(len(hypotheses), 'hypothesis')} for {pluralize(len(lines), 'reference')}{which}. Line N "
                "must answer line N; compare the files' lengths with `wc -l`."
            )
    if not hypotheses:
        raise EvaluationError("there is nothing to score: no hypotheses and no references.")
    hypotheses, *sets = _cleaned([hypotheses, *sets])
    if "BLEU" in metrics and language not in BLEU_TOKENIZERS:
        _script_warning(sets[0])
    scores = []
    for name, scorer in scorers.items():
        result = _corpus_score(scorer, hypotheses, sets, bootstrap)
        signature = str(scorer.get_signature())
        # Public and exact in so many places. sacreBLEU leaves out an interval of zeros.
        numbers = json.loads(result.format(width=40, signature=signature, is_json=True))
        mean, half = numbers.get("confidence_mean", 0.0), numbers.get("confidence_var", 0.0)
        low, high = (mean - half, mean + half) if bootstrap else (None, None)
        scores.append(Score(name, float(result.score), low, high, signature, name == "TER"))
    return tuple(scores)


def _cleaned(texts: Sequence[Sequence[str]]) -> list[list[str]]:
    """Hypotheses and references as models and filters see them; warns if that changes any."""
    cleaned = [[clean(line) for line in lines] for lines in texts]
    changed = [sum(map(ne, *pair)) for pair in zip(texts, cleaned, strict=True)]
    if any(changed):
        total = sum(map(len, texts[1:]))
        warnings.warn(
            f"{changed[0]:,} of {len(texts[0]):,} hypotheses and {sum(changed[1:]):,} of {total:,} references have "
            "white space other than spaces, invisible or control characters, or are not in Unicode NFC. Both are "
            "scored as models see text: white space is a space, and what is invisible is left out.",
            stacklevel=4,
        )
    return cleaned


def _corpus_score(scorer: Any, hypotheses: list[str], sets: list[list[str]], bootstrap: bool) -> Any:
    """sacreBLEU's score of a corpus, with its interval if `bootstrap`."""
    if not bootstrap:
        return scorer.corpus_score(hypotheses, sets)
    try:
        return scorer.corpus_score(hypotheses, sets, n_bootstrap=BOOTSTRAP_SAMPLES)
    except TypeError:
        # Version 2.6 takes no mean of NumPy's numbers and the 0.0 that it gives a sample with nothing to count (chrF
        # without a common n-gram, TER without a reference word). So its samples again, each scored as a corpus.
        seed = os.environ.get("SACREBLEU_SEED", "12345").lower()
        random, count = np.random.default_rng(None if seed == "none" else int(seed)), len(hypotheses)
        samples = [
            scorer.corpus_score([hypotheses[i] for i in rows], [[lines[i] for i in rows] for lines in sets])
            for rows in random.choice(count, size=(BOOTSTRAP_SAMPLES, count))
        ]
        result = scorer.corpus_score(hypotheses, sets)
        result.estimate_ci(samples)
        return result


@check_arguments()
def make_metric(name: str, language: str | None = None) -> Any:
    """sacreBLEU's metric of a name in `METRICS`, as it is used for a language; it raises as `score_texts` does."""
    if language is not None and not re.fullmatch("[a-z]{2,3}", language):
        raise EvaluationError(f"language '{language}': expected two or three small letters, as `de` or `zh` (ISO 639).")
    if name == "BLEU":
        try:
            return BLEU(tokenize=BLEU_TOKENIZERS.get(language or "", "13a"))
        except RuntimeError:  # sacreBLEU's for the missing packages of the two languages
            raise missing_extra_error("cjk", needed_by=f"BLEU for '{language}'", package="MeCab") from None
    if name == "chrF2":
        return CHRF()
    if name == "TER":
        by_character = language in CHARACTER_TER_LANGUAGES
        return TER(normalized=by_character, asian_support=by_character)
    raise EvaluationError(f"unknown metric '{name}'.{suggest_similar(name, METRICS)} Accepted: {', '.join(METRICS)}.")


def _script_warning(references: Sequence[str]) -> None:
    language = detect_cjk_language(references)
    if language:
        name = {"zh": "Chinese", "ja": "Japanese", "ko": "Korean"}[language]
        warnings.warn(
            f"the references look {name}, and BLEU's tokenizer 13a is not made for it. Say what they are: "
            f"--target-language {language} (data.target_language in a recipe, language='{language}' in Python).",
            stacklevel=4,
        )


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
) -> EvaluationReport:
    """Translate the sources of (source, reference) pairs and score the result.

    Args:
        translator: The model.
        pairs: Raw source and reference; what follows them, as the origin of a `SentencePair`, is ignored.
        options: How to search; the translator's own options by default.
        bootstrap: Also resample for 95% intervals.
        on_progress: Called with the number of sentences done so far.
        extra_references: Further translations of all sources, each a sequence as long as `pairs`.
        language: Of the references; see `score_texts`.
        metrics: What to measure; see `score_texts`.

    Warns (`UserWarning`) when sentences were cut off; see also `score_texts`.

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
    for name in metrics:
        make_metric(name, language)  # what is wrong with them is better said before translating
    start = time.perf_counter()
    translations = translator.translate([pair[0] for pair in pairs], options, attention=False, on_progress=on_progress)
    seconds = time.perf_counter() - start
    cut = sum(translation.truncated_tokens > 0 for translation in translations)
    if cut:
        warnings.warn(truncation_warning(cut, len(pairs)), stacklevel=3)
    references = [[pair[1] for pair in pairs], *extra_references]
    texts = [translation.text for translation in translations]
    return EvaluationReport(
        sentences=len(pairs),
        scores=score_texts(texts, references, bootstrap, language=language, metrics=metrics),
        seconds=seconds,
        sentences_per_second=len(pairs) / seconds,
        tokens_per_second=sum(len(t.tokens) for t in translations) / seconds,
        translations=tuple(translations),
    )
