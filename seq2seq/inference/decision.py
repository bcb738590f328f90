"""Decision among the hypotheses of a search: minimum Bayes risk, distinct texts, demands.

`decide` is the last step of a search: it reduces all hypotheses of one unit of translation to those that are output,
best first. Steps that only change scores, such as reranking, come before it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from seq2seq.inference.demands import Demand, unsatisfied
from seq2seq.inference.results import Hypothesis
from seq2seq.text.scripts import UNSPACED

if TYPE_CHECKING:
    from seq2seq.config import SearchOptions

BLOCK_COLUMNS = 4096  # n-grams whose counts are compared at once, which bounds memory
_UNSPACED = re.compile(f"[{UNSPACED}]")


def decide(
    hypotheses: Sequence[Hypothesis], options: "SearchOptions", demands: Sequence[Demand] = ()
) -> list[Hypothesis]:
    """The hypotheses that are output, best first: at most `options.n_best`.

    Those that satisfy more of the demands come first, whatever their scores. All count in a minimum Bayes risk.

    Args:
        hypotheses: All hypotheses that the search returned for one sentence, in the order of their scores.
        options: Search options, of which `decision`, `distinct`, `n_best` and `sample` are used.
        demands: Demands on the translation.
    """
    kept = list(hypotheses)
    if options.decision != "score":
        kept = minimum_bayes_risk(kept, UTILITIES[options.decision], by_count=options.sample)
    if options.distinct:
        best: dict[str, Hypothesis] = {}
        for one in kept:
            best.setdefault(one.text, one)
        kept = list(best.values())
    kept.sort(key=lambda one: len(unsatisfied(demands, one.text)))
    return kept[: options.n_best]


def minimum_bayes_risk(
    hypotheses: Sequence[Hypothesis], utility: Callable[[Sequence[str]], np.ndarray], *, by_count: bool
) -> list[Hypothesis]:
    """Order hypotheses by their expected utility, which is stored as `expected_utility`; ties stay in order.

    The expectation is over the same hypotheses, themselves included: u(h) = sum over h' of p(h') utility(h, h').

    Args:
        hypotheses: N samples, or N best hypotheses.
        utility: Function from N texts to their utilities (N, N) float64 against each other, a row per hypothesis and a
            column per reference.
        by_count: Whether the hypotheses are samples, of which each counts 1 / N, so that the expectation is a Monte
            Carlo estimate. Otherwise p is the probability of the model, exp(sum of log-probabilities), normalised over
            the N hypotheses.

    Source:
        Kumar and Byrne (2004), equation 3, for N-best lists; Eikema and Aziz (2020), section 5, for samples; Freitag et
        al. (2022), section 3.
    """
    texts = [one.text for one in hypotheses]
    logits = np.array([0.0 if by_count else float(one.token_log_probs.sum(dtype=np.float64)) for one in hypotheses])
    weights = np.exp(logits - logits.max(initial=-np.inf))
    distinct = list(dict.fromkeys(texts))
    place = [distinct.index(text) for text in texts]  # a text that was drawn several times is compared once
    mass = np.bincount(place, weights, len(distinct))
    expected = (utility(distinct) @ (mass / mass.sum()))[place]
    order = np.argsort(-expected, kind="stable")
    return [replace(hypotheses[index], expected_utility=float(expected[index])) for index in order]


def chrf_utilities(texts: Sequence[str]) -> np.ndarray:
    """Sentence chrF2 of every text against every text, 0 to 100, (N, N) float64.

    It is `CHRF().sentence_score` of sacreBLEU, for all pairs at once: n-grams of 1 to 6 characters without white space,
    precision and recall averaged over the lengths of which both texts have n-grams, and recall weighted by 4.

    Source: Popović (2015).
    """
    totals, matches = _ngram_matches(["".join(text.split()) for text in texts], max_order=6)
    precision, recall, orders = (np.zeros((len(texts), len(texts))) for _ in range(3))
    for total, match in zip(totals, matches, strict=True):
        ours, theirs = total[:, None], total[None, :]
        counts = (ours > 0) & (theirs > 0)
        precision += np.divide(match, ours, out=np.zeros_like(precision), where=counts)
        recall += np.divide(match, theirs, out=np.zeros_like(recall), where=counts)
        orders += counts
    precision, recall = precision / np.maximum(orders, 1), recall / np.maximum(orders, 1)
    found = np.divide(
        5 * precision * recall, 4 * precision + recall, out=np.zeros_like(precision), where=precision + recall > 0
    )
    return 100 * found


def bleu_utilities(texts: Sequence[str]) -> np.ndarray:
    """Sentence BLEU of every text against every text, 0 to 100, (N, N) float64.

    It is `BLEU(effective_order=True).sentence_score` of sacreBLEU, for all pairs at once: words of tokenizer 13a,
    n-grams of 1 to 4 words as far as the hypothesis has any, exponential smoothing, brevity penalty. The characters of
    scripts without spaces are words.

    Source: Papineni et al. (2002); Chen and Cherry (2014), method 3, for the smoothing.
    """
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    tokenize = Tokenizer13a()
    words = [tokenize(_UNSPACED.sub(r" \g<0> ", text.rstrip())).split() for text in texts]
    totals, matches = _ngram_matches(words, max_order=4)
    lengths = totals[0].astype(np.float64)
    log_precision = np.zeros((len(texts), len(texts)))
    unmatched = np.ones_like(log_precision)  # doubled at each length without a match
    for total, match in zip(totals, matches, strict=True):
        counts = np.broadcast_to(total[:, None] > 0, match.shape)
        unmatched = np.where(counts & (match == 0), 2 * unmatched, unmatched)
        numerator = np.where(match > 0, match, 1 / unmatched)
        log_precision += np.log(numerator / np.maximum(total[:, None], 1), where=counts, out=np.zeros_like(unmatched))
    log_precision /= np.maximum((totals > 0).sum(axis=0), 1)[:, None]
    brevity = np.minimum(0.0, 1 - lengths[None, :] / np.maximum(lengths[:, None], 1))
    return np.where(matches.any(axis=0), 100 * np.exp(log_precision + brevity), 0.0)


UTILITIES = {"mbr-chrf": chrf_utilities, "mbr-bleu": bleu_utilities}


def _ngram_matches(sequences: Sequence[Sequence[str]], max_order: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of n-grams of N sequences, and of those that every two have in common.

    An n-gram that occurs k times in one sequence and m times in another one counts as min(k, m) matches. This is the
    number of ranks r at which both have an r-th occurrence, so that matches are a product of indicator matrices.

    Returns:
        (max_order, N) and (max_order, N, N) int64.
    """
    totals = np.zeros((max_order, len(sequences)), np.int64)
    matches = np.zeros((max_order, len(sequences), len(sequences)), np.int64)
    for order in range(1, max_order + 1):
        columns: dict[tuple[Sequence[str], int], int] = {}
        places: list[tuple[int, int]] = []
        for row, sequence in enumerate(sequences):
            seen: dict[Sequence[str], int] = {}
            for start in range(len(sequence) - order + 1):
                gram = sequence[start : start + order]
                gram = gram if isinstance(gram, str) else tuple(gram)
                rank = seen[gram] = seen.get(gram, 0) + 1
                places.append((row, columns.setdefault((gram, rank), len(columns))))
            totals[order - 1, row] = max(0, len(sequence) - order + 1)
        rows, ranks = np.array(places, np.int64).reshape(-1, 2).T
        for first in range(0, len(columns), BLOCK_COLUMNS):
            here = (ranks >= first) & (ranks < first + BLOCK_COLUMNS)
            occurs = np.zeros((len(sequences), BLOCK_COLUMNS), np.float32)
            occurs[rows[here], ranks[here] - first] = 1.0
            matches[order - 1] += np.rint(occurs @ occurs.T).astype(np.int64)
    return totals, matches
