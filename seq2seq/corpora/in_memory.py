"""Sentence pairs from Python objects of several forms, and the TSV file that stores them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.config.languages import language_code
from seq2seq.corpora.readers import SentencePair, open_corpus
from seq2seq.corpora.survey import detect_pairs
from seq2seq.errors import CorpusError
from seq2seq.plurals import pluralize
from seq2seq.storage.files import atomic_write

ACCEPTED = (
    "a list of (source, target) tuples or of dicts, a data frame with two columns of text, a dict of two lists, "
    "the path of a TSV file, or two paths"
)
# Characters that end a line or a column of a TSV file, or that would be read as a byte order mark.
SEPARATORS = re.compile("[\t\r\n\ufeff]+")


class InMemoryPairs(NamedTuple):
    """Pairs, and their languages by the names of the columns (ISO 639), None if these name no language."""

    pairs: list[SentencePair]
    source_language: str | None
    target_language: str | None


def pair_files(pairs: Any) -> list[Path] | None:
    """The one or two files in `pairs`; None if these are not paths."""
    if isinstance(pairs, (str, PathLike)):
        return [Path(pairs)]
    if isinstance(pairs, (tuple, list)) and len(pairs) == 2 and all(isinstance(one, (str, PathLike)) for one in pairs):
        return [Path(one) for one in pairs]
    return None


def collect_pairs(pairs: Any, columns: Sequence[str | int] | None = None) -> InMemoryPairs:
    """Read pairs from Python objects.

    Args:
        pairs: Tuples or lists of source and target (what follows these must not be text), `SentencePair`s or dicts,
            from any iterable; a dict of two lists; or a data frame of pandas or Polars, or another object with
            `columns`.
        columns: Names of the source and the target in dicts and data frames; numbers from 0 in tuples. By default
            `source` and `target` if these exist, otherwise the first two with text.

    Raises:
        CorpusError: `pairs` has another form or no pairs, or a sentence is not a string.
    """
    if isinstance(pairs, Mapping):
        return _from_columns(pairs, list(pairs), columns)
    if hasattr(pairs, "columns") and hasattr(pairs, "__getitem__"):
        return _from_columns(pairs, list(pairs.columns), columns)
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable):
        raise CorpusError(f"pairs: expected {ACCEPTED}; found {type(pairs).__name__}.")
    found, names = [], None
    for number, row in enumerate(pairs):
        if isinstance(row, Mapping):
            inner = next(iter(row.values()), None)
            fields = inner if len(row) == 1 and isinstance(inner, Mapping) else row  # {"translation": {"en": ...}}
            if names is None:
                names = _choose([name for name in fields if isinstance(fields[name], str)], columns, list(fields))
            cells = [fields.get(name) for name in names]
        elif isinstance(row, Sequence) and not isinstance(row, (str, bytes)) and len(row) >= 2:
            texts = sum(isinstance(cell, str) for cell in row)
            if columns is None and texts > 2 and not isinstance(row, SentencePair):
                raise CorpusError(
                    f"pairs[{number}]: expected a source and a target, found {texts} texts. "
                    "Pass columns=(0, 1), or whichever two hold them."
                )
            places: Sequence[Any] = (0, 1) if columns is None else columns
            if not all(isinstance(place, int) and 0 <= place < len(row) for place in places):
                raise CorpusError(
                    f"pairs[{number}]: expected two columns of {len(row)}, counted from 0, found {list(places)}."
                )
            cells = [row[place] for place in places]
        else:
            raise CorpusError(f"pairs[{number}]: expected a source and a target, found {row!r:.80}.")
        found.append(_pair(number, *cells))
    return _checked(found, names)


def read_pairs(pairs: Any, columns: Any = None) -> list[SentencePair]:
    """Read pairs from Python objects, see `collect_pairs`, or from one or two files, see `detect_pairs`."""
    files = pair_files(pairs)
    if files is None:
        return collect_pairs(pairs, columns).pairs
    return list(open_corpus(detect_pairs(files, columns).corpus))


def write_pairs(pairs: Iterable[SentencePair], path: Path) -> int:
    """Write pairs as `source<TAB>target` lines.

    A run of tabs and line breaks within a sentence becomes one space, and characters that UTF-8 cannot encode become
    U+FFFD.

    Returns:
        Number of pairs that were changed by this.
    """
    changed = 0
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for source, target, _ in pairs:
            sides = [_tsv_cell(source), _tsv_cell(target)]
            changed += sides != [source, target]
            file.write("\t".join(sides) + "\n")
    return changed


def _tsv_cell(text: str) -> str:
    text = SEPARATORS.sub(" ", text)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _from_columns(table: Any, names: list[Any], columns: Sequence[str | int] | None) -> InMemoryPairs:
    lists = {name: _as_list(table[name]) for name in names}
    textual = [name for name, cells in lists.items() if isinstance(next(_present(cells), None), str)]
    chosen = _choose(textual, columns, names)
    sides = [lists[name] for name in chosen]
    if len(sides[0]) != len(sides[1]):
        raise CorpusError(
            f"pairs: column {chosen[0]!r} has {pluralize(len(sides[0]), 'sentence')}, {chosen[1]!r} has "
            f"{len(sides[1]):,}. Sentence N of one must translate sentence N of the other."
        )
    return _checked([_pair(number, *cells) for number, cells in enumerate(zip(*sides, strict=True))], chosen)


def _as_list(column: Any) -> list[Any]:
    """The cells of a list, a tuple, or a column of pandas, NumPy or Polars."""
    for method in ("to_list", "tolist"):
        if hasattr(column, method):
            return list(getattr(column, method)())
    if isinstance(column, Iterable) and not isinstance(column, str):
        return list(column)
    raise CorpusError(f"pairs: expected {ACCEPTED}; found a column of {type(column).__name__}.")


def _present(cells: Iterable[Any]) -> Any:
    """The cells that are not missing; only NaN differs from itself."""
    return (cell for cell in cells if cell is not None and cell == cell)  # noqa: PLR0124


def _choose(textual: Sequence[Any], columns: Sequence[str | int] | None, names: Sequence[Any]) -> tuple[Any, Any]:
    if columns is None:
        columns = ("source", "target") if {"source", "target"} <= set(textual) else textual[:2]
    listed = ", ".join(map(repr, names)) or "none"
    if len(columns) != 2:
        raise CorpusError(f"pairs: expected two columns of text, found {len(columns)} among the columns {listed}.")
    for name in columns:
        if name not in names:
            raise CorpusError(f"pairs: there is no column {name!r}. Columns: {listed}.")
    return columns[0], columns[1]


def _pair(number: int, source: Any, target: Any) -> SentencePair:
    for side, text in (("source", source), ("target", target)):
        if not isinstance(text, str):
            raise CorpusError(
                f"pairs[{number}]: expected the {side} as text, found {text!r:.40} ({type(text).__name__}). Remove "
                "pairs with a missing side (in a data frame: pairs.dropna())."
            )
    return SentencePair(source, target, f"pair {number}")


def _checked(pairs: list[SentencePair], names: Sequence[Any] | None) -> InMemoryPairs:
    if not pairs:
        raise CorpusError(f"pairs: there are none. Expected {ACCEPTED}.")
    codes = [language_code(name) if isinstance(name, str) else None for name in names or (None, None)]
    return InMemoryPairs(pairs, codes[0], codes[1])
