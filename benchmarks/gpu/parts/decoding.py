"""Search: equality of tokens and scores alone and in a batch, on GPU and CPU; and the time of a step."""

import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import tensorflow as tf

from parts.models import copy_sentences, model_on_cpu, trained
from parts.precisions import precisions, reference_implementation
from parts.report import Check, table
from seq2seq.config import SearchOptions
from seq2seq.data.tokenizer import PAD_ID
from seq2seq.devices.device import set_tf32
from seq2seq.inference.searcher import (
    DynamicSearchOptions,
    SearchInputs,
    StaticSearchOptions,
    length_limits,
    trace_search,
)
from seq2seq.inference.step_sources import ModelSteps
from seq2seq.models.translation import Seq2Seq
from seq2seq.search import SearchResult

SCORE = 1e-5  # bound on the difference of two scores, per token
LEARNT = 0.5  # minimum share of sentences copied without a mistake: below it, two tokens may be equally good
BEAMS = (1, 5)

Search = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], SearchResult]


def run(check: Check) -> list[dict[str, Any]]:
    """Search with models that can copy, greedily and with a beam of 5, with the default and the conditional decoder."""
    results = []
    for form, beam_size in product(("luong", "cgru"), BEAMS):
        trainer = trained(check, form)
        beside = model_on_cpu(form, trainer.size, trainer.model.get_weights(), reference_implementation(check.gpus))
        set_tf32("float32")
        on_cpu, _ = translate(make_search(beside, beam_size, "/CPU:0"), sentences_of(check))
        for precision in [p for p in precisions(check.gpus) if p in ("float32", "tf32")]:
            set_tf32(precision)
            search = make_search(trainer.model, beam_size)
            row = f"{form}, beam {beam_size}, {precision}"
            found = compare(check, search, row, bounded=precision == "float32", on_cpu=on_cpu)
            results.append({"row": row} | found | times(check, search))
    one, many = (f"ms per step, {count}" for count in ("1 sentence", f"{check.sizes.timed_sentences} sentences"))
    print(f"scores: largest difference per token, of {check.sizes.alone} sentences alone and in a batch")
    head = ["", "copied", "scores", "tokens as alone", "as on the CPU", one, many, ""]
    keys = ("copied", "scores", "alone", "on_cpu", "one", "many")
    table(head, [[r["row"], *(f"{r[k]:.3g}" for k in keys), r["verdict"]] for r in results])
    return results


def make_search(model: Seq2Seq, beam_size: int, device: str | None = None) -> Search:
    """Make a graph of its own, from tokens (B, S) and length limits (B,) to the best hypothesis of each sentence."""
    options, steps = SearchOptions(beam_size=beam_size), ModelSteps(model)
    graph = trace_search(steps, StaticSearchOptions.from_options(options, keep_attention=False), device)
    numbers = DynamicSearchOptions(*map(tf.constant, DynamicSearchOptions.from_options(options)))
    return lambda source, *limits: graph(SearchInputs(source, limits, numbers, (), ()))


def sentences_of(check: Check) -> np.ndarray:
    """Unseen sentences of the copy task, of unequal lengths."""
    sizes = check.sizes
    return copy_sentences(np.random.default_rng(9), sizes.searched, sizes.longest, sizes.vocabulary)


def translate(search: Search, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tokens (B, L), and scores (B,) per token."""
    limits = length_limits(np.sum(source != PAD_ID, axis=1), SearchOptions())
    result = search(*map(tf.constant, (source, *limits)))
    return result.tokens.numpy()[:, 0], result.scores.numpy()[:, 0] / result.lengths.numpy()[:, 0]


def compare(check: Check, search: Search, what: str, bounded: bool, on_cpu: np.ndarray) -> dict[str, Any]:
    """Compare sentences in a batch, some of them alone and without padding, and all of them on the CPU."""
    source = sentences_of(check)
    tokens, scores = translate(search, source)
    copied = share_of_same(tokens, source)
    same, furthest = [], 0.0
    for row in range(check.sizes.alone):
        alone, score = translate(search, source[row : row + 1, : np.count_nonzero(source[row])])
        same.append(same_tokens(alone[0], tokens[row]))
        furthest = float(np.maximum(furthest, abs(score[0] - scores[row])))  # keeps NaN
    verdict = "reported"
    if bounded:
        verdicts = [
            check.bound(f"decoding: {what}: difference of scores per token, alone and in a batch", furthest, SCORE),
            check.hold(f"decoding: {what}: {same.count(False)} of {len(same)} sentences differ alone", all(same)),
            check.hold(
                f"decoding: {what}: copies {copied:.0%} of the sentences, expected {LEARNT:.0%}", copied >= LEARNT
            ),
        ]
        verdict = "MISSED" if "MISSED" in verdicts else "pass"
    found = {"copied": copied, "scores": furthest, "alone": float(np.mean(same))}
    return found | {"on_cpu": share_of_same(tokens, on_cpu), "verdict": verdict}


def same_tokens(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two hypotheses are equal except for padding."""
    return np.array_equal(one[one != PAD_ID], other[other != PAD_ID])


def share_of_same(ours: np.ndarray, others: np.ndarray) -> float:
    """The share of sentences with equal tokens."""
    return float(np.mean([same_tokens(*pair) for pair in zip(ours, others, strict=True)]))


def times(check: Check, search: Search) -> dict[str, float]:
    """Milliseconds per step for one sentence and for a large batch."""
    sizes = check.sizes
    source = copy_sentences(np.random.default_rng(9), sizes.timed_sentences, sizes.longest, sizes.vocabulary)
    return {
        "one": step_time(search, source[:1], sizes.timed_steps),
        "many": step_time(search, source, sizes.timed_steps),
    }


def step_time(search: Search, source: np.ndarray, steps: int) -> float:
    """Milliseconds per additional step of a search with twice the number of steps; the median of three."""

    def seconds(length: int) -> float:
        limit = tf.fill([len(source)], length)
        start = time.perf_counter()
        search(tf.constant(source), limit, limit).scores.numpy()
        return time.perf_counter() - start

    for length in (steps, 2 * steps):
        seconds(length)  # the first call is slower
    return 1e3 * float(np.median([seconds(2 * steps) - seconds(steps) for _ in range(3)])) / steps
