"""Corpus filters by models: dual conditional cross-entropy and perplexity."""

import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from seq2seq.arguments import check_arguments
from seq2seq.config import SearchOptions
from seq2seq.corpora.filters import FilterReport
from seq2seq.errors import ConfigError
from seq2seq.inference.scorer import Scorer
from seq2seq.text.cleaning import clean

PLAIN = SearchOptions(length_penalty="average")  # a score is the mean log-probability per token

TextPair = tuple[str, str]


@check_arguments()
def dual_conditional_cross_entropy(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Adequacy of sentence pairs, as judged by two models of opposite directions.

        score = exp(-(|H_f - H_b| + (H_f + H_b) / 2))
        H_f = -log p_f(target | source) / number of target tokens
        H_b = -log p_b(source | target) / number of source tokens

    The score is 1 for a pair of which both models are certain; it is low if both find the pair unlikely, or if they
    disagree, as they do about a sentence that translates only a part of the other.

    Args:
        forward: (N,) cross-entropies H_f in nats per token, EOS included.
        backward: (N,) cross-entropies H_b.

    Returns:
        (N,) scores from 0 to 1.

    Source:
        Junczys-Dowmunt (2018), "Dual Conditional Cross-Entropy Filtering of Noisy Parallel Corpora", WMT.

    Departure:
        Tokens are those of each model's own tokenizer, and EOS is one of them.
    """
    return np.exp(-(np.abs(forward - backward) + (forward + backward) / 2))


class ModelFilter:
    """Score sentence pairs, and choose among them.

    With two translation models of opposite directions, scores are those of `dual_conditional_cross_entropy`. With one
    model, the score is the mean log-probability per target token, EOS included, so that the perplexity of a pair is
    exp(-score); a language model ignores the source.

    Args:
        forward: Translation model from source to target, or a language model of the target.
        backward: Translation model from target to source.

    Raises:
        ConfigError: `backward` does not have the reverse languages of `forward`, or one of the two is a language model.
    """

    def __init__(self, forward: Scorer, backward: Scorer | None = None) -> None:
        self.forward, self.backward = forward, backward
        if backward is None:
            return
        if not (forward.reads_source and backward.reads_source):
            raise ConfigError("two models filter by translating in both directions, but one is a language model.")
        languages = forward.languages, backward.languages[::-1]
        if None not in (*languages[0], *languages[1]) and languages[0] != languages[1]:
            found, expected = "-".join(map(str, backward.languages)), "-".join(map(str, forward.languages[::-1]))
            raise ConfigError(
                f"the second model translates {found}, expected {expected}, the reverse of the first. Give a model of "
                "that direction."
            )

    def scores(self, pairs: Sequence[TextPair]) -> np.ndarray:
        """The score of each pair, (N,) float64."""
        forward = np.array([score.score for score in self.forward.score(pairs, PLAIN)])
        if self.backward is None:
            return forward
        turned = [(target, source) for source, target in pairs]
        backward = np.array([score.score for score in self.backward.score(turned, PLAIN)])
        return dual_conditional_cross_entropy(-forward, -backward)

    def scored(self, chunks: Iterable[Sequence[TextPair]], report: FilterReport) -> Iterator[tuple[TextPair, float]]:
        """Yield the pairs of some chunks with their scores, in order; pairs with a blank side are counted and dropped.

        Args:
            chunks: Pairs, in groups that are scored at once.
            report: Report in which pairs read, kept and dropped are counted.
        """
        for chunk in chunks:
            pairs = [pair for pair in chunk if clean(pair[0]).strip() and clean(pair[1]).strip()]
            report.read += len(chunk)
            report.kept += len(pairs)
            if len(pairs) < len(chunk):
                report.dropped["empty side"] += len(chunk) - len(pairs)
            yield from zip(pairs, self.scores(pairs).tolist(), strict=True)


def above(scored: Iterable[tuple[TextPair, float]], minimum: float, report: FilterReport) -> Iterator[TextPair]:
    """Yield the pairs with at least a minimum score; the others are counted."""
    for pair, score in scored:
        if score >= minimum:
            yield pair
        else:
            report.kept -= 1
            report.dropped[f"score below {minimum:g}"] += 1


def best_share(scored: Iterable[tuple[TextPair, float]], share: float, report: FilterReport) -> Iterator[TextPair]:
    """Yield the share of the pairs with the best scores, in order; of equal scores, the first.

    All pairs are read first. Meanwhile, their texts are kept in a temporary file, and 8 bytes per pair in memory.
    """
    scores = array("d")
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as texts:
        for (source, target), score in scored:
            texts.write(f"{one_column(source)}\t{one_column(target)}\n")
            scores.append(score)
        kept = np.zeros(len(scores), bool)
        kept[np.argsort(-np.asarray(scores), kind="stable")[: round(share * len(scores))]] = True
        texts.seek(0)
        for line, is_kept in zip(texts, kept.tolist(), strict=True):
            if is_kept:
                source, _, target = line.removesuffix("\n").partition("\t")
                yield source, target
    if lost := int(len(kept) - kept.sum()):
        report.kept -= lost
        report.dropped[f"score not among the best {share:.4g} of pairs"] += lost


def one_column(text: str) -> str:
    """A text that is one column of a table: with spaces for tabs."""
    return text.replace("\t", " ")
