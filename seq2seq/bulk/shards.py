"""Translation of one shard of a file: resumable, and merged with the other shards by the last one to finish."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seq2seq.bulk.chunks import Chunks, Job, sibling_path
from seq2seq.bulk.shard import Shard
from seq2seq.data.progress import ProgressCallback, no_progress
from seq2seq.errors import BulkError
from seq2seq.inference.translator import CHUNK_SENTENCES, Translator
from seq2seq.storage.locks import file_lock, wait_for_lock


@dataclass(frozen=True)
class ShardReport:
    """Result of `translate_shard`.

    Attributes:
        lines: Line numbers of the shard.
        resumed_lines: Number of lines that earlier calls had translated.
        complete_shards: Number of shards, of all, that are complete.
        joined: Whether all shards are complete and merged into the output.
    """

    lines: range
    resumed_lines: int
    complete_shards: int
    joined: bool


def translate_shard(
    translator: Translator,
    job: Job,
    shard: Shard,
    *,
    on_warning: Callable[[str], None],
    on_progress: ProgressCallback = no_progress,
    chunk: int = CHUNK_SENTENCES,
) -> ShardReport:
    """Translate a shard, or the rest of it, and merge all shards once they are complete.

    Progress is stored after each chunk. On the same kind of machine, the merged output equals that of a single run,
    byte for byte: shards consist of whole chunks, so each batch is the same as in a single run.

    Args:
        translator: A translator with the job's model.
        job: The file to translate, and how.
        shard: The part to translate.
        on_warning: Called with a warning message for each line that contains invalid UTF-8 or is truncated.
        on_progress: Called with the number of the shard's lines done so far.
        chunk: Number of lines that are translated, and stored, at once.

    Raises:
        BulkError: The translator's precision is not the job's; another process is translating this shard; or the files
            beside the output belong to another job or are damaged.
        CorpusError: The input cannot be read, or becomes shorter in the meantime.
    """
    if translator.model.precision != job.precision:
        raise BulkError(
            f"the precision of the job is {job.precision}, but that of the translator is {translator.model.precision}. "
            f"Load the model with Translator.load(..., {job.precision!r})."
        )
    chunks = Chunks(job, {**job.identity(), "shards": shard.count, "chunk": chunk}, chunk)
    lines = shard.lines(chunks.total, chunk)
    lock = sibling_path(job.output, f"shard-{shard.number:05d}-of-{shard.count:05d}.lock")

    def refused(process: str) -> BulkError:
        return BulkError(f"{lock}: process {process} is translating shard {shard}. Wait for that process, or end it.")

    with file_lock(lock, refused):
        # Merging removes the chunks, but no other call merges as long as a chunk of this shard is missing.
        with wait_for_lock(_join_lock(job)):
            left = [] if chunks.resume() else chunks.missing_chunks(lines)

        def advance(part: int) -> None:
            on_progress(done + part)

        before = done = len(lines) - sum(len(chunks.chunk_lines(first)) for first in left)
        for first, texts in chunks.read(range(left[0], lines.stop), on_warning) if left else ():
            if first in left:
                chunks.translate_chunk(translator, first, texts, on_warning, advance)
                done += len(texts)
        lock.unlink(missing_ok=True)
    complete = join_shards(chunks, shard.count)
    return ShardReport(lines, before, complete, complete == shard.count)


def join_shards(chunks: Chunks, count: int) -> int:
    """Merge all shards if they are complete; returns the number of complete shards.

    Raises:
        BulkError: See `Chunks.join`.
    """
    lock = _join_lock(chunks.job)
    with wait_for_lock(lock):
        shards = [Shard(number, count).lines(chunks.total, chunks.size) for number in range(1, count + 1)]
        missing = 0 if chunks.resume() else sum(bool(chunks.missing_chunks(lines)) for lines in shards)
        if not missing:
            chunks.join()
            lock.unlink(missing_ok=True)
    return count - missing


def _join_lock(job: Job) -> Path:
    return sibling_path(job.output, "join.lock")
