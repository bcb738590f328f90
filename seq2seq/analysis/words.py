"""Words of a text: counts, the pieces that spell them, and which of them a translation gets right.

A word is what the grammar's `split_words` finds: letters and digits with what joins them (`o'clock`), or one other
mark. Large and small letters differ.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from seq2seq.analysis.comparison import BOOTSTRAP_SAMPLES, bootstrap_ratio_interval
from seq2seq.arguments import check_arguments
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.errors import EvaluationError
from seq2seq.extras import require_extra
from seq2seq.phrasebook.grammar.phenomena import WORD, split_words
from seq2seq.plurals import pluralize
from seq2seq.text.cleaning import plain_form

with require_extra("analysis", needed_by=__name__):
    import pandas as pd

EDGES = (1, 2, 5, 10, 100, 1000)


@check_arguments()
def word_counts(lines: Iterable[str]) -> Counter[str]:
    """How often each word occurs in a text."""
    return Counter(word for line in lines for word in split_words(line))


@check_arguments()
def word_matches(hypotheses: Sequence[str], references: Sequence[str]) -> pd.DataFrame:
    """Compare translations with their references as bags of words: order does not count.

    Returns:
        One row for each word of each sentence, from either side, sentences in order:
        sentence    its number from 0
        word        as it is written
        reference   how often the reference has it
        hypothesis  how often the translation has it
        matched     the lesser of the two

    Raises:
        EvaluationError: The texts differ in number.

    Source: the idea of scoring words apart by what they are is of Neubig et al. (2019), compare-mt.
    """
    if len(hypotheses) != len(references):
        raise EvaluationError(
            f"{pluralize(len(hypotheses), 'hypothesis')} for {pluralize(len(references), 'reference')}: "
            "line N answers line N."
        )
    rows = []
    for sentence, (hypothesis, reference) in enumerate(zip(hypotheses, references, strict=True)):
        ours, theirs = Counter(split_words(hypothesis)), Counter(split_words(reference))
        for word in dict.fromkeys([*theirs, *ours]):
            rows.append((sentence, word, theirs[word], ours[word], min(theirs[word], ours[word])))
    return pd.DataFrame(rows, columns=["sentence", "word", "reference", "hypothesis", "matched"])


@check_arguments()
def subword_positions(tokenizer: Tokenizer, text: str) -> list[tuple[str, list[int]]]:
    """The words of a text, and at which places of `tokenizer.encode(text)` the pieces stand that spell each of them.

    A piece over the border of two words belongs to both. A word that the tokenizer's normalisation takes away
    is left out.
    """
    text = plain_form(text)
    spans, cursor = [], 0
    for surface in tokenizer.surfaces(text):
        # Searched for, since normalisation may have dropped characters; a byte of a character has no text, and
        # a space that stands alone belongs to what follows.
        cursor += text[cursor : cursor + 1] == " "
        start = max(text.find(surface.strip(), cursor), cursor)
        cursor = start + len(surface.strip())
        spans.append((start, max(cursor, start + 1)))
    found = [
        (match[0], [place for place, (start, end) in enumerate(spans) if start < match.end() and end > match.start()])
        for match in WORD.finditer(text)
    ]
    return [(word, places) for word, places in found if places]


@check_arguments()
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


@check_arguments()
def word_scores(matches: pd.DataFrame, counts: Mapping[str, int]) -> pd.DataFrame:
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


@check_arguments()
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
