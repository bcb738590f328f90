"""Scores of several systems on one test set, with sacreBLEU's paired significance tests against the first of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sacrebleu.significance import PairedTest

from seq2seq.data.progress import ProgressCallback
from seq2seq.evaluation.metrics import Score, score_statistics
from seq2seq.evaluation.scorers import StatisticsMetric, make_metric


@dataclass(frozen=True)
class ComparedScore(Score):
    """A score of a system, with tests of its difference from the baseline's.

    Attributes:
        difference: This score minus the baseline's; None for the baseline.
        p_bootstrap: p-value of paired bootstrap resampling; None for the baseline.
        p_randomization: p-value of paired approximate randomization; None for the baseline, or without this test.
        randomization_signature: sacreBLEU's signature of that test; `signature` is that of the score and the bootstrap.
    """

    difference: float | None = None
    p_bootstrap: float | None = None
    p_randomization: float | None = None
    randomization_signature: str | None = None


@dataclass(frozen=True)
class MetricScores:
    """Scores of all systems by one metric.

    Attributes:
        metric: The metric.
        statistics: Its statistics per sentence of each system, by its name.
        scores: Score of each system, by its name; the first is the baseline.
    """

    metric: StatisticsMetric
    statistics: dict[str, list[Any]]
    scores: dict[str, ComparedScore]


def compare_scores(
    systems: Mapping[str, Sequence[str]],
    references: Sequence[Sequence[str]],
    names: Sequence[str],
    language: str | None,
    tokenizer: str | None,
    bootstrap_samples: int,
    randomization_trials: int,
    on_progress: ProgressCallback,
) -> dict[str, MetricScores]:
    """Score systems and test their differences; arguments as in `compare_systems`, with cleaned text.

    Returns:
        One entry per metric, by its name.
    """
    found: dict[str, MetricScores] = {}
    for done, name in enumerate(names, start=1):
        metric = make_metric(name, language, tokenizer)
        statistics = metric.keep_statistics(systems, references)
        # Before anything is resampled here, which would be in the signatures of the tests.
        p_bootstrap, _ = _p_values(metric, "bs", bootstrap_samples, systems, references)
        p_randomization: dict[str, float | None] = dict.fromkeys(systems)
        signature = None
        if randomization_trials:
            p_randomization, signature = _p_values(metric, "ar", randomization_trials, systems, references)
        plain = {system: score_statistics(name, metric, one, bootstrap_samples) for system, one in statistics.items()}
        baseline, *others = plain
        scores = {baseline: ComparedScore(**asdict(plain[baseline]), randomization_signature=signature)}
        for system in others:
            scores[system] = ComparedScore(
                **asdict(plain[system]),
                difference=plain[system].score - plain[baseline].score,
                p_bootstrap=p_bootstrap[system],
                p_randomization=p_randomization[system],
                randomization_signature=signature,
            )
        found[name] = MetricScores(metric, statistics, scores)
        on_progress(done)
    return found


def _p_values(
    metric: StatisticsMetric,
    test: str,
    samples: int,
    systems: Mapping[str, Sequence[str]],
    references: Sequence[Sequence[str]],
) -> tuple[dict[str, float | None], str]:
    """p-value of each system, None for the first, and the signature; `test` is sacreBLEU's name, `bs` or `ar`."""
    run = PairedTest(list(systems.items()), {"metric": metric}, references, test, samples)
    signatures, results = run()
    (name,) = signatures
    return {system: result.p_value for system, result in zip(systems, results[name], strict=True)}, str(
        signatures[name]
    )
