"""sacreBLEU's metrics for a language: BLEU's tokenizer, TER of characters, and statistics per sentence."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Metric
from sacrebleu.significance import _bootstrap_resample
from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
from sacrebleu.utils import SACREBLEU_DIR

from seq2seq.errors import EvaluationError, suggest_similar
from seq2seq.evaluation.tokenizers import BLEU_TOKENIZERS, bleu_tokenizer
from seq2seq.extras import missing_extra_error
from seq2seq.text.scripts import FURTHER_UNSPACED

METRICS = ("BLEU", "chrF2", "TER")  # of an evaluation
ALL_METRICS = ("BLEU", "chrF2", "chrF2++", "TER")
_UNSPACED = re.compile(f"[{FURTHER_UNSPACED}]")


class StatisticsMetric(Metric):
    """Mixin for a metric of sacreBLEU: its statistics per sentence, and the scores computed from any of them."""

    _kept: Sequence[tuple[Sequence[str], list[Any]]] = ()

    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[Any]:
        """What the metric counts in each sentence: matches, lengths or edits; a score is computed from their sums."""
        self._check_corpus_score_args(hypotheses, references)
        return list(self._extract_corpus_statistics(hypotheses, references))

    def keep_statistics(
        self, systems: Mapping[str, Sequence[str]], references: Sequence[Sequence[str]]
    ) -> dict[str, list[Any]]:
        """Statistics of several systems; sacreBLEU's tests of the same lists then do not count again, which is slow."""
        found = {name: self.statistics(texts, references) for name, texts in systems.items()}
        self._kept = [(systems[name], statistics) for name, statistics in found.items()]
        return found

    def _extract_corpus_statistics(self, hypotheses: Any, references: Any) -> Any:
        for texts, statistics in self._kept:
            if texts is hypotheses:
                return statistics
        return super()._extract_corpus_statistics(hypotheses, references)

    def score(self, statistics: Sequence[Any]) -> float:
        """Score of the sentences with these statistics, as a corpus."""
        return float(self._aggregate_and_compute(statistics).score)

    def resample(self, statistics: Sequence[Any], samples: int) -> list[float]:
        """Scores of bootstrap samples of the sentences; from then on, the signature has their number and the seed."""
        self.n_bootstrap = samples
        self.seed, scores = _bootstrap_resample(statistics, self, samples)
        return [float(score.score) for score in scores]


class StatisticsBLEU(StatisticsMetric, BLEU):
    """BLEU with its statistics per sentence."""


class StatisticsCHRF(StatisticsMetric, CHRF):
    """chrF2 or chrF2++ with its statistics per sentence."""


class StatisticsTER(StatisticsMetric, TER):
    """TER with its statistics per sentence."""


class CharacterTER(StatisticsTER):
    """TER that counts the characters of scripts without spaces; sacreBLEU's does so only for Chinese and Japanese."""

    def __init__(self) -> None:
        super().__init__(normalized=True, asian_support=True)

    def _preprocess_segment(self, sent: str) -> str:
        return str(super()._preprocess_segment(_UNSPACED.sub(r" \g<0> ", sent)))

    def get_signature(self) -> Any:
        signature = super().get_signature()
        signature.update("tok", "tercom-char")
        return signature


def make_metric(
    name: str, language: str | None = None, tokenizer: str | None = None, *, lowercase: bool = False
) -> StatisticsMetric:
    """Make a metric of sacreBLEU.

    Args:
        name: Name of the metric, one of `ALL_METRICS`.
        language: Language of the references; see `score_texts`.
        tokenizer: BLEU's tokenizer; by default the one for the language.
        lowercase: Compute BLEU of lowercased text, as `sacrebleu -lc` does; the other metrics are not affected.

    Raises:
        EvaluationError, MissingExtraError: See `score_texts`.
    """
    usual = bleu_tokenizer(language)
    if tokenizer is not None and tokenizer not in BLEU_TOKENIZERS:
        raise EvaluationError(
            f"unknown BLEU tokenizer '{tokenizer}'.{suggest_similar(tokenizer, BLEU_TOKENIZERS)} Accepted: "
            f"{', '.join(BLEU_TOKENIZERS)}."
        )
    if name == "BLEU":
        needed_by = f"BLEU for '{language}'" if tokenizer is None else f"'{tokenizer}'"
        return _make_bleu(tokenizer or usual, needed_by, lowercase)
    if name == "chrF2":
        return StatisticsCHRF()
    if name == "chrF2++":
        return StatisticsCHRF(word_order=2)
    if name == "TER":
        if usual == "char":
            return CharacterTER()
        by_character = usual in ("zh", "ja-mecab")
        return StatisticsTER(normalized=by_character, asian_support=by_character)
    raise EvaluationError(
        f"unknown metric '{name}'.{suggest_similar(name, ALL_METRICS)} Accepted: {', '.join(ALL_METRICS)}."
    )


def _make_bleu(tokenizer: str, needed_by: str, lowercase: bool) -> Any:
    def make() -> Any:
        # `force`: `text_checks` already warns about text that looks tokenized.
        return StatisticsBLEU(tokenize=tokenizer, lowercase=lowercase, force=True)

    if tokenizer != "flores200":
        try:
            return make()
        except RuntimeError:  # from sacreBLEU, for the missing packages of ja-mecab and ko-mecab
            raise missing_extra_error("cjk", needed_by=needed_by, package="MeCab") from None
    file = Path(SACREBLEU_DIR) / "models" / Path(SPM_MODELS[tokenizer]["url"]).name
    try:
        return make()
    except (Exception, SystemExit) as error:  # any error from a download, a lock or a damaged file
        raise EvaluationError(
            f"BLEU's tokenizer flores200 needs {file}, which sacreBLEU could not download: {error}. Copy the file "
            "there from a machine with a network, or choose the tokenizer char, which needs no file."
        ) from None


def make_word_splitter(language: str | None = None, tokenizer: str | None = None) -> Callable[[str], list[str]]:
    """A function that divides a text into the words that BLEU counts; arguments as for `make_metric`."""
    bleu: Any = make_metric("BLEU", language, tokenizer)
    return lambda text: bleu.tokenizer(text).split()
