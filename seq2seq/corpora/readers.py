"""Readers of parallel text. A line ends at `\\n` and nowhere else, so line N always answers line N."""

import gzip
import hashlib
import io
import math
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from seq2seq.arguments import check_arguments
from seq2seq.config import CorpusConfig, TextConfig
from seq2seq.config.data import SIDES, ValidConfig
from seq2seq.errors import CorpusError
from seq2seq.plurals import pluralize
from seq2seq.storage.files import resolve_file, sha256

MAX_CACHED_PAIRS = 200_000  # pairs of the phrasebook that are kept in memory
BOM = b"\xef\xbb\xbf"

T = TypeVar("T")


class SentencePair(NamedTuple):
    """A source sentence, its translation, and where they stand as `file:line`."""

    source: str
    target: str
    origin: str


@runtime_checkable
class Corpus(Protocol):
    """Sentence pairs that can be read again and again."""

    def __iter__(self) -> Iterator[SentencePair]: ...

    def fingerprint(self) -> str:
        """A hash that changes with the text (hexadecimal SHA-256)."""
        ...


@check_arguments(spec="Pass CorpusConfig(tsv=FILE), or CorpusConfig(source=FILE, target=FILE).")
def open_corpus(spec: CorpusConfig | TextConfig, sides: Collection[str] = SIDES) -> Corpus:
    """Open what `spec` describes; of a mixture all parts, one after the other, whatever their weights.

    Where the source is not among `sides`, its file is not read, and each pair is the target twice, so that filters
    judge it alone. Of a `target` without a `source` all sources are "".

    Raises:
        CorpusError: A file is missing or an environment variable in its path is not set; or `spec` is held out of
            another corpus, see `held_out.open_valid`. While reading:
            invalid UTF-8, unequal line counts, or a wrong number of columns, each with file and line.
    """
    if isinstance(spec, ValidConfig) and spec.held_out:
        raise CorpusError("data.valid is held out of data.train: open both with open_train and open_valid.")
    if isinstance(spec, CorpusConfig) and spec.mixture is not None:
        return Mixture([open_corpus(part, sides) for part in spec.mixture])
    corpus: Corpus
    if spec.phrasebook is not None:
        draw = 1 if spec.seed is None else spec.seed
        corpus = Phrasebook(spec.phrasebook, spec.pairs, draw, spec.lexicon or "full")
    elif spec.tsv is not None:
        corpus = TSVFile(resolve_file(spec.tsv), spec.columns, spec.header)
    else:
        assert spec.target is not None
        files = [resolve_file(file) for file in (spec.source if "source" in sides else None, spec.target) if file]
        corpus = AlignedFiles(*files) if len(files) > 1 else MonolingualFile(*files)
    return corpus if "source" in sides else TargetOnlyCorpus(corpus)


class _Files:
    """What lies in files."""

    def __init__(self, *paths: Path) -> None:
        self.paths = paths

    def fingerprint(self) -> str:
        return hashlib.sha256("\n".join(map(sha256, self.paths)).encode()).hexdigest()


class AlignedFiles(_Files):
    """Two files in which line N of one translates line N of the other."""

    def __iter__(self) -> Iterator[SentencePair]:
        files = self.paths
        lines = zip_longest(*map(read_lines, files))
        for number, (source, target) in enumerate(lines, start=1):
            if source is None or target is None:
                more = number + sum(1 for _ in lines)
                short, long = files if source is None else files[::-1]
                raise CorpusError(
                    f"{short}:{number}: expected a line that translates {long}:{number}, found the end of the file. "
                    f"{short} has {pluralize(number - 1, 'line')}, {long} has {more}. Align the two files line by line."
                )
            yield SentencePair(source, target, f"{files[0]}:{number}")


class MonolingualFile(_Files):
    """One file of sentences without a source, which is ""."""

    def __iter__(self) -> Iterator[SentencePair]:
        (path,) = self.paths
        for number, line in enumerate(read_lines(path), start=1):
            yield SentencePair("", line, f"{path}:{number}")


