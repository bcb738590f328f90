"""One shard of a file: translated, resumed after any end, joined with the others by whichever is the last."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

from filelock import FileLock

from seq2seq.bulk.chunks import Chunks, write_record
from seq2seq.bulk.job import BYTES, Job, read_record
from seq2seq.bulk.shard import Shard
from seq2seq.data.progress import Progress, unheard
from seq2seq.errors import BulkError
from seq2seq.inference.translator import CHUNK, Translator
from seq2seq.storage.lock import hold


@dataclass(frozen=True)
class ShardReport:
    """What a call of `translate_shard` came to.

    lines     the numbers of the shard's lines
    before    how many of them earlier calls had translated
    complete  how many shards are complete, of all
    joined    all are, and the output is there
    """

    lines: range
    before: int
    complete: int
    joined: bool


def translate_shard(
    translator: Translator,
    job: Job,
    shard: Shard,
    *,
    warn: Callable[[str], None],
    progress: Progress = unheard,
    chunk: int = CHUNK,
) -> ShardReport:
    """Translate a shard from where it is, and join all shards when they are complete.

    Progress is kept after each chunk. The joined output is the same, byte for byte, as one of a single run on the same
    kind of machine: shards end where chunks end, so each batch holds what it would have held there.

    Args:
        translator: Of the job's model.
        job: What to translate.
        shard: Which part of it.
        warn: Called with a warning message for each line with invalid UTF-8, or that is cut off.
        progress: Called with the number of the shard's lines done so far.
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
    identity = {**job.identity(), "shards": shard.count, "chunk": chunk}
    chunks = Chunks(job, _beside(job, "shards"), chunk, identity["input"]["lines"])
    lines = shard.lines(chunks.total, chunk)
    lock = _beside(job, f"shard-{shard.number:05d}-of-{shard.count:05d}.lock")

    def refused(process: str) -> BulkError:
        return BulkError(f"{lock}: process {process} is on shard {shard}. Wait for it or end it.")

    with hold(lock, refused):
        with _joining(job):  # which removes the folder, but no other call does as long as a chunk is missing
            joined = _is_joined(job, identity)
            if not joined:
                chunks.start(identity)
            left = [] if joined else chunks.missing(lines)

        def advance(part: int) -> None:
            progress(done + part)

        before = done = len(lines) - sum(len(chunks.lines_of(first)) for first in left)
        for first, texts in chunks.read(range(left[0], lines.stop), warn) if left else ():
            if first in left:
                chunks.answer(translator, first, texts, warn, advance)
                done += len(texts)
        lock.unlink(missing_ok=True)
    complete = join(chunks, shard.count, identity)
    return ShardReport(lines, before, complete, complete == shard.count)


def join(chunks: Chunks, count: int, identity: dict[str, Any]) -> int:
    """Make one file of the answers if all are there, and remove them; a record of the join stays.

    A process that is killed here leaves the answers, or the record, or both: the next call ends what it began.

    Returns:
        How many shards are complete.

    Raises:
        BulkError: See `Chunks.join`.
    """
    job = chunks.job
    with _joining(job) as lock:
        if not _is_joined(job, identity):
            shards = [Shard(number, count).lines(chunks.total, chunks.size) for number in range(1, count + 1)]
            if missing := sum(bool(chunks.missing(lines)) for lines in shards):
                return count - missing
            chunks.start(identity)
            chunks.join()
            write_record(_record(job), {**identity, BYTES: job.target.stat().st_size})
        rmtree(chunks.folder, ignore_errors=True)
        Path(lock.lock_file).unlink(missing_ok=True)
    return count


def _joining(job: Job) -> FileLock:
    return FileLock(_beside(job, "join.lock"))


def _is_joined(job: Job, identity: dict[str, Any]) -> bool:
    """Whether there is a record of the join; it must be of this job and of what lies there.

    Raises:
        BulkError: It is not, or is damaged.
    """
    path, output = _record(job), job.target
    remedy = f"Give another --output, or delete {path.name} to begin anew."
    record = read_record(path, identity, remedy)
    if record is None:
        return False
    found = output.stat().st_size if output.exists() else None
    if found != record.get(BYTES):
        there = "no such file" if found is None else f"a file of {found:,} bytes"
        raise BulkError(f"{output}: found {there}, and {path.name} says {record.get(BYTES)} bytes. {remedy}")
    return True


def _record(job: Job) -> Path:
    return _beside(job, "manifest.json")


def _beside(job: Job, ending: str) -> Path:
    return job.target.with_name(f"{job.target.name}.{ending}")
