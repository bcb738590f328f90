"""Sentence pairs that a command reads: two files, or tab-separated lines as they arrive."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import typer

from seq2seq.cli.console import input_lines
from seq2seq.corpora.chunks import chunks
from seq2seq.errors import CorpusError
from seq2seq.plurals import pluralize
from seq2seq.storage.files import STDIN, place_name

CHUNK_PAIRS = 2_000  # pairs in memory at once


class Pairs(NamedTuple):
    """Where pairs come from.

    Attributes:
        source: File of sources.
        target: File of their translations.
        table: File of pairs instead.
    """

    source: Path | None
    target: Path | None
    table: Path | None

    def check(self) -> None:
        """Reject files that do not belong together."""
        if (self.source is None) != (self.target is None) or (self.source is not None and self.table is not None):
            raise typer.BadParameter("give both --source FILE and --target FILE, or only pairs: --input FILE, or stdin")

    @property
    def files(self) -> list[Path]:
        """All files that are read."""
        return [file for file in (self.source, self.target) if file is not None] or [self.table or STDIN]

    @property
    def name(self) -> str:
        """Name of the pairs for display."""
        return place_name(self.files[-1])

    @contextmanager
    def chunks(self) -> Iterator[Iterator[list[tuple[str, str]]]]:
        """Yield the pairs in chunks; a chunk of lines that arrive ends where no more have arrived.

        The pairs before an error are yielded before it is raised.

        Raises:
            CorpusError: The files are not aligned, or a line does not have two columns.
        """
        if self.source is not None and self.target is not None:
            from seq2seq.corpora.readers import AlignedFiles

            pairs = AlignedFiles(self.source, self.target)
            yield chunks(((pair.source, pair.target) for pair in pairs), CHUNK_PAIRS)
            return
        with input_lines(self.files[0], "Type a sentence, a tab and its translation, and press Enter") as lines:
            yield lines.chunks(CHUNK_PAIRS, partial(_columns, lines.name))


def _columns(name: str, line: str, number: int) -> tuple[str, str]:
    columns: Sequence[str] = line.split("\t")
    if len(columns) != 2:
        remedy = "Write a tab between source and target" if len(columns) == 1 else "Remove the other tabs"
        raise CorpusError(
            f"{name}:{number}: expected source<TAB>target, found {pluralize(len(columns), 'column')}: {line[:60]!r}. "
            f"{remedy}."
        )
    return columns[0], columns[1]
