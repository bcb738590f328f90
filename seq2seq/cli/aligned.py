"""Files whose lines correspond to each other."""

from collections.abc import Sequence
from pathlib import Path

from seq2seq.corpora import read_lines
from seq2seq.errors import EvaluationError
from seq2seq.plurals import pluralize
from seq2seq.storage.files import place_name


def read_aligned(files: Sequence[Path]) -> list[list[str]]:
    """Read files that must have the same number of lines.

    Raises:
        EvaluationError: A file has a different number of lines from the first one.
        CorpusError: A file cannot be read.
    """
    texts = [list(read_lines(file)) for file in files]
    for file, lines in zip(files, texts, strict=True):
        if len(lines) != len(texts[0]):
            raise EvaluationError(
                f"{place_name(files[0])} has {pluralize(len(texts[0]), 'line')}, but {place_name(file)} has "
                f"{len(lines):,}. Line N of one must correspond to line N of the other."
            )
    return texts
