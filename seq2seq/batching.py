"""Token ids on disk, a seeded planner of token-budget batches, and tf.data with one batch an element."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, compress, islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from seq2seq.corpora import FilterReport, SentencePair
from seq2seq.tokenizer import EOS_ID, PAD_ID, Tokenizer

CHUNK = 10_000  # sentences tokenized at once


class Side(Protocol):
    """The token ids of one side of a corpus: `lengths` (N,) int32 of its sentences, EOS included."""

    lengths: np.ndarray

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Right-padded ids of some sentences, (B, L) int32, EOS included."""
        ...


class TokenizedSide:
    """The token ids of one side of a corpus, memory-mapped: sentence i is `tokens[offsets[i]:offsets[i + 1]]`."""

    def __init__(self, folder: Path, side: str, dtype: str) -> None:
        file = folder / f"{side}.tokens.bin"
        # An empty file cannot be mapped.
        self.tokens = np.memmap(file, dtype, "r") if file.stat().st_size else np.zeros(0, dtype)
        self.offsets = np.memmap(folder / f"{side}.offsets.bin", np.int64, "r")
        self.lengths = np.diff(self.offsets).astype(np.int32)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Right-padded ids of some sentences, (B, L) int32, EOS included."""
        lengths = self.lengths[rows]
        columns = np.arange(lengths.max(initial=0))
        real = columns < lengths[:, None]
        padded = np.full(real.shape, PAD_ID, np.int32)
        padded[real] = self.tokens[(self.offsets[rows][:, None] + columns)[real]]
        return padded


class EncodedPairs:
    """Token ids of equally many sentences on the `source` and the `target` side."""

    source: Side
    target: Side

    def __len__(self) -> int:
        return len(self.source.lengths)

    def batch(self, plan: "BatchPlan", index: int) -> tuple[np.ndarray, np.ndarray]:
        """Source and target of one batch of a plan, (B, S) and (B, T) int32."""
        rows = plan.batch(index)
        return self.source.gather(rows), self.target.gather(rows)


class EncodedCorpus(EncodedPairs):
    """A corpus as token ids on disk."""

    source: TokenizedSide
    target: TokenizedSide

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        self.fingerprint: str = about["fingerprint"]
        self.report = FilterReport(about["read"], about["kept"], Counter(about["dropped"]))
        self.source = TokenizedSide(folder, "source", about["source_dtype"])
        self.target = TokenizedSide(folder, "target", about["target_dtype"])


def encode_corpus(
    pairs: Iterable[SentencePair],
    source_tokenizer: Tokenizer,
    target_tokenizer: Tokenizer,
    folder: Path,
    fingerprint: str = "",
    *,
    max_tokens: int | None = None,
    report: FilterReport | None = None,
    progress: Callable[[int], None] = lambda pairs: None,
) -> EncodedCorpus:
    """Tokenize pairs into `folder`, in bounded memory.

    Args:
        pairs: Sentence pairs.
        folder: Written under a temporary name and renamed, so it is whole or absent.
        fingerprint: Of text, filters and tokenizers; stored, to compare before encoding again.
        max_tokens: Drop pairs with more tokens on a side, EOS included.
        report: That of the `filter_pairs` which yields `pairs`; goes on counting here and is stored.
        progress: Called with the number of pairs done so far.

    Pairs with a side that gives no tokens are dropped. Whatever is dropped is counted in the report.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    if report is None:
        report = FilterReport()
        pairs = _counted(pairs, report)
    dtypes = [
        np.dtype(np.uint16 if tokenizer.vocabulary_size <= 2**16 else np.uint32)
        for tokenizer in (source_tokenizer, target_tokenizer)
    ]
    tokenizers = (source_tokenizer, target_tokenizer)

    def encode(chunk: list[SentencePair]) -> list[list[list[int]]]:
        return [tokenizer.encode_all([pair[side] for pair in chunk]) for side, tokenizer in enumerate(tokenizers)]

    def write(sides: list[list[list[int]]]) -> None:
        lengths = np.array([[len(ids) + 1 for ids in side] for side in sides], np.int64)  # EOS included
        longest = lengths.max(axis=0)
        blank = lengths.min(axis=0) == 1
        long = ~blank & (longest > (max_tokens or longest))
        report.drop("side without tokens", int(blank.sum()))
        report.drop(f"over {max_tokens} tokens", int(long.sum()))
        kept = ~(blank | long)
        for side, count, dtype, files in zip(sides, lengths[:, kept], dtypes, outputs, strict=True):
            ends = np.cumsum(count)
            flat = np.full(count.sum(), EOS_ID, dtype)
            inner = np.ones(len(flat), bool)
            inner[ends - 1] = False
            flat[inner] = np.fromiter(chain.from_iterable(compress(side, kept)), dtype, len(flat) - len(ends))
            flat.tofile(files.tokens)
            (ends + files.tokens_written).tofile(files.offsets)
            files.tokens_written += len(flat)

    done = 0
    with ExitStack() as stack:
        outputs = [_SideFiles(stack, partial, side) for side in ("source", "target")]
        beside = stack.enter_context(ThreadPoolExecutor(1))
        # While one chunk is tokenized, outside of Python and on all cores, the next is read and filtered.
        for sides, size in _ahead(beside, encode, _chunks(pairs)):
            write(sides)
            done += size
            progress(done)
    about = {
        "fingerprint": fingerprint,
        "source_dtype": dtypes[0].name,
        "target_dtype": dtypes[1].name,
        "read": report.read,
        "kept": report.kept,
        "dropped": dict(report.dropped),
    }
    (partial / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return EncodedCorpus(folder)


class _SideFiles:
    """What `TokenizedSide` reads, being written."""

    def __init__(self, stack: ExitStack, folder: Path, side: str) -> None:
        self.tokens = stack.enter_context((folder / f"{side}.tokens.bin").open("wb"))
        self.offsets = stack.enter_context((folder / f"{side}.offsets.bin").open("wb"))
        self.tokens_written = 0
        np.zeros(1, np.int64).tofile(self.offsets)


def _ahead(
    executor: Executor, encode: Callable[[list[SentencePair]], Any], chunks: Iterable[list[SentencePair]]
) -> Iterator[tuple[Any, int]]:
    """What `encode` gives for each chunk, and its size; a chunk is read while the one before is encoded."""
    waiting = None
    for chunk in chunks:
        begun = executor.submit(encode, chunk), len(chunk)
        if waiting is not None:
            yield waiting[0].result(), waiting[1]
        waiting = begun
    if waiting is not None:
        yield waiting[0].result(), waiting[1]


def _counted(pairs: Iterable[SentencePair], report: FilterReport) -> Iterator[SentencePair]:
    for pair in pairs:
        report.read += 1
        report.kept += 1
        yield pair


def _chunks(pairs: Iterable[SentencePair]) -> Iterator[list[SentencePair]]:
    iterator = iter(pairs)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


@dataclass(frozen=True)
class BatchPlan:
    """One epoch's batches: batch i holds the sentences `rows[bounds[i]:bounds[i + 1]]`."""

    rows: np.ndarray
    bounds: np.ndarray
    source_lengths: np.ndarray
    target_lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def batch(self, index: int) -> np.ndarray:
        """Sentence numbers of a batch."""
        return self.rows[self.bounds[index] : self.bounds[index + 1]]

    def shapes(self) -> np.ndarray:
        """Sentences, source length and target length of every batch, (len(self), 3) int64."""
        starts = self.bounds[:-1]
        return np.stack(
            [
                np.diff(self.bounds),
                np.maximum.reduceat(self.source_lengths[self.rows], starts),
                np.maximum.reduceat(self.target_lengths[self.rows], starts),
            ],
            axis=1,
        )

    def padding_waste(self) -> float:
        """Share of source and target positions that are padding, 0 to 1."""
        shapes = self.shapes()
        positions = int((shapes[:, 0] * (shapes[:, 1] + shapes[:, 2])).sum())
        real = int(self.source_lengths[self.rows].sum() + self.target_lengths[self.rows].sum())
        return 1.0 - real / positions

    def largest(self) -> list[int]:
        """The batches that need most memory: most positions, and most source-target pairs of positions."""
        sentences, source, target = self.shapes().T
        return sorted({int(np.argmax(sentences * (source + target))), int(np.argmax(sentences * source * target))})


def plan_batches(
    source_lengths: np.ndarray,
    target_lengths: np.ndarray,
    *,
    tokens: int,
    pool: int,
    seed: int,
    epoch: int,
    rows: np.ndarray | None = None,
) -> BatchPlan:
    """Deal sentences into batches of similar length: a pure function of its arguments.

    Sentences are shuffled, cut into pools, sorted by length within each pool and cut into batches that hold
    at most `tokens` real tokens on either side; then the batches are shuffled. A sentence longer than
    `tokens` is a batch of its own.

    Args:
        source_lengths: (N,) tokens of each source sentence, EOS included, N at least 1.
        target_lengths: (N,) the same of each target sentence.
        tokens: Budget of a batch.
        pool: Sentences in a pool. Larger pools waste less on padding and shuffle less.
        rows: Numbers of the epoch's sentences, at least one; by default each of the N once.
    """
    generator = np.random.default_rng([seed, epoch])
    rows = generator.permutation(len(source_lengths) if rows is None else rows)
    bounds = [0]
    for start in range(0, len(rows), pool):
        part = rows[start : start + pool]
        part = part[np.lexsort((source_lengths[part], target_lengths[part]))]
        rows[start : start + pool] = part
        source_ends, target_ends = np.cumsum(source_lengths[part]), np.cumsum(target_lengths[part])
        end = 0
        while end < len(part):
            used_source, used_target = (source_ends[end - 1], target_ends[end - 1]) if end else (0, 0)
            fitting = min(
                int(np.searchsorted(source_ends, used_source + tokens, side="right")),
                int(np.searchsorted(target_ends, used_target + tokens, side="right")),
            )
            end = max(fitting, end + 1)
            bounds.append(start + end)
    order = generator.permutation(len(bounds) - 1)
    edges = np.array(bounds)
    sizes = np.diff(edges)[order]
    shuffled = np.concatenate([rows[edges[i] : edges[i + 1]] for i in order])
    return BatchPlan(shuffled, np.concatenate([[0], np.cumsum(sizes)]), source_lengths, target_lengths)


def batch_dataset(corpus: EncodedPairs, plan: BatchPlan, start: int = 0) -> tf.data.Dataset:
    """The batches of a plan from number `start` on, prefetched.

    Each element is one batch: `(source, target)`, int32 of shapes (B, S) and (B, T), right-padded with 0,
    EOS included. `model.fit` takes the dataset as it is.
    """

    def gather(index: np.int64) -> tuple[np.ndarray, np.ndarray]:
        return corpus.batch(plan, int(index))

    def load(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        source, target = tf.numpy_function(gather, [index], (tf.int32, tf.int32))
        return tf.ensure_shape(source, [None, None]), tf.ensure_shape(target, [None, None])

    return tf.data.Dataset.range(start, len(plan)).map(load).prefetch(4)
