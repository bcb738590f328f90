"""Learning rates and optimizers of a recipe."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig, ScheduleConfig, TrainingConfig
from seq2seq.models.translation import Seq2Seq
from seq2seq.training import optimization
from seq2seq.training.optimization import FusedAdam, FusedAdamW, learning_rate, make_optimizer, update_plateau
from seq2seq.training.run_state import RunState
from seq2seq.training.setup import freeze
from tests.conftest import randomize


def training(optimizer="adam", **schedule):
    return TrainingConfig(learning_rate=0.01, optimizer=optimizer, schedule=ScheduleConfig(**schedule))


def test_constant_with_warmup():
    config = training(warmup_updates=4)
    rates = [learning_rate(config, update) for update in (1, 2, 3, 4, 5, 1000)]
    assert rates == pytest.approx([0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01])


def test_inverse_square_root():
    config = training(type="inverse_sqrt", warmup_updates=100)
    assert learning_rate(config, 50) == pytest.approx(0.005)
    assert learning_rate(config, 100) == pytest.approx(0.01)
    assert learning_rate(config, 400) == pytest.approx(0.005)
    assert learning_rate(config, 10_000) == pytest.approx(0.001)


def test_cosine():
    config = training(type="cosine", warmup_updates=10, decay_start=30, decay_updates=40, min_learning_rate=0.002)
    expected = {1: 0.001, 5: 0.005, 10: 0.01, 30: 0.01, 70: 0.002, 71: 0.002, 5000: 0.002}
    expected |= {30 + done: 0.002 + 0.008 * np.cos(np.pi * done / 80) ** 2 for done in (1, 10, 20, 37)}
    assert {update: learning_rate(config, update) for update in expected} == pytest.approx(expected)
    assert learning_rate(config, 50) == pytest.approx(0.006), "half way down"


def test_cosine_starts_where_the_warmup_ends():
    config = training(type="cosine", warmup_updates=10, decay_updates=4, min_learning_rate=0.0)
    rates = [learning_rate(config, update) for update in (9, 10, 11, 12, 13, 14)]
    half = 0.5**0.5
    assert rates == pytest.approx([0.009, 0.01, 0.005 * (1 + half), 0.005, 0.005 * (1 - half), 0.0])


def test_cosine_lasts_to_the_end_of_the_run_by_default():
    config, given = (
        training(type="cosine", warmup_updates=4),
        training(type="cosine", warmup_updates=4, decay_updates=6),
    )
    rates = [learning_rate(config, update, end=10) for update in range(1, 12)]
    assert rates == pytest.approx([learning_rate(given, update, end=99) for update in range(1, 12)])
    assert learning_rate(config, 10, end=20) > 1e-3, "another end, another rate"
    assert [learning_rate(config, update, end=4) for update in (3, 4, 5)] == pytest.approx([0.0075, 0.01, 1e-6])


def test_step():
    config = training(
        type="step", warmup_updates=4, decay_start=6, decay_updates=3, factor=0.5, min_learning_rate=0.002
    )
    rates = [learning_rate(config, update) for update in (2, 4, 5, 6, 8, 9, 11, 12, 14, 15, 999)]
    assert rates == pytest.approx([0.005, 0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025, 0.002, 0.002, 0.002, 0.002])


def test_step_without_a_start_lowers_first_after_its_distance():
    config = training(type="step", warmup_updates=2, decay_updates=3, factor=0.1, min_learning_rate=0.0)
    rates = [learning_rate(config, update) for update in (1, 2, 4, 5, 7, 8)]
    assert rates == pytest.approx([0.005, 0.01, 0.01, 0.001, 0.001, 0.0001])


@pytest.mark.parametrize("kind", ["constant", "inverse_sqrt", "cosine", "step", "plateau"])
def test_every_kind_warms_up_alike(kind):
    decay = {"decay_start": 8, "decay_updates": 5} if kind in ("cosine", "step") else {}
    config = training(type=kind, warmup_updates=8, min_learning_rate=0.005, **decay)
    assert [learning_rate(config, update) for update in (1, 4, 7)] == pytest.approx([0.00125, 0.005, 0.00875])


def test_plateau_lowers_after_patience_and_stops_at_the_minimum():
    config = training(type="plateau", factor=0.5, patience=2, min_learning_rate=0.002)
    progress, rates = RunState(), []
    for improved in [True, False, True, False, False, False, False, False, False]:
        update_plateau(config, progress, improved, update=10)
        rates.append(learning_rate(config, 10, progress.plateau_factor))
    assert rates == pytest.approx([0.01, 0.01, 0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025, 0.002])


def test_the_plateau_is_not_watched_during_the_warmup():
    config = training(type="plateau", factor=0.5, patience=2, warmup_updates=30)
    progress, rates = RunState(), []
    for update in (10, 20, 30, 40, 50, 60):
        update_plateau(config, progress, improved=False, update=update)
        rates.append(learning_rate(config, update + 1, progress.plateau_factor))
    assert rates == pytest.approx([0.01 * 11 / 30, 0.01 * 21 / 30, 0.01, 0.01, 0.005, 0.005])


def test_other_schedules_ignore_validations():
    progress = RunState()
    for _ in range(5):
        update_plateau(training(), progress, improved=False, update=10)
    assert progress.plateau_factor == 1.0


@pytest.mark.parametrize(
    ("metric", "values", "improved"),
    [("bleu", [1.0, 2.0, 2.0, 1.5, 3.0], [1, 1, 0, 0, 1]), ("loss", [3.0, 2.0, 2.0, 2.5, 1.0], [1, 1, 0, 0, 1])],
)
def test_the_best_is_judged_in_the_metrics_own_direction(metric, values, improved):
    progress = RunState()
    found, waited = [], []
    for update, value in enumerate(values):
        found.append(progress.update_best(*((1.0, value) if metric == "bleu" else (value, None)), metric, update))
        waited.append(progress.wait)
    assert found == [bool(i) for i in improved]
    assert waited == [0, 0, 1, 2, 0]
    assert (progress.best, progress.best_update) == (values[-1], 4)


KINDS = {"biases": ("bias",), "norms": ("scale", "shift"), "embeddings": ("table",)}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("also", [(), ("biases",), ("norms",), ("embeddings",), ("biases", "norms", "embeddings")])
def test_weight_decay_moves_matrices_and_what_is_asked_for(optimizer, also):
    cells = {"units": 4, "cell": "layer_norm_lstm", "layer_norm": True}
    model = Seq2Seq(9, 9, EmbeddingsConfig(size=4), EncoderConfig(**cells), DecoderConfig(**cells))
    randomize(model)
    freeze(model, ["encoder/layer_0/*"])
    before = {weight.path: np.array(weight) for weight in model.weights}
    config = TrainingConfig(optimizer=optimizer, learning_rate=0.1, weight_decay=0.5, weight_decay_include=also)
    model.compile(make_optimizer(config))
    model.update.add([tf.zeros(weight.shape) for weight in model.update.variables], tf.constant(3.0))
    spared = [ending for kind, endings in KINDS.items() if kind not in also for ending in endings]
    moved = set()
    for weight in model.weights:
        moves = weight.trainable and not any(ending in weight.name for ending in spared)
        moved.add(moves)
        np.testing.assert_allclose(weight, before[weight.path] * (1 - 0.1 * 0.5 if moves else 1), rtol=1e-6)
    assert moved == {True, False}


def test_weight_decay_follows_the_learning_rate_and_leaves_the_step_alone():
    variable = keras.Variable(np.array([[2.0, -4.0]], "f"), name="kernel")
    optimizer = make_optimizer(TrainingConfig(optimizer="sgd", learning_rate=1.0, weight_decay=0.5))
    optimizer.build([variable])
    optimizer.learning_rate.assign(0.2)
    optimizer.apply([tf.constant([[10.0, 20.0]])], [variable])
    np.testing.assert_allclose(variable, [[2.0 * 0.9 - 2.0, -4.0 * 0.9 - 4.0]], rtol=1e-6)


def test_a_loss_that_is_not_a_number_is_never_the_best():
    progress = RunState()
    assert not progress.update_best(float("nan"), None, "loss", 1)
    assert progress.update_best(2.0, None, "loss", 2)
    assert not progress.update_best(float("nan"), None, "loss", 3)
    assert progress.best == 2.0


def test_of_equal_bleu_the_lower_loss_is_better():
    progress = RunState()
    assert progress.update_best(4.0, 0.0, "bleu", 1)
    assert progress.update_best(3.5, 0.0, "bleu", 2)
    assert not progress.update_best(3.6, 0.0, "bleu", 3)
    assert (progress.best, progress.best_update, progress.wait) == (0.0, 2, 1)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_config_keeps_what_is_spared(name):
    """Keras's own optimizers forget it."""
    optimizer = make_optimizer(TrainingConfig(optimizer=name, weight_decay=0.5, weight_decay_include=("norms",)))
    loaded = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(loaded) is type(optimizer)
    assert loaded.spared == optimizer.spared != []
    bias, kernel = (keras.Variable(np.ones((2, 2), "f"), name=name) for name in ("bias", "kernel"))
    loaded.build([bias, kernel])
    loaded.apply([tf.zeros((2, 2))] * 2, [bias, kernel])
    assert np.all(np.array(kernel) < np.array(bias))
    np.testing.assert_array_equal(bias, np.ones((2, 2)))


