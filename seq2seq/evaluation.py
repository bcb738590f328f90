"""Scores of translations: sacreBLEU's numbers, signatures and intervals, on raw text."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from sacrebleu.metrics import BLEU, CHRF

from seq2seq.config import SearchOptions
from seq2seq.errors import EvaluationError

if TYPE_CHECKING:  # scoring texts needs no TensorFlow
    from seq2seq.translator import Translation, Translator

BOOTSTRAP_SAMPLES = 1000


class PlainCHRF(CHRF):
    """chrF2 whose resampled scores all are floats.

    sacreBLEU 2.6 gives 0.0 where a sample has no common n-gram and a NumPy number elsewhere, and the mean that
    it takes for its interval fails on a mixture of them.
    """

    def _compute_score_from_stats(self, stats: list[int]) -> Any:
        result = super()._compute_score_from_stats(stats)
        result.score = float(result.score)
        return result


@dataclass(frozen=True)
class Score:
    """A corpus score with its 95% bootstrap interval (Koehn 2004) and sacreBLEU signature."""

    name: str
    score: float
    low: float | None
    high: float | None
    signature: str


@dataclass(frozen=True)
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

    def __getitem__(self, name: str) -> Score:
        return {score.name: score for score in self.scores}[name]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able values, without the translations."""
        values = asdict(replace(self, translations=()))
        values.pop("translations")
        return values


def score_texts(hypotheses: Sequence[str], references: Sequence[str], bootstrap: bool = True) -> tuple[Score, ...]:
    """BLEU and chrF2 as the `sacrebleu` command gives them by default.

    Args:
        hypotheses: Detokenized translations.
        references: One human translation each.
        bootstrap: Also resample 1,000 times for an interval.

    Raises:
        EvaluationError: The two differ in number, or there are none.

    Source: Papineni et al. (2002), Popović (2015), Post (2018).
    """
    if len(hypotheses) != len(references):
        raise EvaluationError(
            f"{len(hypotheses)} hypotheses for {len(references)} references. Line N must answer line N; "
            "compare the files' lengths with `wc -l`."
        )
    if not hypotheses:
        raise EvaluationError("there is nothing to score: no hypotheses and no references.")
    scores = []
    for name, metric in (("BLEU", BLEU()), ("chrF2", PlainCHRF())):
        samples = BOOTSTRAP_SAMPLES if bootstrap else 1
        result = metric.corpus_score(list(hypotheses), [list(references)], n_bootstrap=samples)
        mean, half = float(result._mean), float(result._ci)
        low, high = (mean - half, mean + half) if bootstrap else (None, None)
        scores.append(Score(name, float(result.score), low, high, str(metric.get_signature())))
    return tuple(scores)


def evaluate(
    translator: "Translator",
    pairs: Sequence[tuple[str, ...]],
    options: SearchOptions | None = None,
    bootstrap: bool = True,
    progress: Callable[[int], None] = lambda sentences: None,
) -> EvaluationReport:
    """Translate the sources of (source, reference) pairs and score the result.

    Args:
        translator: The model.
        pairs: Raw source and reference; what follows them is ignored.
        options: How to search; the translator's own options by default.
        bootstrap: Also resample for 95% intervals.
        progress: Called with the number of sentences done so far.

    Raises:
        EvaluationError: There are no pairs.
    """
    if not pairs:
        raise EvaluationError("there is nothing to evaluate: the corpus has no pairs.")
    start = time.perf_counter()
    translations = translator.translate([pair[0] for pair in pairs], options, attention=False, progress=progress)
    seconds = time.perf_counter() - start
    scores = score_texts([t.text for t in translations], [pair[1] for pair in pairs], bootstrap)
    return EvaluationReport(
        sentences=len(pairs),
        scores=scores,
        seconds=seconds,
        sentences_per_second=len(pairs) / seconds,
        tokens_per_second=sum(len(t.tokens) for t in translations) / seconds,
        translations=tuple(translations),
    )
