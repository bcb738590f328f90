"""Linear recurrences h_t = a_t * h_{t-1} + b_t over whole sequences, by a parallel scan instead of a loop over time.

Two steps are one step of the same form: (a_2, b_2) after (a_1, b_1) is (a_2 * a_1, a_2 * b_1 + b_2). Steps can
therefore be combined in any grouping. Here, time is divided into blocks of `BLOCK` steps:

    1. within each block, for all blocks at once: the decay and the state after each step, from a state of zero
    2. across blocks, in rounds that double the distance (1, 2, 4, ... blocks): the state before each block
    3. both together, for all steps at once

So T steps take `BLOCK` operations and log2(T / BLOCK) rounds one after the other, and the number of multiplications is
proportional to T. With 0 <= a_t <= 1, products of decays can underflow to 0 but not overflow, and there are no
divisions and no logarithms: the scan is as exact as the loop, also in 16 bits, and for states and inflows of any sign.

Source:
    Hillis and Steele (1986) for the rounds; Blelloch (1990), section 1.4, for linear recurrences; Martin and Cundy
    (2018) for recurrent networks.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from seq2seq.layers.custom_gradient import custom_gradient

BLOCK = 8  # steps


def linear_scan(decay: tf.Tensor, inflow: tf.Tensor, initial: tf.Tensor) -> tf.Tensor:
    """States h_t = decay_t * h_{t-1} + inflow_t after each step, (T, N, U).

    The gradient of the states is itself a linear recurrence, from the last step to the first.

    Args:
        decay: (T, N, U), 0 to 1, T at least 1.
        inflow: (T, N, U).
        initial: (N, U), the state before the first step.
    """

    @custom_gradient
    def run(a: tf.Tensor, b: tf.Tensor, h0: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        states = _scan(a, b, h0)

        def gradient(d_states: tf.Tensor) -> tuple[tf.Tensor, ...]:
            after = tf.concat([a[1:], tf.zeros_like(a[:1])], axis=0)
            backwards = _scan(tf.reverse(after, axis=[0]), tf.reverse(d_states, axis=[0]), tf.zeros_like(h0))
            d_inflow = tf.reverse(backwards, axis=[0])
            before = tf.concat([h0[None], states[:-1]], axis=0)
            return d_inflow * before, d_inflow, d_inflow[0] * a[0]

        return states, gradient

    return run(decay, inflow, initial)


def _scan(a: tf.Tensor, b: tf.Tensor, h0: tf.Tensor) -> tf.Tensor:
    steps, rows = tf.unstack(tf.shape(a)[:2])
    units = a.shape[2]

    def in_blocks(values: tf.Tensor) -> list[tf.Tensor]:
        """Step k of every block, (T / BLOCK, N, U), for each k."""
        full = tf.pad(values, [[0, -steps % BLOCK], [0, 0], [0, 0]])
        return tf.unstack(tf.reshape(full, [-1, BLOCK, rows, units]), axis=1)

    (decay, *decays), (state, *inflows) = in_blocks(a), in_blocks(b)
    within = [(decay, state)]
    for a_k, b_k in zip(decays, inflows, strict=True):
        decay, state = a_k * decay, a_k * state + b_k
        within.append((decay, state))
    start = _before_each_block(decay, state, h0)
    found = tf.stack([decay * start + state for decay, state in within], axis=1)
    return tf.ensure_shape(tf.reshape(found, [-1, rows, units])[:steps], a.shape)


def _before_each_block(decay: tf.Tensor, state: tf.Tensor, h0: tf.Tensor) -> tf.Tensor:
    """State before each of J blocks (J, N, U), from what each block does to it: decay and state, (J, N, U)."""
    # What comes before the first block sets the state to h0, whatever it was.
    decay = tf.concat([tf.zeros_like(decay[:1]), decay[:-1]], axis=0)
    state = tf.concat([h0[None], state[:-1]], axis=0)

    def double(distance: tf.Tensor, decay: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, ...]:
        def earlier(values: tf.Tensor) -> tf.Tensor:
            shifted = tf.concat([tf.zeros_like(values[:distance]), values[:-distance]], axis=0)
            return tf.ensure_shape(shifted, values.shape)  # slices of unknown length would change the loop's shapes

        return 2 * distance, decay * earlier(decay), decay * earlier(state) + state

    return tf.while_loop(lambda distance, *_: distance < tf.shape(decay)[0], double, (1, decay, state))[2]
