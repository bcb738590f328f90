"""Baselines for a translation model: copying the source, and one target sentence for all sources."""

from collections.abc import Sequence

from seq2seq.evaluation.metrics import corpus_scores

METRICS = ("BLEU", "chrF2")
MODEL, COPY, FREQUENT = "this model", "copying the source", "the most frequent target"


def compare_with_baselines(
    translations: Sequence[str], pairs: Sequence[tuple[str, ...]], frequent_target: str, language: str | None = None
) -> dict[str, dict[str, float]]:
    """Score a model's translations and the baselines.

    Args:
        translations: The model's translation of each pair.
        pairs: Source and reference.
        frequent_target: The most frequent target sentence; see `training.corpus_checks.most_frequent_target`.
        language: Language of the references; see `score_texts`.

    Returns:
        sacreBLEU's `BLEU` and `chrF2`, in percent, for `MODEL`, `COPY` and `FREQUENT`.

    Raises:
        EvaluationError, MissingExtraError: See `score_texts`.
    """
    systems = {MODEL: translations, COPY: [pair[0] for pair in pairs], FREQUENT: [frequent_target] * len(pairs)}
    references = [pair[1] for pair in pairs]
    scores = {
        name: corpus_scores(texts, [references], bootstrap=False, language=language, metrics=METRICS)
        for name, texts in systems.items()
    }
    return {name: {score.name: score.score for score in found} for name, found in scores.items()}
