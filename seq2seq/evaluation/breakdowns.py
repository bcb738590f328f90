"""Scores of parts of a corpus: of groups of sentences, and of groups of words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from seq2seq.errors import EvaluationError
from seq2seq.evaluation.metrics import score_statistics
from seq2seq.evaluation.paired_tests import MetricScores

GROUPS = 5  # of sentences by length


class Value(NamedTuple):
    """A score or a share in percent, with its 95% interval; the ends are None if it could not be measured."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Group:
    """A group of sentences or words.

    Attributes:
        name: What its members have in common, such as `6-9`.
        count: Number of members.
        values: Value of each system, by its name.
    """

    name: str
    count: int
    values: dict[str, Value]


@dataclass(frozen=True)
class Breakdown:
    """Scores of all systems by one property of sentences or words.

    Attributes:
        key: Short name: `length`, `unknown_words`, `frequency` or `position`.
        title: Title of a table or plot.
        property: What the groups are named by, with its unit.
        counted: What `Group.count` counts: `sentences` or `words`.
        measure: Name of the metric, or `recall`.
        groups: The groups in ascending order, without empty ones.
    """

    key: str
    title: str
    property: str
    counted: str
    measure: str
    groups: tuple[Group, ...]

    def as_dict(self) -> dict[str, Any]:
        """Values that can be stored as JSON."""
        groups = [
            asdict(group) | {"values": {name: value._asdict() for name, value in group.values.items()}}
            for group in self.groups
        ]
        return asdict(self) | {"groups": groups}


def group_numbers(numbers: Sequence[int] | np.ndarray, edges: Sequence[int]) -> dict[str, list[int]]:
    """Group items by a number that each of them has.

    Args:
        numbers: (N,), number of each item.
        edges: Numbers at which a new group begins: (6, 10) makes groups up to 5, from 6 to 9, and from 10 on.

    Returns:
        The places of the items of each group, without empty groups, by a name such as `6-9`. The first and the last
        group end at numbers that occur.

    Raises:
        EvaluationError: Edges are not in ascending order.
    """
    if any(after <= before for before, after in pairwise(edges)):
        raise EvaluationError(f"'edges' are {list(edges)}: expected numbers in ascending order.")
    numbers = np.asarray(numbers)
    groups = np.searchsorted(edges, numbers, side="right")
    found = {}
    for group in np.unique(groups).tolist():
        first = edges[group - 1] if group else numbers.min()
        last = edges[group] - 1 if group < len(edges) else numbers.max()
        found[f"{first}-{last}" if first < last else f"{first}"] = np.flatnonzero(groups == group).tolist()
    return found


def equal_edges(numbers: Sequence[int], groups: int = GROUPS) -> list[int]:
    """Edges for `group_numbers` that make groups of nearly equal size; fewer if many numbers are equal."""
    larger = [number for number in numbers if number > min(numbers)]
    if not larger:
        return []
    inner = np.quantile(numbers, np.arange(1, groups) / groups, method="higher")
    return sorted({max(int(edge), min(larger)) for edge in inner})  # the smallest number belongs to the first group


def break_down(
    key: str,
    title: str,
    property_name: str,
    groups: Mapping[str, Sequence[int]],
    scores: Mapping[str, MetricScores],
    samples: int,
) -> Iterator[Breakdown]:
    """Score groups of sentences, each as a corpus; one breakdown per metric.

    Args:
        key: See `Breakdown`.
        title: See `Breakdown`.
        property_name: See `Breakdown.property`.
        groups: Places of the sentences of each group, by the name of the group.
        scores: Statistics of all systems, by metric.
        samples: Number of bootstrap samples.
    """
    for name, found in scores.items():
        rows = []
        for group, inside in groups.items():
            values = {}
            for system, statistics in found.statistics.items():
                score = score_statistics(name, found.metric, [statistics[place] for place in inside], samples)
                values[system] = Value(score.score, score.low, score.high)
            rows.append(Group(group, len(inside), values))
        yield Breakdown(key, title, property_name, "sentences", name, tuple(rows))


def recall_breakdown(
    key: str, title: str, property_name: str, column: str, tables: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Breakdown:
    """A breakdown of the recall of words.

    Args:
        key: See `Breakdown`.
        title: See `Breakdown`.
        property_name: See `Breakdown.property`.
        column: Column of the tables that names a group.
        tables: Rows of `match_by_frequency` or `match_by_position` of each system, by its name.
    """
    groups = []
    for rows in zip(*tables.values(), strict=True):
        if rows[0]["reference"]:
            values = {system: _share(row) for system, row in zip(tables, rows, strict=True)}
            groups.append(Group(rows[0][column], rows[0]["reference"], values))
    return Breakdown(key, title, property_name, "words", "recall", tuple(groups))


def _share(row: Mapping[str, Any]) -> Value:
    low, high = (None if np.isnan(row[end]) else 100 * float(row[end]) for end in ("recall_low", "recall_high"))
    return Value(100 * float(row["recall"]), low, high)
