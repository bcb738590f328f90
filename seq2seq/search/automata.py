"""Step wrapper that follows automata over tokens: a prefix, phrases that must appear, phrases that must not appear."""

from typing import Any, NamedTuple

import tensorflow as tf

from seq2seq.arguments import check_arguments
from seq2seq.search.step import BLOCKED, Requirements, StepFunction, StepOutput


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
    """

    next_states: Any
    blocked: Any
    advance: Any
    remaining: Any
    initial: Any


@check_arguments()
def with_automata(
    step: StepFunction, state: Any, memory: Any, automata: Automata, *, bos_id: int, eos_id: int
) -> tuple[StepFunction, Any, Any]:
    """Follow the automata of each sentence, so that every search keeps to what they ask for.

    A hypothesis never takes a token that one of its automata blocks, so it ends only if nothing is missing. A token is
    also excluded if the hypothesis could not be completed within its maximum length afterwards; if it cannot be
    completed at all, only the tokens that complete most are left. If no token is left, the hypothesis ends, and its
    tokens show what is missing. The scores of the other tokens stay as they are.

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
        Step, state and memory to start the search with. The state includes that of each automaton, (B, K, C) int64.
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
        places, inner = state
        moved = tf.gather(table, size * places + tokens[:, :, None])
        places = tf.where(tokens[:, :, None] == bos_id, places, moved)
        output = step(tokens, inner, memory)
        if output.candidates is None:
            each = tf.gather(missing, places)
        else:
            each = tf.gather(tf.reshape(missing, [-1]), size * places[:, :, :, None] + output.candidates[:, None, None])
        needed, _ = output.find(tf.reshape(tf.gather(advance, places), tf.concat([tf.shape(tokens), [-1]], axis=0)))
        return output._replace(
            state=(places, output.state), requirements=Requirements(tf.reduce_sum(each, axis=2), needed)
        )

    return followed, (tf.cast(automata.initial, tf.int64)[:, None], state), memory
