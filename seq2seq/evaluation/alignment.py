"""Alignment error rate of word alignments against hand-made ones."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from seq2seq.errors import EvaluationError
from seq2seq.plurals import pluralize

Link = tuple[int, int]
_LINK = re.compile(r"(\d+)([-p])(\d+)")


@dataclass(frozen=True)
class ReferenceAlignment:
    """Links that a person made: sure ones, and all that are possible, the sure ones included."""

    sure: frozenset[Link]
    possible: frozenset[Link]

    @classmethod
    def parse(cls, text: str) -> "ReferenceAlignment":
        """Read an alignment such as `0-0 1p2`, in which `-` marks a sure link and `p` a possible one.

        Raises:
            EvaluationError: A link has a different form.
        """
        links: dict[str, set[Link]] = {"-": set(), "p": set()}
        for word in text.split():
            match = _LINK.fullmatch(word)
            if match is None:
                raise EvaluationError(f"{word!r}: expected a link such as 0-1, or 0p1 if it is only possible.")
            links[match[2]].add((int(match[1]), int(match[3])))
        return cls(frozenset(links["-"]), frozenset(links["-"] | links["p"]))


@dataclass(frozen=True)
class AlignmentScores:
    """Quality of word alignments, from 0 to 1.

    Attributes:
        precision: Share of the links that are possible.
        recall: Share of the sure links that were found.
        error_rate: Alignment error rate; lower is better.
    """

    precision: float
    recall: float
    error_rate: float


def score_alignments(
    alignments: Sequence[Collection[Link]], references: Sequence[ReferenceAlignment]
) -> AlignmentScores:
    """Score the alignments of a corpus: AER = 1 - (|A & S| + |A & P|) / (|A| + |S|), with counts of all sentences.

    Args:
        alignments: Links of each sentence pair, A.
        references: Sure links S and possible links P of each sentence pair.

    Raises:
        EvaluationError: They differ in number, or there are neither links nor sure links.

    Source:
        Och and Ney (2003), section 6.
    """
    if len(alignments) != len(references):
        raise EvaluationError(
            f"{pluralize(len(alignments), 'alignment')} for {pluralize(len(references), 'reference alignment')}: line "
            "N of one must correspond to line N of the other."
        )
    pairs = [(set(links), one) for links, one in zip(alignments, references, strict=True)]
    found, sure = sum(len(links) for links, _ in pairs), sum(len(one.sure) for _, one in pairs)
    if not found + sure:
        raise EvaluationError("there is nothing to score: no links and no sure links.")
    in_sure = sum(len(links & one.sure) for links, one in pairs)
    in_possible = sum(len(links & one.possible) for links, one in pairs)
    return AlignmentScores(
        precision=in_possible / found if found else 1.0,
        recall=in_sure / sure if sure else 1.0,
        error_rate=1 - (in_sure + in_possible) / (found + sure),
    )
