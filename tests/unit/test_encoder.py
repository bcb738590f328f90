"""Encoder stacks against their recurrences run by hand; dropout that is shared over time."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.layers import Encoder, RandomStream
from tests.conftest import randomize

B, S, E, UNITS = 3, 5, 4, 6
LENGTHS = np.array([5, 2, 4], np.int32)
REAL = np.arange(S) < LENGTHS[:, None]


def make(**options):
    stream = RandomStream(1)
    encoder = Encoder(**{"cell": "gru", "layers": 3, "units": UNITS} | options, stream=stream)
    encoder.build((None, None, E))
    randomize(encoder)
    return encoder


def embedded(rng):
    return tf.constant(rng.normal(size=(B, S, E)).astype("f"))


def test_all_layers_read_both_ways(rng):
    encoder, x = make(bidirectional="all", residual=False), embedded(rng)
    states, last = encoder(x, LENGTHS)
    for recurrences, ends in zip(encoder.recurrences, last, strict=True):
        assert [recurrence.reverse for recurrence in recurrences] == [False, True]
        parts = [recurrence(x, LENGTHS) for recurrence in recurrences]
        x = tf.concat([outputs for outputs, _ in parts], axis=-1)
        np.testing.assert_allclose(ends[0], tf.concat([end[0] for _, end in parts], axis=-1), atol=1e-6)
    np.testing.assert_allclose(states, x, atol=1e-6)


@pytest.mark.parametrize("residual", [False, True])
def test_alternating_stacks_turn_round_and_meet_at_the_top(residual, rng):
    encoder, x = make(bidirectional="alternating", residual=residual), embedded(rng)
    states, last = encoder(x, LENGTHS)
    stacks = [x, x]
    for i, recurrences in enumerate(encoder.recurrences):
        assert [recurrence.reverse for recurrence in recurrences] == [i % 2 == 1, i % 2 == 0]
        outputs = [recurrence(stack, LENGTHS)[0] for recurrence, stack in zip(recurrences, stacks, strict=True)]
        stacks = [o + s for o, s in zip(outputs, stacks, strict=True)] if residual and i else outputs
    np.testing.assert_allclose(states.numpy()[REAL], tf.concat(stacks, axis=-1).numpy()[REAL], atol=1e-6)
    assert last[2][0].shape == (B, UNITS)


def test_a_bideep_stack_has_transitions_in_every_layer(rng):
    encoder = make(bidirectional="alternating", transition_depth=2)
    cells = [recurrence.cell for layer in encoder.recurrences for recurrence in layer]
    assert [len(cell.cells) for cell in cells] == [2] * 6
    assert encoder(embedded(rng), LENGTHS)[0].shape == (B, S, UNITS)


def test_lstm_hands_on_both_states_of_every_layer(rng):
    _, last = make(cell="lstm", bidirectional=True)(embedded(rng), LENGTHS)
    assert [[state.shape for state in layer] for layer in last] == [[(B, UNITS)] * 2] * 3


@pytest.mark.parametrize("variational", [False, True])
def test_variational_dropout_drops_the_same_units_at_every_step(variational, rng):
    encoder = make(layers=1, dropout=0.5, variational_dropout=variational)
    dropped = encoder(embedded(rng), LENGTHS, training=True)[0].numpy()[0] == 0
    assert 0.2 < dropped.mean() < 0.8
    assert (dropped == dropped[0]).all() == variational


def test_recurrent_dropout_masks_the_state_and_not_the_output(rng):
    encoder, x = make(layers=1, bidirectional=False, recurrent_dropout=0.5), embedded(rng)
    plain, _ = encoder(x, LENGTHS)
    dropped, _ = encoder(x, LENGTHS, training=True)
    np.testing.assert_allclose(dropped[:, 0], plain[:, 0], atol=1e-6)  # the first state is zero: nothing to drop
    assert np.abs(dropped - plain)[:, 1].max() > 1e-3
    assert np.abs(dropped.numpy()[REAL]).min() > 0, "no output is zeroed"
    mask = encoder.recurrent_dropouts[0][0].mask([B, UNITS], tf.float32, training=True)
    assert set(np.unique(mask)) == {0.0, 2.0}
    by_hand, _ = encoder.recurrences[0][0](x, LENGTHS, state_mask=mask)
    np.testing.assert_allclose(dropped, by_hand, atol=1e-6)


def test_directions_and_layers_draw_masks_of_their_own():
    encoder = make(layers=2, bidirectional="all", recurrent_dropout=0.5)
    masks = [
        tuple(np.ravel(dropout.mask([B, 40], tf.float32, training=True)))
        for layer in encoder.recurrent_dropouts
        for dropout in layer
    ]
    assert len(set(masks)) == 4
