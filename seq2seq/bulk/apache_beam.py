"""The same job on Apache Beam: chunks of numbered lines, translated wherever the engine likes, put back in order.

An engine may run a bundle again, or twice at once. So each chunk is written under a name of its own, in one step: what
runs twice replaces a file by the same one, and what is there already is not translated again.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import IO, Any
from uuid import uuid4

from seq2seq.bulk.job import Job, check_same
from seq2seq.config.precision import Precision
from seq2seq.corpora.readers import lenient_lines, open_bytes
from seq2seq.errors import BulkError, Seq2SeqError
from seq2seq.extras import from_extra
from seq2seq.inference.output import answers
from seq2seq.inference.translator import CHUNK, Translator
from seq2seq.storage.files import replacing
from seq2seq.storage.lock import hold

# Runs in this process and tries a failed bundle 4 times. Apache Beam's default looks for a program to download first.
RUNNER = "BundleBasedDirectRunner"
JOB = "job.json"

_LOGGER = logging.getLogger(__name__)


def read_chunks(path: str, size: int) -> Iterator[tuple[int, list[str]]]:
    """Yield a file's chunks of `size` lines: the number of the first line, and the lines."""
    with open_bytes(Path(path)) as handle:
        lines, first = lenient_lines(handle, path, _LOGGER.warning), 1
        while chunk := list(islice(lines, size)):
            yield first, chunk
            first += len(chunk)


class Worker:
    """A model, loaded once per process and used by one thread at a time: a search takes all cores."""

    def __init__(self, model: Path, precision: Precision) -> None:
        self.translator, self.lock = Translator.load(model, precision, notice=_LOGGER.warning), Lock()


class TranslateChunk:
    """Write the file that answers a chunk: one JSON array per line, of the line's number and the rows of output.

    Args:
        job: What the chunk is part of.
        folder: Gets the file.
        shared: Apache Beam's `Shared`, which keeps one `Worker` per process.
    """

    def __init__(self, job: Job, folder: Path, shared: Any) -> None:
        self.job, self.folder, self.shared = job, folder, shared

    def __call__(self, chunk: tuple[int, list[str]]) -> None:
        first, lines = chunk
        path = self.folder / f"{first:012d}.jsonl"
        if not path.exists():
            write_chunk(path, first, self.translate(first, lines))

    def translate(self, first: int, lines: list[str]) -> list[list[str]]:
        """The rows that answer each line."""
        job, name = self.job, str(self.job.source)
        worker = self.shared.acquire(lambda: Worker(job.model, job.precision))
        with worker.lock:
            return list(
                answers(
                    worker.translator,
                    lines,
                    job.options,
                    job.output_format,
                    name=name,
                    warn=_LOGGER.warning,
                    first=first,
                    chunk=len(lines),
                )
            )


def write_chunk(path: Path, first: int, answered: Sequence[list[str]]) -> None:
    """Write the rows that answer lines from `first` on; nobody sees half of it, however many write it at once."""
    partial = path.with_name(f"{path.name}.{uuid4().hex}")
    with partial.open("w", encoding="utf-8", newline="\n") as handle:
        for number, rows in enumerate(answered, start=first):
            handle.write(json.dumps([number, *rows], ensure_ascii=False) + "\n")
        handle.flush()
        os.fsync(handle.fileno())
    partial.replace(path)


