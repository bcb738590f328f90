"""Detect what the columns of a table of sentence pairs contain."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from seq2seq.config.languages import language_code
from seq2seq.corpora.languages import may_be_in
from seq2seq.corpora.tables import MOST, QUOTED_IN_CSV, SAMPLE_LINES, TableForm, find_form, read_rows, sample_lines
from seq2seq.errors import CorpusError
from seq2seq.plurals import pluralize

ATTRIBUTION = re.compile(r"\bCC[ -]?(BY|0)\b|\bAttribution\b|tatoeba\.org|^https?://\S+$", re.IGNORECASE)
LANGUAGE_CODE = "a language code"
SYMBOLS = "symbols without a letter or digit"
NEVER_SENTENCES = ("numbers", SYMBOLS, "identifiers", "attribution", LANGUAGE_CODE)
SIDE_NAMES = {"source", "src", "target", "tgt", "trg", "original", "translation", "reference", "text", "sentence"}
MAX_HEADING_WORDS = 3


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        number: Number of the column, from 1.
        cells: Cells of a sample of rows, without the header.
        first: Cell of the first line.
        kind: Description of the contents; None for sentences.
        language: Language, if all cells are its code.
    """

    number: int
    cells: list[str]
    first: str
    kind: str | None
    language: str | None = None


@dataclass(frozen=True)
class DetectedTable:
    """Columns of a table, and the form of its rows."""

    columns: list[Column]
    form: TableForm


def read_sample(path: Path) -> list[str]:
    """The first non-blank lines of a text file.

    Raises:
        CorpusError: The file cannot be read, or does not consist of lines of UTF-8 text.
    """
    lines = sample_lines(path)
    if not lines:
        raise CorpusError(f"{path}: expected sentence pairs, found no text.")
    return lines


def read_table(path: Path, given: Sequence[int | str] | None = None) -> DetectedTable:
    """Columns of a table, sampled from lines with the most frequent number of columns, or with the `given` columns.

    Raises:
        CorpusError: See `read_sample`; or there is one column, or the rows have different numbers of columns.
    """
    lines = read_sample(path)
    form = find_form(lines)
    if form.delimiter == "comma" and ".csv" not in path.name.casefold() and not any(map(QUOTED_IN_CSV.search, lines)):
        raise CorpusError(
            f"{path}: expected tab-separated columns, found lines with commas. If it is CSV, rename it to "
            f"{path.stem}.csv."
        )
    rows = [cells for _, cells in islice(read_rows(path, form), SAMPLE_LINES) if any(map(str.strip, cells))]
    widths = Counter(map(len, rows)).most_common()
    width, rows_of_width = widths[0]
    if width == 1:
        raise CorpusError(
            f"{path}: expected source<TAB>target lines, found no tab in most lines. Give such a file, or two files, "
            "source and target, that are aligned line by line."
        )
    if given is not None:
        needed = max((number for number in given if isinstance(number, int)), default=2)
        width = min((len(row) for row in rows if len(row) >= needed), default=width)
    elif rows_of_width < MOST * len(rows):
        found = ", ".join(f"{count:,} with {size}" for size, count in widths)
        raise CorpusError(
            f"{path}: expected the same number of tab-separated columns in every line, found "
            f"{pluralize(len(rows), 'line')}: {found}. Fix the file, or say which columns hold source and target: "
            "--columns 1,2."
        )
    alike = [row[:width] for row in rows if len(row) == width or (given is not None and len(row) > width)]
    columns = [_column(number, *cells) for number, cells in enumerate(zip(*alike, strict=True), start=1)]
    return DetectedTable(columns, form)


def may_have_header(cells: Sequence[str]) -> bool:
    """Whether two cells of a first line may be the names of columns: a quick look before `has_header`."""
    return all(map(_names_side, cells))


def has_header(columns: Sequence[Column], source: Column, target: Column) -> bool:
    """Whether the first line is a header of the columns, two of which have sentences."""
    sides = source, target
    if not all(_heading(side.first) for side in sides) or source.first.casefold() == target.first.casefold():
        return False
    if any(map(_is_odd_one, columns)):
        return True  # "score" above numbers
    named = [(side, header_language(side)) for side in sides]
    if all(code for _, code in named):  # the pair "German", "Deutsch" is a translation: both name one language
        return named[0][1] != named[1][1] and all(may_be_in(side.cells, code or "") for side, code in named)
    return all(_names_side(side.first) for side in sides)


def header_language(column: Column) -> str | None:
    """The language in a column's header, such as `German`, `de` or `text_de`."""
    return header_language_of(column.first)


def header_language_of(cell: str) -> str | None:
    """The language that a cell names, such as `German`, `de` or `text_de`."""
    return next((code for code in map(language_code, (cell, *_heading(cell))) if code), None)


def _names_side(cell: str) -> bool:
    """Whether a cell is the heading of a side: `German`, `text_de`, `English sentence`, but not "The source"."""
    words = _heading(cell)
    return header_language_of(cell) is not None or (bool(words) and set(words) <= SIDE_NAMES)


def _heading(cell: str) -> list[str]:
    """The words of a possible heading: few, and not a sentence."""
    words = re.findall(r"[^\W_]+", cell.casefold())
    return words if len(words) <= MAX_HEADING_WORDS and not re.search(r"[.!?。？！]\s*$", cell) else []


def _is_odd_one(column: Column) -> bool:
    """Whether only the first cell is not of the column's kind, in a column without sentences."""
    if column.language:
        return language_code(column.first) is None
    if column.kind not in NEVER_SENTENCES:
        return False
    others = (cell for cell in column.cells if cell.strip())
    return _kind([column.first]) is None and all(_kind([cell]) in (column.kind, SYMBOLS) for cell in others)


def _column(number: int, first: str, *cells: str) -> Column:
    filled = [cell.strip() for cell in cells or (first,) if cell.strip()]
    kind = _kind(filled) if 2 * len(filled) >= len(cells) else "blank cells"
    distinct = set(filled)
    language = language_code(filled[0]) if len(distinct) == 1 and len(filled) > 1 and len(filled[0]) <= 7 else None
    if language:
        kind = LANGUAGE_CODE
    elif kind is None and len(filled) > 2 and len(distinct) == 1:
        kind = f"'{filled[0][:20]}' in every line"
    elif kind is None and len(filled) >= 200 and len(distinct) <= len(filled) / 50:
        kind = f"one of {pluralize(len(distinct), 'label')}"
    return Column(number, list(cells) or [first], first, kind, language)


def _kind(cells: Sequence[str]) -> str | None:
    """The contents of cells that are not blank; None: possibly sentences."""

    def most(holds: Callable[[str], object]) -> bool:
        return sum(1 for cell in cells if holds(cell)) >= MOST * len(cells)

    if most(lambda cell: not any(map(str.isalpha, cell))):
        return "numbers" if any(map(str.isnumeric, "".join(cells))) else SYMBOLS
    if most(ATTRIBUTION.search):
        return "attribution"
    if most(lambda cell: cell.isascii() and not re.search(r"\s", cell) and re.search("[0-9]", cell)):
        return "identifiers"
    return None
