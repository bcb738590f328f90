"""Words of a text: counts, matches between a translation and its reference, and the pieces that spell a word.

A word is what the grammar's `split_words` finds: letters and digits with what joins them (`o'clock`), or one other
mark. Large and small letters differ.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from seq2seq.data.tokenizer import Tokenizer
from seq2seq.errors import EvaluationError
from seq2seq.extras import requires_extra
from seq2seq.phrasebook.grammar.phenomena import WORD, split_words

with requires_extra("analysis", needed_by=__name__):
    import pandas as pd


def word_counts(lines: Iterable[str]) -> Counter[str]:
    """How often each word occurs in a text."""
    return Counter(word for line in lines for word in split_words(line))


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
        raise EvaluationError(f"{len(hypotheses)} hypotheses for {len(references)} references: line N answers line N.")
    rows = []
    for sentence, (hypothesis, reference) in enumerate(zip(hypotheses, references, strict=True)):
        ours, theirs = Counter(split_words(hypothesis)), Counter(split_words(reference))
        for word in dict.fromkeys([*theirs, *ours]):
            rows.append((sentence, word, theirs[word], ours[word], min(theirs[word], ours[word])))
    return pd.DataFrame(rows, columns=["sentence", "word", "reference", "hypothesis", "matched"])


def subword_positions(tokenizer: Tokenizer, text: str) -> list[tuple[str, list[int]]]:
    """The words of a text, and at which places of `tokenizer.encode(text)` the pieces stand that spell each of them.

    A piece over the border of two words belongs to both. A word that the tokenizer's normalisation takes away
    is left out.
    """
    text = unicodedata.normalize("NFC", " ".join(text.split()))
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
