"""Words of references that translations have: by sentence, by frequency, and by position in the sentence."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from seq2seq.errors import EvaluationError
from seq2seq.evaluation import BOOTSTRAP_SAMPLES
from seq2seq.evaluation.intervals import bootstrap_ratio_intervals

EDGES = (1, 2, 5, 10, 100, 1000)
POSITIONS = 5  # parts of a sentence


class WordMatch(NamedTuple):
    """A word in a sentence, from either side.

    Attributes:
        sentence: Number of the sentence, from 0.
        word: The word as it is written.
        reference: Number of occurrences in the reference.
        hypothesis: Number of occurrences in the translation.
        matched: The smaller of the two.
    """

    sentence: int
    word: str
    reference: int
    hypothesis: int
    matched: int


def match_words(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> list[WordMatch]:
    """Compare sentences with their references as bags of words: order does not count.

    Args:
        hypotheses: The words of each translation.
        references: The words of each reference.

    Returns:
        One entry per word of each sentence, sentences in order.
    """
    matches = []
    for sentence, (hypothesis, reference) in enumerate(zip(hypotheses, references, strict=True)):
        ours, theirs = Counter(hypothesis), Counter(reference)
        for word in dict.fromkeys([*theirs, *ours]):
            matches.append(WordMatch(sentence, word, theirs[word], ours[word], min(theirs[word], ours[word])))
    return matches


def match_by_frequency(
    matches: Sequence[WordMatch],
    counts: Mapping[str, int],
    edges: Sequence[int] = EDGES,
    samples: int = BOOTSTRAP_SAMPLES,
    seed: int = 1,
    measures: Sequence[str] = ("recall", "precision", "f1"),
) -> list[dict[str, Any]]:
    """Recall, precision and F1 of words by their frequency; see `seq2seq.analysis.words.accuracy_by_frequency`."""
    if not edges or edges[0] < 1 or any(a >= b for a, b in pairwise(edges)):
        raise EvaluationError(f"'edges' are {list(edges)}: expected numbers in ascending order, from 1 or more.")
    starts = [0, *edges]
    names = [f"{low}-{above - 1}" if above > low + 1 else f"{low}" for low, above in pairwise(starts)]
    names.append(f"{starts[-1]}-")
    table = np.array([match[2:] for match in matches], int).reshape(-1, 3)
    sentences = np.array([match.sentence for match in matches], int)
    frequencies = np.array([counts.get(match.word, 0) for match in matches], int)
    buckets = np.searchsorted(starts, frequencies, side="right") - 1
    size = int(sentences.max()) + 1 if matches else 1
    rows: list[dict[str, Any]] = []
    over, under = [], []
    for bucket, start in enumerate(starts):
        inside = np.flatnonzero(buckets == bucket)
        reference, hypothesis, matched = (
            np.bincount(sentences[inside], table[inside, column], minlength=size) for column in range(3)
        )
        rows.append(
            {
                "words": names[bucket],
                "least": start,
                "types": len({matches[place].word for place in inside.tolist() if matches[place].reference}),
                "reference": int(reference.sum()),
                "hypothesis": int(hypothesis.sum()),
                "matched": int(matched.sum()),
            }
        )
        fractions = {
            "recall": (matched, reference),
            "precision": (matched, hypothesis),
            "f1": (2 * matched, reference + hypothesis),
        }
        over += [fractions[name][0] for name in measures]
        under += [fractions[name][1] for name in measures]
    shares = _shares(np.array(over), np.array(under), samples, seed)
    for row in rows:
        for name in measures:
            row[name], row[f"{name}_low"], row[f"{name}_high"] = next(shares)
    return rows


def match_by_position(
    hypotheses: Sequence[Sequence[str]],
    references: Sequence[Sequence[Sequence[str]]],
    samples: int = BOOTSTRAP_SAMPLES,
    parts: int = POSITIONS,
) -> list[dict[str, Any]]:
    """Recall of reference words by their place in the reference, which is divided into equal parts.

    If a translation has only some occurrences of a word, each occurrence in the reference counts as this share of a
    match, wherever it is.

    Args:
        hypotheses: The words of each translation.
        references: Sets of references, with the words of each reference. The words of all sets count.
        samples: See `bootstrap_ratio_interval`; units are sentences.
        parts: Number of parts.

    Returns:
        One row per part: position (such as `0-20%`), reference (number of words), recall (0 to 1; NaN without words),
        recall_low, recall_high.
    """
    found, total = np.zeros((2, parts, max(1, len(hypotheses))))
    for lines in references:
        for sentence, (hypothesis, reference) in enumerate(zip(hypotheses, lines, strict=True)):
            ours, theirs = Counter(hypothesis), Counter(reference)
            for place, word in enumerate(reference):
                part = parts * place // len(reference)
                total[part, sentence] += 1
                found[part, sentence] += min(1.0, ours[word] / theirs[word])
    rows: list[dict[str, Any]] = []
    for part, (recall, low, high) in enumerate(_shares(found, total, samples)):
        name = f"{100 * part // parts}-{100 * (part + 1) // parts}%"
        words = int(total[part].sum())
        rows.append({"position": name, "reference": words, "recall": recall, "recall_low": low, "recall_high": high})
    return rows


def _shares(over: np.ndarray, under: np.ndarray, samples: int, seed: int = 1) -> Iterator[tuple[float, float, float]]:
    """Sum of each row over that of another, with its interval; NaN where there is nothing to count."""
    intervals = bootstrap_ratio_intervals(over, under, samples, seed)
    for part, whole, (low, high) in zip(over.sum(axis=1), under.sum(axis=1), intervals, strict=True):
        yield (part / whole if whole else np.nan), low, high
