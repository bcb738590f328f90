"""Dropout's masks are a function of seed, step and purpose."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.layers import Dropout, RandomStream

ONES = tf.ones([200, 300])


def mask(seed=1, step=0, purpose="a", rate=0.3):
    stream = RandomStream(seed)
    stream.step.assign(step)
    return Dropout(rate, stream, purpose)(ONES, training=True).numpy()


def test_same_seed_step_and_purpose_give_the_same_mask():
    np.testing.assert_array_equal(mask(), mask())


@pytest.mark.parametrize("change", [{"seed": 2}, {"step": 1}, {"purpose": "b"}])
def test_any_other_gives_another(change):
    assert (mask() != mask(**change)).mean() > 0.3


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_rate_and_scale(dtype):
    dropped = Dropout(0.3, RandomStream(1), "a", dtype=dtype)(tf.cast(ONES, dtype), training=True)
    assert dropped.dtype == dtype
    values = tf.cast(dropped, tf.float32).numpy()
    assert (values == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert values.max() == pytest.approx(1 / 0.7, rel=0.01)


def test_nothing_is_dropped_outside_training_or_at_rate_0():
    assert Dropout(0.3, RandomStream(1), "a")(ONES, training=False) is ONES
    assert Dropout(0.0, RandomStream(1), "a")(ONES, training=True) is ONES
