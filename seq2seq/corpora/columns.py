"""The contents of the columns of a table of sentence pairs, and errors about files that are no such table."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from seq2seq.corpora.languages import language_code, may_be_in
from seq2seq.corpora.readers import open_bytes, read_lines, wrap_reading_errors
from seq2seq.errors import CorpusError
from seq2seq.plurals import pluralize

SAMPLE_LINES = 2000
HEAD_BYTES = 2**16
MOST = 0.9  # minimum share of the lines or cells of a kind

GZIP = b"\x1f\x8b"
MAGIC = {b"PK\x03\x04": "a zip archive, as .xlsx and .docx are", GZIP: "gzip without .gz in its name"}
MAGIC |= {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"%PDF": "PDF"}
MARKUP = re.compile(
    r"\s*<(\?xml|!doctype|tmx|xliff|html|body|url|doc|talkid|keywords|speaker|title|srcset|refset|tstset|mteval)\b",
    re.IGNORECASE,
)
ATTRIBUTION = re.compile(r"\bCC[ -]?(BY|0)\b|\bAttribution\b|tatoeba\.org|^https?://\S+$", re.IGNORECASE)
QUOTED = re.compile(r'"(?:[^"]|"")*"')
LANGUAGE_CODE = "a language code"
SYMBOLS = "symbols without a letter or digit"
NEVER_SENTENCES = ("numbers", SYMBOLS, "identifiers", "attribution", LANGUAGE_CODE)
SIDE_NAMES = {"source", "src", "target", "tgt", "trg", "original", "translation", "reference", "text", "sentence"}
MAX_HEADING_WORDS = 3


@dataclass(frozen=True)
class Column:
    """A column of a table.

    number    counted from 1
    cells     cells of a sample of rows, without the header
    first     the cell of the first line
    kind      None: sentences; otherwise a description of the contents
    language  the language, if all cells are its code
    """

    number: int
    cells: list[str]
    first: str
    kind: str | None
    language: str | None = None


def read_sample(path: Path) -> list[str]:
    """The first non-blank lines of a text file.

    Raises:
        CorpusError: The file cannot be read, or does not consist of lines of UTF-8 text.
    """
    with wrap_reading_errors(str(path)), open_bytes(path) as handle:
        head = handle.read(HEAD_BYTES)
    found = next((what for magic, what in MAGIC.items() if head.startswith(magic)), None)
    remedy = "Give plain text, one sentence or pair per line."
    if head.startswith(GZIP):
        remedy = f"Rename it to {path.name}.gz."
    if found is None and b"\0" in head:
        found, encoding = "a binary file", _utf_16(head)
        if encoding is not None:
            found, remedy = "UTF-16", f"Convert it with `iconv -f {encoding} -t utf-8`."
    if found is None and b"\r" in head and b"\n" not in head:
        found, remedy = "lines that end with CR alone", "Convert it with `tr '\\r' '\\n'`."
    if found is not None:
        raise CorpusError(f"{path}: expected lines of text in UTF-8, found {found}. {remedy}")
    lines = [line for line in islice(read_lines(path), SAMPLE_LINES) if line.strip()]
    if not lines:
        raise CorpusError(f"{path}: expected sentence pairs, found no text.")
    if tag := MARKUP.match(lines[0]):
        raise CorpusError(
            f"{path}: expected lines of text, found markup, {tag[0].strip()}>. Extract the sentences first, one per "
            "line."
        )
    return lines


def _utf_16(head: bytes) -> str | None:
    """The name of the encoding of a text in UTF-16, by its mark or by the zero in one of the first two bytes."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    first, second = head[0] == 0, head[1:2] == b"\0"
    return None if first == second else "utf-16be" if first else "utf-16le"


def read_columns(path: Path, given: tuple[int, int] | None = None) -> list[Column]:
    """The columns of a table: those of most of its lines, or of all lines that have the two `given` columns.

    Raises:
        CorpusError: See `read_sample`; or the columns are not separated by tabs, or a spreadsheet quoted the cells.
    """
    lines = read_sample(path)
    rows = [line.split("\t") for line in lines]
    widths = Counter(map(len, rows)).most_common()
    width, rows_of_width = widths[0]
    if _quoted(rows):
        raise CorpusError(
            f"{path}: expected tab-separated columns, found cells in quotation marks, as spreadsheets and CSV write "
            f"them: {lines[0][:60]}. Save it as tab-separated text without quotation marks."
        )
    if width == 1 and (delimiter := next((mark for mark in ",;|" if _is_csv(lines, mark)), None)):
        raise CorpusError(
            f"{path}: expected tab-separated columns, found CSV with columns separated by '{delimiter}'. Save it as "
            "tab-separated text without quotation marks."
        )
    if width == 1:
        raise CorpusError(
            f"{path}: expected source<TAB>target lines, found no tab in most lines. Give such a file, or two files, "
            "source and target, that are aligned line by line."
        )
    if given is not None:
        width = min((len(row) for row in rows if len(row) >= max(given)), default=width)
    elif rows_of_width < MOST * len(rows):
        found = ", ".join(f"{count:,} with {size}" for size, count in widths)
        raise CorpusError(
            f"{path}: expected equally many tab-separated columns in every line, found {pluralize(len(rows), 'line')}: "
            f"{found}. Fix the file, or say which columns hold source and target: --columns 1,2."
        )
    alike = [row[:width] for row in rows if len(row) == width or (given is not None and len(row) > width)]
    return [_column(number, *cells) for number, cells in enumerate(zip(*alike, strict=True), start=1)]


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
    return all(code or set(_heading(side.first)) & SIDE_NAMES for side, code in named)


def header_language(column: Column) -> str | None:
    """The language in a column's header, such as `German`, `de` or `text_de`."""
    return next((code for code in map(language_code, (column.first, *_heading(column.first))) if code), None)


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
    if most(lambda cell: not re.search(r"\s", cell) and re.search("[0-9]", cell)):
        return "identifiers"
    return None


def _quoted(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a spreadsheet wrote the rows: it quotes all cells, or those with quotation marks or line breaks."""
    whole = sum(all(QUOTED.fullmatch(cell) for cell in row) for row in rows)
    doubled = sum(any('""' in cell[1:-1] and QUOTED.fullmatch(cell) for cell in row) for row in rows)
    broken = sum(any(cell.startswith('"') and cell.count('"') % 2 for cell in row) for row in rows)
    ragged = len({len(row) for row in rows}) > 1
    return 2 * whole > len(rows) or 100 * doubled > len(rows) or (ragged and 10 * broken > len(rows))


def _is_csv(lines: Sequence[str], delimiter: str) -> bool:
    try:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter))
    except csv.Error:  # a line of hundreds of kilobytes, or one with a CR inside
        return False
    (width, count), *_ = widths.most_common(1)
    return width > 1 and count >= MOST * len(lines)
