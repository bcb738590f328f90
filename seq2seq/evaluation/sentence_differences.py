"""Differences between systems in single sentences: the largest wins and losses, and problems that can be counted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seq2seq.evaluation.word_counts import copied_words, count_looped_words, count_repeated_ngrams
from seq2seq.inference.repetition import repeats

SHORT = 0.5  # share of the reference's words below which a translation is short


@dataclass(frozen=True)
class SentenceDifference:
    """A sentence that a system translates differently from the baseline.

    Attributes:
        line: Number of the sentence, from 1.
        source: The source, if it is known.
        references: Its references.
        baseline: The baseline's translation.
        system: The system's translation.
        baseline_chrf: Sentence-level chrF2 of the baseline's translation, 0 to 100.
        system_chrf: The same, of the system's.
    """

    line: int
    source: str | None
    references: tuple[str, ...]
    baseline: str
    system: str
    baseline_chrf: float
    system_chrf: float

    @property
    def gain(self) -> float:
        """Points of chrF2 by which the system is better."""
        return self.system_chrf - self.baseline_chrf


@dataclass(frozen=True)
class Problems:
    """Problems of a system's translations that can be counted, over all sentences.

    Attributes:
        length_ratio: Number of words / number of words of the references; of several, those closest in length count.
        empty: Number of empty translations, except of sentences with an empty reference.
        short: Number of translations with less than half of the words of the shortest reference, empty ones included.
        repeating: Number of translations that repeat themselves and whose source and references do not
            (`inference.repetition`).
        looped_words: Number of words in blocks that equal the block immediately before, beyond those of the references.
        repeated_word_pairs: Number of word pairs that repeat an earlier one, beyond those of the references.
        copied_words: Number of words copied from the source that no reference has; None if there is no source.
    """

    length_ratio: float
    empty: int
    short: int
    repeating: int
    looped_words: int
    repeated_word_pairs: int
    copied_words: int | None


def count_problems(
    texts: Sequence[str],
    references: Sequence[Sequence[str]],
    sources: Sequence[str] | None,
    split: Callable[[str], list[str]],
) -> Problems:
    """Count problems in a system's translations.

    Args:
        texts: The translations.
        references: Sets of references.
        sources: The sources, if they are known.
        split: Function that divides a text into words.
    """
    written = expected = empty = short = repeating = looped = pairs = copied = 0
    for place, (text, *others) in enumerate(zip(texts, *references, strict=True)):
        source = [] if sources is None else [sources[place]]
        words, sets = split(text), [split(other) for other in others]
        lengths = [len(one) for one in sets]
        written += len(words)
        expected += min(lengths, key=lambda length: (abs(length - len(words)), length))
        empty += not words and min(lengths) > 0
        short += len(words) < SHORT * min(lengths)
        repeating += repeats(text, *source, *others)
        looped += max(0, count_looped_words(words) - max(map(count_looped_words, sets)))
        pairs += min(count_repeated_ngrams(words, one) for one in sets)
        if source:
            copied += len(copied_words(split(source[0]), words, [word for one in sets for word in one]))
    ratio = written / expected if expected else 0.0
    return Problems(ratio, empty, short, repeating, looped, pairs, None if sources is None else copied)


def sentence_differences(
    baseline: Sequence[str],
    system: Sequence[str],
    references: Sequence[Sequence[str]],
    sources: Sequence[str] | None,
    chrf: tuple[Sequence[float], Sequence[float]],
) -> list[SentenceDifference]:
    """Sentences whose translations differ, by the gain of the system, largest first.

    Args:
        baseline: The baseline's translations.
        system: The system's translations.
        references: Sets of references.
        sources: The sources, if they are known.
        chrf: Sentence-level chrF2 of the baseline's and of the system's translations, 0 to 100.
    """
    found = [
        SentenceDifference(
            line=place + 1,
            source=None if sources is None else sources[place],
            references=tuple(lines[place] for lines in references),
            baseline=baseline[place],
            system=text,
            baseline_chrf=chrf[0][place],
            system_chrf=chrf[1][place],
        )
        for place, text in enumerate(system)
        if text != baseline[place]
    ]
    return sorted(found, key=lambda difference: -difference.gain)
