"""Token ids on disk: corpora are filtered and tokenized on all cores, written once, and read as memory-mapped files."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from joblib import Parallel, delayed

from seq2seq.arguments import Pair, check_arguments
from seq2seq.config.data import CorporaConfig, FilterConfig, SentenceFilterConfig
from seq2seq.corpora import filters
from seq2seq.corpora.filters import FilterReport
from seq2seq.data.padding import pad_concatenated
from seq2seq.data.progress import ProgressCallback, no_progress
from seq2seq.data.tokenizer import EOS_ID, Tokenizer
from seq2seq.storage.files import atomic_folder, atomic_write, wrap_storage_errors

DTYPES = ("uint16", "uint32")
MIN_PARALLEL_CHUNKS = 3  # up to this number of chunks, starting other processes does not pay
UNFILTERED = FilterConfig(
    drop_empty=False,
    drop_duplicates=False,
    max_characters=None,
    max_ratio=None,
    max_tokens=2**31 - 1,
)


def valid_filters(data: CorporaConfig) -> SentenceFilterConfig:
    """The filters of the validation corpus of a recipe: those of training, whatever its length, or none.

    A separate corpus is used unfiltered. Held-out training text may have blank and repeated pairs.
    """
    unlimited = {"max_tokens": UNFILTERED.max_tokens}
    return data.filters.model_copy(update=unlimited) if data.valid.held_out else UNFILTERED


def token_dtype(vocabulary_size: int) -> np.dtype:
    """The smallest dtype for the token ids of a vocabulary."""
    return np.dtype(DTYPES[0] if vocabulary_size <= 2**16 else DTYPES[1])


class EncodedSide(Protocol):
    """Token ids of one side of a corpus.

    Attributes:
        lengths: (N,) int32, numbers of tokens of the sentences, EOS included.
    """

    lengths: np.ndarray

    def ids(self, indices: np.ndarray) -> np.ndarray:
        """Concatenated ids of the sentences `indices`, EOS included, (sum of their lengths,)."""
        ...


class ArraySide:
    """Token ids of one side of a corpus in one array: sentence i is `tokens[offsets[i]:offsets[i + 1]]`."""

    def __init__(self, tokens: np.ndarray, offsets: np.ndarray) -> None:
        self.tokens, self.offsets = tokens, offsets
        self.lengths = np.diff(offsets).astype(np.int32)

    def ids(self, indices: np.ndarray) -> np.ndarray:
        """Concatenated ids of the sentences `indices`, EOS included, (sum of their lengths,)."""
        lengths = self.lengths[indices]
        ends = np.cumsum(lengths)
        return self.tokens[np.repeat(self.offsets[indices] - ends + lengths, lengths) + np.arange(lengths.sum())]


class MemoryMappedSide(ArraySide):
    """Memory-mapped token ids of one side of a corpus."""

    def __init__(self, folder: Path, side: str, dtype: str) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"{folder}: token ids of {dtype}")
        file = folder / f"{side}.tokens.bin"
        # An empty file cannot be mapped.
        tokens = np.memmap(file, dtype, "r") if file.stat().st_size else np.zeros(0, dtype)
        super().__init__(tokens, np.memmap(folder / f"{side}.offsets.bin", np.int64, "r"))
        if self.offsets[0] or self.offsets[-1] != len(self.tokens) or self.lengths.min(initial=1) < 1:
            raise ValueError(f"{file}: does not match its offsets")


class EncodedPairs:
    """Token ids of sentence pairs, with a `source` and a `target` side."""

    source: EncodedSide
    target: EncodedSide

    def __len__(self) -> int:
        return len(self.source.lengths)

    def batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Source and target of the sentences `indices`, (B, S) and (B, T) int32, right-padded, EOS included."""
        sides = self.source, self.target
        source, target = (pad_concatenated(side.ids(indices), side.lengths[indices]) for side in sides)
        return source, target


class EncodedCorpus(EncodedPairs):
    """A corpus as token ids on disk."""

    source: MemoryMappedSide
    target: MemoryMappedSide

    def __init__(self, folder: Path) -> None:
        """Open a corpus that `encode_corpus` wrote.

        Raises:
            OSError, ValueError, KeyError, TypeError: The corpus is missing or damaged, and can be encoded again.
        """
        self.folder = folder
        about = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        self.fingerprint: str = about["fingerprint"]
        self.report = FilterReport(about["read"], about["kept"], Counter(about["dropped"]), about["length_ratios"])
        self.source = MemoryMappedSide(folder, "source", about["source_dtype"])
        self.target = MemoryMappedSide(folder, "target", about["target_dtype"])
        if not len(self.source.lengths) == len(self.target.lengths) == self.report.kept:
            raise ValueError(f"{folder}: the sides do not have {self.report.kept} sentences")


