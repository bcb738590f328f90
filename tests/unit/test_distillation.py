"""Word-level distillation against NumPy, and the teachers' place outside the student."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig
from seq2seq.config.network import LanguageModelDecoderConfig, TargetEmbeddingsConfig
from seq2seq.config.objective import ConsistencyConfig
from seq2seq.models.distillation import Distillation
from seq2seq.models.language_model import LanguageModel
from seq2seq.models.objective import objective_sums
from seq2seq.models.translation import Seq2Seq
from seq2seq.training.checkpoints import training_state
from tests.conftest import randomize
from tests.reference import log_softmax, softmax

SOURCE = np.array([[4, 5, 6, 7, 3], [8, 3, 0, 0, 0], [9, 10, 4, 3, 0]], np.int32)
TARGET = np.array([[5, 6, 3, 0], [7, 8, 9, 3], [12, 3, 0, 0]], np.int32)
REAL = TARGET != 0
BATCH = tf.constant(SOURCE), tf.constant(TARGET)
SMOOTHING, WEIGHT, TEMPERATURE = 0.1, 0.3, 2.0


def make(seed=3, units=6, dropout=0.0, **decoder):
    parts = {"size": 5}, {"units": units, "dropout": dropout}, {"units": units, "dropout": dropout, **decoder}
    model = Seq2Seq(11, 13, EmbeddingsConfig(**parts[0]), EncoderConfig(**parts[1]), DecoderConfig(**parts[2]))
    randomize(model, seed, scale=0.8)
    return model


@pytest.fixture(scope="module")
def teachers():
    """Two that differ in everything but their tokens, with dropout, which they leave out."""
    return [make(5, dropout=0.5), make(6, units=8, cell="lstm", type="input_feeding")]


def in_numpy(teachers, student):
    """Cross-entropy with the labels, and with the teachers at the temperature, of all real tokens."""
    taught = np.mean([softmax(teacher((SOURCE, TARGET)).numpy() / TEMPERATURE) for teacher in teachers], axis=0)
    logits = student((SOURCE, TARGET)).numpy()
    labels = (1 - SMOOTHING) * np.eye(13)[TARGET] + SMOOTHING / 13
    hard, soft = -(labels * log_softmax(logits)).sum(-1), -(taught * log_softmax(logits / TEMPERATURE)).sum(-1)
    return hard[REAL].sum(), soft[REAL].sum()


def sums(student, teachers, consistency):
    distillation = Distillation(teachers, WEIGHT, TEMPERATURE)
    taught = distillation.probabilities(*BATCH)
    return objective_sums(student, *BATCH, SMOOTHING, consistency, distillation, taught)


@pytest.mark.parametrize("count", [1, 2])
def test_the_objective_equals_numpy(count, teachers):
    student = make()
    hard, soft = in_numpy(teachers[:count], student)
    found = sums(student, teachers[:count], ConsistencyConfig())
    expected = (1 - WEIGHT) * hard + WEIGHT * TEMPERATURE**2 * soft
    np.testing.assert_allclose((found.objective, found.loss, found.distillation), (expected, hard, soft), rtol=1e-5)
    assert found.consistency is None
    assert float(found.tokens) == REAL.sum()


@pytest.mark.parametrize("kind", ["simcut", "r_drop"])
def test_both_kinds_of_regularisation_at_once(kind, teachers):
    """Without dropout, and with a rate that cuts nothing, both passes are the same."""
    student = make()
    consistency = ConsistencyConfig(type=kind, **({"cut_rate": 1e-9} if kind == "simcut" else {}))
    alone = sums(student, teachers, ConsistencyConfig())
    both = sums(student, teachers, consistency)
    np.testing.assert_allclose(both[:4], alone[:4], rtol=1e-5)
    assert float(both.consistency) == pytest.approx(0, abs=1e-5)
    assert float(both.distillation) == pytest.approx(float(alone.distillation), rel=1e-5)


def test_the_step_follows_the_students_gradient_alone(teachers):
    student, plain = make(), make()
    before = [np.array(weight) for teacher in teachers for weight in teacher.weights]
    distillation = Distillation(teachers, WEIGHT, TEMPERATURE)
    student.compile(keras.optimizers.SGD(1.0), label_smoothing=SMOOTHING, distillation=distillation, clip_norm=None)
    logs = student.step_function()(*BATCH)
    taught = tf.constant(np.mean([softmax(each((SOURCE, TARGET)).numpy() / TEMPERATURE) for each in teachers], axis=0))
    with tf.GradientTape() as tape:
        logits = plain((SOURCE, TARGET))
        labels = (1 - SMOOTHING) * tf.one_hot(TARGET, 13) + SMOOTHING / 13
        hard = -tf.reduce_sum(labels * tf.nn.log_softmax(logits), -1)
        soft = -tf.reduce_sum(taught * tf.nn.log_softmax(logits / TEMPERATURE), -1)
        loss = tf.reduce_mean(((1 - WEIGHT) * hard + WEIGHT * TEMPERATURE**2 * soft)[REAL])
    weights = plain.trainable_variables
    for moved, old, gradient in zip(
        student.trainable_variables, weights, tape.gradient(loss, [weight.value for weight in weights]), strict=True
    ):
        np.testing.assert_allclose(moved, old - tf.convert_to_tensor(gradient), atol=2e-5, err_msg=moved.path)
    assert float(logs["loss"]) == pytest.approx(hard.numpy()[REAL].mean(), rel=1e-5)
    assert float(logs["distillation"]) == pytest.approx(soft.numpy()[REAL].mean(), rel=1e-5)
    for old, weight in zip(before, [w for teacher in teachers for w in teacher.weights], strict=True):
        np.testing.assert_array_equal(weight, old)


def test_teachers_are_no_part_of_the_student(teachers, tmp_path):
    student, other = make(), make()
    student.compile("adam", distillation=Distillation(teachers))
    other.compile("adam")
    assert [weight.path for weight in student.weights] == [weight.path for weight in other.weights]
    state = training_state(student).keys() - training_state(other).keys()
    assert state == {"metrics/distillation/total", "metrics/distillation/tokens"}
    student.fit(SOURCE, TARGET, verbose=0)
    student.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").distillation is None


def test_a_language_model_has_teachers():
    teacher, student = (
        LanguageModel(13, TargetEmbeddingsConfig(size=5), LanguageModelDecoderConfig(units=units)) for units in (8, 6)
    )
    randomize(teacher, 5)
    randomize(student, 3)
    source = tf.fill([3, 1], 3)
    distillation = Distillation([teacher], weight=1.0)
    taught = distillation.probabilities(source, BATCH[1])
    np.testing.assert_allclose(taught, softmax(teacher((source, TARGET)).numpy())[REAL], rtol=1e-4)
    found = objective_sums(student, source, BATCH[1], 0.0, ConsistencyConfig(), distillation, taught)
    expected = -(taught * log_softmax(student((source, TARGET)).numpy())[REAL]).numpy().sum()
    assert float(found.objective) == pytest.approx(expected, rel=1e-5)
