"""Moving averages of the weights, against a plain loop."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.models.update import GradientUpdate

START = (np.array([1.0, -2.0, 3.0], "f"), np.array([[0.5, 4.0]], "f"))


def make(ema_decay, accumulation_steps=1, momentum=0.0):
    variables = [keras.Variable(value, name=f"w{i}") for i, value in enumerate(START)]
    optimizer = keras.optimizers.SGD(0.1, momentum=momentum)
    return variables, GradientUpdate(optimizer, variables, None, accumulation_steps, False, ema_decay=ema_decay)


def gradients(rng, bad=False):
    found = [rng.normal(size=value.shape).astype("f") for value in START]
    if bad:
        found[1][0, 1] = np.nan
    return found


@pytest.mark.parametrize("ema_decay", [0.3, 0.999])
@pytest.mark.parametrize("in_graph", [False, True])
def test_follows_applied_updates_only(rng, ema_decay, in_graph):
    variables, update = make(ema_decay)
    add = tf.function(update.add, autograph=False) if in_graph else update.add
    weights, averages, applied = [v.copy() for v in START], [v.copy() for v in START], 0
    for bad in (False, False, True, False, False, True, False):
        batch = gradients(rng, bad)
        add([tf.constant(g) for g in batch], tf.constant(2.0))
        if not bad:
            applied += 1
            decay = min(ema_decay, (1 + applied) / (10 + applied))
            weights = [w - 0.1 * g for w, g in zip(weights, batch, strict=True)]
            averages = [decay * a + (1 - decay) * w for a, w in zip(averages, weights, strict=True)]
        for variable, average, weight, expected in zip(variables, update.averages, weights, averages, strict=True):
            np.testing.assert_allclose(variable, weight, rtol=1e-5)
            np.testing.assert_allclose(average, expected, rtol=1e-5)
    assert int(update.skipped) == 2
    assert np.max(np.abs(averages[0] - weights[0])) > 0.01, "the two differ in this test"


def test_follows_updates_and_not_their_batches(rng):
    batches = [gradients(rng) for _ in range(6)]
    parts, update = make(0.9, accumulation_steps=3)
    for batch in batches:
        update.add([tf.constant(g) for g in batch], tf.constant(1.0))
    whole, once = make(0.9)
    for three in (batches[:3], batches[3:]):
        once.add([tf.constant(np.mean(g, axis=0)) for g in zip(*three, strict=True)], tf.constant(1.0))
    for a, b in zip(update.averages, once.averages, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    np.testing.assert_allclose(parts[0], whole[0], rtol=1e-5)


def test_the_averages_stand_in_for_the_weights_within_a_block(rng):
    variables, update = make(0.9)
    for _ in range(3):
        update.add([tf.constant(g) for g in gradients(rng)], tf.constant(1.0))
    live, averages = ([np.array(v) for v in values] for values in (variables, update.averages))
    assert all(np.all(weight != average) for weight, average in zip(live, averages, strict=True))

    def look_and_fail():
        with update.averaged_weights():
            for variable, average in zip(variables, averages, strict=True):
                np.testing.assert_array_equal(variable, average)
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        look_and_fail()
    for variable, weight in zip(variables, live, strict=True):
        np.testing.assert_array_equal(variable, weight)
    for average, before in zip(update.averages, averages, strict=True):
        np.testing.assert_array_equal(average, before)


def test_without_averages_a_block_changes_nothing():
    variables, update = make(None)
    assert update.averages == []
    with update.averaged_weights():
        variables[0].assign([7.0, 8.0, 9.0])
    np.testing.assert_array_equal(variables[0], [7.0, 8.0, 9.0])


def test_averages_are_float32_state():
    variables, update = make(0.9)
    state = update.state_variables()
    assert [state[f"average/{variable.path}"] is not None for variable in variables] == [True, True]
    assert {average.dtype for average in update.averages} == {tf.float32}
    assert len(make(None)[1].state_variables()) == len(state) - 2
