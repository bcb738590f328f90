"""Glossaries: pairs of a source term and the target term by which it must be translated."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from seq2seq.corpora.tables import find_form, read_rows, sample_lines
from seq2seq.errors import CorpusError
from seq2seq.plurals import pluralize
from seq2seq.text.cleaning import plain_form
from seq2seq.text.phrases import split_variants, stands_alone

KEY_LENGTH = 2  # characters by which terms are indexed


class Term(NamedTuple):
    """An entry of a glossary: variants of the source term, and of its translation."""

    source: tuple[str, ...]
    target: tuple[str, ...]

    def __str__(self) -> str:
        return f"{'|'.join(self.source)} = {'|'.join(self.target)}"


class Glossary:
    """Terms that are looked up in source text.

    A source term in lower case matches upper case, too; one with capitals, only as it is written. It is found as whole
    words, and of overlapping terms the first and longest.

    Args:
        terms: The terms. No source variant may occur twice.
    """

    def __init__(self, terms: Iterable[Term]) -> None:
        self.terms = tuple(terms)
        self._index: defaultdict[str, list[tuple[str, Term]]] = defaultdict(list)
        for term in self.terms:
            for variant in term.source:
                self._index[variant[:KEY_LENGTH].casefold()].append((variant, term))
        for candidates in self._index.values():
            candidates.sort(key=lambda pair: -len(pair[0]))

    def find(self, text: str) -> dict[Term, list[tuple[int, int]]]:
        """The terms in a text, in the order of their first occurrence, with start and end of each occurrence.

        Words in the text are separated by single spaces.
        """
        place = 0
        found: dict[Term, list[tuple[int, int]]] = {}
        while place < len(text):
            # Short terms are indexed by what they have.
            keys = {text[place : place + length].casefold() for length in range(1, KEY_LENGTH + 1)}
            candidates = [pair for key in keys for pair in self._index.get(key, ())]
            # Of `it` and `IT`, the one that is written like the text comes first.
            candidates.sort(key=lambda pair: (-len(pair[0]), not text.startswith(pair[0], place)))
            for variant, term in candidates:
                end = place + len(variant)
                if _equal(text[place:end], variant) and stands_alone(text, place, end):
                    found.setdefault(term, []).append((place, end))
                    place = end - 1
                    break
            place += 1
        return found


def _equal(text: str, variant: str) -> bool:
    return text == variant or (variant == variant.lower() and text.lower() == variant)


def load_glossary(path: Path) -> Glossary:
    """Read a glossary: TSV or CSV with the source term first, then the target term, and possibly a comment.

    These are the glossaries of DeepL (two columns) and OmegaT (three columns, lines of comments begin with `#`). Terms
    may have variants, `house|houses`.

    Raises:
        CorpusError: The file cannot be read; a row has a different number of columns; a term is blank; or a source term
            occurs twice. The message names the file and the line.
    """
    lines = sample_lines(path)
    terms: dict[str, tuple[int, Term]] = {}
    for number, cells in read_rows(path, find_form(lines)):
        if not any(plain_form(cell) for cell in cells) or cells[0].startswith("#"):
            continue
        if not 2 <= len(cells) <= 3:
            raise CorpusError(
                f"{path}:{number}: expected a source term and a target term, separated by a tab (or as CSV), and "
                f"possibly a comment, found {pluralize(len(cells), 'column')}."
            )
        term = Term(*map(split_variants, cells[:2]))
        if not (term.source and term.target):
            blank = "target" if term.source else "source"
            raise CorpusError(f"{path}:{number}: the {blank} term is blank. Fill it in, or delete the line.")
        for variant in term.source:
            if variant in terms:
                first, other = terms[variant]
                joined = "|".join(dict.fromkeys([*other.target, *term.target]))
                raise CorpusError(
                    f"{path}:{number}: the source term {variant!r} is in line {first}, too. Keep one of them; variants "
                    f"of a translation are joined as {joined!r}."
                )
            terms[variant] = number, term
    return Glossary(dict.fromkeys(term for _, term in terms.values()))
