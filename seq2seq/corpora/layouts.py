"""The layout of a table that a recipe describes, and explanations for files that have a different one."""

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from seq2seq.config.corpus import TABLE_KEYS, TextConfig
from seq2seq.corpora.columns import has_header, may_have_header, read_table
from seq2seq.corpora.tables import MOST, SAMPLE_LINES, TableForm, find_form, read_rows, sample_lines
from seq2seq.errors import CorpusError, suggest_similar


class Layout(NamedTuple):
    """Layout of a table.

    Attributes:
        source, target, score: Columns, counted from 0; `score` is None if there is none.
        header: Whether the first row is a header.
        least, most: Minimum and maximum number of columns of a row.
    """

    source: int
    target: int
    score: int | None
    header: bool
    least: int
    most: float


def table_form(spec: TextConfig) -> TableForm:
    """The form of the rows that a recipe describes."""
    return TableForm(spec.delimiter, spec.delimiter != "tab" if spec.quoted is None else spec.quoted)


def describe_layout(spec: TextConfig) -> str:
    """Describe the settings that determine, together with the file, which pairs are read; for fingerprints."""
    given = {key: getattr(spec, key) for key in TABLE_KEYS} | {"columns": spec.columns or (1, 2)}
    return ", ".join(f"{key} {value}" for key, value in given.items())


def check_quoting(path: Path, spec: TextConfig) -> None:
    """Check that quotation marks, if they are read as text, do not come from a spreadsheet that put them around cells.

    Raises:
        CorpusError: The marks seem to come from a spreadsheet.
    """
    if spec.delimiter != "tab" or spec.quoted is not None:
        return
    lines: list[str] = []
    with suppress(CorpusError):  # reading will name the line
        lines = sample_lines(path)
    if find_form(lines) == TableForm(quoted=True):
        raise CorpusError(
            f"{path}: expected tab-separated text, found cells in quotation marks, as spreadsheets and CSV write them: "
            f"{lines[0][:60]}. If the marks enclose cells, set {{tsv: {path.name}, quoted: true}}; if they are text, "
            "set 'quoted: false'."
        )


def find_layout(path: Path, spec: TextConfig, first: Sequence[str]) -> Layout:
    """The layout of a table with the first row `first`.

    Raises:
        CorpusError: A named column is not in the header; or the row is a header, but the recipe does not say so.
    """
    columns: tuple[int | str, ...] = spec.columns or (1, 2)
    wanted = columns if spec.score_column is None else (*columns, spec.score_column)
    named = any(isinstance(column, str) for column in wanted)
    places = [_place(path, column, first) for column in wanted]
    if spec.header is None and not named and _is_header(path, first, places):
        raise CorpusError(
            f"{path}:1: expected a sentence pair, found a header: {', '.join(map(repr, first))[:80]}. If it is one, "
            f"set {{tsv: {path.name}, header: true}}; if it is a pair, set 'header: false'."
        )
    exact = spec.columns is None and spec.score_column is None
    score = places[2] if len(places) > 2 else None
    return Layout(places[0], places[1], score, named or bool(spec.header), max(places) + 1, 2 if exact else math.inf)


def _place(path: Path, column: int | str, header: Sequence[str]) -> int:
    if isinstance(column, int):
        return column - 1
    names = [name.strip() for name in header]
    if column in names:
        return names.index(column)
    raise CorpusError(
        f"{path}:1: expected the column {column!r} in the header, found {', '.join(map(repr, names))[:200]}."
        f"{suggest_similar(column, names)}"
    )


def _is_header(path: Path, first: Sequence[str], places: Sequence[int]) -> bool:
    if max(places) >= len(first) or not may_have_header([first[place] for place in places[:2]]):
        return False
    table = []
    with suppress(CorpusError):
        table = read_table(path, [place + 1 for place in places]).columns
    return max(places) < len(table) and has_header(table, table[places[0]], table[places[1]])


def read_score(cell: str, where: str, column: int | str | None) -> float:
    """The score of a pair.

    Raises:
        CorpusError: The cell is not a number.
    """
    try:
        score = float(cell)
    except ValueError:
        score = math.nan
    if math.isnan(score):
        raise CorpusError(
            f"{where}: expected a number in column {column} for 'score_column', found {cell[:40]!r}. Fix the line, or "
            "'score_column'; if it is a header, set 'header: true'."
        )
    return score


