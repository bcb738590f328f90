"""Records of a search for one sentence: tree of a beam search, choices of greedy search, counts of samples."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from seq2seq.arguments import AtLeastOne, check_arguments
from seq2seq.config import SearchOptions
from seq2seq.data.tokenizer import EOS_ID, Tokenizer
from seq2seq.devices.device import set_tf32
from seq2seq.errors import ArgumentError
from seq2seq.extras import require_extra
from seq2seq.inference.searcher import SearchInputs, StaticSearchOptions, length_limits
from seq2seq.inference.step_sources import Batch
from seq2seq.inference.translator import Translator
from seq2seq.plurals import pluralize
from seq2seq.search import (
    NEG_INF,
    SearchConstraints,
    SearchResult,
    StepFunction,
    StepOutput,
    beam_search,
    greedy_search,
    sampling_distribution,
    top_k,
)
from seq2seq.text.cleaning import plain_form

with require_extra("analysis", needed_by=__name__):
    import pandas as pd

BOS = "<s>"


class StepRecord(NamedTuple):
    """Record of one call of a step function, for the K hypotheses of a single sentence.

    Attributes:
        tokens: (K,) int64, the last token of each hypothesis.
        parents: (K,) int64, the beam slot of each hypothesis one step before; meaningless in the first step.
        log_probs: (1, K, C) float32 tensor, `NEG_INF` where the constraints exclude a token.
        output: Result of the step, which also has the ids of the C tokens.
    """

    tokens: np.ndarray
    parents: np.ndarray
    log_probs: tf.Tensor
    output: StepOutput

    def best(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The best log-probabilities of each hypothesis, (K, count) or fewer, and their tokens."""
        values, places = top_k(self.log_probs, count)
        return values[0].numpy(), self.output.token_ids(places)[0].numpy()


class RecordingStep:
    """Step function that keeps a `StepRecord` of each call.

    It adds the beam slot of each hypothesis to the state. The search gathers it along with the rest of the state, and
    so shows which hypotheses it kept. No part of the search is computed again here.

    Args:
        step: Step function for one sentence, called outside a graph.
        constraints: Constraints of the search.
    """

    def __init__(self, step: StepFunction, constraints: SearchConstraints) -> None:
        self.step, self.constraints = step, constraints
        self.records: list[StepRecord] = []

    @staticmethod
    def start(state: Any) -> Any:
        """Initial state of the search, given that of `step`."""
        return state, tf.zeros([1, 1], tf.int32)

    def __call__(self, tokens: tf.Tensor, state: Any, memory: Any) -> StepOutput:
        inner, places = state
        output = self.step(tokens, inner, memory)
        log_probs = self.constraints.mask_scores(output, tf.constant(len(self.records)))
        self.records.append(StepRecord(tokens[0].numpy(), places[0].numpy(), log_probs, output))
        return output._replace(state=(output.state, tf.range(tf.shape(tokens)[1])[None]))


@check_arguments()
def search_tree(translator: Translator, sentence: str, options: SearchOptions | None = None) -> pd.DataFrame:
    """The hypotheses that beam search ranked for a sentence.

    The toolkit's own `beam_search` runs, and the ranking of each step is derived from its calls of the decoder: the 2K
    best of all extensions of its K hypotheses, of which at most K are kept.

    Args:
        translator: Translator with the model.
        sentence: Sentence that is short enough to be translated as a whole.
        options: Search options, by default the translator's: `beam_size`, penalties, limits and what else changes the
            scores of tokens.

    Returns:
        One row per node, the root (`<s>`) first, then step by step, best first; the index is the number of the node.
        Columns are:

        parent     number of the node that it extends; -1 for the root
        step       number of tokens so far, 0 for the root
        rank       rank among the candidates of its step, from 0
        token      the piece
        log_prob   log-probability of the token, nats
        total      sum of `log_prob` from the root
        score      for candidates that end with `</s>`, the total normalised by length, plus the coverage penalty;
                   NaN for others
        status     `alive`: kept, and extended if the search continued; `finished`: one of the results; `pruned`:
                   dropped

    Raises:
        ArgumentError: The options request sampling, beam groups or a glossary with terms of the sentence, all of which
            this record does not follow; or the sentence has no tokens or too many.
    """
    options = options or translator.options
    if options.beam_groups > 1:
        raise ArgumentError(
            f"'beam_groups' is {options.beam_groups}: the ranking of a beam in groups is not recorded. Pass options "
            "with beam_groups=1."
        )
    noting, result = _run(translator, sentence, options, partial(beam_search, beam_size=options.beam_size))
    return build_tree(noting, result, options.beam_size, translator.tokenizers.target)


