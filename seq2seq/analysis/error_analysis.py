"""Error analysis: sentence by sentence, between two systems, and by sentence length."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from seq2seq.analysis.words import subword_positions
from seq2seq.arguments import Pair, check_arguments
from seq2seq.data.tokenizer import Tokenizer
from seq2seq.errors import EvaluationError
from seq2seq.evaluation.breakdowns import group_numbers
from seq2seq.evaluation.metrics import score_texts
from seq2seq.evaluation.scorers import make_metric
from seq2seq.evaluation.word_counts import copied_words, count_looped_words, count_repeated_ngrams
from seq2seq.extras import require_extra
from seq2seq.inference.results import Translation
from seq2seq.phrasebook.grammar.phenomena import split_words
from seq2seq.plurals import pluralize
from seq2seq.text.cleaning import clean
from seq2seq.text.words import count_words

with require_extra("analysis", needed_by=__name__):
    import pandas as pd

MIN_ATTENTION = 0.2  # in target tokens


@check_arguments()
def sentence_errors(
    sources: Sequence[str],
    references: Sequence[str],
    translations: Sequence[Translation],
    tokenizer: Tokenizer,
    source_counts: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Describe every translation, one row per sentence, in order.

    Args:
        sources: Raw source texts.
        references: Raw reference texts.
        translations: Translations of the sources, with attention if there is any.
        tokenizer: Source tokenizer.
        source_counts: Frequency of each word in the source side of the training text, for `unseen`.

    Returns:
        One row per sentence, with words and punctuation marks as `split_words` finds them. Columns are:

        source, reference, hypothesis  raw text
        exact             whether the hypothesis equals the reference, which is cleaned first (`text.cleaning`)
        chrf              sentence-level chrF2, 0 to 100 (Popović 2015); low means different, not always wrong
        score             the model's own score, see `Translation`
        source_words      number of words and marks of the source
        reference_words   number of words and marks of the reference
        hypothesis_words  number of words and marks of the hypothesis
        length_ratio      hypothesis_words / reference_words, low if text is omitted; NaN for an empty reference
        looped            number of words that are repeated immediately, see `count_looped_words`
        repeated          number of word pairs beyond those of the reference, see `count_repeated_ngrams`
        copied            source words in the hypothesis and not in the reference, joined by spaces
        unattended        source words with hardly any attention, see `unattended_words`, joined by spaces; None
                          without attention
        unseen            source words that the training text lacks, joined by spaces; None without `source_counts`

    Raises:
        EvaluationError: The texts differ in number.
    """
    if not len(sources) == len(references) == len(translations):
        raise EvaluationError(
            f"found {pluralize(len(sources), 'source')}, {pluralize(len(references), 'reference')} and "
            f"{pluralize(len(translations), 'translation')}: line N of each must correspond to line N of the others."
        )
    chrf = make_metric("chrF2")
    rows = []
    for source, reference, translation in zip(sources, references, translations, strict=True):
        hypothesis = translation.text
        ours, theirs, read = split_words(hypothesis), split_words(reference), split_words(source)
        unattended = unattended_words(source, translation, tokenizer)
        rows.append(
            {
                "source": source,
                "reference": reference,
                "hypothesis": hypothesis,
                "exact": hypothesis == clean(reference),
                "chrf": float(chrf.sentence_score(hypothesis, [clean(reference)]).score),
                "score": translation.score,
                "source_words": len(read),
                "reference_words": len(theirs),
                "hypothesis_words": len(ours),
                "length_ratio": len(ours) / len(theirs) if theirs else np.nan,
                "looped": count_looped_words(ours),
                "repeated": count_repeated_ngrams(ours, theirs),
                "copied": " ".join(copied_words(read, ours, theirs)),
                "unattended": None if unattended is None else " ".join(unattended),
                "unseen": None
                if source_counts is None
                else " ".join(word for word in read if not source_counts.get(word)),
            }
        )
    return pd.DataFrame(rows)


