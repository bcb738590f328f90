"""Readers of parallel text."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from seq2seq.arguments import check_arguments
from seq2seq.config import CorpusConfig, TextConfig
from seq2seq.config.corpus import SIDES, ValidConfig
from seq2seq.corpora.layouts import check_quoting, describe_layout, explain_width, find_layout, read_score, table_form
from seq2seq.corpora.lines import read_lines, text_checksum
from seq2seq.corpora.tables import read_rows
from seq2seq.errors import CorpusError
from seq2seq.plurals import pluralize
from seq2seq.storage.files import resolve_file

MAX_CACHED_PAIRS = 200_000  # pairs of the phrasebook that are kept in memory


class SentencePair(NamedTuple):
    """A source sentence, its translation, and their origin as `file:line`."""

    source: str
    target: str
    origin: str


@runtime_checkable
class Corpus(Protocol):
    """Sentence pairs that can be read repeatedly."""

    def __iter__(self) -> Iterator[SentencePair]: ...

    def fingerprint(self) -> str:
        """A hash that changes with the text (hexadecimal SHA-256)."""
        ...


@check_arguments(spec="Pass CorpusConfig(tsv=FILE), or CorpusConfig(source=FILE, target=FILE).")
def open_corpus(spec: CorpusConfig | TextConfig, sides: Collection[str] = SIDES) -> Corpus:
    """Open the corpus that `spec` describes; for a mixture, all parts one after the other, regardless of their weights.

    If the source is not among `sides`, its file is not read, and each pair has the target on both sides, so that
    filters judge only the target. If there is a `target` without a `source`, all sources are "".

    Raises:
        CorpusError: A file is missing, or an environment variable in its path is not set; or `spec` is held out from
            another corpus, see `held_out.open_valid`. While reading: the file is not text, has invalid UTF-8, or a
            wrong number of lines or columns; the message names file and line.
    """
    if isinstance(spec, ValidConfig) and spec.held_out:
        raise CorpusError("data.valid is held out from data.train: open both with open_train and open_valid.")
    if isinstance(spec, CorpusConfig) and spec.mixture is not None:
        return Mixture([open_corpus(part, sides) for part in spec.mixture])
    corpus: Corpus
    if spec.phrasebook is not None:
        draw = 1 if spec.seed is None else spec.seed
        corpus = Phrasebook(spec.phrasebook, spec.pairs, draw, spec.lexicon or "full")
    elif spec.tsv is not None:
        corpus = TSVFile(resolve_file(spec.tsv), spec)
    else:
        assert spec.target is not None
        files = [resolve_file(file) for file in (spec.source if "source" in sides else None, spec.target) if file]
        corpus = AlignedFiles(*files) if len(files) > 1 else MonolingualFile(*files)
    return corpus if "source" in sides else TargetOnlyCorpus(corpus)


class _Files:
    """A corpus in one or two files."""

    def __init__(self, *paths: Path) -> None:
        self.paths = paths

    def fingerprint(self) -> str:
        return hashlib.sha256("\n".join(map(text_checksum, self.paths)).encode()).hexdigest()


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
    """The target side of a corpus, for a language model, on both sides of each pair, so that filters judge only it."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def __iter__(self) -> Iterator[SentencePair]:
        for _, target, origin in self.corpus:
            yield SentencePair(target, target, origin)

    @property
    def left_out(self) -> Counter[str]:
        """Number of pairs that the corpus left out, by reason."""
        return left_out(self.corpus)

    def fingerprint(self) -> str:
        return hashlib.sha256(f"target of {self.corpus.fingerprint()}".encode()).hexdigest()


class TSVFile(_Files):
    """A table in a file, of tab-separated columns unless its specification says otherwise.

    Attributes:
        left_out: Number of pairs that the latest iteration has left out so far, by reason.
    """

    def __init__(self, path: Path, spec: TextConfig | None = None) -> None:
        super().__init__(path)
        self.spec = spec or TextConfig(tsv=str(path))
        self.left_out = Counter[str]()

    def __iter__(self) -> Iterator[SentencePair]:
        (path,), spec = self.paths, self.spec
        dropped = self.left_out = Counter()
        check_quoting(path, spec)
        rows = read_rows(path, table_form(spec))
        first = next(rows, None)
        if first is None:
            return
        source, target, score, header, least, most = find_layout(path, spec, first[1])
        min_score = spec.min_score or 0.0
        for number, cells in rows if header else chain([first], rows):
            if not least <= len(cells) <= most:
                raise CorpusError(explain_width(path, spec, number, cells))
            if score is None or read_score(cells[score], f"{path}:{number}", spec.score_column) >= min_score:
                yield SentencePair(cells[source], cells[target], f"{path}:{number}")
            else:
                dropped[f"score under {min_score:g}"] += 1

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{describe_layout(self.spec)} of {super().fingerprint()}".encode()).hexdigest()


class Phrasebook:
    """A split of the corpus that ships with the package; the arguments are those of `generate_pairs`."""

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
    """Draw a small number of pairs only once: the tokenizer and the training both read them."""
    return list(draw(*asked))


class Mixture:
    """Several corpora, one after the other."""

    def __init__(self, parts: Sequence[Corpus]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[SentencePair]:
        return chain.from_iterable(self.parts)

    @property
    def left_out(self) -> Counter[str]:
        """Number of pairs that the parts left out, by reason."""
        return sum(map(left_out, self.parts), Counter())

    def fingerprint(self) -> str:
        return hashlib.sha256("\n".join(part.fingerprint() for part in self.parts).encode()).hexdigest()


def left_out(corpus: object) -> Counter[str]:
    """Number of pairs that a corpus has left out while it was read, by reason; see `TSVFile`."""
    return getattr(corpus, "left_out", None) or Counter()
