"""Temperature and calibration error against their definitions, and calibrated probabilities of translations."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import minimize_scalar

from seq2seq import SearchOptions, Translator
from seq2seq.data.tokenizer import EOS_ID
from seq2seq.errors import ConfigError, EvaluationError, ModelDirectoryError
from seq2seq.inference.calibration import load_calibration, save_calibration
from seq2seq.inference.confidence import Calibration, expected_calibration_error, sentence_confidence, word_confidences
from seq2seq.inference.teacher_forcing import TeacherForcing
from seq2seq.model_directory.derived_files import CALIBRATION_FILE, record_derived_file
from seq2seq.model_directory.directory import WEIGHTS_FILE
from seq2seq.storage.arrays import load_checksum
from tests.command import run
from tests.toy import pairs, save_random_model, toy_tokenizer, write_corpus

pytestmark = pytest.mark.usefixtures("shared_searches")

PAIRS = pairs(12, 4)


def test_the_calibration_error_is_that_of_the_definition():
    confidences = np.array([0.9, 0.1, 0.5, 0.6, 0.8, 0.2])
    correct = np.array([True, False, True, True, False, True])
    by_bin = [abs((0 + 1) / 2 - 0.15), abs((1 + 1) / 2 - 0.55), abs((0 + 1) / 2 - 0.85)]
    assert expected_calibration_error(confidences, correct, bins=3) == pytest.approx(np.mean(by_bin))
    single = np.abs(correct - confidences).mean()
    assert expected_calibration_error(confidences, correct, bins=15) == pytest.approx(single)
    assert expected_calibration_error(np.full(300, 0.25), np.arange(300) % 4 == 0) == pytest.approx(0.0, abs=0.04)


def test_words_have_the_mean_and_the_product_of_their_tokens():
    found = word_confidences("Der Hund.", ["▁Der", "▁Hu", "nd", ".", "</s>"], np.array([0.5, 0.2, 0.8, 1.0, 0.0], "f"))
    assert [one.word for one in found] == ["Der", "Hund", "."]
    np.testing.assert_allclose([one.probability for one in found], [0.5, 0.16, 1.0], rtol=1e-6)
    np.testing.assert_allclose([one.log_prob for one in found], np.log([0.5, 0.4, 1.0]), atol=1e-6)
    assert sentence_confidence(np.array([0.5, 0.125], "f")) == pytest.approx(0.25)
    assert sentence_confidence(np.zeros(3, "f")) > 0  # a probability that underflows has a logarithm


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("confidence")
    write_corpus(folder, train=20, valid=8)
    save_random_model(folder / "model", toy_tokenizer(), search={"beam_size": 2, "max_length": 8})
    return folder


@pytest.fixture(scope="module")
def translator(folder):
    return Translator.load(folder / "model")


@pytest.fixture(scope="module")
def logits(translator):
    """Logits and tokens of all target tokens of the pairs, one pair at a time."""
    found = []
    for pair in PAIRS:
        source, target = ([*one.encode(text), EOS_ID] for one, text in zip(translator.tokenizers, pair, strict=True))
        found.append((translator.model((tf.constant([source]), tf.constant([target])))[0].numpy(), target))
    return np.concatenate([own for own, _ in found]), np.concatenate([target for _, target in found])


def nll(logits, labels, temperature):
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(labels)), labels]))


def test_the_temperature_has_the_smallest_loss(translator, logits):
    fresh = Translator(translator.model, *translator.tokenizers)
    found = fresh.calibrate([*PAIRS, ("the dog", " ")])
    best = minimize_scalar(lambda value: nll(*logits, value), bounds=(0.05, 20), method="bounded")
    assert found.temperature == pytest.approx(best.x, rel=1e-2)
    assert found.after.nll <= found.before.nll
    for scores, temperature in ((found.before, 1.0), (found.after, found.temperature)):
        probabilities = tf.nn.softmax(logits[0] / temperature).numpy()
        right = probabilities.argmax(axis=1) == logits[1]
        assert scores.tokens == len(right)
        assert scores.nll == pytest.approx(nll(*logits, temperature), rel=1e-4)
        assert scores.accuracy == pytest.approx(right.mean())
        assert scores.confidence == pytest.approx(probabilities.max(axis=1).mean(), rel=1e-4)
        expected = expected_calibration_error(probabilities.max(axis=1), right)
        assert scores.calibration_error == pytest.approx(expected, abs=1e-4)
    with pytest.raises(EvaluationError, match="no pair has text on both sides"):
        fresh.calibrate([("the dog", " ")])


def test_probabilities_do_not_depend_on_the_batch(translator, logits, monkeypatch):
    ids = [[one.encode(pair[side]) for pair in PAIRS] for side, one in enumerate(translator.tokenizers)]
    targets = [[*target, EOS_ID] for target in ids[1]]
    forcing = TeacherForcing(translator.model, pytest.fail)
    together = [one.log_probs for one in forcing.run(ids[0], targets, temperature=2.0)]
    expected = tf.nn.softmax(logits[0] / 2.0).numpy()[np.arange(len(logits[1])), logits[1]]
    np.testing.assert_allclose(np.exp(np.concatenate(together)), expected, rtol=1e-4)
    monkeypatch.setattr("seq2seq.inference.teacher_forcing.MAX_LOGITS", 1000)  # several blocks
    for source, target, own in zip(ids[0], targets, together, strict=True):
        (alone,) = forcing.run([source], [target], temperature=2.0)
        np.testing.assert_allclose(alone.log_probs, own, rtol=1e-4)


def test_a_command_stores_the_temperature_and_translations_use_it(folder, translator, tmp_path, capsys):
    model = tmp_path / "model"
    shutil.copytree(folder / "model", model)
    with pytest.raises(ModelDirectoryError, match=f"no such file. Make it with: seq2seq calibrate {model}"):
        Translator.load(model).check(SearchOptions(confidence=True))
    for side, name in enumerate(("source", "target")):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in PAIRS), encoding="utf-8")
    test = ["--test-source", tmp_path / "source", "--test-target", tmp_path / "target"]
    assert run("calibrate", model, *test) == 0  # on the validation corpus
    assert capsys.readouterr().out.count("test text") == 2
    assert run("calibrate", model, "--source", tmp_path / "source", "--target", tmp_path / "target") == 0
    fitted = Translator(translator.model, *translator.tokenizers).calibrate(PAIRS)
    assert load_calibration(model).temperature == pytest.approx(fitted.temperature, rel=1e-3)

    lines = ["the dog sees bird", " ", "the cat. the king hears tree"]
    calibrated = Translator.load(model)
    for found in calibrated.translate(lines, SearchOptions(confidence=True, n_best=2, max_length=8)):
        for one in found.hypotheses if found.tokens else ():
            assert len(one.token_confidence) == len(one.tokens)
            assert one.confidence == pytest.approx(np.exp(np.log(one.token_confidence).mean()), rel=1e-4)
        assert found.hypotheses[0].confidence is not None or not found.tokens
    capsys.readouterr()
    assert run("translate", model, "-q", "--confidence", "--format", "jsonl", "the dog sees bird") == 0
    (row,) = json.loads(capsys.readouterr().out)["translations"]
    assert len(row["word_confidence"]) == len(row["word_log_probs"]) == len(row["words"])
    assert len(row["token_confidence"]) == len(row["tokens"])
    at_one = Translator(translator.model, *translator.tokenizers)
    at_one.calibration = Calibration(1.0, fitted.before, fitted.after)
    (plain,) = at_one.translate(lines[:1], SearchOptions(confidence=True, max_length=8))
    np.testing.assert_allclose(plain.hypotheses[0].token_confidence, np.exp(plain.token_log_probs), rtol=1e-3)


def test_commands_that_do_not_show_the_confidence_of_a_recipe_do_not_compute_it(tmp_path, capsys):
    model = tmp_path / "model"
    save_random_model(model, toy_tokenizer(), search={"beam_size": 2, "max_length": 8, "confidence": True})
    (tmp_path / "pairs.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in PAIRS), encoding="utf-8")
    # There is no calibration, so whatever computes it fails.
    for command in (
        ("translate", model, "the dog"),
        ("translate", model, "--format", "tsv", "the dog"),
        ("translate", model, "-i", tmp_path / "pairs.tsv", "-o", tmp_path / "out", "--shard", "1/1"),
        ("evaluate", model, tmp_path / "pairs.tsv"),
    ):
        assert run(*command) == 0, capsys.readouterr().err
    assert run("translate", model, "--format", "jsonl", "the dog") == 1
    assert "seq2seq calibrate" in capsys.readouterr().err


def test_a_calibration_of_other_weights_or_of_none_is_refused(folder, translator, tmp_path):
    with pytest.raises(ConfigError, match="'confidence' is set: it needs a model directory"):
        Translator(translator.model, *translator.tokenizers).translate(["the dog"], SearchOptions(confidence=True))
    model, fitted = tmp_path / "model", translator.calibrate(PAIRS)
    shutil.copytree(folder / "model", model)
    save_calibration(model, fitted, "0" * 64)
    with pytest.raises(ModelDirectoryError, match=r"SHA-256 of model.safetensors differs.*seq2seq calibrate"):
        load_calibration(model)
    (model / CALIBRATION_FILE).write_text('{"temperature": -1}', encoding="utf-8")
    record_derived_file(model, CALIBRATION_FILE, {WEIGHTS_FILE: load_checksum(model / WEIGHTS_FILE)})
    with pytest.raises(
        ModelDirectoryError, match=f"{CALIBRATION_FILE}: not a calibration: .* is -1.0.*seq2seq calibrate"
    ):
        load_calibration(model)
    assert run("calibrate", "phrasebook-en-de") == 1
