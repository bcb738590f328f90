"""Consistency regularisation against NumPy: divergences, objectives of whole models, and the training step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig
from seq2seq.config.network import LanguageModelDecoderConfig, TargetEmbeddingsConfig
from seq2seq.config.objective import ConsistencyConfig
from seq2seq.data.tokenizer import EOS_ID, UNK_ID
from seq2seq.layers import output_cross_entropy
from seq2seq.layers.losses import divergence, smoothed_cross_entropy
from seq2seq.models.language_model import LanguageModel
from seq2seq.models.objective import objective_sums
from seq2seq.models.translation import Seq2Seq
from tests.conftest import randomize
from tests.reference import log_softmax

SOURCE = np.array([[4, 5, 6, 7, 3], [8, 3, 0, 0, 0], [9, 10, 4, 3, 0]], np.int32)
TARGET = np.array([[5, 6, 3, 0], [7, 8, 9, 3], [12, 3, 0, 0]], np.int32)
REAL = TARGET != 0
SMOOTHING, STEP = 0.1, 4
ALL = 0.99999999  # as a float32, 1: every token is cut that may be
KINDS = ["kl", "symmetric_kl", "jensen_shannon"]
TYPES = ["simcut", "cutoff", "r_drop"]


def make(dropout=0.0, precision="float32", **decoder):
    decoder_config = DecoderConfig(units=6, dropout=dropout, **decoder)
    parts = EmbeddingsConfig(size=5, tied="none"), EncoderConfig(units=6), decoder_config
    model = Seq2Seq(11, 13, *parts, precision=precision)
    randomize(model, scale=0.8)
    model.random_stream.step.assign(STEP)
    return model


def divergence_in_numpy(first, second, kind):
    log_p, log_q = log_softmax(first), log_softmax(second)
    p, q = np.exp(log_p), np.exp(log_q)
    mean = np.log((p + q) / 2)
    return {
        "kl": p * (log_p - log_q),
        "symmetric_kl": (p * (log_p - log_q) + q * (log_q - log_p)) / 2,
        "jensen_shannon": (p * (log_p - mean) + q * (log_q - mean)) / 2,
    }[kind].sum(-1)


def divergence_by_operations(first, second, kind):
    log_p, log_q = tf.nn.log_softmax(first), tf.nn.log_softmax(second)
    p, q = tf.exp(log_p), tf.exp(log_q)
    mean = tf.math.log((p + q) / 2)
    forward, backward = (tf.reduce_sum(values, 1) for values in (p * (log_p - log_q), q * (log_q - log_p)))
    middle = tf.reduce_sum(p * (log_p - mean) + q * (log_q - mean), 1) / 2
    return {"kl": forward, "symmetric_kl": (forward + backward) / 2, "jensen_shannon": middle}[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_divergences_and_their_gradients(kind, rng):
    first, second = (tf.constant((2 * rng.normal(size=(4, 6))).astype("f")) for _ in range(2))
    outer = tf.constant(rng.normal(size=4).astype("f"))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([first, second])
        ours = divergence(first, second, kind)
        found, plain = (tf.reduce_sum(outer * each) for each in (ours, divergence_by_operations(first, second, kind)))
    np.testing.assert_allclose(ours, divergence_in_numpy(first.numpy(), second.numpy(), kind), rtol=1e-5)
    for mine, expected in zip(*(tape.gradient(each, [first, second]) for each in (found, plain)), strict=True):
        np.testing.assert_allclose(mine, expected, atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_divergences_of_certain_predictions_stay_finite(kind):
    first, second = tf.constant([[1e4, -1e4, 0.0]]), tf.constant([[-1e4, 1e4, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch([first, second])
        value = divergence(first, second, kind)
    assert float(value[0]) == pytest.approx(np.log(2) if kind == "jensen_shannon" else 2e4)
    for gradient in tape.gradient(value, [first, second]):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_cross_entropy_of_logits_equals_that_of_the_output_layer(smoothing, rng):
    logits, labels = tf.constant((3 * rng.normal(size=(4, 6))).astype("f")), tf.constant([0, 5, 2, 2])
    outer = tf.constant(rng.normal(size=4).astype("f"))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        results = (
            smoothed_cross_entropy(logits, labels, smoothing),
            output_cross_entropy(logits, tf.eye(6), tf.zeros(6), labels, smoothing),
        )
        ours, other = (tf.reduce_sum(outer * loss) + 3.0 * tf.reduce_sum(nll) for loss, nll in results)
    for mine, expected in zip(*results, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(ours, logits), tape.gradient(other, logits), atol=1e-6)


def drawn(model, side, shape, rate):
    """Tokens that are cut, drawn as the model draws them."""
    return tf.random.stateless_uniform(shape, model.random_stream.seed_for(f"{side}/cut")).numpy() < rate


def logits_of_both_passes(model, kind, rate):
    """Teacher-forced logits; a token is cut by putting UNK in its place, whose embeddings are zeros."""
    if kind == "r_drop":
        both = model((np.tile(SOURCE, (2, 1)), np.tile(TARGET, (2, 1))), training=True).numpy()
        return both[:3], both[3:]
    for table in (model.source_embedding.table, model.target_embedding.table):
        values = np.array(table)
        values[UNK_ID] = 0.0
        table.assign(values)
    source = np.where(drawn(model, "source", SOURCE.shape, rate) & (SOURCE != EOS_ID) & (SOURCE != 0), UNK_ID, SOURCE)
    cut = drawn(model, "target", TARGET.shape, rate)  # by the positions of the decoder's inputs
    # The decoder reads a target one position late: BOS stands first, and the last token is not read.
    inputs = np.concatenate([np.where(cut[:, 1:] & (TARGET[:, :-1] != 0), UNK_ID, TARGET[:, :-1]), TARGET[:, -1:]], 1)
    assert (source == UNK_ID).any()
    assert (inputs == UNK_ID).any()
    return model((SOURCE, TARGET)).numpy(), model((source, inputs)).numpy()


@pytest.mark.parametrize("rate", [0.4, ALL])
@pytest.mark.parametrize("kind", TYPES)
def test_objectives_equal_numpy(kind, rate):
    model = make(dropout=0.3 if kind == "r_drop" else 0.0)
    consistency = ConsistencyConfig(type=kind, weight=2.0, **({} if kind == "r_drop" else {"cut_rate": rate}))
    first, second = logits_of_both_passes(model, kind, rate)
    found = objective_sums(model, SOURCE, TARGET, SMOOTHING, consistency)
    names = dict(zip(TYPES, ("kl", "jensen_shannon", "symmetric_kl"), strict=True))
    apart = divergence_in_numpy(first, second, names[kind])[REAL].sum()

    def cross_entropy(logits, smoothing):
        wanted = (1 - smoothing) * np.eye(13)[TARGET] + smoothing / 13
        return -(wanted * log_softmax(logits)).sum(-1)[REAL].sum()

    loss, other = cross_entropy(first, SMOOTHING), cross_entropy(second, SMOOTHING)
    objective = loss + 2 * apart if kind == "simcut" else (loss + other + 2 * apart) / 2
    expected = objective, loss, cross_entropy(first, 0.0), REAL.sum(), apart
    np.testing.assert_allclose(found[:5], expected, rtol=1e-4)
    assert apart > 0.1


def test_eos_of_the_source_and_bos_are_never_cut():
    model = make()
    consistency = ConsistencyConfig(type="simcut", cut_rate=ALL)
    short = np.array([[EOS_ID]], np.int32)  # nothing that may be cut
    assert float(objective_sums(model, short, short, 0.0, consistency).consistency) == pytest.approx(0, abs=1e-5)
    longer = np.array([[5, EOS_ID]], np.int32)
    assert float(objective_sums(model, longer, short, 0.0, consistency).consistency) > 1e-3


@pytest.mark.parametrize("option", [{"variational_dropout": True}, {"recurrent_dropout": 0.4}])
def test_masks_of_a_sentence_differ_between_the_passes(option):
    model = make(dropout=0.4 if "variational_dropout" in option else 0.0, **option)
    sums = objective_sums(model, SOURCE, TARGET, 0.0, ConsistencyConfig(type="r_drop"))
    assert float(sums.consistency) > 0.1


@pytest.mark.parametrize("kind", TYPES)
def test_the_step_follows_the_gradient_through_both_passes(kind):
    model, plain = make(dropout=0.3), make(dropout=0.3)
    consistency = ConsistencyConfig(type=kind, weight=2.0)
    model.compile(keras.optimizers.SGD(1.0), label_smoothing=SMOOTHING, consistency=consistency, clip_norm=None)
    logs = model.train_batch((tf.constant(SOURCE), tf.constant(TARGET)))

    cut = {"source": np.ones((6, 5), bool), "target": np.ones((6, 4), bool)}
    if kind != "r_drop":
        cut["source"][3:] = ~drawn(plain, "source", SOURCE.shape, 0.05) | (SOURCE == EOS_ID)
        cut["target"][3:, 1:] = ~drawn(plain, "target", TARGET.shape, 0.05)[:, 1:]
    with tf.GradientTape() as tape:
        readouts, labels = plain.readouts(
            tf.constant(np.tile(SOURCE, (2, 1))), tf.constant(np.tile(TARGET, (2, 1))), True, tuple(cut.values())
        )
        logits = tf.matmul(readouts, plain.output_embedding.table, transpose_b=True) + plain.output_bias
        wanted = (1 - SMOOTHING) * tf.one_hot(labels, 13) + SMOOTHING / 13
        one, two = tf.split(-tf.reduce_sum(wanted * tf.nn.log_softmax(logits), 1), 2)
        name = dict(zip(TYPES, ("kl", "jensen_shannon", "symmetric_kl"), strict=True))[kind]
        apart = divergence_by_operations(*tf.split(logits, 2), name)
        total = one + 2 * apart if kind == "simcut" else (one + two + 2 * apart) / 2
        mean = tf.reduce_mean(total)
    variables = [weight.value for weight in plain.trainable_variables]
    for moved, before, gradient in zip(
        model.trainable_variables, plain.trainable_variables, tape.gradient(mean, variables), strict=True
    ):
        np.testing.assert_allclose(moved, before - tf.convert_to_tensor(gradient), atol=2e-5, err_msg=moved.path)
    assert float(logs["loss"]) == pytest.approx(float(tf.reduce_mean(one)), rel=1e-5), "without the divergence"
    assert float(logs["consistency"]) == pytest.approx(float(tf.reduce_mean(apart)), rel=1e-4)


def test_accumulated_batches_equal_one_large_batch():
    """And longer padding changes nothing."""
    whole, parts = make(), make()
    options = {"label_smoothing": 0.1, "clip_norm": 0.3, "consistency": {"type": "cutoff", "cut_rate": ALL}}
    whole.compile(keras.optimizers.SGD(0.5), **options)
    parts.compile(keras.optimizers.SGD(0.5), **options, accumulation_steps=3)
    for _ in range(2):
        whole.train_batch(
            (tf.constant(np.pad(SOURCE, [(0, 0), (0, 2)])), tf.constant(np.pad(TARGET, [(0, 0), (0, 1)])))
        )
        for row in range(3):
            s, t = (SOURCE[row] != 0).sum(), (TARGET[row] != 0).sum()
            parts.train_batch((tf.constant(SOURCE[row : row + 1, :s]), tf.constant(TARGET[row : row + 1, :t])))
    for a, b in zip(whole.weights, parts.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5, err_msg=a.path)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_16_bits_take_the_step_of_32(precision):
    exact, rounded = make(), make(precision=precision)
    for model in (exact, rounded):
        model.compile(keras.optimizers.SGD(1.0), consistency={"type": "simcut", "cut_rate": ALL}, clip_norm=None)
        before = [np.array(weight) for weight in model.trainable_variables]
        model.train_batch((tf.constant(SOURCE), tf.constant(TARGET)))
    steps = [
        np.concatenate([np.ravel(np.array(w) - b) for w, b in zip(model.trainable_variables, before, strict=True)])
        for model in (exact, rounded)
    ]
    assert np.linalg.norm(steps[1] - steps[0]) < 0.05 * np.linalg.norm(steps[0])


def test_a_language_model_cuts_what_its_decoder_reads():
    model = LanguageModel(13, TargetEmbeddingsConfig(size=5), LanguageModelDecoderConfig(units=6))
    randomize(model, scale=0.8)
    source = np.full((3, 1), EOS_ID, np.int32)
    sums = objective_sums(model, source, TARGET, 0.1, ConsistencyConfig(type="simcut", cut_rate=ALL))
    np.testing.assert_allclose(sums[1:4], model.loss_sums(source, TARGET, 0.1), rtol=1e-5)
    assert float(sums.consistency) > 0.1


def test_fit_has_it_and_keeps_it_through_a_file(tmp_path):
    model = make(dropout=0.2)
    model.compile("adam", consistency={"type": "r_drop", "weight": 5})
    data = tf.data.Dataset.from_tensors((SOURCE, TARGET)).repeat(3)
    history = model.fit(data, epochs=2, verbose=0, shuffle=False, validation_data=data.take(1)).history
    assert history["consistency"][0] > 0
    assert "val_consistency" not in history, "validation has one pass"
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.consistency == ConsistencyConfig(type="r_drop", weight=5)
    assert loaded.get_compile_config() == model.get_compile_config()


def test_the_second_pass_can_be_left_out_for_a_while():
    """As before `start_epoch`: then a step is that of a model without the option, bit for bit."""
    waiting, without = make(dropout=0.3), make(dropout=0.3)
    waiting.compile(keras.optimizers.SGD(0.5), consistency={"type": "simcut"})
    without.compile(keras.optimizers.SGD(0.5))
    waiting.uses_consistency = False
    batch = tf.constant(SOURCE), tf.constant(TARGET)
    logs = waiting.step_function()(*batch)
    assert logs.keys() == without.step_function()(*batch).keys()
    for a, b in zip(waiting.weights, without.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    waiting.uses_consistency = True
    assert float(waiting.step_function()(*batch)["consistency"]) > 0