@check_arguments()
def build_tree(recording: RecordingStep, result: SearchResult, beam_size: int, tokenizer: Tokenizer) -> pd.DataFrame:
    """The table of `search_tree`, from the records of a beam search and its result."""
    constraints = recording.constraints
    new = {"parent": -1, "step": 0, "rank": 0, "log_prob": 0.0, "total": 0.0, "score": np.nan, "status": "pruned"}
    rows: list[dict[str, Any]] = [new.copy()]  # the root
    ids = [constraints.bos_id]
    children: dict[tuple[int | None, int], int] = {}  # by parent and token id
    beam: list[int | None] = [0] + [None] * (beam_size - 1)  # the node in each beam slot; None: an empty slot
    covered = constraints.initial_coverage(beam_size)
    for step, note in enumerate(recording.records, start=1):
        if step > 1:
            beam = [
                # If there are too few extensions, the search fills its slots with impossible ones, including EOS.
                children.get((beam[place], token)) if token != constraints.eos_id else None
                for place, token in zip(note.parents.tolist(), note.tokens.tolist(), strict=True)
            ]
            covered = tf.gather(covered, note.parents[None], batch_dims=1)
        for node in beam:
            if node is not None:
                rows[node]["status"] = "alive"
        covered = constraints.update_coverage(covered, note.output.attention)
        sums = np.array([NEG_INF if node is None else rows[node]["total"] for node in beam], np.float32)
        for rank, (place, token, log_prob, total) in enumerate(_ranked(sums, note, 2 * beam_size)):
            children[beam[place], token] = len(rows)
            ids.append(token)
            row = new | {"parent": beam[place], "step": step, "rank": rank, "log_prob": log_prob, "total": total}
            if token == constraints.eos_id:
                row["score"] = float(
                    constraints.score_hypotheses(tf.constant([[total]]), step, covered[:, place : place + 1])[0, 0]
                )
            rows.append(row)
    unended = [row for row, token in zip(rows, ids, strict=True) if token != constraints.eos_id]
    for row in [row for row in unended if row["step"] == len(recording.records)][:beam_size]:
        row["status"] = "alive"  # still in the beam when the search ended
    for tokens, length in zip(result.tokens[0].numpy().tolist(), result.lengths[0].numpy().tolist(), strict=True):
        node = 0
        for token in tokens[:length]:
            node = children[node, token]
        rows[node]["status"] = "finished" if length else "alive"
    tree = pd.DataFrame(rows)
    tree.insert(3, "token", [BOS, *tokenizer.pieces(ids[1:])])
    return tree.rename_axis("node")


def _ranked(sums: np.ndarray, note: StepRecord, count: int) -> Iterator[tuple[int, int, float, float]]:
    """Beam slot, token, log-probability and total of the best extensions, as `beam_search` ranks them."""
    values, tokens = note.best(count)
    totals = sums[:, None] + values
    for flat in tf.math.top_k(totals.ravel(), min(count, totals.size)).indices.numpy().tolist():
        place, choice = divmod(flat, values.shape[1])
        if totals[place, choice] > NEG_INF / 2:
            yield place, int(tokens[place, choice]), float(values[place, choice]), float(totals[place, choice])


@check_arguments()
def path_from_root(tree: pd.DataFrame, node: int) -> list[int]:
    """Nodes on the path from the root to a node, both included."""
    nodes = []
    while node >= 0:
        nodes.append(node)
        node = int(tree.at[node, "parent"])
    return nodes[::-1]


@check_arguments()
def finished_hypotheses(tree: pd.DataFrame) -> pd.DataFrame:
    """Results of a search, best score first: one row per finished node, with its `tokens` and their `length`."""
    ended = tree[tree["status"] == "finished"].sort_values("score", ascending=False, kind="stable")
    tokens = [" ".join(tree.loc[path_from_root(tree, node)[1:], "token"]) for node in ended.index]
    return ended[["score", "total", "step"]].rename(columns={"step": "length"}).assign(tokens=tokens)


