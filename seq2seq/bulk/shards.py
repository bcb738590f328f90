"""One shard of a file: translated, resumed after any end, joined with the others by whichever is the last."""

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
    """What a call of `translate_shard` came to."""

    lines: range  # the numbers of the shard's lines
    resumed_lines: int  # how many of them earlier calls had translated
    complete_shards: int  # how many shards are complete, of all
    joined: bool  # all are, and the output is there


def translate_shard(
    translator: Translator,
    job: Job,
    shard: Shard,
    *,
    on_warning: Callable[[str], None],
    on_progress: ProgressCallback = no_progress,
    chunk: int = CHUNK_SENTENCES,
) -> ShardReport:
    """Translate a shard from where it is, and join all shards when they are complete.

    Progress is kept after each chunk. The joined output is the same, byte for byte, as one of a single run on the same
    kind of machine: shards end where chunks end, so each batch holds what it would have held there.

    Args:
        translator: Of the job's model.
        job: What to translate.
        shard: Which part of it.
        on_warning: Called with a warning message for each line with invalid UTF-8, or that is cut off.
        on_progress: Called with the number of the shard's lines done so far.
        chunk: Lines that are translated, and kept, at once.

    Raises:
        BulkError: The translator's precision is not the job's; another process is on this shard; the files beside the
            output are of another job, or damaged.
        CorpusError: The input cannot be read, or gets shorter meanwhile.
    """
    if translator.model.precision != job.precision:
        raise BulkError(
            f"the job is in {job.precision}, and the translator's model in {translator.model.precision}. Load it in "
            "the precision of the job."
        )
    chunks = Chunks(job, {**job.identity(), "shards": shard.count, "chunk": chunk}, chunk)
    lines = shard.lines(chunks.total, chunk)
    lock = sibling_path(job.output, f"shard-{shard.number:05d}-of-{shard.count:05d}.lock")

    def refused(process: str) -> BulkError:
        return BulkError(f"{lock}: process {process} is on shard {shard}. Wait for it or end it.")

    with file_lock(lock, refused):
        # To join removes the answers, but no other call does so as long as one is missing.
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
    """Join all shards if they are complete; returns how many are.

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
