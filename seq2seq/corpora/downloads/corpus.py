"""A downloaded corpus: its splits, as a recipe names them, and `SOURCE.json`, which records their origin."""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

import yaml

from seq2seq.config.corpus import SIDES
from seq2seq.config.languages import language_code
from seq2seq.corpora.downloads.catalogue import AlignedSplit
from seq2seq.corpora.downloads.splits import SPLITS, SplitReport, write_splits
from seq2seq.corpora.lines import read_lines
from seq2seq.errors import CorpusError
from seq2seq.plurals import pluralize
from seq2seq.storage.files import atomic_write

RECORD_FILE = "SOURCE.json"
SPLITTING = "splitting"

DownloadProgress = Callable[
    [str, int, int | None], None
]  # a file name or SPLITTING; number of bytes or lines done; total number if known


class UnsplitTable(NamedTuple):
    """Lines of tab-separated columns, and how to split them; see `write_splits`."""

    lines: Iterable[bytes]
    name: str
    columns: tuple[int, int]
    held_out: float = 0.01


@dataclass
class DownloadedCorpus:
    """Result of `get_corpus`.

    Attributes:
        name: Name of the corpus.
        languages: Source and target language.
        licence: Licence of the corpus.
        citation: What to cite.
        folder: Folder of the files.
        recipe: Recipe to start from.
        splits: Files of each split: `{"train": {"tsv": path}}`, or `source` and `target`.
        pairs: Number of pairs of each split.
        report: Report on splits that were made here; None for other splits.
        unverified_checksums: SHA-256 of each file for which no checksum was known.
        extra_references: Files with further references of a test set.
        table: Text that is not split yet; None if there is none.
        release: Entries of `SOURCE.json` about the release of a table.
    """

    name: str
    languages: tuple[str, str]
    licence: str
    citation: str
    folder: Path
    recipe: str = "multi30k-en-de-small"
    splits: dict[str, dict[str, str]] = field(default_factory=dict)
    pairs: dict[str, int] = field(default_factory=dict)
    report: SplitReport | None = None
    unverified_checksums: dict[str, str] = field(default_factory=dict)
    extra_references: list[str] = field(default_factory=list)
    table: UnsplitTable | None = None
    release: dict[str, str] = field(default_factory=dict)

    def add_aligned(self, split: str, files: AlignedSplit) -> None:
        """Add a split of two files, which must have the same number of lines, namely that in the catalogue.

        Raises:
            CorpusError: The numbers of lines differ.
        """
        source, target = self.folder / files.source, self.folder / files.target
        lines = [sum(1 for _ in read_lines(path)) for path in (source, target)]
        expected = files.pairs or lines[0]
        if lines != [expected, expected]:
            raise CorpusError(
                f"{source} and {target}: expected {pluralize(expected, 'line')} in each, found {lines[0]:,} and "
                f"{lines[1]:,}. Delete them and run the command again."
            )
        self.splits[split] = {"source": str(source), "target": str(target)}
        self.pairs[split] = expected

    def split_table(self, table: UnsplitTable, seed: int, on_progress: DownloadProgress) -> None:
        """Add `train.tsv`, `valid.tsv` and `test.tsv`, split by source sentence; see `write_splits`."""
        lines, name, columns, held_out = table
        self.report = write_splits(_counted(lines, on_progress), name, self.folder, columns, seed, held_out)
        self.splits = {split: {"tsv": str(self.folder / f"{split}.tsv")} for split in SPLITS}
        self.pairs = {split: self.report.pairs[split] for split in SPLITS}
        how = {"by": "source sentence", "columns": columns, "seed": seed, "held_out": held_out}
        self.write_record(splits=how | self.report.as_dict(), **self.release)

    def next_command(self) -> str:
        """The next command to run with the corpus: training, or evaluation if it is only a test set."""
        tests = [split for split in self.splits if split.startswith("test")]
        if "train" not in self.splits:
            files = self.splits[tests[0]]
            references = " ".join(f"--reference {quote(file)}" for file in (files["target"], *self.extra_references))
            return f"evaluate: seq2seq evaluate MODEL --source {quote(files['source'])} {references}"
        places = {"train": self.splits["train"], "valid": self.splits["valid"]}
        if tests:
            places["test"] = self.splits[tests[0]]
        one_line: dict[str, Any] = {"default_flow_style": True, "width": math.inf, "allow_unicode": True}
        settings = [f"data.{split}={yaml.safe_dump(files, **one_line).strip()}" for split, files in places.items()]
        if not tests:
            settings.append("data.test=null")
        for side, language in zip(SIDES, self.languages, strict=True):  # the recipe may have other languages
            settings.append(f"data.{side}_language={language_code(language) or 'null'}")
        lines = [f"train: seq2seq train {self.recipe} --output {quote(f'runs/{self.folder.name}')}"]
        return " \\\n    ".join(lines + [f"--set {quote(setting)}" for setting in settings])

    def reverse(self) -> None:
        """Swap the two languages."""
        self.languages = (self.languages[1], self.languages[0])
        self.splits = {
            split: {"source": files["target"], "target": files["source"]} for split, files in self.splits.items()
        }
        if self.table is not None:
            first, second = self.table.columns
            self.table = self.table._replace(columns=(second, first))

    def read_record(self) -> dict[str, Any]:
        """Contents of `SOURCE.json`; {} if it is missing or damaged."""
        with suppress(OSError, ValueError):
            record = json.loads((self.folder / RECORD_FILE).read_text(encoding="utf-8"))
            if isinstance(record, dict):
                return record
        return {}

    def write_record(self, **more: Any) -> None:
        """Update `SOURCE.json` with what is known now."""
        about = {"corpus": self.name, "licence": self.licence, "citation": self.citation}
        record = self.read_record() | about | more
        with atomic_write(self.folder / RECORD_FILE) as partial:
            partial.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def today() -> str:
    """Today's date in the format of `SOURCE.json`."""
    return datetime.now(UTC).date().isoformat()


def _counted(lines: Iterable[bytes], progress: DownloadProgress) -> Iterator[bytes]:
    for number, line in enumerate(lines, start=1):
        if number % 10_000 == 0:
            progress(SPLITTING, number, None)
        yield line