@check_arguments()
def unattended_words(
    source: str, translation: Translation, tokenizer: Tokenizer, min_attention: float = MIN_ATTENTION
) -> list[str] | None:
    """Words with a letter or digit whose pieces got less than `min_attention` in total over all target tokens.

    They may have been omitted, but this is only a hint: the states of neighbouring words represent them too, and
    articles rarely get attention. None if there is no attention, or if a long line was divided or cut off.
    """
    attention = translation.attention
    if not attention.shape[1] or translation.num_segments > 1 or translation.truncated_tokens:
        return None
    received = attention.sum(axis=0)
    return [
        word
        for word, places in subword_positions(tokenizer, source)
        if received[places].sum() < min_attention and any(map(str.isalnum, word))
    ]


@check_arguments()
def compare_sentences(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Sentences that two systems translate differently, by the gain of the second system, largest first.

    Args:
        first: Result of `sentence_errors` for the first system.
        second: Result of `sentence_errors` for the second system.

    Returns:
        Columns source, reference, first, second (the translations), chrf_first, chrf_second, gain (second - first, in
        points of chrF2); the index is the number of the sentence.

    Raises:
        EvaluationError: Sources or references differ.
    """
    texts = ["source", "reference"]
    if not first[texts].reset_index(drop=True).equals(second[texts].reset_index(drop=True)):
        raise EvaluationError("the two systems' sources or references differ. Compare translations of the same text.")
    both = first[texts].assign(first=first["hypothesis"], second=second["hypothesis"].to_numpy())
    both = both.assign(chrf_first=first["chrf"], chrf_second=second["chrf"].to_numpy())
    both["gain"] = both["chrf_second"] - both["chrf_first"]
    return both[both["first"] != both["second"]].sort_values("gain", ascending=False, kind="stable")


@check_arguments()
def quality_by_length(
    hypotheses: Mapping[str, Sequence[str]],
    pairs: Sequence[Pair],
    edges: Sequence[int],
    *,
    metrics: Sequence[str] = ("BLEU", "chrF2"),
    bootstrap: bool = True,
    language: str | None = None,
    length_function: Callable[[str], int] = count_words,
) -> pd.DataFrame:
    """Score translations in buckets of source length; buckets without a sentence are left out.

    Args:
        hypotheses: For each system, by its name, a translation of every source.
        pairs: Raw source and reference of each pair; further elements are ignored.
        edges: Lengths at which a new bucket begins: (6, 10) makes buckets up to 5, from 6 to 9, and from 10 on.
        metrics: See `score_texts`.
        bootstrap: See `score_texts`.
        language: See `score_texts`.
        length_function: Function that returns the length of a source, by default in words, of which each character of
            a script without spaces, such as Chinese, is one.

    Returns:
        One row per system, bucket and metric. Columns are:

        system       name of the system
        length       name of the bucket, such as `6-9`; the first and the last end at lengths that occur
        mean_length  mean length of the bucket's sources
        sentences    number of sentences
        metric       name of the metric
        score        score in percent
        low, high    95% interval of the score over resampled sentences; NaN without `bootstrap`

    Raises:
        EvaluationError: There are no pairs, a system has a different number of translations, edges are not in ascending
            order, or a metric is unknown.

    Source:
        Bahdanau, Cho and Bengio (2015), figure 2, and Luong, Pham and Manning (2015), figure 6, which show BLEU by
        length in this way.
    """
    if not pairs:
        raise EvaluationError("there is nothing to score: no pairs.")
    for system, texts in hypotheses.items():
        if len(texts) != len(pairs):
            raise EvaluationError(
                f"'{system}' has {pluralize(len(texts), 'translation')} for {pluralize(len(pairs), 'pair')}; give "
                "one for each."
            )
    lengths = np.array([length_function(pair[0]) for pair in pairs])
    rows = []
    for name, inside in group_numbers(lengths, edges).items():
        here = {"length": name, "mean_length": lengths[inside].mean(), "sentences": len(inside)}
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
