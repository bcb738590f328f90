"""Accumulation, clipping, loss scaling and skipped updates, with SGD so that scale mistakes show."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.models.update import FIRST_LOSS_SCALE, LOSS_SCALE_GROWTH_UPDATES, GradientUpdate


def make(clip_norm=None, accumulation_steps=1, scale_loss=False, values=(1.0, 2.0, 3.0)):
    variable = keras.Variable(np.array(values, "f"), name="w")
    update = GradientUpdate(keras.optimizers.SGD(0.1), [variable], clip_norm, accumulation_steps, scale_loss)
    return variable, update


def test_applies_the_mean_gradient():
    variable, update = make()
    norm = update.add([tf.constant([1.5, 0.0, 2.0])], tf.constant(2.0))
    np.testing.assert_allclose(variable, [1 - 0.15, 2, 3 - 0.2], rtol=1e-6)
    assert float(norm) == pytest.approx(2.5)


def test_the_mean_of_the_loss_is_differentiated():
    _, update = make()
    assert float(update.scaled_loss(tf.constant(6.0), tf.constant(4.0))) == 1.5
    _, update = make(scale_loss=True)
    assert float(update.scaled_loss(tf.constant(6.0), tf.constant(4.0))) == 1.5 * FIRST_LOSS_SCALE


def test_accumulated_batches_equal_one_large_batch():
    parts = [([1.0, 2.0, -1.0], 5.0), ([0.5, 0.0, 3.0], 1.0), ([4.0, -2.0, 1.0], 9.0)]  # gradients of sums, tokens
    one, update = make(clip_norm=0.2)
    update.add([tf.add_n([tf.constant(g) for g, _ in parts]) / 15.0], tf.constant(15.0))
    many, update = make(clip_norm=0.2, accumulation_steps=3)
    for i, (gradient, tokens) in enumerate(parts):
        np.testing.assert_array_equal(many, [1, 2, 3], err_msg=f"moved before batch {i}")
        update.add([tf.constant(gradient) / tokens], tf.constant(tokens))
    np.testing.assert_allclose(many, one, rtol=1e-6)
    assert not any(np.any(v.numpy()) for name, v in update.state_variables().items() if name.startswith("sum/"))
    update.add([tf.constant(parts[0][0])], tf.constant(5.0))
    assert int(update.batches) == 1


@pytest.mark.parametrize("gathered", [0, 2])
def test_the_next_batch_can_be_made_the_last_of_its_update(gathered):
    variable, update = make(accumulation_steps=3)
    for _ in range(gathered):
        update.add([tf.ones(3)], tf.constant(1.0))
    update.flush_after_next_batch()
    update.add([tf.ones(3)], tf.constant(1.0))
    np.testing.assert_allclose(variable, [0.9, 1.9, 2.9], rtol=1e-6)
    assert int(update.batches) == 0


@pytest.mark.parametrize(("clip", "factor"), [(None, 1.0), (10.0, 1.0), (1.0, 0.2)])
def test_clips_the_mean_gradient_by_its_global_norm(clip, factor):
    variable, update = make(clip_norm=clip)
    norm = update.add([tf.constant([3.0, 0.0, 4.0])], tf.constant(2.0))
    assert float(norm) == pytest.approx(5.0), "the norm is reported before clipping"
    np.testing.assert_allclose(
        np.array([1, 2, 3]) - np.asarray(variable), 0.1 * factor * np.array([3, 0, 4]), rtol=1e-5
    )


def test_repeated_rows_of_sparse_gradients_add_up():
    variable, update = make()
    update.add(
        update.densify([tf.IndexedSlices(tf.constant([1.0, 2.0]), tf.constant([1, 1]), tf.constant([3]))]),
        tf.constant(1.0),
    )
    np.testing.assert_allclose(variable, [1, 2 - 0.3, 3], rtol=1e-6)


def test_loss_scale_cancels_out():
    variable, update = make(scale_loss=True)
    update.add([FIRST_LOSS_SCALE * tf.constant([1.5, 0.0, 2.0])], tf.constant(2.0))
    np.testing.assert_allclose(variable, [1 - 0.15, 2, 3 - 0.2], rtol=1e-5)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
@pytest.mark.parametrize("accumulation_steps", [1, 2])
def test_an_update_that_is_not_finite_is_skipped_and_halves_the_scale(bad, accumulation_steps):
    variable, update = make(scale_loss=True, accumulation_steps=accumulation_steps, clip_norm=1.0)
    update.updates_since_overflow.assign(5)
    for _ in range(accumulation_steps):
        update.add([tf.constant([1.0, bad, 0.0])], tf.constant(1.0))
    np.testing.assert_array_equal(variable, [1, 2, 3])
    assert float(update.loss_scale) == FIRST_LOSS_SCALE / 2
    assert (int(update.skipped), int(update.updates_since_overflow)) == (1, 0)
    for _ in range(accumulation_steps):
        update.add([tf.constant([1.0, 0.0, 0.0])], tf.constant(1.0))
    assert np.isfinite(np.asarray(variable)).all()
    assert float(variable[0]) < 1


def test_scale_doubles_after_enough_good_updates():
    _, update = make(scale_loss=True)
    update.updates_since_overflow.assign(LOSS_SCALE_GROWTH_UPDATES - 1)
    update.add([tf.zeros(3)], tf.constant(1.0))
    assert float(update.loss_scale) == 2 * FIRST_LOSS_SCALE
    assert int(update.updates_since_overflow) == 0


def test_float32_skips_nan_too():
    variable, update = make()
    update.add([tf.constant([np.nan, 0.0, 0.0])], tf.constant(1.0))
    np.testing.assert_array_equal(variable, [1, 2, 3])
    assert int(update.skipped) == 1


@pytest.mark.parametrize("accumulation_steps", [1, 2])
def test_weights_without_a_gradient_are_named(accumulation_steps):
    variables = [keras.Variable(np.zeros(2, "f"), name=name) for name in ("read", "unread", "forgotten")]
    update = GradientUpdate(keras.optimizers.SGD(0.1), variables, None, accumulation_steps, False)
    with pytest.raises(ValueError, match="does not depend on unread, forgotten: the outputs of these weights"):
        update.densify([tf.ones(2), None, None])


def test_an_optimizer_that_clips_is_refused():
    with pytest.raises(ValueError, match="clip"):
        GradientUpdate(keras.optimizers.SGD(0.1, clipnorm=1.0), [], None, 1, False)
