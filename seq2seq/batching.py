"""Token ids on disk, a seeded planner of token-budget batches, and tf.data with one batch an element."""

import json
import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf

from seq2seq.corpora import FilterReport, SentencePair
from seq2seq.tokenizer import EOS_ID, PAD_ID, Tokenizer

CHUNK = 10_000  # sentences tokenized at once


class Side(Protocol):
    """The token ids of one side of a corpus: `lengths` (N,) int64 of its sentences, EOS included."""

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
        self.offsets = np.fromfile(folder / f"{side}.offsets.bin", dtype=np.int64)
        self.lengths = np.diff(self.offsets)

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
    done = 0
    lengths = (array("q"), array("q"))
    with (partial / "source.tokens.bin").open("wb") as source, (partial / "target.tokens.bin").open("wb") as target:
        for chunk in _chunks(pairs):
            encoded = zip(
                source_tokenizer.encode_all([pair.source for pair in chunk]),
                target_tokenizer.encode_all([pair.target for pair in chunk]),
                strict=True,
            )
            for sides in encoded:
                longest = max(len(ids) for ids in sides) + 1
                if not all(sides):
                    report.drop("side without tokens")
                elif max_tokens is not None and longest > max_tokens:
                    report.drop(f"over {max_tokens} tokens")
                else:
                    for ids, file, dtype, side in zip(sides, (source, target), dtypes, lengths, strict=True):
                        file.write(np.array([*ids, EOS_ID], dtype).tobytes())
                        side.append(len(ids) + 1)
            done += len(chunk)
            progress(done)
    for name, side in zip(("source", "target"), lengths, strict=True):
        offsets = np.concatenate([[0], np.cumsum(np.frombuffer(side, np.int64))]).astype(np.int64)
        offsets.tofile(partial / f"{name}.offsets.bin")
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
    for start in range(0, len(rows), pool):
        part = rows[start : start + pool]
        rows[start : start + pool] = part[np.lexsort((source_lengths[part], target_lengths[part]))]
    source_ends = np.cumsum(source_lengths[rows])
    target_ends = np.cumsum(target_lengths[rows])
    bounds = [0]
    while bounds[-1] < len(rows):
        start = bounds[-1]
        used_source, used_target = (source_ends[start - 1], target_ends[start - 1]) if start else (0, 0)
        pool_end = (start // pool + 1) * pool  # a batch across two pools would mix the longest with the shortest
        end = min(
            int(np.searchsorted(source_ends, used_source + tokens, side="right")),
            int(np.searchsorted(target_ends, used_target + tokens, side="right")),
            pool_end,
        )
        bounds.append(min(max(end, start + 1), len(rows)))
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
