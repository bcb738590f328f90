"""One shard of a file: translated, resumed after any end, joined with the others by whichever is the last."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from shutil import copyfileobj
from typing import IO, Any

from filelock import FileLock

from seq2seq.bulk.job import Job, check_same
from seq2seq.bulk.manifest import Joined, Manifest, PartFiles, Shard, joined_path, manifests_beside, read_record
from seq2seq.corpora.readers import lenient_lines, open_bytes
from seq2seq.data.progress import Progress, unheard
from seq2seq.errors import BulkError, CorpusError
from seq2seq.inference.output import answers, lines_answered
from seq2seq.inference.translator import CHUNK, Translator
from seq2seq.storage.files import replacing, writing
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

    Progress is kept after each chunk: first the part is on disk, then the manifest says so. What a process that was
    killed wrote behind that is cut off. The joined output is the same, byte for byte, as one of a single run on the
    same kind of machine: shards end where chunks end, so each batch holds what it would have held there.

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
    files, lines = PartFiles(job.target, shard), shard.lines(identity["input"]["lines"], chunk)

    def refused(process: str) -> BulkError:
        return BulkError(f"{files.text}: process {process} is on shard {shard}. Wait for it or end it.")

    with hold(files.lock, refused):
        manifest = _find(job.target, files, identity) or Manifest(
            job=identity, first_line=lines.start, last_line=lines.stop - 1
        )
        before = manifest.done_lines
        if _joined(job.target, identity) is not None:
            before = len(lines)
        elif not manifest.complete or not files.manifest.exists():
            _go_on(translator, job, files, manifest, chunk, warn, progress)
    complete = join(job, identity)
    return ShardReport(lines, before, complete, complete == shard.count)


def _find(output: Path, files: PartFiles, identity: dict[str, Any]) -> Manifest | None:
    """The shard's manifest; every one beside it must be of the same job."""
    for path in manifests_beside(output):
        other = read_record(Manifest, path, "Delete it and its part, and run this shard again.")
        if other is not None:
            check_same(
                path, other.job, identity, f"Give another --output, or delete {output.name}.part-* to begin anew."
            )
    return read_record(Manifest, files.manifest, "Delete it and its part, and run this shard again.")


def _joined(output: Path, identity: dict[str, Any]) -> Joined | None:
    """The record of the join, once it is known to be of this job and of what lies there.

    It is looked for after the shard's manifest: a join writes the record first, and then removes the manifests.
    """
    path = joined_path(output)
    remedy = f"Give another --output, or delete {path.name} to begin anew."
    record = read_record(Joined, path, remedy)
    if record is not None:
        check_same(path, record.job, identity, remedy)
        found = output.stat().st_size if output.exists() else None
        if found != record.bytes:
            there = "no such file" if found is None else f"a file of {found:,} bytes"
            raise BulkError(f"{output}: found {there}, and {path.name} says {record.bytes:,} bytes. {remedy}")
    return record


def _go_on(
    translator: Translator,
    job: Job,
    files: PartFiles,
    manifest: Manifest,
    chunk: int,
    warn: Callable[[str], None],
    progress: Progress,
) -> None:
    """Translate what the manifest does not say is done."""
    files.text.touch()  # before the manifest: an empty shard is complete as soon as that is there
    manifest.write(files.manifest)
    with writing(files.text), files.text.open("r+b") as target, open_bytes(job.source) as source:
        _cut_back(target, files, manifest.done_bytes)
        before, all_lines = manifest.done_lines, manifest.last_line - manifest.first_line + 1
        first = manifest.first_line + before
        rows = answers(
            translator,
            islice(lenient_lines(source, str(job.source), warn, first), all_lines - before),
            job.options,
            job.output_format,
            name=str(job.source),
            warn=warn,
            first=first,
            chunk=chunk,
            progress=lambda done: progress(before + done),
        )
        done = before
        for done, row in enumerate(rows, start=before + 1):
            target.write("".join(f"{line}\n" for line in row).encode())
            if done % chunk == 0 or done == all_lines:
                _keep(target, files, manifest, done)
    if done != all_lines:
        raise CorpusError(
            f"{job.source}: found {manifest.first_line + done - 1} lines, and there were more when this shard began. "
            "Restore the file, and run this shard again."
        )


def _cut_back(target: IO[bytes], files: PartFiles, size: int) -> None:
    found = target.seek(0, os.SEEK_END)
    if found < size:
        raise BulkError(
            f"{files.text}: found {found:,} bytes, and {files.manifest.name} says {size:,} are done. "
            "Delete both, and run this shard again."
        )
    target.truncate(size)
    target.seek(size)


def _keep(target: IO[bytes], files: PartFiles, manifest: Manifest, done: int) -> None:
    """Put the part on disk, then the manifest that says so."""
    target.flush()
    os.fsync(target.fileno())
    manifest.done_lines, manifest.done_bytes = done, target.tell()
    manifest.write(files.manifest)


def join(job: Job, identity: dict[str, Any]) -> int:
    """Make one file of the parts if all are complete, and remove them; a record of the join stays.

    A process that is killed here leaves the parts, or the record, or both: the next call ends what it began.

    Returns:
        How many parts are complete.

    Raises:
        BulkError: A part is not what its manifest says.
    """
    output, count = job.target, identity["shards"]
    parts = [PartFiles(output, Shard(number, count)) for number in range(1, count + 1)]
    lock = output.with_name(f"{output.name}.join.lock")
    with FileLock(lock):
        if not joined_path(output).exists():
            manifests = [read_record(Manifest, part.manifest, "Delete it and its part.") for part in parts]
            ready = [manifest for manifest in manifests if manifest is not None and manifest.complete]
            if len(ready) < count:
                return len(ready)
            for part, manifest in zip(parts, ready, strict=True):
                check_same(part.manifest, manifest.job, identity, "Delete it and its part, and run its shard again.")
            with replacing(output) as partial:
                with partial.open("wb") as target:
                    for part, manifest in zip(parts, ready, strict=True):
                        _append(target, part, manifest)
                size = partial.stat().st_size
            Joined(job=identity, bytes=size).write(joined_path(output))
        for part in parts:
            part.remove()
        lock.unlink(missing_ok=True)
    return count


def _append(target: IO[bytes], part: PartFiles, manifest: Manifest) -> None:
    """Copy a part, once it is known to answer each of its lines."""
    expected = manifest.last_line - manifest.first_line + 1
    if not part.text.exists():
        raise BulkError(f"{part.text}: no such file. Delete {part.manifest.name}, and run its shard again.")
    with part.text.open("rb") as source:
        found = lines_answered(source, manifest.job["format"])
        size = source.tell()
        if (found, size) != (expected, manifest.done_bytes):
            raise BulkError(
                f"{part.text}: found {size:,} bytes that answer {found:,} lines, expected {manifest.done_bytes:,} "
                f"bytes and {expected:,} lines. Delete it and {part.manifest.name}, and run its shard again."
            )
        source.seek(0)
        copyfileobj(source, target)
