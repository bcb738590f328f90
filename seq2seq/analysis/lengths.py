"""Quality by sentence length: the same scores as for a whole corpus, apart for short and long sentences."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from seq2seq.errors import EvaluationError
from seq2seq.evaluation.metrics import score_texts
from seq2seq.extras import requires_extra

with requires_extra("analysis", needed_by=__name__):
    import pandas as pd


def quality_by_length(
    hypotheses: Mapping[str, Sequence[str]],
    pairs: Sequence[tuple[str, ...]],
    edges: Sequence[int],
    *,
    metrics: Sequence[str] = ("BLEU", "chrF2"),
    bootstrap: bool = True,
    language: str | None = None,
    length_function: Callable[[str], int] = lambda text: len(text.split()),
) -> pd.DataFrame:
    """Score translations in buckets of source length; buckets without a sentence are left out.

    Args:
        hypotheses: Of each system, by its name, a translation of every source.
        pairs: Raw source and reference; what follows them is ignored.
        edges: Where a new bucket begins: (6, 10) makes one of lengths up to 5, one of 6 to 9 and one from 10 on.
        metrics, bootstrap, language: See `score_texts`.
        length_function: Length of a source, by default in words.

    Returns:
        One row a system, bucket and metric, with columns
        system
        length           name of the bucket, as `6-9`; the first and last say the lengths that there are
        mean_length      of the bucket's sources
        sentences        how many
        metric, score    percent
        low, high        95% interval of the score over resampled sentences; NaN without `bootstrap`

    Raises:
        EvaluationError: There are no pairs, a system has not as many translations as there are pairs, edges do not
            rise, or a metric is unknown.

    Source: Bahdanau, Cho and Bengio (2015), figure 2, and Luong, Pham and Manning (2015), figure 6, draw BLEU over
    length in this way.
    """
    if not pairs:
        raise EvaluationError("there is nothing to score: no pairs.")
    if any(after <= before for before, after in pairwise(edges)):
        raise EvaluationError(f"edges are {list(edges)}: each has to be above the one before.")
    for system, texts in hypotheses.items():
        if len(texts) != len(pairs):
            raise EvaluationError(
                f"'{system}' has {len(texts)} translations for {len(pairs)} pairs; give one for each."
            )
    lengths = np.array([length_function(pair[0]) for pair in pairs])
    buckets = np.searchsorted(edges, lengths, side="right")
    rows = []
    for bucket in np.unique(buckets).tolist():
        inside = np.flatnonzero(buckets == bucket).tolist()
        here = {
            "length": _name(bucket, edges, lengths),
            "mean_length": lengths[inside].mean(),
            "sentences": len(inside),
        }
        references = [pairs[row][1] for row in inside]
        for system, texts in hypotheses.items():
            scores = score_texts(
                [texts[row] for row in inside], references, bootstrap, language=language, metrics=metrics
            )
            rows += [
                {"system": system, **here, "metric": s.name, "score": s.score, "low": s.low, "high": s.high}
                for s in scores
            ]
    return pd.DataFrame(rows).astype({"low": float, "high": float})


def _name(bucket: int, edges: Sequence[int], lengths: np.ndarray) -> str:
    first = edges[bucket - 1] if bucket else lengths.min()
    last = edges[bucket] - 1 if bucket < len(edges) else lengths.max()
    return f"{first}-{last}" if first < last else f"{first}"