def translate_on_apache_beam(
    job: Job, pipeline_options: Sequence[str] = (), *, runner: Any = None, chunk: int = CHUNK
) -> int:
    """Translate a file on one of Apache Beam's runners; the output equals that of a single run.

    All workers must see the model, the input and the output's folder under the same paths. If the engine gives up,
    finished chunks stay in the folder `OUT.apache-beam`, and the next call continues from there.

    Args:
        job: What to translate.
        pipeline_options: As on a command line, such as `--runner FlinkRunner`.
        runner: An Apache Beam runner, or its name; by default the one among the options, or else `RUNNER`.
        chunk: Number of lines translated at once.

    Returns:
        Number of lines.

    Raises:
        MissingExtraError: The extra `apache-beam` is not installed.
        BulkError: Another process is on this output; the folder is of another job; the engine gave up; or when all
            has run, lines are missing or there twice.
    """
    with from_extra("apache-beam", needed_by="--engine apache-beam"):
        from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

    options = PipelineOptions(list(pipeline_options))
    if runner is None and options.view_as(StandardOptions).runner is None:
        runner = RUNNER
    target = job.target.absolute()
    job = replace(job, model=job.model.absolute(), source=job.source.absolute(), target=target)
    folder, lock = (target.with_name(f"{target.name}.{suffix}") for suffix in ("apache-beam", "apache-beam.lock"))

    def refused(process: str) -> BulkError:
        return BulkError(f"{job.target}: process {process} is translating into it. Wait for it or end it.")

    with hold(lock, refused):
        identity = {**job.identity(), "chunk": chunk}
        _start(folder, identity)
        try:
            _run(job, folder, chunk, runner, options)
        except Seq2SeqError:
            raise
        except Exception as error:  # engines have many kinds, and log what led to them
            raise BulkError(
                f"{folder}: Apache Beam gave up: {type(error).__name__}: {error}. Finished chunks are kept there, and "
                "the same command continues from them."
            ) from error
        lines = identity["input"]["lines"]
        with replacing(job.target) as partial, partial.open("wb") as handle:
            put_in_order(folder, handle, lines)
        shutil.rmtree(folder)
        lock.unlink(missing_ok=True)
    return lines


def _run(job: Job, folder: Path, chunk: int, runner: Any, options: Any) -> None:
    with from_extra("apache-beam", needed_by="--engine apache-beam"):
        import apache_beam as beam
        from apache_beam.runners.runner import PipelineState
        from apache_beam.utils.shared import Shared

    with beam.Pipeline(runner=runner, options=options) as pipeline:
        _ = (
            pipeline
            | beam.Create([str(job.source)])
            | "Read" >> beam.FlatMap(read_chunks, chunk)
            | beam.Reshuffle()  # or one worker would read and translate everything
            | "Translate" >> beam.Map(TranslateChunk(job, folder, Shared()))
        )
    if pipeline.result.state != PipelineState.DONE:
        raise RuntimeError(f"the pipeline is {pipeline.result.state}")


def _start(folder: Path, identity: dict[str, Any]) -> None:
    """Make the folder of chunks; one that is there must be of the same job."""
    folder.mkdir(exist_ok=True)
    path = folder / JOB
    if not path.exists():
        with replacing(path) as partial:
            partial.write_text(json.dumps(identity, indent=2) + "\n", encoding="utf-8")
    try:
        begun = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BulkError(f"{path}: damaged: {error}. Delete {folder} to begin anew.") from None
    check_same(path, begun, identity, f"Give another --output, or delete {folder.name} to begin anew.")


def put_in_order(folder: Path, target: IO[bytes], lines: int) -> None:
    """Write the rows of all chunks in the order of their lines, each line once.

    Raises:
        BulkError: Of the lines 1 to `lines`, some are missing or there twice, or there are others; says which.
    """
    missing: list[range] = []
    wrong: list[int] = []
    due = 1
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8", newline="\n") as handle:
            for text in handle:
                number, *rows = json.loads(text)
                if number < due or number > lines:
                    wrong.append(number)
                    continue
                if number > due:
                    missing.append(range(due, number))
                due = number + 1
                target.write("".join(f"{row}\n" for row in rows).encode())
    if due <= lines:
        missing.append(range(due, lines + 1))
    problems = [f"no answer to {_named(missing)}"] if missing else []
    problems += [f"a second answer or no line for {_named([range(n, n + 1) for n in wrong])}"] if wrong else []
    if problems:
        raise BulkError(
            f"{folder}: of lines 1 to {lines:,} found {' and '.join(problems)}. "
            f"{'Delete it, and run' if wrong else 'Run'} the command again."
        )


def _named(ranges: Sequence[range]) -> str:
    shown = [f"{r.start:,} to {r.stop - 1:,}" if len(r) > 1 else f"{r.start:,}" for r in ranges[:5]]
    more = len(ranges) - len(shown)
    return f"{'lines' if len(ranges) > 1 or len(ranges[0]) > 1 else 'line'} {', '.join(shown)}" + (
        f" and {more:,} more" if more else ""
    )
