"""TensorBoard's event files, read back with TensorBoard's own reader."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as PluginEventAccumulator

from seq2seq.errors import MissingExtraError
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.history import read_history
from seq2seq.training import display, train
from seq2seq.training.display import PIXELS_PER_WEIGHT, TensorBoardWriter, attention_image
from tests.runs import InterruptAfter
from tests.toy import pairs, toy_config, write_corpus

pytestmark = pytest.mark.usefixtures("shared_graphs")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was interrupted, and then went on with TensorBoard."""
    folder = tmp_path_factory.mktemp("run")
    write_corpus(folder, train=60, valid=12)
    training = {"epochs": 2, "accumulation_steps": 2, "keep_last": 1}
    off, on = (
        toy_config(folder, training=training | {"tensorboard": asked}, validation={"compute_bleu": True})
        for asked in (False, True)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seq2seq.training.loop.LOG_INTERVAL", 3)
        train(off, folder / "run", [InterruptAfter(1)])
        assert not (folder / "run" / "tensorboard").exists()
        train(on, folder / "run")
    events = EventAccumulator(str(folder / "run" / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    return folder / "run", events


def read(events, tag):
    return {event.step: tf.make_ndarray(event.tensor_proto) for event in events.Tensors(tag)}


def test_validation_scalars_are_those_of_the_history(run):
    folder, events = run
    history = read_history(folder)
    assert len(history) == 2
    for tag, name in (
        ("validation/loss", "valid_loss"),
        ("validation/perplexity", "valid_perplexity"),
        ("validation/bleu", "bleu"),
        ("validation/gradient_norm", "gradient_norm"),
        ("validation/learning_rate", "learning_rate"),
    ):
        expected = {entry["update"]: pytest.approx(entry[name], rel=1e-6) for entry in history}
        assert {step: float(value) for step, value in read(events, tag).items()} == expected


def test_training_scalars_come_every_so_many_updates(run):
    folder, events = run
    updates = read_history(folder)[-1]["update"]
    for name in ("loss", "learning_rate", "gradient_norm", "tokens_per_second"):
        values = read(events, f"train/{name}")
        assert list(values) == list(range(3, updates + 1, 3))
        assert all(float(value) > 0 for value in values.values())
    assert display.LOG_INTERVAL == 50


def test_samples_are_validation_sentences_with_their_translations(run):
    folder, events = run
    texts = read(events, "translations")
    assert list(texts) == [entry["update"] for entry in read_history(folder)]
    lines = texts[max(texts)].item().decode().split("\n")
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    assert rows[0] == ["source", "translation", "reference"]
    valid = pairs(12, seed=2)
    chosen = [valid[place] for place in (0, 2, 4, 7, 9)]
    assert [(row[0], row[2]) for row in rows[2:]] == chosen
    best = min(read_history(folder), key=lambda entry: entry["valid_loss"])
    greedy = Translator.load(folder)
    options = greedy.options.model_copy(update={"beam_size": 1})
    translations = greedy.translate([source for source, _ in chosen], options)
    shown = texts[best["update"]].item().decode().split("\n")[2:]
    for line, translation in zip(shown, translations, strict=True):
        assert f"| {translation.text} |" in line

    image = read(events, "attention")[best["update"]]
    picture = tf.io.decode_png(image[2]).numpy()
    np.testing.assert_array_equal(picture, attention_image(translations[0].attention))


def test_what_is_done_again_after_a_crash_is_shown_once(tmp_path, monkeypatch):
    class Crash(keras.callbacks.Callback):
        epochs = 0

        def on_epoch_begin(self, epoch, logs=None):
            self.epochs += 1

        def on_train_batch_end(self, batch, logs=None):
            if self.epochs == 2 and batch == 3:
                raise RuntimeError("crash")

    write_corpus(tmp_path, train=60)
    monkeypatch.setattr("seq2seq.training.loop.LOG_INTERVAL", 1)
    config = toy_config(tmp_path, training={"epochs": 2, "tensorboard": True})
    with pytest.raises(RuntimeError, match="crash"):
        train(config, tmp_path / "run", [Crash()])
    report = train(config, tmp_path / "run")
    # The server's reader: unlike the older one, it purges tensors too.
    events = PluginEventAccumulator(str(tmp_path / "run" / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    steps = [event.step for event in events.Tensors("train/loss")]
    assert steps == list(range(1, report.updates + 1))
    assert [event.step for event in events.Tensors("validation/loss")] == [e["update"] for e in report.history]


def test_an_attention_map_has_a_row_a_target_token():
    weights = np.array([[1.0, 0.0, 0.0], [0.25, 0.5, 0.25]], np.float32)
    picture = attention_image(weights)
    assert picture.shape == (2 * PIXELS_PER_WEIGHT, 3 * PIXELS_PER_WEIGHT, 1)
    assert picture.dtype == np.uint8
    for row in range(2):
        for column in range(3):
            square = picture[
                row * PIXELS_PER_WEIGHT : (row + 1) * PIXELS_PER_WEIGHT,
                column * PIXELS_PER_WEIGHT : (column + 1) * PIXELS_PER_WEIGHT,
            ]
            assert np.all(square == round(255 * float(weights[row, column])))


def test_a_model_without_attention_or_bleu_gives_neither(tmp_path):
    entry = dict.fromkeys(display.VALIDATION_SCALARS.values(), 1.5) | {"update": 7, "bleu": None}
    TensorBoardWriter(tmp_path).log_validation(entry, [("a | b", "c", "d")], np.zeros((4, 0), np.float32))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["tensors"]) == {*display.VALIDATION_SCALARS, "translations"} - {"validation/bleu"}
    assert read(events, "translations")[7].item().decode().endswith("| a \\| b | c | d |")


def test_a_missing_package_is_said_before_any_work(tmp_path, hide):
    hide("tensorboard")
    write_corpus(tmp_path, train=5)
    with pytest.raises(MissingExtraError, match=r"^training\.tensorboard needs the package 'tensorboard'"):
        train(toy_config(tmp_path, training={"tensorboard": True}), tmp_path / "run")
    assert not (tmp_path / "run" / "encoded").exists()