class TargetOnlyCorpus:
    """What a language model reads of a corpus: each target sentence, on both sides, so that filters judge it alone."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def __iter__(self) -> Iterator[SentencePair]:
        for _, target, origin in self.corpus:
            yield SentencePair(target, target, origin)

    def fingerprint(self) -> str:
        return hashlib.sha256(f"target of {self.corpus.fingerprint()}".encode()).hexdigest()


class TSVFile(_Files):
    """One file of tab-separated columns.

    Args:
        path: Path of the file.
        columns: Columns of source and target, counted from 1; None: the file has exactly these two.
        header: Whether the first line is a header.
    """

    def __init__(self, path: Path, columns: tuple[int, int] | None = None, header: bool = False) -> None:
        super().__init__(path)
        self.columns, self.header = columns, header

    def __iter__(self) -> Iterator[SentencePair]:
        source, target = self.columns or (1, 2)
        least, most = max(source, target), 2 if self.columns is None else math.inf
        for _, line, origin in islice(MonolingualFile(*self.paths), int(self.header), None):
            cells = line.split("\t")
            if not least <= len(cells) <= most:
                raise CorpusError(self._explain(origin, line, len(cells)))
            yield SentencePair(cells[source - 1], cells[target - 1], origin)

    def _explain(self, origin: str, line: str, found: int) -> str:
        expected, remedy = "2 tab-separated columns", "Add the missing tab: each line is source<TAB>target."
        if self.columns is not None:
            expected = f"at least {max(self.columns)} tab-separated columns for 'columns: {list(self.columns)}'"
            remedy = "Fix the line, or 'columns'."
        elif found > 2:
            remedy = (
                "Remove the extra tab, or say which columns hold source and target: {tsv: FILE, columns: [1, 2]} in a "
                "recipe, --columns 1,2 in `seq2seq train FILE`."
            )
        elif not line.strip():
            remedy = "Remove the blank line: each line is source<TAB>target."
        return f"{origin}: expected {expected}, found {found}. {remedy}"

    def fingerprint(self) -> str:
        layout = f"columns {self.columns or (1, 2)}, header {self.header}"
        return hashlib.sha256(f"{layout} of {super().fingerprint()}".encode()).hexdigest()


class Phrasebook:
    """A split of the corpus that ships with the package; the rest as in `generate_pairs`."""

    def __init__(self, split: str, pairs: int | None = None, seed: int = 1, lexicon: str = "full") -> None:
        self.split = split
        self.generated_pairs = pairs, seed, lexicon

    def __iter__(self) -> Iterator[SentencePair]:
        from seq2seq.phrasebook.phrasebook import DEFAULT_PAIRS, generate_pairs

        few = (self.generated_pairs[0] or DEFAULT_PAIRS[self.split]) <= MAX_CACHED_PAIRS
        drawn = (
            _drawn_once(generate_pairs, self.split, *self.generated_pairs)
            if few
            else generate_pairs(self.split, *self.generated_pairs)
        )
        for number, (source, target) in enumerate(drawn, start=1):
            yield SentencePair(source, target, f"phrasebook/{self.split}:{number}")

    def fingerprint(self) -> str:
        from seq2seq.phrasebook.phrasebook import fingerprint

        return fingerprint(self.split, *self.generated_pairs)


@lru_cache(maxsize=4)
def _drawn_once(draw: Callable[..., Iterator[tuple[str, str]]], *asked: Any) -> list[tuple[str, str]]:
    """Few pairs are drawn once: the tokenizer and the training both read them."""
    return list(draw(*asked))


class Mixture:
    """Several corpora, one after the other."""

    def __init__(self, parts: Sequence[Corpus]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[SentencePair]:
        return chain.from_iterable(self.parts)

    def fingerprint(self) -> str:
        return hashlib.sha256("\n".join(part.fingerprint() for part in self.parts).encode()).hexdigest()


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of `size` items that follow each other; the last one has what is left."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, plain or gzip, without `\\n`, a trailing `\\r` or a leading BOM.

    Raises:
        CorpusError: The file cannot be read, is damaged, or holds invalid UTF-8 (with the line number).
    """
    with wrap_reading_errors(str(path)), open_bytes(path) as handle:
        for number, raw in enumerate(handle, start=1):
            try:
                yield strip_line_end(raw, number).decode("utf-8")
            except UnicodeDecodeError as error:
                raise CorpusError(
                    f"{path}:{number}: expected UTF-8, found byte 0x{error.object[error.start]:02x} at column "
                    f"{error.start + 1}. Convert the file, for instance with `iconv -f latin1 -t utf-8`."
                ) from None


def decode_lines(
    handle: Iterable[bytes], name: str, on_warning: Callable[[str], None], first: int = 1
) -> Iterator[str]:
    """Yield the lines of an open file from number `first` on; invalid UTF-8 becomes U+FFFD.

    Args:
        handle: Its lines with their ends, from the first on.
        name: Of the file, in warnings and errors.
        on_warning: Called with a warning message for each line with invalid UTF-8, which it names.
        first: Lines before this one are skipped unread.

    Raises:
        CorpusError: The file cannot be read or is damaged.
    """
    with wrap_reading_errors(name):
        for number, raw in enumerate(islice(handle, first - 1, None), start=first):
            line = strip_line_end(raw, number)
            text = line.decode("utf-8", errors="replace")
            if "\ufffd" in text and text.encode() != line:
                on_warning(f"{name}:{number}: invalid UTF-8 replaced by U+FFFD")
            yield text


def count_lines(path: Path) -> int:
    """How many lines the readers here find in a file, plain or gzip; errors as of `wrap_reading_errors`."""
    with wrap_reading_errors(str(path)), open_bytes(path) as handle:
        return sum(1 for _ in handle)


@contextmanager
def wrap_reading_errors(name: str) -> Iterator[None]:
    """Around what reads the file `name`.

    Raises:
        CorpusError: It cannot be read or is damaged.
    """
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(f"{name}: cannot be read: {error}. Check that the file is whole.") from None


def strip_line_end(raw: bytes, number: int) -> bytes:
    """A line of a file without its end, `\\n` or `\\r\\n`, and the first one without a BOM."""
    line = raw.removeprefix(BOM) if number == 1 else raw
    return line.removesuffix(b"\n").removesuffix(b"\r")


def open_bytes(path: Path) -> IO[bytes]:
    """Open a plain or `.gz` file for reading bytes."""
    # Buffered once more: reading lines from gzip's own object is slow.
    return io.BufferedReader(gzip.open(path, "rb"), 2**18) if path.suffix == ".gz" else path.open("rb")
