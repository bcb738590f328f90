"""sacreBLEU's metrics for a language: BLEU's tokenizer, characters for TER, samples of the bootstrap."""

from pathlib import Path
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Metric
from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
from sacrebleu.utils import SACREBLEU_DIR

from seq2seq.corpora.languages import UNSPACED
from seq2seq.errors import EvaluationError, suggest_similar
from seq2seq.evaluation.tokenizers import BLEU_TOKENIZERS, bleu_tokenizer
from seq2seq.extras import missing_extra_error

METRICS = ("BLEU", "chrF2", "TER")


class _KeepsSamples(Metric):
    """Mixed into a metric of sacreBLEU: keeps its scores of the last corpus, that of the corpus and of each sample.

    It extends the step that each metric of sacreBLEU defines for itself, from counts to a score.
    """

    def __init__(self, *values: Any, **keys: Any) -> None:
        super().__init__(*values, **keys)
        self.samples: list[float] = []

    def corpus_score(self, hypotheses: Any, references: Any, n_bootstrap: int = 1) -> Any:
        self.samples.clear()
        return super().corpus_score(hypotheses, references, n_bootstrap)

    def _compute_score_from_stats(self, stats: Any) -> Any:
        found = super()._compute_score_from_stats(stats)
        # In version 2.6 some are NumPy's and those of samples with nothing to count are not, which have no mean there.
        found.score = float(found.score)
        self.samples.append(found.score)
        return found


class SampledBLEU(_KeepsSamples, BLEU):
    """BLEU."""


class SampledCHRF(_KeepsSamples, CHRF):
    """ChrF2."""


class SampledTER(_KeepsSamples, TER):
    """TER."""


class CharacterTER(SampledTER):
    """TER that counts the characters of scripts without spaces, as sacreBLEU's does for Chinese and Japanese alone."""

    def __init__(self) -> None:
        super().__init__(normalized=True, asian_support=True)

    def corpus_score(self, hypotheses: Any, references: Any, n_bootstrap: int = 1) -> Any:
        split = [[UNSPACED.sub(r" \g<0> ", text) for text in texts] for texts in (hypotheses, *references)]
        return super().corpus_score(split[0], split[1:], n_bootstrap)

    def get_signature(self) -> Any:
        signature = super().get_signature()
        signature.update("tok", "tercom-char")
        return signature


def make_metric(name: str, language: str | None = None, tokenizer: str | None = None) -> Any:
    """sacreBLEU's metric of a name in `METRICS`.

    Args:
        name: The metric.
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
        # `force`: that text looks tokenized is said in `text_checks`.
        return SampledBLEU(tokenize=tokenizer, force=True)

    if tokenizer != "flores200":
        try:
            return make()
        except RuntimeError:  # sacreBLEU's for the missing packages of ja-mecab and ko-mecab
            raise missing_extra_error("cjk", needed_by=needed_by, package="MeCab") from None
    file = Path(SACREBLEU_DIR) / "models" / Path(SPM_MODELS[tokenizer]["url"]).name
    try:
        return make()
    except (Exception, SystemExit) as error:  # whatever a download, a lock or a damaged file ends in
        raise EvaluationError(
            f"BLEU's tokenizer flores200 needs {file}, which sacreBLEU downloads once, and that failed: {error}. Copy "
            "the file there from a machine with a network, or choose the tokenizer char, which needs none."
        ) from None
