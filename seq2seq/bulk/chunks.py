"""Chunks of a file to translate: each one is translated into a file of its own, and these are merged in order.

A process that translates a chunk may be killed, started again, or run twice at the same time. So a translation is
written under a unique temporary name and then renamed in one step: a file that exists is complete, and its chunk is not
translated again.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from shutil import copyfileobj, rmtree
from typing import Any
from uuid import uuid4

from seq2seq.config import SearchOptions
from seq2seq.config.overrides import flatten
from seq2seq.config.precision import Precision
from seq2seq.corpora.lines import count_lines, decode_lines, open_text
from seq2seq.data.progress import ProgressCallback, no_progress
from seq2seq.errors import BulkError, CorpusError
from seq2seq.inference.output import ACCEPTED_KINDS, InputFormat, OutputFormat, count_translated, translate_to_rows
from seq2seq.inference.requests import read_request
from seq2seq.inference.step_factory import derived_checksums, external_checksums
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import checksums
from seq2seq.plurals import pluralize
from seq2seq.storage.files import atomic_write, sha256, wrap_storage_errors


@dataclass(frozen=True)
class Job:
    """A file to translate, the models, their options and the output; `precision` is that of the loaded models."""

    models: tuple[Path, ...]
    source: Path
    output: Path
    options: SearchOptions
    output_format: OutputFormat
    precision: Precision = "float32"
    input_format: InputFormat = "text"

    def identity(self) -> dict[str, Any]:
        """JSON-able values that differ between jobs whose output may differ.

        Keys:
            - `input`: `sha256` of the input file and its number of `lines`.
            - `model`: checksums of recipe, tokenizers and weights, and of other files that `options` require.
            - `model 2` and so on: the same, of the other models of an ensemble. - `options`: search options; in float32
            without `batch_tokens`, which then does not affect the output. - `format`: output format. - `input_format`:
            input format. - `precision`: precision of computation.

        Raises:
            CorpusError: The input cannot be read.
            ModelDirectoryError: The model is incomplete or damaged.
        """
        first = checksums(self.models[0]) | derived_checksums(self.models[0], self.options)
        own = self.options.model_copy(update={"shortlist": None})  # it is that of the first
        others = [checksums(model) | derived_checksums(model, own) for model in self.models[1:]]
        lines = count_lines(self.source, ACCEPTED_KINDS[self.input_format])
        values: dict[str, Any] = {
            "input": {"sha256": sha256(self.source), "lines": lines},
            "model": first | external_checksums(self.options),
            **{f"model {number}": found for number, found in enumerate(others, start=2)},
            "options": self.options.model_dump(exclude={"batch_tokens"} if self.precision == "float32" else None),
            "format": self.output_format,
            "precision": self.precision,
            "input_format": self.input_format,
        }
        return json.loads(json.dumps(values))


@dataclass(frozen=True)
class Chunks:
    """The chunks of a job. Their translations, and a record that is kept after merging, are beside the output `OUT`.

    Attributes:
        job: The file to translate, and how.
        identity: JSON-able values that differ between jobs whose output may differ, see `Job.identity`.
        size: Number of lines in a chunk; the last chunk has the rest.
        folder: `OUT.chunks`, with the output rows of each chunk in a file named by the number of its first line.
        record_path: `OUT.manifest.json`, with the identity as `job`, and the `bytes` of `OUT` once it is written.
        total: Number of lines of the input.
    """

    job: Job
    identity: dict[str, Any]
    size: int

    @property
    def folder(self) -> Path:
        return sibling_path(self.job.output, "chunks")

    @property
    def record_path(self) -> Path:
        return sibling_path(self.job.output, "manifest.json")

    @property
    def total(self) -> int:
        return self.identity["input"]["lines"]

    def resume(self) -> bool:
        """Resume the job from existing files, or begin it; returns whether the output is complete.

        Raises:
            BulkError: The files belong to another job or are damaged, or the output has changed since.
        """
        output, remedy = self.job.output, f"Give another --output, or delete {self.record_path.name} to start over."
        try:
            record = json.loads(self.record_path.read_bytes())
            begun, written = {**record["job"]}, record["bytes"]
        except FileNotFoundError:
            rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            self._write_record(None)
            return False
        except (ValueError, KeyError, TypeError) as error:
            raise BulkError(f"{self.record_path}: damaged: {error}. {remedy}") from None
        there, here = flatten(begun), flatten(self.identity)
        differ = [
            f"{key} was {_short(there.get(key))} and is now {_short(here.get(key))}"
            for key in dict.fromkeys([*here, *there])
            if there.get(key) != here.get(key)
        ]
        if differ:
            raise BulkError(f"{self.record_path}: belongs to another job: {', '.join(differ)}. {remedy}")
        if written is None:
            return False
        found = output.stat().st_size if output.exists() else None
        if found != written:
            size = "no such file" if found is None else f"a file of {pluralize(found, 'byte')}"
            raise BulkError(
                f"{output}: found {size}, but {written:,} bytes are recorded in {self.record_path.name}. {remedy}"
            )
        return True

    def chunk_lines(self, first: int) -> range:
        """The line numbers of the chunk that starts at line `first`."""
        return range(first, min(first + self.size, self.total + 1))

    def missing_chunks(self, lines: range) -> list[int]:
        """The first lines of those chunks in `lines` that are not translated yet."""
        return [first for first in lines[:: self.size] if not self._path(first).exists()]

    def read(self, lines: range, on_warning: Callable[[str], None]) -> Iterator[tuple[int, list[str]]]:
        """Yield the first line number and the text of each chunk in `lines`, which must start at a chunk.

        Raises:
            CorpusError: The file cannot be read, or has become shorter.
        """
        accepts = ACCEPTED_KINDS[self.job.input_format]
        with open_text(self.job.source, lenient=True, accepts=accepts) as handle:
            texts = decode_lines(handle, str(self.job.source), on_warning, lines.start)
            for first in lines[:: self.size]:
                chunk = list(islice(texts, self.size))
                if len(chunk) < len(self.chunk_lines(first)):
                    raise CorpusError(
                        f"{self.job.source}: found {pluralize(first - 1 + len(chunk), 'line')}, but there were "
                        f"{self.total:,} at the start. Restore the file, and run the same command again."
                    )
                yield first, chunk

    def translate_chunk(
        self,
        translator: Translator,
        first: int,
        lines: Sequence[str],
        on_warning: Callable[[str], None],
        on_progress: ProgressCallback = no_progress,
    ) -> None:
        """Translate a chunk unless this is done already; the rows are on disk before the file gets its final name.

        Args:
            translator: A translator with the job's model.
            first: Number of the first line.
            lines: Lines without line endings.
            on_warning: Called with a warning message for each line that is truncated.
            on_progress: Called with the number of lines done so far.

        Raises:
            CorpusError: A line is not a request, see `read_request`; nothing is translated then.
        """
        path, job = self._path(first), self.job
        if path.exists():
            return
        name = str(job.source)
        requests = [
            read_request(line, number, name=name, input_format=job.input_format)
            for number, line in enumerate(lines, start=first)
        ]
        about: dict[str, Any] = {"name": name, "on_warning": on_warning, "first": first}
        partial = path.with_name(f"{path.name}.{uuid4().hex}")
        try:
            with wrap_storage_errors(path), partial.open("wb") as handle:
                answers = translate_to_rows(
                    translator, requests, job.options, job.output_format, **about, on_progress=on_progress
                )
                for rows in answers:
                    handle.write("".join(f"{row}\n" for row in rows).encode())
                handle.flush()
                os.fsync(handle.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def join(self) -> None:
        """Merge the translations of all chunks into the output, atomically, and remove them.

        If the process is killed, the chunks, the record or both remain, and the next call completes the work.

        Raises:
            BulkError: A chunk has no translation, or not one for each line; or see `resume`.
        """
        if not self.resume():
            self._write_output()
            self._write_record(self.job.output.stat().st_size)
        rmtree(self.folder, ignore_errors=True)

    def _write_output(self) -> None:
        with atomic_write(self.job.output) as partial, partial.open("wb") as target:
            for first in range(1, self.total + 1, self.size):
                path, lines = self._path(first), self.chunk_lines(first)
                found = 0
                if path.is_file():
                    with path.open("rb") as rows:
                        found = count_translated(rows, self.job.output_format)
                        rows.seek(0)
                        copyfileobj(rows, target)
                if found != len(lines):
                    raise BulkError(
                        f"{path}: found translations of {pluralize(found, 'line')}, expected {len(lines):,}, of lines "
                        f"{lines.start:,} to {lines.stop - 1:,}. Delete the file, and run the same command again."
                    )

    def _write_record(self, size: int | None) -> None:
        with atomic_write(self.record_path) as partial:
            partial.write_text(json.dumps({"job": self.identity, "bytes": size}, indent=2) + "\n", encoding="utf-8")

    def _path(self, first: int) -> Path:
        return self.folder / f"{first:012d}"


def _short(value: Any) -> str:
    """A value in an error message; checksums are shortened to their first digits."""
    if isinstance(value, str):
        return value[:8] if len(value) == 64 else value
    return json.dumps(value)


def sibling_path(output: Path, ending: str) -> Path:
    """The path of a file that belongs to an output: its name with an ending."""
    return output.with_name(f"{output.name}.{ending}")
