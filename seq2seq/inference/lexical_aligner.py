"""Alignment of sentence pairs with IBM model 1, between words or between tokens."""

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np

from seq2seq.arguments import Pair, check_arguments
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.inference.alignment import DEFAULT_SYMMETRIZATION, Directions, Link, Symmetrization, symmetrize, words_of
from seq2seq.inference.ibm1 import learn_translation_table
from seq2seq.text.cleaning import plain_form
from seq2seq.text.words import pieces_of_words, word_spans

Unit = tuple[list[int], list[list[int]]]  # ids of a sentence's words or pieces, and the words to which each belongs


@check_arguments(pairs="Pass list(zip(sources, targets)).")
def align_by_ibm1(
    pairs: Sequence[Pair],
    method: Symmetrization = DEFAULT_SYMMETRIZATION,
    *,
    further: Sequence[Pair] = (),
    tokenizers: Tokenizers | None = None,
    tokenized: bool = False,
) -> list[set[Link]]:
    """Align the words of sentence pairs with IBM model 1, learnt in both directions from these and `further` pairs.

    Args:
        pairs: Raw source and target; further elements are ignored.
        method: See `symmetrize`.
        further: Sentence pairs to learn from.
        tokenizers: Tokenizers whose pieces are aligned, and then the words that they spell. By default, words are
            aligned, ignoring case.
        tokenized: Whether white space alone delimits words; see `text.words`.

    Source:
        Brown et al. (1993); Och and Ney (2003) for both directions.
    """
    both = directions_by_ibm1(pairs, further=further, tokenizers=tokenizers, tokenized=tokenized)
    return [symmetrize(*links, method) for links in both]


def directions_by_ibm1(
    pairs: Sequence[Pair],
    *,
    further: Sequence[Pair] = (),
    tokenizers: Tokenizers | None = None,
    tokenized: bool = False,
) -> list[Directions]:
    """Links of each pair with at most one per target word, and with at most one per source word; see `align_by_ibm1`.

    If tokens are aligned, a link between two tokens is one between all words to which they belong.
    """
    sides = [
        _words(texts, tokenized) if tokenizers is None else _pieces(texts, tokenizers[side], tokenized)
        for side, texts in enumerate(_sides((*further, *pairs)))
    ]
    links: list[list[set[Link]]] = []
    for (source, size), (target, target_size) in (sides, sides[::-1]):
        ids = [(s, t) for (s, _), (t, _) in zip(source, target, strict=True)]
        table = learn_translation_table(((s, t) for s, t in ids if s and t), size, target_size)
        links.append(
            [
                {
                    (i, j)
                    for t, s in enumerate(table.link(read, written))
                    if s is not None
                    for i in source_words[s]
                    for j in target_words[t]
                }
                for (read, source_words), (written, target_words) in zip(
                    source[len(further) :], target[len(further) :], strict=True
                )
            ]
        )
    there, back = links
    return [(ahead, {(i, j) for j, i in behind}) for ahead, behind in zip(there, back, strict=True)]


def _sides(pairs: Sequence[Pair]) -> Iterator[list[str]]:
    for side in (0, 1):
        yield [plain_form(pair[side]) for pair in pairs]


def _words(texts: Sequence[str], tokenized: bool) -> tuple[list[Unit], int]:
    """The words of each text, and the number of ids, that of the empty word included."""
    numbers, ids = count(1), {}
    units: list[Unit] = []
    for text in texts:
        words = [word.lower() for word in words_of(text, tokenized)]
        for word in words:
            if word not in ids:
                ids[word] = next(numbers)
        units.append(([ids[word] for word in words], [[place] for place in range(len(words))]))
    return units, len(ids) + 1


def _pieces(texts: Sequence[str], tokenizer: Tokenizer, tokenized: bool) -> tuple[list[Unit], int]:
    """The pieces of each text; the id of the empty word is that of padding."""
    units: list[Unit] = []
    for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        owners = pieces_of_words(tokenizer.pieces(ids), text, word_spans(text, tokenized))
        units.append((ids, [np.flatnonzero(row).tolist() for row in owners]))
    return units, tokenizer.vocabulary_size
