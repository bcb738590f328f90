"""Step wrapper that follows automata over tokens: a prefix, phrases that must appear, phrases that must not appear."""

from typing import Any, NamedTuple

import tensorflow as tf

from seq2seq.arguments import check_arguments
from seq2seq.search.step import BLOCKED, Requirements, StepFunction, StepOutput
from seq2seq.search.terms import place_terms


class Automata(NamedTuple):
    """Automata of a batch of B sentences, C of each, which share one table of S states.

    State 0 asks for nothing, and no token leaves it. `with_automata` says how a search follows them.

    Attributes:
        next_states: (S, V) int32, the state after each token of the vocabulary.
        blocked: (S, V) bool, tokens that must not come next in a state; EOS where something required is missing.
        advance: (S, A) int32, tokens that lead to completion, the one that does so in `remaining` steps first; 0 in
            empty places.
        remaining: (S,) int32, the number of those steps; 0 if nothing is missing.
        initial: (B, C) int32, the states in which the automata of each sentence start; 0 in empty places.
        sources: (B, C, S) float32, 1 for the source tokens that what is required translates, 0 for others; all 0 if
            that is unknown.
        begins_word: (V,) bool, tokens of the vocabulary that begin a word.
    """

    next_states: Any
    blocked: Any
    advance: Any
    remaining: Any
    initial: Any
    sources: Any
    begins_word: Any


@check_arguments()
def with_automata(
    step: StepFunction, state: Any, memory: Any, automata: Automata, *, bos_id: int, eos_id: int
) -> tuple[StepFunction, Any, Any]:
    """Follow the automata of each sentence, so that every search keeps to what they ask for.

    A hypothesis never takes a token that one of its automata blocks, so it ends only if nothing is missing. A token is
    also excluded if the hypothesis could not be completed within its maximum length afterwards; if it cannot be
    completed at all, only the tokens that complete most are left. If no token is left, the hypothesis ends, and its
    tokens show what is missing. The scores of the other tokens stay as they are, unless the source tokens of what is
    missing are known and the model has attention: then `place_terms` changes them.

    What automata ask for is part of the step's output (`Requirements`). `SearchConstraints.mask_scores` and
    `beam_search` read it there, so wrappers of any kind may follow this one. Among wrappers, a token that `with_prefix`
    forces takes precedence over all automata, and the token that an automaton needs next takes precedence over
    `without_repetition`.

    Args:
        step: Step function of the search, see `StepFunction`. Tokens that are not among its candidates cannot be taken.
        state: Initial state of the search, tensors (B, 1, ...).
        memory: Memory of the search.
        automata: Automata over the vocabulary of the step.
        bos_id: Token id of BOS, which leaves automata in their states.
        eos_id: Token id of EOS.

    Returns:
        Step, state and memory to start the search with. The state includes that of each automaton, (B, K, C) int64,
        the tokens that it needed next and the probabilities from `place_terms`; the memory includes `sources`.
    """
    size = tf.shape(automata.next_states, tf.int64)[1]
    table = tf.reshape(tf.cast(automata.next_states, tf.int64), [-1])
    remaining = tf.cast(automata.remaining, tf.float32)
    # The fraction is concave, so completing a phrase of which less is missing lowers the sum more.
    missing = tf.gather(remaining + (1 - 2**-remaining) / 64, automata.next_states)
    missing = tf.where(tf.range(size) == eos_id, 0.0, missing)
    missing = tf.where(automata.blocked, BLOCKED, missing)
    advance = tf.cast(automata.advance, tf.int64)

    def followed(tokens: tf.Tensor, state: Any, memory: Any) -> StepOutput:
        (places, chosen_for, inner), (sources, inner_memory) = state, memory
        moved = tf.gather(table, size * places + tokens[:, :, None])
        places = tf.where(tokens[:, :, None] == bos_id, places, moved)
        output = step(tokens, inner, inner_memory)
        if output.candidates is None:
            each = tf.gather(missing, places)
        else:
            each = tf.gather(tf.reshape(missing, [-1]), size * places[:, :, :, None] + output.candidates[:, None, None])
        next_tokens = tf.gather(advance, places)  # (B, K, C, A)
        needed, _ = output.find(tf.reshape(next_tokens, tf.concat([tf.shape(tokens), [-1]], axis=0)))
        if output.attention.shape[-1] != 0:
            taken, probabilities = chosen_for
            pointed = tf.reduce_sum(tf.where(taken == tokens[:, :, None, None], probabilities, 0.0), axis=3)
            attended = tf.einsum("bks,bcs->bkc", tf.cast(output.attention, tf.float32), sources)
            is_required = tf.gather(remaining, places) > 0
            complete = tf.where(is_required | (places == 0), 0.0, pointed)
            undone = tf.cond(
                tf.reduce_any(complete > 0),
                lambda: tf.reduce_sum(complete[..., None] * tf.cast(each > 0, tf.float32), axis=2),
                lambda: tf.zeros_like(output.scores),
            )
            continued, attended = (tf.where(is_required, part, 0.0) for part in (pointed, attended))
            attended /= tf.maximum(tf.reduce_sum(attended, axis=2, keepdims=True), 1.0)  # terms may share a token
            begins_word = automata.begins_word[None]
            if output.candidates is not None:
                begins_word = tf.gather(automata.begins_word, output.candidates)
            of_terms = tf.reshape(needed, tf.shape(next_tokens))
            output, probabilities = place_terms(output, of_terms, continued, attended, undone, begins_word)
            chosen_for = next_tokens, probabilities
        return output._replace(
            state=(places, chosen_for, output.state), requirements=Requirements(tf.reduce_sum(each, axis=2), needed)
        )

    initial = tf.cast(automata.initial, tf.int64)[:, None]
    nothing = tf.zeros(tf.concat([tf.shape(initial), tf.shape(advance)[1:]], axis=0))
    return (
        followed,
        (initial, (tf.cast(nothing, tf.int64), nothing), state),
        (tf.convert_to_tensor(automata.sources), memory),
    )
