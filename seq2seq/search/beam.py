"""Beam search that returns token scores and attention of every hypothesis."""

from typing import Any, NamedTuple

import tensorflow as tf

from seq2seq.search.step import IMPOSSIBLE, Rules, SearchResult, StepFunction


class Finished(NamedTuple):
    """The best hypotheses of each sentence that have ended, (B, K) each, frozen once there are K.

    scores     float32, see `Rules.scores`, best first; IMPOSSIBLE in empty places
    ends       int32, the step at which EOS came
    slots      int32, the place in the beam that EOS was appended to
    log_probs  float32, of EOS
    """

    scores: tf.Tensor
    ends: tf.Tensor
    slots: tf.Tensor
    log_probs: tf.Tensor


class Trace(NamedTuple):
    """What happened at each step t, as tensor arrays of (B, K, ...): enough to spell out any hypothesis.

    parents    int32, of each place after the step, the place before it
    tokens     int32, the token appended to reach that place
    log_probs  float32, of that token
    weights    float32 (B, K, S), attention of each place *before* the step
    """

    parents: tf.TensorArray
    tokens: tf.TensorArray
    log_probs: tf.TensorArray
    weights: tf.TensorArray


def beam_search(
    step: StepFunction, state: Any, memory: Any, rules: Rules, *, beam_size: int, keep_weights: bool = True
) -> SearchResult:
    """Keep the K best unfinished hypotheses of each sentence until K have finished.

    Each step ranks all one-token extensions by their summed log-probability. An extension by EOS among the
    first K finishes, and is scored by length and coverage; the K best others live on. A sentence is done,
    and frozen, when K hypotheses have finished.

    Args:
        step: The decoder.
        state: Its first state, tensors of (B, 1, ...).
        memory: Passed on to `step`; neither repeated nor gathered.
        rules: Their penalties decide which finished hypotheses are the best.
        beam_size: K, at least 1.
        keep_weights: False returns weights with S = 0 and spends no memory on them.

    Returns:
        `SearchResult` with N = K.

    Source: Graves (2012), section 2.5, and Sutskever, Vinyals and Le (2014), section 3.2.
    Departure: finished hypotheses do not narrow the beam.
    """
    rows = tf.shape(rules.max_lengths)[0]
    state = tf.nest.map_structure(lambda tensor: tf.repeat(tensor, beam_size, axis=1), state)
    nothing = tf.zeros([rows, beam_size], tf.int32)
    impossible = tf.fill([rows, beam_size], IMPOSSIBLE)

    def body(
        t: tf.Tensor, tokens: tf.Tensor, scores: tf.Tensor, state: Any, finished: Finished, trace: Trace
    ) -> tuple[Any, ...]:
        state, covered = state
        logits, state, weights = step(tokens, state, memory)
        covered = rules.cover(covered, weights)
        # Of each hypothesis no more than its best 2K extensions can matter.
        best, extensions = tf.math.top_k(rules.choosable(logits, t), tf.minimum(2 * beam_size, tf.shape(logits)[-1]))
        log_probs = best - tf.reduce_logsumexp(logits, axis=-1, keepdims=True)
        # Among K hypotheses at most K extensions are EOS, so 2K hold K that are not.
        totals = tf.reshape(scores[:, :, None] + log_probs, [rows, -1])
        totals, order = tf.math.top_k(totals, tf.minimum(2 * beam_size, tf.shape(totals)[1]))
        parents = order // tf.shape(log_probs)[2]
        chosen = tf.gather(tf.reshape(extensions, [rows, -1]), order, batch_dims=1)
        chosen_log_probs = tf.gather(tf.reshape(log_probs, [rows, -1]), order, batch_dims=1)
        ends = chosen == rules.eos_id

        first = Finished(totals, tf.fill(tf.shape(totals), t), parents, chosen_log_probs)
        first = Finished(*(values[:, :beam_size] for values in first))
        ended = rules.scores(first.scores, t + 1, tf.gather(covered, first.slots, batch_dims=1))
        may_end = ends[:, :beam_size] & (first.scores > IMPOSSIBLE / 2) & ~_is_done(finished)[:, None]
        finished = _merge(finished, first._replace(scores=tf.where(may_end, ended, IMPOSSIBLE)))

        scores, places = tf.math.top_k(tf.where(ends, IMPOSSIBLE, totals), beam_size)
        parents, tokens, token_log_probs = (
            tf.gather(values, places, batch_dims=1) for values in (parents, chosen, chosen_log_probs)
        )
        state = tf.nest.map_structure(lambda tensor: tf.gather(tensor, parents, batch_dims=1), (state, covered))
        values = (parents, tokens, token_log_probs, weights if keep_weights else weights[:, :, :0])
        trace = Trace(*(array.write(t, value) for array, value in zip(trace, values, strict=True)))
        return t + 1, tokens, tf.maximum(scores, IMPOSSIBLE), state, finished, trace

    def unfinished(
        t: tf.Tensor, tokens: tf.Tensor, scores: tf.Tensor, state: Any, finished: Finished, trace: Trace
    ) -> tf.Tensor:
        return ~tf.reduce_all(_is_done(finished) | (t >= rules.max_lengths))

    first = tf.where(tf.range(beam_size) == 0, 0.0, IMPOSSIBLE)  # one hypothesis to begin with: the empty one
    dtypes = (tf.int32, tf.int32, tf.float32, tf.float32)
    steps, _, _, _, finished, trace = tf.while_loop(
        unfinished,
        body,
        (
            tf.constant(0),
            tf.fill([rows, beam_size], rules.bos_id),
            tf.repeat(first[None], rows, axis=0),
            (state, rules.nothing_covered(beam_size)),
            Finished(impossible, nothing - 1, nothing, tf.zeros([rows, beam_size])),
            Trace(*(tf.TensorArray(dtype, 0, dynamic_size=True, clear_after_read=False) for dtype in dtypes)),
        ),
    )
    return _spell_out(steps, finished, trace, rules)


