"""Rows of a table: tab-separated text, CSV, or cells that a spreadsheet put in quotation marks."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from seq2seq.config.corpus import DELIMITERS
from seq2seq.corpora.lines import read_lines
from seq2seq.errors import CorpusError

MOST = 0.9  # minimum share of the lines or cells of a kind
SAMPLE_LINES = 2000
MAX_CELL_LINES = 100  # lines of a cell; if there are more, a quotation mark was not closed
QUOTED = re.compile(r'"(?:[^"]|"")*"')
QUOTED_IN_CSV = re.compile(r'(?:^|,)"(?:[^"]|"")*"(?:,|$)')
LINE_BREAK = re.compile(r"\s*\n\s*")

Row = tuple[int, list[str]]  # number of the first line, and the cells


class TableForm(NamedTuple):
    """The separator of cells, by its name in `DELIMITERS`, and whether cells may be in quotation marks."""

    delimiter: str = "tab"
    quoted: bool = False


def read_rows(path: Path, form: TableForm) -> Iterator[Row]:
    """Yield the rows of a table. A line break within a cell in quotation marks becomes a space.

    Raises:
        CorpusError: See `read_lines`; or a quotation mark is not closed, or closed within a cell.
    """
    if form.quoted:
        return _read_quoted(path, form)
    delimiter = DELIMITERS[form.delimiter]
    return ((number, line.split(delimiter)) for number, line in enumerate(read_lines(path), start=1))


def _read_quoted(path: Path, form: TableForm) -> Iterator[Row]:
    delimiter = DELIMITERS[form.delimiter]
    declaration = f"sep={delimiter}"  # possible first line, for Excel
    lines = ("" if number == 0 and line == declaration else line for number, line in enumerate(read_lines(path)))
    rows = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True)
    number = 1
    try:
        for row in rows:
            if rows.line_num - number >= MAX_CELL_LINES:
                raise csv.Error(f"a cell of {rows.line_num - number + 1} lines")
            if row:  # not a blank line
                yield number, [LINE_BREAK.sub(" ", cell) for cell in row]
            number = rows.line_num + 1
    except csv.Error as error:
        as_text = ", or set 'quoted: false' if they are text" if form.delimiter == "tab" else ""
        raise CorpusError(
            f'{path}:{number}: expected cells in quotation marks, with "" for each mark inside, as in CSV, found '
            f"{error}. Fix the quotation marks in this line{as_text}."
        ) from None


def sample_lines(path: Path) -> list[str]:
    """The first non-blank lines of a text file; errors as in `read_lines`."""
    return [line for line in islice(read_lines(path), SAMPLE_LINES) if line.strip()]


def find_form(lines: Sequence[str]) -> TableForm:
    """Detect the form of a table from its first lines."""
    rows = [line.split("\t") for line in lines]
    if 2 * sum(len(row) > 1 for row in rows) < len(rows):
        for name, mark in DELIMITERS.items():
            if mark != "\t" and _is_csv(lines, mark):
                return TableForm(name, quoted=True)
    return TableForm(quoted=_is_quoted(rows))


def _is_quoted(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a spreadsheet wrote tab-separated rows: it quotes all cells, or those with quotes or line breaks."""
    marked = [row for row in rows if any('"' in cell for cell in row)]
    whole = sum(all(QUOTED.fullmatch(cell) for cell in row) for row in marked)
    doubled = sum(any('""' in cell[1:-1] and QUOTED.fullmatch(cell) for cell in row) for row in marked)
    broken = sum(any(cell.startswith('"') and cell.count('"') % 2 for cell in row) for row in marked)
    ragged = len({len(row) for row in rows}) > 1
    return 2 * whole > len(rows) or 100 * doubled > len(rows) or (ragged and 10 * broken > len(rows))


def _is_csv(lines: Sequence[str], delimiter: str) -> bool:
    try:
        rows = list(csv.reader((f"{line}\n" for line in lines), delimiter=delimiter))
    except csv.Error:  # a line of hundreds of kilobytes, or one with a CR inside
        return False
    (width, count), *_ = Counter(map(len, rows)).most_common(1)
    return width > 1 and count >= MOST * len(rows)
