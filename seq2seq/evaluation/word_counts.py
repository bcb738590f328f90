"""Signs of bad translations in single sentences: immediate repetition, repeated n-grams, and words of the source."""

from collections import Counter
from collections.abc import Sequence

from seq2seq.arguments import check_arguments

MAX_LOOP_WORDS = 4  # words of a block that is repeated immediately


@check_arguments()
def count_looped_words(words: Sequence[str], max_words: int = MAX_LOOP_WORDS) -> int:
    """Number of words in blocks of up to `max_words` words that equal the block immediately before."""
    places: set[int] = set()
    for size in range(1, max_words + 1):
        for start in range(size, len(words) - size + 1):
            if words[start - size : start] == words[start : start + size]:
                places |= set(range(start, start + size))
    return len(places)


@check_arguments()
def count_repeated_ngrams(hypothesis: Sequence[str], reference: Sequence[str], n: int = 2) -> int:
    """Number of n-grams of the hypothesis that repeat an earlier one, beyond the repetitions in the reference."""
    ours, theirs = (
        Counter(tuple(words[place : place + n]) for place in range(len(words) - n + 1))
        for words in (hypothesis, reference)
    )
    return sum(max(0, count - max(1, theirs[ngram])) for ngram, count in ours.items())


@check_arguments()
def copied_words(source: Sequence[str], hypothesis: Sequence[str], reference: Sequence[str]) -> list[str]:
    """Words with a letter that the hypothesis takes from the source unchanged and the reference does not have.

    A name that the reference keeps does not count. A word that both languages spell alike counts if the reference uses
    another word.
    """
    known, expected = set(source), set(reference)
    return [word for word in hypothesis if word in known and word not in expected and any(map(str.isalpha, word))]
