"""Which words a translation gets right: by their frequency in the training text, one by one, of two systems."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from seq2seq.analysis.intervals import BOOTSTRAP_SAMPLES, bootstrap_ratio_interval
from seq2seq.errors import EvaluationError
from seq2seq.extras import requires_extra

with requires_extra("analysis", needed_by=__name__):
    import pandas as pd

EDGES = (1, 2, 5, 10, 100, 1000)


def accuracy_by_frequency(
    matches: pd.DataFrame,
    counts: Mapping[str, int],
    edges: Sequence[int] = EDGES,
    samples: int = BOOTSTRAP_SAMPLES,
    seed: int = 1,
) -> pd.DataFrame:
    """Recall, precision and F1 of words that are equally frequent in the training text.

    Args:
        matches: Of translations with their references, from `word_matches`.
        counts: How often each word is in the target side of the training text, from `word_counts`.
        edges: Where buckets begin, rising, from 1; what is below the first is a bucket too (with 1: unseen words).
        samples, seed: Of the intervals, over sentences; see `bootstrap_ratio_interval`.

    Returns:
        One row for each bucket, rare words first:
        words                  `0`, `1`, `2-4`, ..., `1000-`: how frequent its words are
        least                  the lower number
        types                  how many different words the references have
        reference, hypothesis  how many words the references and the translations have
        matched                how many of them are common, sentence by sentence
        recall                 matched / reference, 0 to 1, with `recall_low` and `recall_high`; NaN without words
        precision              matched / hypothesis, likewise
        f1                     2 matched / (reference + hypothesis), likewise

    Raises:
        EvaluationError: `edges` do not rise from 1 or more.

    Source: the idea is of Neubig et al. (2019), compare-mt; intervals as in `bootstrap_ratio_interval`.
    """
    if not edges or edges[0] < 1 or any(a >= b for a, b in pairwise(edges)):
        raise EvaluationError(f"'edges' are {list(edges)}: they must rise, from 1 or more.")
    starts = [0, *edges]
    names = [f"{low}-{above - 1}" if above > low + 1 else f"{low}" for low, above in pairwise(starts)]
    names.append(f"{starts[-1]}-")
    frequencies = matches["word"].map(lambda word: counts.get(word, 0)).to_numpy(int)
    buckets = np.searchsorted(starts, frequencies, side="right") - 1
    size = int(matches["sentence"].max()) + 1 if len(matches) else 1
    rows = []
    for bucket, start in enumerate(starts):
        part = matches[buckets == bucket]
        matched, reference, hypothesis = (
            np.bincount(part["sentence"], part[column], minlength=size)
            for column in ("matched", "reference", "hypothesis")
        )
        row = {
            "words": names[bucket],
            "least": start,
            "types": part.loc[part["reference"] > 0, "word"].nunique(),
            "reference": int(reference.sum()),
            "hypothesis": int(hypothesis.sum()),
            "matched": int(matched.sum()),
        }
        for name, over, under in (
            ("recall", matched, reference),
            ("precision", matched, hypothesis),
            ("f1", 2 * matched, reference + hypothesis),
        ):
            row[name] = over.sum() / under.sum() if under.sum() else np.nan
            row[f"{name}_low"], row[f"{name}_high"] = bootstrap_ratio_interval(over, under, samples, seed)
        rows.append(row)
    return pd.DataFrame(rows)


def missed_words(matches: pd.DataFrame, counts: Mapping[str, int]) -> pd.DataFrame:
    """All words of the references and translations, those that are missed most often first.

    Args: see `accuracy_by_frequency`.

    Returns:
        word, frequency (in the training text), reference, hypothesis, matched (summed over sentences),
        missed (reference - matched: what the translations lack) and added (hypothesis - matched: what is too much).
    """
    words = matches.groupby("word", sort=True)[["reference", "hypothesis", "matched"]].sum().reset_index()
    words.insert(1, "frequency", words["word"].map(lambda word: counts.get(word, 0)))
    words["missed"] = words["reference"] - words["matched"]
    words["added"] = words["hypothesis"] - words["matched"]
    return words.sort_values(["missed", "word"], ascending=[False, True], ignore_index=True)


def compare_words(first: pd.DataFrame, second: pd.DataFrame, counts: Mapping[str, int]) -> pd.DataFrame:
    """Which words of the references one system gets and the other does not.

    Args:
        first, second: Matches of two systems with the same references, from `word_matches`.
        counts: See `accuracy_by_frequency`.

    Returns:
        One row for each word that they match differently, what the second gains most first:
        word, frequency  (in the training text)
        reference        how often the references have it
        first, second    how often each system matches it
        first_only       in how many sentences the first matches more of it
        second_only      in how many the second does
        gain             second - first

    Raises:
        EvaluationError: The references differ.
    """
    keys = ["sentence", "word", "reference"]
    theirs = [frame.loc[frame["reference"] > 0, [*keys, "matched"]] for frame in (first, second)]
    both = theirs[0].merge(theirs[1], "outer", on=keys, suffixes=("_first", "_second"))
    if both.isna().to_numpy().any():
        raise EvaluationError("the two systems' matches are of different references. Compare what answers the same.")
    ours, other = both["matched_first"], both["matched_second"]
    both = both.assign(first=ours, second=other, first_only=ours > other, second_only=other > ours)
    words = both.groupby("word")[["reference", "first", "second", "first_only", "second_only"]].sum().reset_index()
    words.insert(1, "frequency", words["word"].map(lambda word: counts.get(word, 0)))
    words["gain"] = words["second"] - words["first"]
    differing = words[words["first_only"] + words["second_only"] > 0]
    return differing.sort_values(["gain", "word"], ascending=[False, True], ignore_index=True)
