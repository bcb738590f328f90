"""Learning rates and optimizers of a recipe."""

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig, ScheduleConfig, TrainingConfig
from seq2seq.model import Seq2Seq
from seq2seq.training.optimization import learning_rate, make_optimizer, watch_plateau
from seq2seq.training.progress import Progress


def training(optimizer="adam", **schedule):
    return TrainingConfig(learning_rate=0.01, optimizer=optimizer, schedule=ScheduleConfig(**schedule))


def test_constant_with_warmup():
    config = training(warmup=4)
    rates = [learning_rate(config, update) for update in (1, 2, 3, 4, 5, 1000)]
    assert rates == pytest.approx([0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01])


def test_inverse_square_root():
    config = training(kind="inverse_sqrt", warmup=100)
    assert learning_rate(config, 50) == pytest.approx(0.005)
    assert learning_rate(config, 100) == pytest.approx(0.01)
    assert learning_rate(config, 400) == pytest.approx(0.005)
    assert learning_rate(config, 10_000) == pytest.approx(0.001)


def test_plateau_lowers_after_patience_and_stops_at_the_minimum():
    config = training(kind="plateau", factor=0.5, patience=2, minimum=0.002)
    progress, rates = Progress(), []
    for improved in [True, False, True, False, False, False, False, False, False]:
        watch_plateau(config, progress, improved)
        rates.append(learning_rate(config, 10, progress.plateau_factor))
    assert rates == pytest.approx([0.01, 0.01, 0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025, 0.002])


def test_other_schedules_ignore_validations():
    progress = Progress()
    for _ in range(5):
        watch_plateau(training(), progress, improved=False)
    assert progress.plateau_factor == 1.0


@pytest.mark.parametrize(
    ("metric", "values", "improved"),
    [("bleu", [1.0, 2.0, 2.0, 1.5, 3.0], [1, 1, 0, 0, 1]), ("loss", [3.0, 2.0, 2.0, 2.5, 1.0], [1, 1, 0, 0, 1])],
)
def test_the_best_is_judged_in_the_metrics_own_direction(metric, values, improved):
    progress = Progress()
    found, waited = [], []
    for update, value in enumerate(values):
        found.append(progress.judge(value, metric, update))
        waited.append(progress.waited)
    assert found == [bool(i) for i in improved]
    assert waited == [0, 0, 1, 2, 0]
    assert (progress.best, progress.best_update) == (values[-1], 4)


def test_weight_decay_spares_biases_and_embeddings():
    model = Seq2Seq(9, 9, EmbeddingsConfig(size=4), EncoderConfig(units=4), DecoderConfig(units=4))
    before = {weight.path: np.array(weight) + 1.0 for weight in model.weights}
    for weight in model.weights:
        weight.assign(before[weight.path])
    optimizer = make_optimizer(TrainingConfig(optimizer="adamw", learning_rate=0.1, weight_decay=0.5))
    optimizer.apply([tf.zeros(weight.shape) for weight in model.trainable_variables], model.trainable_variables)
    moved = {
        path for path in before if np.any(np.array(next(w for w in model.weights if w.path == path)) != before[path])
    }
    assert moved
    assert all("kernel" in path for path in moved)
    assert {path for path in before if "kernel" in path} == moved


def test_a_loss_that_is_not_a_number_is_never_the_best():
    progress = Progress()
    assert not progress.judge(float("nan"), "loss", 1)
    assert progress.judge(2.0, "loss", 2)
    assert not progress.judge(float("nan"), "loss", 3)
    assert progress.best == 2.0


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_optimizers_have_no_clip_argument(name, kind):
    optimizer = make_optimizer(training(name))
    assert type(optimizer).__name__ == kind
    assert not any([optimizer.clipnorm, optimizer.clipvalue, optimizer.global_clipnorm])
