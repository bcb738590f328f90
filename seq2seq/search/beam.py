"""Beam search that returns the token scores and attention of every hypothesis."""

from typing import Any, NamedTuple

import tensorflow as tf

from seq2seq.arguments import check_arguments
from seq2seq.search.loop import run_search
from seq2seq.search.step import NEG_INF, SearchConstraints, SearchResult, StepFunction

BLOCK_SIZE = 32  # neighbouring values in a block of `top_k`


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
    keep_attention: bool = True,
) -> SearchResult:
    """Keep the K best unfinished hypotheses of each sentence until K have finished.

    Each step ranks all one-token extensions by their summed log-probability. An extension by EOS among the
    K best is finished, and scored by length and coverage; the K best others stay in the beam. A sentence is
    done, and frozen, once K of its hypotheses are finished.

    Args:
        step: See `greedy_search`; called with the K hypotheses of the beam.
        state: See `greedy_search`.
        memory: See `greedy_search`; not repeated for each hypothesis.
        constraints: Constraints of the search; their penalties decide which finished hypotheses are best.
        beam_size: Beam size K, at least 1.
        keep_attention: See `greedy_search`.

    Returns:
        `SearchResult` with N = K.

    Source:
        Graves (2012), section 2.5, and Sutskever, Vinyals and Le (2014), section 3.2.

    Departure:
        Finished hypotheses do not narrow the beam.
    """
    constraints = constraints.with_int64_limits()
    sentences = tf.shape(constraints.max_lengths)[0]

    def body(t: tf.Tensor, rows: tf.Tensor, finished: FinishedHypotheses, beam: Beam, memory: Any) -> tuple[Any, ...]:
        its = constraints.select(rows)
        output = step(beam.tokens, beam.state, memory)
        weights, covered = output.attention, its.update_coverage(beam.coverage, output.attention)
        # Only the best 2K extensions of each hypothesis can matter.
        log_probs, places = top_k(its.mask_scores(output, t), 2 * beam_size)
        # At most K extensions are by EOS, one per hypothesis, so the best 2K include K others.
        totals = _flat(beam.scores[:, :, None] + log_probs)
        totals, order = native_top_k(totals, tf.minimum(2 * beam_size, tf.shape(totals)[1]))
        parents = order // tf.cast(tf.shape(log_probs)[2], tf.int64)
        chosen = tf.gather(_flat(output.token_ids(places)), order, batch_dims=1)
        chosen_log_probs = tf.gather(_flat(log_probs), order, batch_dims=1)
        ends = chosen == constraints.eos_id

        first = FinishedHypotheses(totals, tf.fill(tf.shape(totals), tf.cast(t, tf.int64)), parents, chosen_log_probs)
        first = FinishedHypotheses(*(values[:, :beam_size] for values in first))
        ended = its.score_hypotheses(first.scores, t + 1, tf.gather(covered, first.beam_positions, batch_dims=1))
        may_end = ends[:, :beam_size] & (first.scores > NEG_INF / 2) & ~_is_full(finished)[:, None]
        finished = _merge(finished, first._replace(scores=tf.where(may_end, ended, NEG_INF)))

        scores, places = native_top_k(tf.where(ends, NEG_INF, totals), beam_size)
        parents, tokens, token_log_probs = (
            tf.gather(values, places, batch_dims=1) for values in (parents, chosen, chosen_log_probs)
        )
        state, covered = tf.nest.map_structure(
            lambda part: part if part.shape[-1] == 0 else tf.gather(part, parents, batch_dims=1),
            (output.state, covered),
        )
        record = BeamHistory(parents, tokens, token_log_probs, weights)
        return finished, Beam(tokens, tf.maximum(scores, NEG_INF), state, covered), record

    def is_done(t: tf.Tensor, rows: tf.Tensor, finished: FinishedHypotheses) -> tf.Tensor:
        return _is_full(finished) | constraints.select(rows).at_max_length(t)

    first = tf.where(tf.range(beam_size) == 0, 0.0, NEG_INF)  # at first a single hypothesis, the empty one
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
    return _spell_out(steps, finished, BeamHistory(*arrays), constraints, keep_attention)


def _flat(values: tf.Tensor) -> tf.Tensor:
    return tf.reshape(values, [tf.shape(values)[0], -1])


def _is_full(finished: FinishedHypotheses) -> tf.Tensor:
    return tf.reduce_all(finished.scores > NEG_INF / 2, axis=1)


def _merge(old: FinishedHypotheses, new: FinishedHypotheses) -> FinishedHypotheses:
    joined = [tf.concat(pair, axis=1) for pair in zip(old, new, strict=True)]
    scores, places = native_top_k(joined[0], old.scores.shape[1])
    return FinishedHypotheses(scores, *(tf.gather(values, places, batch_dims=1) for values in joined[1:]))


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


def native_top_k(values: tf.Tensor, k: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """`tf.math.top_k` with indices in int64, which TensorFlow computes on a GPU; it computes int32 on the host."""
    values, places = tf.math.top_k(values, k)
    return values, tf.cast(places, tf.int64)


def top_k(values: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The k largest values of each row, largest first, and their indices; of equal values, the first.

    Faster than `tf.math.top_k` for long rows and small k: the k largest values are in the k blocks of neighbours with
    the largest maxima, so only the values of these blocks are ranked.

    Args:
        values: (B, K, V) float32.
        k: At least 1. If k > V, V values are returned.

    Returns:
        Values (B, K, min(k, V)) and their indices into V, int64.
    """
    rows, hypotheses, size = tf.unstack(tf.shape(values))
    padded = values
    if values.shape[-1] is None or values.shape[-1] % BLOCK_SIZE:
        padded = tf.pad(values, [[0, 0], [0, 0], [0, -size % BLOCK_SIZE]], constant_values=values.dtype.min)
    blocks = tf.reshape(padded, [rows, hypotheses, -1, BLOCK_SIZE])
    _, chosen = native_top_k(tf.reduce_max(blocks, axis=-1), tf.minimum(k, tf.shape(blocks)[2]))
    chosen = tf.sort(chosen)  # so that the first of equal values is found first
    candidates = tf.reshape(tf.gather(blocks, chosen, batch_dims=2), [rows, hypotheses, -1])
    found, order = native_top_k(candidates, tf.minimum(k, size))
    return found, BLOCK_SIZE * tf.gather(chosen, order // BLOCK_SIZE, batch_dims=2) + order % BLOCK_SIZE