@check_arguments()
def greedy_path(
    translator: Translator, sentence: str, options: SearchOptions | None = None, candidates: AtLeastOne = 5
) -> pd.DataFrame:
    """Choices of greedy search at each step, among the likeliest tokens.

    Args:
        translator: See `search_tree`.
        sentence: See `search_tree`.
        options: See `search_tree`.
        candidates: Number of likeliest tokens to show per step.

    Returns:
        One row per step and candidate, the likeliest first. Columns are:

        step, rank       step from 1, rank from 0; rank 0 was chosen
        token, log_prob  the piece, and its log-probability in nats
        total            sum of the log-probabilities of the tokens chosen before and of this candidate
        entropy          entropy of the distribution over the tokens that are allowed, nats

    Raises:
        ArgumentError: See `search_tree`; groups have no effect here.
    """
    options = options or translator.options
    noting, _ = _run(translator, sentence, options, greedy_search)
    rows, sum_before = [], 0.0
    for step, note in enumerate(noting.records, start=1):
        values, tokens = (part[0] for part in note.best(candidates))
        log_probs = note.log_probs[0, 0].numpy()
        may_come = log_probs > NEG_INF / 2
        is_sum = options.uses_fusion or len(translator.models) > 1
        if is_sum or options.repetition_penalty != 1.0:  # scores whose exponentials do not sum to 1
            log_probs = log_probs - np.logaddexp.reduce(log_probs[may_come].astype(np.float64))
        entropy = -float(np.sum(np.exp(log_probs) * log_probs, where=may_come))
        pieces = translator.tokenizers.target.pieces(tokens.tolist())
        rows += [
            (step, rank, piece, value, sum_before + value, entropy)
            for rank, (piece, value) in enumerate(zip(pieces, values.tolist(), strict=True))
            if value > NEG_INF / 2
        ]
        sum_before += float(values[0])
    return pd.DataFrame(rows, columns=["step", "rank", "token", "log_prob", "total", "entropy"])


@check_arguments()
def sampling_probabilities(
    log_probs: np.ndarray, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0
) -> np.ndarray:
    """Probabilities (V,) with which sampling draws a token, given the model's log-probabilities (V,)."""
    logits = tf.constant(np.asarray(log_probs, np.float32))[None, None]
    return sampling_distribution(logits, temperature, top_k, top_p)[0, 0].numpy()


@check_arguments()
def sample_counts(translator: Translator, sentence: str, options: SearchOptions) -> pd.DataFrame:
    """Sample `options.n_best` translations of a sentence and count them.

    Returns:
        One row per distinct translation, the most frequent first. Columns are:

        text          detokenized text
        count, share  number of draws, and their share
        log_prob      sum of the tokens' scores, nats; without shallow fusion or penalties, at temperature 1 and over
                      all tokens, `share` tends to its exponential
        length        number of tokens, EOS included

    Raises:
        ValueError: The options do not sample.
    """
    if not options.sample:
        raise ArgumentError("sample_counts: options: 'sample' is false: pass SearchOptions(sample=True, n_best=...)")
    found = translator.translate([sentence], options, attention=False)[0].hypotheses
    drawn = pd.DataFrame(
        [(tuple(one.tokens), one.text, float(one.token_log_probs.sum()), len(one.tokens)) for one in found],
        columns=["tokens", "text", "log_prob", "length"],
    )
    of_each = drawn.groupby("tokens")
    counted = of_each.first().assign(count=of_each.size(), share=of_each.size() / len(drawn))
    counted = counted.sort_values(["count", "log_prob"], ascending=False, ignore_index=True)
    return counted[["text", "count", "share", "log_prob", "length"]]


def _run(
    translator: Translator, sentence: str, options: SearchOptions, search: Callable[..., SearchResult]
) -> tuple[RecordingStep, SearchResult]:
    if options.sample:
        raise ArgumentError(
            "'sample' is true: only greedy and beam search are recorded. Pass options with sample=False."
        )
    steps = translator.step_sources.get(options)
    glossary = translator.step_sources.glossary(options)
    if glossary and (terms := list(glossary.find(plain_form(sentence)))):
        raise ArgumentError(
            f"'glossary' is {options.glossary!r}: the sentence has a term of it, {terms[0]}, and a search that must "
            "contain its translation is not recorded. Pass options with glossary=None."
        )
    ids = [*translator.tokenizers.source.encode(sentence), EOS_ID]
    longest = translator.source_lines.max_source_tokens(options)
    if len(ids) == 1:
        raise ArgumentError("the sentence is blank: there is nothing to search. Pass one with words.")
    if len(ids) > longest:
        raise ArgumentError(
            f"the sentence has {pluralize(len(ids), 'token')} with </s>: expected at most {longest} "
            "('max_source_tokens'), since it is searched as a whole. Pass a shorter one."
        )
    set_tf32(translator.model.precision)
    inputs = SearchInputs.from_batch(steps, Batch([ids[:-1]]), length_limits(np.array([len(ids)]), options), options)
    structure = StaticSearchOptions.from_options(options, keep_attention=True)
    constraints = structure.constraints(inputs)
    step, state, memory = structure.start(steps, inputs, constraints)
    noting = RecordingStep(step, constraints)
    return noting, search(noting, noting.start(state), memory, constraints)
