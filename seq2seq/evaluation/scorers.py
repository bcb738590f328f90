"""sacreBLEU's metrics for a language: BLEU's tokenizer, TER of characters, and the scores of bootstrap samples."""

import re
from pathlib import Path
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Metric
from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
from sacrebleu.utils import SACREBLEU_DIR

from seq2seq.errors import EvaluationError, suggest_similar
from seq2seq.evaluation.tokenizers import BLEU_TOKENIZERS, bleu_tokenizer
from seq2seq.extras import missing_extra_error
from seq2seq.text.scripts import FURTHER_UNSPACED

METRICS = ("BLEU", "chrF2", "TER")
_UNSPACED = re.compile(f"[{FURTHER_UNSPACED}]")


class _KeepsSamples(Metric):
    """Mixin for a metric of sacreBLEU that keeps the scores of the last corpus and of its bootstrap samples.

    It extends the step from counts to a score, which each metric of sacreBLEU defines for itself.
    """

    def __init__(self, *values: Any, **keys: Any) -> None:
        super().__init__(*values, **keys)
        self.samples: list[float] = []

    def corpus_score(self, hypotheses: Any, references: Any, n_bootstrap: int = 1) -> Any:
        self.samples.clear()
        return super().corpus_score(hypotheses, references, n_bootstrap)

    def _compute_score_from_stats(self, stats: Any) -> Any:
        found = super()._compute_score_from_stats(stats)
        # Version 2.6 fails to average a mixture of NumPy scores and plain ones, of samples with nothing to count.
        found.score = float(found.score)
        self.samples.append(found.score)
        return found


class SampledBLEU(_KeepsSamples, BLEU):
    """BLEU that keeps the scores of bootstrap samples."""


class SampledCHRF(_KeepsSamples, CHRF):
    """chrF2 that keeps the scores of bootstrap samples."""


class SampledTER(_KeepsSamples, TER):
    """TER that keeps the scores of bootstrap samples."""


class CharacterTER(SampledTER):
    """TER that counts the characters of scripts without spaces; sacreBLEU's does so only for Chinese and Japanese."""

    def __init__(self) -> None:
        super().__init__(normalized=True, asian_support=True)

    def corpus_score(self, hypotheses: Any, references: Any, n_bootstrap: int = 1) -> Any:
        split = [[_UNSPACED.sub(r" \g<0> ", text) for text in texts] for texts in (hypotheses, *references)]
        return super().corpus_score(split[0], split[1:], n_bootstrap)

    def get_signature(self) -> Any:
        signature = super().get_signature()
        signature.update("tok", "tercom-char")
        return signature


def make_metric(name: str, language: str | None = None, tokenizer: str | None = None) -> Any:
    """Make a metric of sacreBLEU.

    Args:
        name: Name of the metric, one of `METRICS`.
        language: Language of the references; see `score_texts`.
        tokenizer: BLEU's tokenizer; by default the one for the language.

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
        return _make_bleu(tokenizer or usual, f"BLEU for '{language}'" if tokenizer is None else f"'{tokenizer}'")
    if name == "chrF2":
        return SampledCHRF()
    if name == "TER":
        if usual == "char":
            return CharacterTER()
        by_character = usual in ("zh", "ja-mecab")
        return SampledTER(normalized=by_character, asian_support=by_character)
    raise EvaluationError(f"unknown metric '{name}'.{suggest_similar(name, METRICS)} Accepted: {', '.join(METRICS)}.")


def _make_bleu(tokenizer: str, needed_by: str) -> Any:
    def make() -> Any:
        # `force`: `text_checks` already warns about text that looks tokenized.
        return SampledBLEU(tokenize=tokenizer, force=True)

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