def explain_width(path: Path, spec: TextConfig, number: int, cells: Sequence[str]) -> str:
    """Explain a row with too few or too many cells, and how to fix the file or the recipe."""
    problem = (
        _explain_form(path, spec, number, cells)
        or _explain_given(spec, cells)
        or _explain_table(path, spec, cells)
        or _explain_row(path, spec, cells)
    )
    return f"{path}:{number}: expected {problem}"


def _explain_form(path: Path, spec: TextConfig, number: int, cells: Sequence[str]) -> str | None:
    """Explanation for a file whose form differs from the recipe's; None for other files."""
    lines: list[str] = []
    with suppress(CorpusError):
        lines = sample_lines(path)
    form = find_form(lines)
    if len(cells) > 1 or table_form(spec).quoted or not form.quoted:
        return None
    header = ", header: true" if number == 1 and _names_columns(path) else ""
    separator, how = "", "quoted: true"
    if form.delimiter != "tab":
        separator, how = f", with columns separated by a {form.delimiter}", f"delimiter: {form.delimiter}"
    return f"tab-separated columns, found CSV{separator}. Read it with {{tsv: {path.name}, {how}{header}}}."


def _explain_given(spec: TextConfig, cells: Sequence[str]) -> str | None:
    """Explanation for a row without a column that the recipe names; None for other rows."""
    given = {key: getattr(spec, key) for key in ("columns", "score_column") if getattr(spec, key) is not None}
    if not given or not any(cell.strip() for cell in cells):
        return None
    numbers = [column for column in (*(spec.columns or ()), spec.score_column) if isinstance(column, int)]
    least = f"at least {max(numbers)} " if numbers else ""
    keys = [f"'{key}: {list(value) if isinstance(value, tuple) else value}'" for key, value in given.items()]
    remedy = " or ".join(f"'{key}'" for key in given)
    return f"{least}{_columns(spec)} for {' and '.join(keys)}, found {len(cells)}. Fix the line, or {remedy}."


def _explain_table(path: Path, spec: TextConfig, cells: Sequence[str]) -> str | None:
    """Explanation for a file in which most rows are as wide as this one; None for other files."""
    widths, found = Counter[int](), len(cells)
    with suppress(CorpusError):
        for _, row in islice(read_rows(path, table_form(spec)), SAMPLE_LINES):
            widths[len(row)] += 1
    if widths[found] < MOST * widths.total() or not any(cell.strip() for cell in cells):
        return None
    share = "every line" if widths[found] == widths.total() else "most lines"
    problem = f"2 {_columns(spec)}, found {found} in {share}."
    if found == 1:
        return (
            f"{problem} Give source<TAB>target lines, or two files that are aligned line by line: "
            "{source: FILE, target: FILE}."
        )
    source, target = _sentence_columns(path)
    return (
        f"{problem} Say which columns hold source and target: {{tsv: {path.name}, columns: [{source}, {target}]}} in a "
        f"recipe, --columns {source},{target} in `seq2seq train FILE`."
    )


def _explain_row(path: Path, spec: TextConfig, cells: Sequence[str]) -> str:
    """Explanation for a row that differs from the others."""
    remedy = "Add the missing tab: each line is source<TAB>target."
    if any("\r" in cell for cell in cells):
        remedy = f"Some lines end with CR alone: convert the file with `perl -pe 's/\\r\\n?/\\n/g' {path.name} > NEW`."
    elif not any(cell.strip() for cell in cells):
        remedy = "Remove the blank line: each line is source<TAB>target."
    elif len(cells) > 2:
        remedy = (
            "Remove the extra tab, or say which columns hold source and target: {tsv: FILE, columns: [1, 2]} in a "
            "recipe, --columns 1,2 in `seq2seq train FILE`."
        )
    return f"2 {_columns(spec)}, found {len(cells)}. {remedy}"


def _columns(spec: TextConfig) -> str:
    return "tab-separated columns" if spec.delimiter == "tab" else f"columns separated by a {spec.delimiter}"


def _names_columns(path: Path) -> bool:
    with suppress(CorpusError):
        columns = read_table(path).columns
        return len(columns) > 1 and has_header(columns, *columns[:2])
    return False


def _sentence_columns(path: Path) -> list[int]:
    """The two columns of a table that have sentences; the first two if that is not clear."""
    with suppress(CorpusError):
        numbers = [column.number for column in read_table(path).columns if column.kind is None]
        if len(numbers) == 2:
            return numbers
    return [1, 2]
