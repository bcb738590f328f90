"""What a translation model has to beat: its source, copied, and one target sentence for all sources."""

import warnings
from collections.abc import Sequence

from seq2seq.evaluation.metrics import score_texts

METRICS = ("BLEU", "chrF2")
MODEL, COPY, FREQUENT = "this model", "the source, copied", "the most frequent target"


def compare_with_baselines(
    translations: Sequence[str], pairs: Sequence[tuple[str, ...]], frequent_target: str, language: str | None = None
) -> dict[str, dict[str, float]]:
    """Score a model's translations, and beside them what takes no model.

    Args:
        translations: The model's, one of each pair.
        pairs: Source and reference.
        frequent_target: A sentence; see `training.corpus_checks.most_frequent_target`.
        language: Of the references; see `score_texts`.

    Returns:
        sacreBLEU's `BLEU` and `chrF2`, in percent, of `MODEL`, `COPY` and `FREQUENT`.

    Raises:
        EvaluationError, MissingExtraError: See `score_texts`.
    """
    systems = {MODEL: translations, COPY: [pair[0] for pair in pairs], FREQUENT: [frequent_target] * len(pairs)}
    references = [pair[1] for pair in pairs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the language: whoever measured BLEU before has said it
        scores = {
            name: score_texts(texts, references, bootstrap=False, language=language, metrics=METRICS)
            for name, texts in systems.items()
        }
    return {name: {score.name: score.score for score in found} for name, found in scores.items()}