@check_arguments(pairs="Pass zip(sources, targets).")
def encode_corpus(
    pairs: Iterable[Pair],
    source_tokenizer: Tokenizer | None,
    target_tokenizer: Tokenizer,
    folder: Path,
    fingerprint: str = "",
    *,
    filtering: SentenceFilterConfig = UNFILTERED,
    on_progress: ProgressCallback = no_progress,
) -> EncodedCorpus:
    """Filter and tokenize pairs into `folder`, in bounded memory.

    A large corpus is tokenized by several processes, one per core; this process reads, finds duplicates and writes.
    Pairs with a side that has no tokens are dropped. All dropped pairs are counted in the report of the corpus.

    Args:
        pairs: Sentence pairs, or plain tuples of source and target.
        source_tokenizer: Source tokenizer; if it is None, sources are not stored, and each consists of EOS only; see
            `open_corpus`.
        target_tokenizer: Target tokenizer.
        folder: Output folder, written under a temporary name and renamed, so that it is complete or absent.
        fingerprint: Fingerprint of text, filters and tokenizers, stored for comparison before encoding again.
        filtering: Filters, as in `filter_pairs`, and the maximum number of tokens.
        on_progress: Function called with the number of pairs done so far.
    """
    tokenizers = source_tokenizer, target_tokenizer
    sizes = [EOS_ID + 1 if tokenizer is None else tokenizer.vocabulary_size for tokenizer in tokenizers]
    dtypes = [token_dtype(size) for size in sizes]
    sides = [side for side, tokenizer in enumerate(tokenizers) if tokenizer is not None]
    report = FilterReport()
    selection = filters.DuplicateFilter(filtering, report)
    with atomic_folder(folder) as partial, ExitStack() as stack:
        files = [
            _SideFiles(stack, partial, side, dtype) for side, dtype in zip(("source", "target"), dtypes, strict=True)
        ]
        for chunk in _encoded(pairs, tokenizers, filtering, report):
            counts = np.stack([chunk.lengths[side] for side in sides])
            reasons = {
                "side without tokens": counts.min(axis=0) == 0,
                f"over {filtering.max_tokens} tokens": counts.max(axis=0) >= filtering.max_tokens,  # EOS is added
            }
            kept = selection.keep(chunk.screening, reasons)
            for file, ids, lengths in zip(files, chunk.ids, chunk.lengths, strict=True):
                file.write(ids, lengths, kept)
            on_progress(report.read)
        report.count_left_out(pairs)
        for file in files:
            file.flush()
        about = {
            "fingerprint": fingerprint,
            "source_dtype": dtypes[0].name,
            "target_dtype": dtypes[1].name,
            "read": report.read,
            "kept": report.kept,
            "dropped": dict(report.dropped),
            "length_ratios": report.length_ratios,
        }
        with atomic_write(partial / "metadata.json") as about_file:
            about_file.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return EncodedCorpus(folder)


class _Chunk(NamedTuple):
    """Pairs that passed the filters on their own.

    Attributes:
        screening: Result of the filters.
        lengths: Numbers of tokens of the sentences of each side, without EOS, int64; 0 for a source that is not kept.
        ids: Concatenated ids of the sentences of each side, int32.
    """

    screening: filters.PrefilterResult
    lengths: list[np.ndarray]
    ids: list[np.ndarray]


def _encoded(
    pairs: Iterable[Pair],
    tokenizers: Sequence[Tokenizer | None],
    filtering: SentenceFilterConfig,
    report: FilterReport,
) -> Iterator[_Chunk]:
    """Yield encoded chunks in order; if there are many, other processes encode a few chunks ahead."""
    texts = filters.measured_chunks(pairs, filtering, report, width=2)
    first = list(islice(texts, MIN_PARALLEL_CHUNKS + 1))
    if len(first) <= MIN_PARALLEL_CHUNKS:
        for chunk, ratio in first:
            yield _encode(chunk, tokenizers, filtering, ratio)
        return
    work = (delayed(_encode)(chunk, tokenizers, filtering, ratio) for chunk, ratio in chain(first, texts))
    yield from Parallel(n_jobs=-1, return_as="generator")(work)


def _encode(
    texts: Sequence[tuple[str, ...]],
    tokenizers: Sequence[Tokenizer | None],
    filtering: SentenceFilterConfig,
    length_ratio: float,
) -> _Chunk:
    left, screening = filters.prefilter(texts, filtering, length_ratio)
    sides: list[list[list[int]]] = [
        [[]] * len(left) if tokenizer is None else tokenizer.encode_batch([pair[side] for pair in left], are_clean=True)
        for side, tokenizer in enumerate(tokenizers)
    ]
    lengths = [np.fromiter(map(len, side), np.int64, len(side)) for side in sides]
    ids = [
        np.fromiter(chain.from_iterable(side), np.int32, count.sum())
        for side, count in zip(sides, lengths, strict=True)
    ]
    return _Chunk(screening, lengths, ids)


class _SideFiles:
    """Writer of the files of a `MemoryMappedSide`."""

    def __init__(self, stack: ExitStack, folder: Path, side: str, dtype: np.dtype) -> None:
        self.path = folder / f"{side}.tokens.bin"
        with wrap_storage_errors(self.path):
            self.tokens = self.path.open("wb")
            self.offsets = (folder / f"{side}.offsets.bin").open("wb")
        stack.callback(self._close)
        self.dtype, self.written = dtype, 0
        self.offsets.write(np.zeros(1, np.int64).data)

    def write(self, ids: np.ndarray, lengths: np.ndarray, kept: np.ndarray) -> None:
        """Add the sentences that are `kept` (N,) bool, each with EOS at its end."""
        ends = np.cumsum(lengths[kept] + 1)
        tokens = np.full(ends[-1] if len(ends) else 0, EOS_ID, self.dtype)
        inner = np.ones(len(tokens), bool)
        inner[ends - 1] = False
        tokens[inner] = ids[np.repeat(kept, lengths)]
        with wrap_storage_errors(self.path):  # not `tofile`, which does not report every error
            self.tokens.write(tokens.data)
            self.offsets.write((ends + self.written).data)
        self.written += len(tokens)

    def flush(self) -> None:
        """Write buffered data to the disk."""
        with wrap_storage_errors(self.path):
            for file in (self.tokens, self.offsets):
                file.flush()
                os.fsync(file.fileno())

    def _close(self) -> None:
        for file in (self.tokens, self.offsets):
            with suppress(OSError):  # from data that could not be flushed, which was reported then
                file.close()
