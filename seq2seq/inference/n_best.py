"""N-best lists in the format of Moses and Marian: `NUMBER ||| TEXT ||| FEATURES ||| TOTAL`."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from seq2seq.corpora.chunks import chunks
from seq2seq.errors import CorpusError
from seq2seq.plurals import pluralize

if TYPE_CHECKING:
    from seq2seq.config import SearchOptions
    from seq2seq.inference.scorer import Scorer

SEPARATOR = " ||| "
FORMAT = "NUMBER ||| TEXT ||| FEATURES ||| TOTAL"
_BAR = re.compile(r"\s*\|\|\|\s*")
_ALIGNMENT = re.compile(r"(\d+-\d+( \d+-\d+)*)?")  # Marian writes it before the features, Moses after the total
CHUNK_ENTRIES = 2_000  # hypotheses, or sources without any, that are scored at once


@dataclass(frozen=True)
class Entry:
    """One hypothesis of an n-best list.

    Attributes:
        number: Number of the source line, from 0.
        text: The hypothesis.
        before: Fields between text and features: Marian's alignment.
        features: Names and values, such as `F0= -3.9`.
        total: Weighted sum of the features.
        after: Fields after the total: Moses's alignments.
    """

    number: int
    text: str
    before: tuple[str, ...]
    features: str
    total: float
    after: tuple[str, ...] = ()

    def __str__(self) -> str:
        fields = (str(self.number), self.text, *self.before, self.features, f"{self.total:.6g}", *self.after)
        return SEPARATOR.join(fields)


def parse_entry(line: str, place: str) -> Entry:
    """Read a line.

    Raises:
        CorpusError: The line has a different form; the message names the place, as `FILE:LINE`.
    """
    number, *fields = _BAR.split(line.strip())
    start = 2 if len(fields) > 3 and _ALIGNMENT.fullmatch(fields[1]) else 1
    if len(fields) < start + 2:
        raise CorpusError(
            f"{place}: expected {FORMAT}, found {pluralize(len(fields) + 1, 'field')}: {line[:60]!r}. Write the list "
            "with `marian-decoder --n-best` or `moses -n-best-list`."
        )
    if not number.isdecimal():
        raise CorpusError(f"{place}: expected the number of a source line, from 0, found {number[:60]!r}.")
    try:
        total = float(fields[start + 1])
    except ValueError:
        raise CorpusError(
            f"{place}: expected a number as the total, the field after the features, found {fields[start + 1][:60]!r}."
        ) from None
    return Entry(int(number), fields[0], tuple(fields[1:start]), fields[start], total, tuple(fields[start + 2 :]))


def read_n_best(lines: Iterable[str], name: str) -> Iterator[tuple[Entry, str]]:
    """Yield the entries of a list, each with its place.

    Raises:
        CorpusError: See `parse_entry`; or the numbers decrease.
    """
    last = 0
    for row, line in enumerate(lines, start=1):
        place = f"{name}:{row}"
        entry = parse_entry(line, place)
        if entry.number < last:
            raise CorpusError(
                f"{place}: expected the hypotheses in the order of source lines, found line {entry.number} after "
                f"{last}. Sort the list: sort -s -n -k 1,1 FILE"
            )
        last = entry.number
        yield entry, place


def rescore(
    entries: Iterable[tuple[Entry, str]],
    sources: Iterable[str],
    scorer: "Scorer",
    options: "SearchOptions",
    *,
    feature: str,
    weight: float,
    name: str,
) -> Iterator[list[Entry]]:
    """Add a feature to each hypothesis, and `weight` times its value to the total; yield each source's, best first.

    Equal totals keep their order. A source without hypotheses gives []. If an entry is wrong, the sources before it
    whose hypotheses are complete are yielded before the error is raised.

    Args:
        entries: Result of `read_n_best`.
        sources: All source lines.
        scorer: Scorer of the feature.
        options: Its options.
        feature: Name of the feature.
        weight: Its weight.
        name: Name of the sources, for errors.

    Raises:
        CorpusError: A number is not that of a source line, or a hypothesis already has a feature of this name.
    """
    grouped = _by_source(entries, sources, feature, name)
    for groups in chunks(grouped, CHUNK_ENTRIES, size=lambda group: max(1, len(group[1]))):
        yield from _rescore(groups, scorer, options, feature, weight)


def _by_source(
    entries: Iterable[tuple[Entry, str]], sources: Iterable[str], feature: str, name: str
) -> Iterator[tuple[str, list[Entry]]]:
    """Yield each source with its entries; arguments and errors as in `rescore`."""
    texts = iter(sources)
    count = 0
    for number, group in groupby(entries, key=lambda entry: entry[0].number):
        own = list(group)
        for source in texts:
            count += 1
            if count > number:
                break
            yield source, []
        else:
            raise CorpusError(
                f"{own[0][1]}: is a translation of source line {number}, counted from 0, but {name} has "
                f"{pluralize(count, 'line')}. Give the source that the list was made from."
            )
        for entry, place in own:
            if f"{feature}=" in entry.features.split():
                raise CorpusError(f"{place}: already has a feature {feature!r}. Choose another --feature.")
        yield source, [entry for entry, _ in own]
    for source in texts:
        yield source, []


def _rescore(
    groups: Sequence[tuple[str, Sequence[Entry]]],
    scorer: "Scorer",
    options: "SearchOptions",
    feature: str,
    weight: float,
) -> Iterator[list[Entry]]:
    pairs = [(source, entry.text) for source, entries in groups for entry in entries]
    scores = iter(scorer.score(pairs, options))
    for _, entries in groups:
        rescored = []
        for entry in entries:
            value = next(scores).score
            features = f"{entry.features} {feature}= {value:.6g}".strip()
            rescored.append(replace(entry, features=features, total=entry.total + weight * value))
        yield sorted(rescored, key=lambda entry: -entry.total)
