"""Beam search that returns the token scores and attention of every hypothesis."""

from typing import Any, NamedTuple

import tensorflow as tf

from seq2seq.arguments import check_arguments
from seq2seq.search.loop import run_search
from seq2seq.search.selection import best_extensions, native_top_k
from seq2seq.search.step import NEG_INF, SearchConstraints, SearchResult, StepFunction


class FinishedHypotheses(NamedTuple):
    """The best finished hypotheses of each sentence, each field (B, K); frozen once there are K."""

    scores: tf.Tensor  # float32, see `SearchConstraints.score_hypotheses`, best first; `NEG_INF` in empty slots
    end_steps: tf.Tensor  # int64, the step of EOS
    beam_positions: tf.Tensor  # int64, the beam slot to whose hypothesis EOS was appended
    log_probs: tf.Tensor  # float32, of EOS


class Beam(NamedTuple):
    """The K unfinished hypotheses of each sentence, best first."""

    tokens: tf.Tensor  # (B, K) int64, the last token of each
    scores: tf.Tensor  # (B, K) float32, summed log-probabilities; `NEG_INF` in empty slots
    state: Any  # decoder state, a nest of (B, K, ...)
    coverage: tf.Tensor  # (B, K, S) float32, see `SearchConstraints.update_coverage`


class BeamHistory(NamedTuple):
    """Record of a step, or of all steps as tensor arrays, from which any hypothesis can be spelled out."""

    parents: Any  # (B, K) int64, for each beam slot after the step, the slot of its hypothesis before it
    tokens: Any  # (B, K) int64, the token that was appended
    log_probs: Any  # (B, K) float32, of that token
    attention: Any  # (B, K, S) float32, attention of each slot *before* the step


@check_arguments()
def beam_search(
    step: StepFunction,
    state: Any,
    memory: Any,
    constraints: SearchConstraints,
    *,
    beam_size: int,
    num_groups: int = 1,
    diversity_penalty: float | tf.Tensor = 0.0,
    keep_attention: bool = True,
) -> SearchResult:
    """Keep the K best unfinished hypotheses of each sentence until K have finished.

    Each step ranks all one-token extensions by their summed log-probability, or, if something is required, as
    `best_extensions` does. An extension by EOS among the K best is finished, and scored by length and coverage; the K
    best others stay in the beam. A sentence is done, and frozen, once K of its hypotheses are finished.

    With G groups, each is such a beam of K / G hypotheses. At each step, they are extended one after the other: for
    each hypothesis that earlier groups have just extended by a token, other than EOS, and kept, that token loses
    `diversity_penalty` in the ranking, but not in scores. Several groups may find the same hypothesis.

    Args:
        step: See `greedy_search`; called with the K hypotheses of the beam.
        state: See `greedy_search`.
        memory: See `greedy_search`; not repeated for each hypothesis.
        constraints: Constraints of the search; their penalties decide which finished hypotheses are best.
        beam_size: Beam size K, at least 1.
        num_groups: Number of groups G, which divides K; 1: no groups.
        diversity_penalty: Not negative; a number or a scalar tensor.
        keep_attention: See `greedy_search`.

    Returns:
        `SearchResult` with N = K.

    Raises:
        ValueError: K is not a multiple of G.

    Source:
        Graves (2012), section 2.5, and Sutskever, Vinyals and Le (2014), section 3.2; Vijayakumar et al. (2018),
        section 3, with Hamming diversity, for groups.

    Departure:
        Finished hypotheses do not narrow the beam. Penalties of earlier steps are not part of the ranking.
    """
    if beam_size % num_groups:
        raise ValueError(f"beam_size {beam_size} is not a multiple of num_groups {num_groups}")
    constraints = constraints.with_int64_limits()
    sentences = tf.shape(constraints.max_lengths)[0]
    size = beam_size // num_groups

    def split(values: Any) -> list[Any]:
        """One nest of (B, K / G, ...) for each group."""
        if num_groups == 1 or values is None:
            return [values] * num_groups
        parts = [tf.split(part, num_groups, axis=1) for part in tf.nest.flatten(values)]
        return [tf.nest.pack_sequence_as(values, group) for group in zip(*parts, strict=True)]

    def body(t: tf.Tensor, rows: tf.Tensor, finished: FinishedHypotheses, beam: Beam, memory: Any) -> tuple[Any, ...]:
        its = constraints.select(rows)
        output = step(beam.tokens, beam.state, memory)
        weights, covered = output.attention, its.update_coverage(beam.coverage, output.attention)
        scores = its.mask_scores(output, t)
        penalties, groups = None, []
        of_groups = zip(split(beam.scores), split(scores), split(output.requirements), split(finished), strict=True)
        for group, (sums, its_scores, requirements, its_finished) in enumerate(of_groups):
            best = best_extensions(sums, its_scores, requirements, penalties)
            parents, tokens = best.parents + group * size, output.token_ids(best.places)
            ends = tokens == constraints.eos_id

            first = FinishedHypotheses(
                best.scores, tf.fill(tf.shape(ends), tf.cast(t, tf.int64)), parents, best.log_probs
            )
            first = FinishedHypotheses(*(values[:, :size] for values in first))
            its_covered = tf.gather(covered, first.beam_positions, batch_dims=1)
            end_scores = its.score_hypotheses(first.scores, t + 1, its_covered)
            may_end = ends[:, :size] & (first.scores > NEG_INF / 2) & ~_is_full(its_finished)[:, None]
            merged = _merge(its_finished, first._replace(scores=tf.where(may_end, end_scores, NEG_INF)))

            _, others = native_top_k(-tf.cast(ends, tf.float32), size)
            extended = (tf.where(ends, NEG_INF, best.scores), parents, tokens, best.log_probs, best.places)
            *kept, places = (tf.gather(values, others, batch_dims=1) for values in extended)
            groups.append((*kept, merged))
            if group < num_groups - 1:
                chosen = diversity_penalty * tf.reduce_sum(tf.one_hot(places, tf.shape(scores)[2]), axis=1)
                penalties = chosen if penalties is None else penalties + chosen
        scores, parents, tokens, token_log_probs, finished = tf.nest.map_structure(
            lambda *parts: tf.concat(parts, axis=1) if num_groups > 1 else parts[0], *groups
        )
        state, covered = tf.nest.map_structure(
            lambda part: part if part.shape[-1] == 0 else tf.gather(part, parents, batch_dims=1),
            (output.state, covered),
        )
        record = BeamHistory(parents, tokens, token_log_probs, weights)
        return finished, Beam(tokens, tf.maximum(scores, NEG_INF), state, covered), record

    def is_done(t: tf.Tensor, rows: tf.Tensor, finished: FinishedHypotheses) -> tf.Tensor:
        return _is_full(finished) | constraints.select(rows).at_max_length(t)

    first = tf.where(tf.range(beam_size) % size == 0, 0.0, NEG_INF)  # at first one hypothesis per group, the empty one
    beam = Beam(
        tf.fill([sentences, beam_size], tf.constant(constraints.bos_id, tf.int64)),
        tf.repeat(first[None], sentences, axis=0),
        tf.nest.map_structure(lambda tensor: tf.repeat(tensor, beam_size, axis=1), state),
        constraints.initial_coverage(beam_size),
    )
    nothing = tf.zeros([sentences, beam_size], tf.int64)
    impossible = tf.fill([sentences, beam_size], NEG_INF)
    finished = FinishedHypotheses(impossible, nothing - 1, nothing, tf.zeros([sentences, beam_size]))
    dtypes = (tf.int64, tf.int64, tf.float32, tf.float32)
    steps, finished, arrays = run_search(body, is_done, finished, beam, memory, dtypes)
    if num_groups > 1:
        finished = _best_first(finished, beam_size)
    return _spell_out(steps, finished, BeamHistory(*arrays), constraints, keep_attention)


