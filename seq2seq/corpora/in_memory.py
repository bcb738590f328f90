"""Sentence pairs from Python objects in several formats, and a TSV file to store them."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.arguments import describe
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
    """Pairs, and the languages (ISO 639) that the names of their columns give; None if they give none."""

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


def collect_pairs(pairs: Any, columns: Sequence[str | int] | None = None, name: str = "pairs") -> InMemoryPairs:
    """Read pairs from Python objects.

    Args:
        pairs: Tuples or lists of source and target (further elements must not be text), `SentencePair`s or dicts, from
            any iterable; a dict of two lists; an array (N, 2); or a data frame of pandas or Polars, or another object
            with `columns`.
        columns: Names of the source and the target in dicts and data frames; numbers from 0 in tuples. By default
            `source` and `target` if these exist, otherwise the first two with text.
        name: Name of the argument, for errors.

    Raises:
        CorpusError: `pairs` has an unsupported format or no pairs, or a sentence is not a string.
    """
    if isinstance(pairs, Mapping):
        return _from_columns(pairs, list(pairs), columns, name)
    if hasattr(pairs, "columns") and hasattr(pairs, "__getitem__"):
        return _from_columns(pairs, list(pairs.columns), columns, name)
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable):
        raise CorpusError(f"{name}: expected {ACCEPTED}; found {type(pairs).__name__}.")
    if getattr(pairs, "ndim", 0) == 2 and hasattr(pairs, "tolist"):
        pairs = pairs.tolist()
    found, names = [], None
    for number, row in enumerate(pairs):
        if isinstance(row, Mapping):
            inner = next(iter(row.values()), None)
            fields = inner if len(row) == 1 and isinstance(inner, Mapping) else row  # {"translation": {"en": ...}}
            if names is None:
                names = _choose(_textual(fields), columns, list(fields), name)
            cells = [fields.get(column) for column in names]
        elif isinstance(row, Sequence) and not isinstance(row, (str, bytes)) and len(row) >= 2:
            texts = sum(isinstance(cell, str) for cell in row)
            if columns is None and texts > 2 and not isinstance(row, SentencePair):
                raise CorpusError(
                    f"{name}[{number}]: expected a source and a target, found {texts} texts. "
                    "Pass columns=(0, 1), or the two that hold them."
                )
            places: Sequence[Any] = (0, 1) if columns is None else columns
            if not all(isinstance(place, int) and 0 <= place < len(row) for place in places):
                raise CorpusError(
                    f"{name}[{number}]: expected two columns of {len(row)}, counted from 0, found {list(places)}."
                )
            cells = [row[place] for place in places]
        else:
            raise CorpusError(f"{name}[{number}]: expected a source and a target, found {row!r:.80}.")
        found.append(_pair(f"{name}[{number}]", number, *cells))
    return _checked(found, names, name)


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


def _from_columns(table: Any, names: list[Any], columns: Sequence[str | int] | None, name: str) -> InMemoryPairs:
    lists = {column: _as_list(table[column], name) for column in names}
    first = {column: next((cell for cell in cells if not _is_missing(cell)), None) for column, cells in lists.items()}
    chosen = _choose(_textual(first), columns, names, name)
    sides = [lists[column] for column in chosen]
    if len(sides[0]) != len(sides[1]):
        raise CorpusError(
            f"{name}: column {chosen[0]!r} has {pluralize(len(sides[0]), 'sentence')}, {chosen[1]!r} has "
            f"{len(sides[1]):,}. Sentence N of one must translate sentence N of the other."
        )
    rows = enumerate(zip(*sides, strict=True))
    return _checked([_pair(f"{name}[{number}]", number, *cells) for number, cells in rows], chosen, name)


def _as_list(column: Any, name: str) -> list[Any]:
    """The cells of a list, a tuple, or a column of pandas, NumPy or Polars."""
    for method in ("to_list", "tolist"):
        if hasattr(column, method):
            return list(getattr(column, method)())
    if isinstance(column, Iterable) and not isinstance(column, str):
        return list(column)
    raise CorpusError(f"{name}: expected {ACCEPTED}; found a column of {type(column).__name__}.")


def _is_missing(cell: Any) -> bool:
    """Whether a cell is None, NaN, or pandas's NA or NaT."""
    is_nan = isinstance(cell, float) and math.isnan(cell)
    return cell is None or is_nan or type(cell).__name__ in ("NAType", "NaTType")


def _textual(cells: Mapping[Any, Any]) -> list[Any]:
    """The columns whose cell is text; if there are fewer than two, those without a value, too."""
    textual = [column for column, cell in cells.items() if isinstance(cell, str)]
    if len(textual) >= 2:
        return textual
    return [column for column, cell in cells.items() if isinstance(cell, str) or _is_missing(cell)]


def _choose(
    textual: Sequence[Any], columns: Sequence[str | int] | None, names: Sequence[Any], name: str
) -> tuple[Any, Any]:
    """The columns of source and target."""
    if columns is None:
        columns = ("source", "target") if {"source", "target"} <= set(names) else textual[:2]
    listed = ", ".join(map(repr, names)) or "none"
    if len(columns) != 2:
        raise CorpusError(f"{name}: expected two columns of text, found {len(columns)} among the columns {listed}.")
    for column in columns:
        if column not in names:
            raise CorpusError(f"{name}: there is no column {column!r}. Columns: {listed}.")
    return columns[0], columns[1]


def _pair(place: str, number: int, source: Any, target: Any) -> SentencePair:
    for side, text in (("source", source), ("target", target)):
        if not isinstance(text, str):
            raise CorpusError(
                f"{place}: expected the {side} as text, found {describe(text)}. Remove pairs with a "
                "missing side (in a data frame: pairs.dropna())."
            )
    return SentencePair(source, target, f"pair {number}")


def _checked(pairs: list[SentencePair], names: Sequence[Any] | None, name: str) -> InMemoryPairs:
    if not pairs:
        raise CorpusError(f"{name}: expected {ACCEPTED}; found no pairs.")
    codes = [language_code(column) if isinstance(column, str) else None for column in names or (None, None)]
    return InMemoryPairs(pairs, codes[0], codes[1])