def _is_done(finished: Finished) -> tf.Tensor:
    return tf.reduce_all(finished.scores > IMPOSSIBLE / 2, axis=1)


def _merge(old: Finished, new: Finished) -> Finished:
    joined = [tf.concat(pair, axis=1) for pair in zip(old, new, strict=True)]
    scores, places = tf.math.top_k(joined[0], old.scores.shape[1])
    return Finished(scores, *(tf.gather(values, places, batch_dims=1) for values in joined[1:]))


def _spell_out(steps: tf.Tensor, finished: Finished, trace: Trace, rules: Rules) -> SearchResult:
    """Follow each finished hypothesis from its end to its beginning."""

    def body(t: tf.Tensor, slots: tf.Tensor, out: tuple[tf.TensorArray, ...]) -> tuple[Any, ...]:
        at_end, inside = t == finished.ends, t < finished.ends

        def of_step(array: tf.TensorArray, last: Any, after: Any) -> tf.Tensor:
            value = tf.gather(array.read(t), slots, batch_dims=1)
            return tf.where(at_end, last, tf.where(inside, value, after))

        tokens = of_step(trace.tokens, rules.eos_id, rules.pad_id)
        log_probs = of_step(trace.log_probs, finished.log_probs, 0.0)
        slots = of_step(trace.parents, finished.slots, slots)
        weights = tf.gather(trace.weights.read(t), slots, batch_dims=1)
        weights = tf.where((at_end | inside)[:, :, None], weights, 0.0)
        values = (tokens, log_probs, weights)
        return t - 1, slots, tuple(array.write(t, value) for array, value in zip(out, values, strict=True))

    arrays = tuple(tf.TensorArray(dtype, steps) for dtype in (tf.int32, tf.float32, tf.float32))
    *_, out = tf.while_loop(lambda t, *_: t >= 0, body, (steps - 1, finished.slots, arrays))
    tokens, log_probs, weights = (array.stack() for array in out)
    return SearchResult(
        tf.transpose(tokens, [1, 2, 0]),
        finished.ends + 1,
        finished.scores,
        tf.transpose(log_probs, [1, 2, 0]),
        tf.transpose(weights, [1, 2, 0, 3]),
    )
