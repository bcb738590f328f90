"""Bulk translation on Apache Beam: chunks of numbered lines, translated by any worker, merged in order."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from seq2seq.bulk.chunks import Chunks, Job, sibling_path
from seq2seq.config.precision import Precision
from seq2seq.errors import BulkError, Seq2SeqError
from seq2seq.extras import require_extra
from seq2seq.inference.translator import CHUNK_SENTENCES, Translator
from seq2seq.storage.locks import file_lock

# Runs in this process and tries a failed bundle 4 times. Apache Beam's default would try to download a program first.
DEFAULT_RUNNER = "BundleBasedDirectRunner"

_LOGGER = logging.getLogger(__name__)


class Worker:
    """A model or ensemble, loaded once per process and used by one thread at a time, since a search uses all cores."""

    def __init__(self, models: Sequence[Path], precision: Precision) -> None:
        self.translator, self.lock = Translator.load(models, precision, on_warning=_LOGGER.warning), Lock()


@dataclass(eq=False)
class TranslateChunk:
    """Callable that translates a chunk, see `Chunks.translate_chunk`."""

    chunks: Chunks
    shared: Any  # Apache Beam's `Shared`, which keeps one `Worker` per process

    def __call__(self, chunk: tuple[int, list[str]]) -> None:
        job = self.chunks.job
        worker = self.shared.acquire(lambda: Worker(job.models, job.precision))
        with worker.lock:
            self.chunks.translate_chunk(worker.translator, *chunk, _LOGGER.warning)


def translate_on_apache_beam(
    job: Job, pipeline_options: Sequence[str] = (), *, runner: Any = None, chunk: int = CHUNK_SENTENCES
) -> int:
    """Translate a file on one of Apache Beam's runners; the output equals that of a single run.

    All workers must see the model, the input and the output's folder under the same paths. If the engine fails,
    finished chunks are kept in the folder `OUT.chunks`, and the next call resumes from them.

    Args:
        job: The file to translate, and how.
        pipeline_options: Options of the pipeline, as on a command line, e.g. `--runner FlinkRunner`.
        runner: An Apache Beam runner, or its name; by default the one in the options, or else `DEFAULT_RUNNER`.
        chunk: Number of lines that are translated, and stored, at once.

    Returns:
        Number of lines.

    Raises:
        MissingExtraError: The extra `apache-beam` is not installed.
        BulkError: Another process is writing this output; the files beside it belong to another job; the engine failed;
            or a chunk was not translated in the end.
    """
    with require_extra("apache-beam", needed_by="--engine apache-beam"):
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
        from apache_beam.runners.runner import PipelineState
        from apache_beam.utils.shared import Shared

    options = PipelineOptions(list(pipeline_options))
    if runner is None and options.view_as(StandardOptions).runner is None:
        runner = DEFAULT_RUNNER
    target = job.output.absolute()
    models = tuple(model.absolute() for model in job.models)
    job = replace(job, models=models, source=job.source.absolute(), output=target)
    lock = sibling_path(target, "apache-beam.lock")

    def refused(process: str) -> BulkError:
        return BulkError(f"{job.output}: process {process} is writing it. Wait for that process, or end it.")

    with file_lock(lock, refused):
        chunks = Chunks(job, {**job.identity(), "chunk": chunk}, chunk)
        try:
            if not chunks.resume():
                with beam.Pipeline(runner=runner, options=options) as pipeline:
                    _ = (
                        pipeline
                        | beam.Create([range(1, chunks.total + 1)])
                        | "Read" >> beam.FlatMap(chunks.read, _LOGGER.warning)
                        | beam.Reshuffle()  # or one worker would read and translate everything
                        | "Translate" >> beam.Map(TranslateChunk(chunks, Shared()))
                    )
                if pipeline.result.state != PipelineState.DONE:
                    raise RuntimeError(f"the pipeline is {pipeline.result.state}")
        except Seq2SeqError:
            raise
        except Exception as error:  # engines raise many kinds of errors, and log their causes
            raise BulkError(
                f"{chunks.folder}: Apache Beam failed: {type(error).__name__}: {error}. Finished chunks are kept "
                "there; run the same command again to resume from them."
            ) from error
        chunks.join()
        chunks.record_path.unlink()
        lock.unlink(missing_ok=True)
    return chunks.total