def _is_full(finished: FinishedHypotheses) -> tf.Tensor:
    return tf.reduce_all(finished.scores > NEG_INF / 2, axis=1)


def _merge(old: FinishedHypotheses, new: FinishedHypotheses) -> FinishedHypotheses:
    joined = (tf.concat(pair, axis=1) for pair in zip(old, new, strict=True))
    return _best_first(FinishedHypotheses(*joined), old.scores.shape[1])


def _best_first(finished: FinishedHypotheses, number: int) -> FinishedHypotheses:
    scores, places = native_top_k(finished.scores, number)
    return FinishedHypotheses(scores, *(tf.gather(values, places, batch_dims=1) for values in finished[1:]))


def _spell_out(
    steps: tf.Tensor,
    finished: FinishedHypotheses,
    history: BeamHistory,
    constraints: SearchConstraints,
    keep_attention: bool,
) -> SearchResult:
    """Follow each finished hypothesis from its end to its beginning."""

    def body(t: tf.Tensor, slots: tf.Tensor, coverage: tf.Tensor, out: tuple[tf.TensorArray, ...]) -> tuple[Any, ...]:
        now = tf.cast(t, tf.int64)
        at_end, inside = now == finished.end_steps, now < finished.end_steps

        def of_step(array: tf.TensorArray, last: Any, after: Any) -> tf.Tensor:
            value = tf.gather(array.read(t), slots, batch_dims=1)
            return tf.where(at_end, last, tf.where(inside, value, after))

        eos, pad = tf.constant(constraints.eos_id, tf.int64), tf.constant(constraints.pad_id, tf.int64)
        tokens = of_step(history.tokens, eos, pad)
        log_probs = of_step(history.log_probs, finished.log_probs, 0.0)
        slots = of_step(history.parents, finished.beam_positions, slots)
        weights = tf.gather(history.attention.read(t), slots, batch_dims=1)
        weights = tf.where((at_end | inside)[:, :, None], weights, 0.0)
        values = (tokens, log_probs, weights if keep_attention else weights[:, :, :0])
        written = tuple(array.write(t, value) for array, value in zip(out, values, strict=True))
        return t - 1, slots, coverage + weights, written

    arrays = tuple(tf.TensorArray(dtype, steps) for dtype in (tf.int64, tf.float32, tf.float32))
    coverage = tf.zeros_like(history.attention.read(0))
    *_, coverage, out = tf.while_loop(
        lambda t, *_: t >= 0, body, (steps - 1, finished.beam_positions, coverage, arrays)
    )
    tokens, log_probs, weights = (array.stack() for array in out)
    return SearchResult(
        tf.cast(tf.transpose(tokens, [1, 2, 0]), tf.int32),
        tf.cast(finished.end_steps + 1, tf.int32),
        finished.scores,
        tf.transpose(log_probs, [1, 2, 0]),
        tf.transpose(weights, [1, 2, 0, 3]),
        coverage,
    )
