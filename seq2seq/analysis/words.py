"""Words of a text: counts, the pieces that spell them, and which of them a translation gets right.

A word is what the grammar's `split_words` finds: letters and digits with the marks that join them (`o'clock`), or a
single other mark. Each character of a script without spaces, such as Chinese, is a word. Case matters.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from seq2seq.arguments import check_arguments
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.errors import EvaluationError
from seq2seq.evaluation import BOOTSTRAP_SAMPLES
from seq2seq.evaluation.word_matches import EDGES, WordMatch, match_by_frequency, match_words
from seq2seq.extras import require_extra
from seq2seq.phrasebook.grammar.phenomena import WORD, split_words
from seq2seq.plurals import pluralize
from seq2seq.text.cleaning import plain_form
from seq2seq.text.words import pieces_of_words

with require_extra("analysis", needed_by=__name__):
    import pandas as pd


@check_arguments()
def word_matches(hypotheses: Sequence[str], references: Sequence[str]) -> pd.DataFrame:
    """Compare translations with their references as bags of words: order does not count.

    Returns:
        One row per word of each sentence, from either side, sentences in order. Columns are:

        sentence    number of the sentence, from 0
        word        word as it is written
        reference   number of occurrences in the reference
        hypothesis  number of occurrences in the translation
        matched     the smaller of the two

    Raises:
        EvaluationError: The texts differ in number.

    Source:
        Neubig et al. (2019), compare-mt, for the idea of scoring kinds of words separately.
    """
    if len(hypotheses) != len(references):
        raise EvaluationError(
            f"{pluralize(len(hypotheses), 'hypothesis')} for {pluralize(len(references), 'reference')}: "
            "line N of one must correspond to line N of the other."
        )
    words = ([split_words(line) for line in lines] for lines in (hypotheses, references))
    return pd.DataFrame(match_words(*words), columns=WordMatch._fields)


@check_arguments()
def word_counts(lines: Iterable[str]) -> Counter[str]:
    """Frequency of each word in a text."""
    return Counter(word for line in lines for word in split_words(line))


@check_arguments()
def subword_positions(tokenizer: Tokenizer, text: str) -> list[tuple[str, list[int]]]:
    """The words of a text, each with the positions in `tokenizer.encode(text)` of the pieces that spell it.

    A piece that spans two words belongs to both. A word that the tokenizer's normalisation removes is left out.
    """
    text = plain_form(text)
    words = list(WORD.finditer(text))
    spells = pieces_of_words(tokenizer.surfaces(text), text, [match.span() for match in words])
    spells[: len(tokenizer.prefix)] = False
    found = [(match[0], np.flatnonzero(own).tolist()) for match, own in zip(words, spells.T, strict=True)]
    return [(word, places) for word, places in found if places]


@check_arguments()
def accuracy_by_frequency(
    matches: pd.DataFrame,
    counts: Mapping[str, int],
    edges: Sequence[int] = EDGES,
    samples: int = BOOTSTRAP_SAMPLES,
    seed: int = 1,
) -> pd.DataFrame:
    """Recall, precision and F1 of words by their frequency in the training text.

    Args:
        matches: Result of `word_matches`.
        counts: Frequency of each word in the target side of the training text, from `word_counts`.
        edges: Lowest frequencies of the buckets, ascending, from 1; words below the first form one more bucket (with 1:
            unseen words).
        samples: See `bootstrap_ratio_interval`; units are sentences.
        seed: See `bootstrap_ratio_interval`.

    Returns:
        One row per bucket, rare words first. Columns are:

        words                  frequency of its words: `0`, `1`, `2-4`, ..., `1000-`
        least                  lowest frequency of the bucket
        types                  number of different words in the references
        reference, hypothesis  number of words in the references and in the translations
        matched                number of matches, summed over sentences
        recall                 matched / reference, 0 to 1, with `recall_low` and `recall_high`; NaN without words
        precision              matched / hypothesis, likewise
        f1                     2 matched / (reference + hypothesis), likewise

    Raises:
        EvaluationError: `edges` are not in ascending order, or begin below 1.

    Source:
        Neubig et al. (2019), compare-mt, for the idea; intervals as in `bootstrap_ratio_interval`.
    """
    columns = list(WordMatch._fields)
    found = [WordMatch(*row) for row in matches[columns].itertuples(index=False)]
    return pd.DataFrame(match_by_frequency(found, counts, edges, samples, seed))


@check_arguments()
def word_scores(matches: pd.DataFrame, counts: Mapping[str, int]) -> pd.DataFrame:
    """All words of references and translations, by how often they are missed, most often first.

    Args:
        matches: See `accuracy_by_frequency`.
        counts: See `accuracy_by_frequency`.

    Returns:
        One row per word: word, frequency (in the training text), reference, hypothesis, matched (summed over
        sentences), missed (reference - matched: missing in the translations) and added (hypothesis - matched).
    """
    words = matches.groupby("word", sort=True)[["reference", "hypothesis", "matched"]].sum().reset_index()
    words.insert(1, "frequency", words["word"].map(lambda word: counts.get(word, 0)))
    words["missed"] = words["reference"] - words["matched"]
    words["added"] = words["hypothesis"] - words["matched"]
    return words.sort_values(["missed", "word"], ascending=[False, True], ignore_index=True)


@check_arguments()
def compare_words(first: pd.DataFrame, second: pd.DataFrame, counts: Mapping[str, int]) -> pd.DataFrame:
    """Words of the references that one of two systems gets right more often.

    Args:
        first: Result of `word_matches` for the first system.
        second: Result of `word_matches` for the second system, with the same references.
        counts: See `accuracy_by_frequency`.

    Returns:
        One row per word with different numbers of matches, by the gain of the second system, largest first. Columns
        are:

        word, frequency  the word, and its frequency in the training text
        reference        number of occurrences in the references
        first, second    number of matches of each system
        first_only       number of sentences in which the first has more matches
        second_only      number of sentences in which the second has more
        gain             second - first

    Raises:
        EvaluationError: The references differ.
    """
    keys = ["sentence", "word", "reference"]
    theirs = [frame.loc[frame["reference"] > 0, [*keys, "matched"]] for frame in (first, second)]
    both = theirs[0].merge(theirs[1], "outer", on=keys, suffixes=("_first", "_second"))
    if both.isna().to_numpy().any():
        raise EvaluationError(
            "the two systems were matched with different references. Compare translations of the same text."
        )
    ours, other = both["matched_first"], both["matched_second"]
    both = both.assign(first=ours, second=other, first_only=ours > other, second_only=other > ours)
    words = both.groupby("word")[["reference", "first", "second", "first_only", "second_only"]].sum().reset_index()
    words.insert(1, "frequency", words["word"].map(lambda word: counts.get(word, 0)))
    words["gain"] = words["second"] - words["first"]
    differing = words[words["first_only"] + words["second_only"] > 0]
    return differing.sort_values(["gain", "word"], ascending=[False, True], ignore_index=True)