@pytest.mark.parametrize(("name", "kind"), [("adam", "FusedAdam"), ("adamw", "FusedAdamW"), ("sgd", "SGD")])
def test_optimizers_have_no_clip_argument(name, kind):
    optimizer = make_optimizer(training(name))
    assert type(optimizer).__name__ == kind
    assert not any([optimizer.clipnorm, optimizer.clipvalue, optimizer.global_clipnorm])


def test_keras_still_has_the_private_names_that_the_fused_step_reads():
    """Should this fail, Adam is right and slower; find the new names, or measure what it costs to do without."""
    optimizer = FusedAdam(0.01)
    optimizer.build([keras.Variable([1.0])])
    assert [hasattr(optimizer, name) for name in optimization.KERAS_SLOT_ATTRIBUTES] == [True] * 3
    assert optimizer.fused


@pytest.mark.parametrize("fuses", [True, False])
@pytest.mark.parametrize("decay", [None, 0.1])
def test_the_fused_step_equals_kerass_own(decay, fuses, rng, monkeypatch):
    """And so does the step where Keras has renamed what it needs."""
    calls = []
    fused_step = tf.raw_ops.ResourceApplyAdam
    monkeypatch.setattr(tf.raw_ops, "ResourceApplyAdam", lambda **inputs: calls.append(1) or fused_step(**inputs))
    if not fuses:
        monkeypatch.setattr(optimization, "KERAS_SLOT_ATTRIBUTES", ("_momentums_of_tomorrow",))
    keywords = {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4} | ({} if decay is None else {"weight_decay": decay})
    own, fused = (keras.optimizers.Adam, FusedAdam) if decay is None else (keras.optimizers.AdamW, FusedAdamW)
    start = rng.normal(size=(3, 5)).astype("f")
    pairs = [(keras.Variable(start), optimizer(0.01, **keywords)) for optimizer in (own, fused)]
    for rate in (0.01, 0.02, 0.005):
        gradient = tf.constant(rng.normal(size=(3, 5)).astype("f"))
        for variable, optimizer in pairs:
            optimizer.learning_rate = rate
            optimizer.apply([gradient], [variable])
    assert len(calls) == (3 if fuses else 0)
    (expected, theirs), (found, ours) = pairs
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert not np.allclose(found, start)
    for mine, other in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5)
