"""One table of original and translated pairs: data diversification, and sequence-level knowledge distillation.

The table is made in two steps, each of which can be repeated: models translate the sides of a corpus, resumably, into
files that are kept in a folder; then the table is written from the corpus and these files.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from seq2seq.bulk.chunks import Job
from seq2seq.bulk.shard import Shard
from seq2seq.bulk.shards import translate_shard
from seq2seq.config import SearchOptions
from seq2seq.config.corpus import SIDES
from seq2seq.config.precision import Precision
from seq2seq.corpora.chunks import chunks
from seq2seq.corpora.filters import FilterReport
from seq2seq.data.progress import ProgressCallback
from seq2seq.errors import CorpusError
from seq2seq.inference.translator import Translator
from seq2seq.storage.deduplication import Deduplicator, hash_texts
from seq2seq.storage.files import atomic_write

TABLE, PARTS = "train.tsv", "parts"  # in the output folder
ORIGINAL = "original"
BATCH = 4_000  # rows whose duplicates are looked up at once


class Row(NamedTuple):
    """A pair of the table: its score is that of the translation, and 0 for an original pair."""

    source: str
    target: str
    score: str


@dataclass(frozen=True)
class Synthesis:
    """Translation of one side of a corpus.

    Attributes:
        origin: Name of its pairs in the table, e.g. `forward-1`.
        models: Directories of a model, or of the members of an ensemble.
        side: The side that is translated; the translations become the other one.
        options: Search options, with one translation per line.
    """

    origin: str
    models: tuple[Path, ...]
    side: Literal["source", "target"]
    options: SearchOptions

    def job(self, folder: Path, precision: Precision) -> Job:
        """The translation of the side in an output folder.

        The name of its file depends on text, models and options, so that adding or reordering models translates nothing
        again.

        Raises:
            ModelDirectoryError: A model is incomplete or damaged.
        """
        source = side_path(folder, self.side)
        job = Job(self.models, source, source, self.options, "tsv", precision)
        identity = hashlib.sha256(json.dumps(job.identity(), sort_keys=True).encode()).hexdigest()
        name = f"{self.side}-{identity[:16]}.tsv"
        return Job(self.models, source, folder / PARTS / name, self.options, "tsv", precision)


def translate_side(
    part: Synthesis,
    folder: Path,
    precision: Precision,
    on_warning: Callable[[str], None],
    on_progress: ProgressCallback,
) -> Path:
    """Translate a side in an output folder, or the rest of it; returns the file of the translations.

    Args:
        part: What to translate, and how.
        folder: Output folder, with the sides of the corpus.
        precision: Precision of the models.
        on_warning: Called with a warning message for each line that contains invalid UTF-8 or is truncated.
        on_progress: Called with the number of lines done so far.

    Raises:
        ConfigError: The models do not support a search option.
        BulkError: Another process is translating this side.
        ModelDirectoryError: A model is incomplete or damaged.
    """
    translator = Translator.load(part.models, precision, on_warning=on_warning)
    translator.check(part.options)
    job = part.job(folder, precision)
    translate_shard(translator, job, Shard(1, 1), on_warning=on_warning, on_progress=on_progress)
    return job.output


def side_path(folder: Path, side: str) -> Path:
    """The file with one side of the corpus in an output folder."""
    return folder / PARTS / f"{side}.txt"


def copy_sides(pairs: Iterable[Sequence[tuple[str, str]]], folder: Path, name: str) -> int:
    """Copy pairs, in chunks, into an output folder, a file per side, with spaces for tabs; returns their number.

    After an error, no folder is left that was not there before.

    Args:
        pairs: The pairs.
        folder: Output folder.
        name: Name of the pairs in errors.

    Raises:
        CorpusError: There are no pairs; or see the readers.
        StorageError: The folder cannot be written.
    """
    parts = folder / PARTS
    new = [place for place in (parts, *parts.parents) if not place.exists()]
    source, target = (side_path(folder, side) for side in SIDES)
    count = 0
    with _removed_after_errors(new), atomic_write(source) as first, atomic_write(target) as second:
        text = {"encoding": "utf-8", "newline": "\n"}
        with first.open("w", **text) as sources, second.open("w", **text) as targets:  # type: ignore[call-overload]
            for chunk in pairs:
                for written, side in zip((sources, targets), zip(*chunk, strict=True), strict=True):
                    written.writelines(f"{line.replace(chr(9), ' ')}\n" for line in side)
                count += len(chunk)
        if not count:
            raise CorpusError(f"{name}: found no pairs, so there is nothing to translate. Give a corpus with pairs.")
    return count


@contextmanager
def _removed_after_errors(folders: Sequence[Path]) -> Iterator[None]:
    """Make folders, each within the next one; after an error, remove those that are empty."""
    try:
        for folder in reversed(folders):
            folder.mkdir(exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):
            for folder in folders:
                folder.rmdir()
        raise


def write_table(
    folder: Path, translations: Mapping[str, tuple[Literal["source", "target"], Path]], originals: bool = True
) -> dict[str, FilterReport]:
    """Write `source<TAB>target<TAB>origin<TAB>score` rows, without duplicate pairs and pairs with an empty side.

    Original pairs come first, so a translation that equals one is its duplicate.

    Args:
        folder: Output folder, with the sides of the corpus.
        translations: By origin, the side that was translated and the file of its translations.
        originals: Include the original pairs.

    Returns:
        Numbers of pairs by origin.

    Raises:
        StorageError: The table cannot be written.
    """
    seen, reports = Deduplicator(), {}
    kinds = {ORIGINAL: _original_rows(folder)} if originals else {}
    kinds |= {origin: _translated_rows(folder, side, file) for origin, (side, file) in translations.items()}
    with atomic_write(folder / TABLE) as partial, partial.open("w", encoding="utf-8", newline="\n") as table:
        for origin, rows in kinds.items():
            report = reports[origin] = FilterReport()
            for batch in chunks(rows, BATCH):
                full = [row for row in batch if row.source.strip() and row.target.strip()]
                new = seen.add(hash_texts(f"{row.source}\t{row.target}" for row in full))
                kept = [row for row, is_new in zip(full, new, strict=True) if is_new]
                table.writelines(f"{row.source}\t{row.target}\t{origin}\t{row.score}\n" for row in kept)
                report.read += len(batch)
                report.kept += len(kept)
                report.dropped.update({"empty": len(batch) - len(full), "duplicate": len(full) - len(kept)})
            report.dropped = +report.dropped  # without reasons for nothing
    return reports


def _original_rows(folder: Path) -> Iterator[Row]:
    for source, target in zip(*(_lines(side_path(folder, side)) for side in SIDES), strict=True):
        yield Row(source, target, "0")


def _translated_rows(folder: Path, side: str, file: Path) -> Iterator[Row]:
    for text, row in zip(_lines(side_path(folder, side)), _lines(file), strict=True):
        _, score, translation = row.split("\t")
        yield Row(text, translation, score) if side == "source" else Row(translation, text, score)


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            yield line.removesuffix("\n")
