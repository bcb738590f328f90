"""Weights from another model, and weights that are not trained."""

import io

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig, LanguageModelDecoderConfig, TokenizerConfig
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.errors import ModelDirectoryError, TrainingError
from seq2seq.models.base import named_weights, weight_name
from seq2seq.models.language_model import LanguageModel
from seq2seq.models.translation import Seq2Seq
from seq2seq.storage.arrays import save_arrays
from seq2seq.training.display import Display
from seq2seq.training.setup import freeze, warm_start
from tests.conftest import randomize

BATCH = (tf.constant([[4, 5, 3], [6, 3, 0]]), tf.constant([[5, 4, 7, 3], [4, 3, 0, 0]]))


def make(units=4, layers=1, vocabulary_size=9) -> Seq2Seq:
    model = Seq2Seq(
        vocabulary_size,
        vocabulary_size,
        EmbeddingsConfig(size=3),
        EncoderConfig(units=4, layers=layers),
        DecoderConfig(units=units, layers=layers),
    )
    randomize(model, seed=units + 10 * layers)
    return model


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    text = ["the red dog sees the old cat", "a stone house"]
    return Tokenizers(
        *(Tokenizer.train(text, TokenizerConfig(model_type="bpe", vocabulary_size=size)) for size in (26, 28))
    )


def save(folder, model, tokenizers):
    save_arrays(folder / "model.safetensors", named_weights(model))
    for name, tokenizer in tokenizers.files().items():
        tokenizer.save(folder / name)


def start(model, tokenizers, folder) -> str:
    screen = io.StringIO()
    warm_start(model, tokenizers, folder, Display(Console(file=screen, width=200)))
    return screen.getvalue()


def test_equal_models_share_every_weight(tmp_path, tokenizers):
    old, new = make(), make()
    randomize(new, seed=99)
    save(tmp_path, old, tokenizers)
    said = start(new, tokenizers, tmp_path)
    for name, value in named_weights(old).items():
        np.testing.assert_array_equal(named_weights(new)[name], value, err_msg=name)
    count = len(old.weights)
    assert str(tmp_path) in said
    assert f"{count} of {count}, 100.0% of the parameters" in said
    for word in ("not there", "another shape", "left there", "note"):
        assert word not in said


def test_what_does_not_fit_is_named_and_stays_as_it_was(tmp_path, tokenizers):
    old, new = make(units=4, layers=2), make(units=6)
    before = named_weights(new)
    save(tmp_path, old, tokenizers)
    said = start(new, tokenizers, tmp_path)
    theirs, after = named_weights(old), named_weights(new)
    taken = {name for name, value in before.items() if name in theirs and theirs[name].shape == value.shape}
    assert {"encoder/layer_0/cell/kernel", "target_embedding/table", "output_bias"} <= taken
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], theirs[name] if name in taken else value, err_msg=name)
    share = sum(before[name].size for name in taken) / sum(value.size for value in before.values())
    assert f"{len(taken)} of {len(before)}, {share:.1%} of the parameters" in said
    assert "decoder/layer_0/cell/bias (2, 12) there, (2, 18) here" in said
    assert "left there" in said
    assert "encoder/layer_1/cell/kernel" in said


def test_a_weight_that_the_other_lacks_is_named(tmp_path, tokenizers):
    save(tmp_path, make(), tokenizers)
    said = start(make(layers=2), tokenizers, tmp_path)
    assert "not there" in said
    assert "encoder/layer_1/cell/kernel" in said


def test_other_tokenizers_are_noted(tmp_path, tokenizers):
    save(tmp_path, make(), tokenizers)
    said = start(make(), Tokenizers(tokenizers.target, tokenizers.source), tmp_path)
    assert "its tokenizers differ from those of this run" in said


@pytest.mark.parametrize("given", ["translator", "language model"])
def test_a_language_model_has_the_targets_tokens_only(tmp_path, tokenizers, given):
    alone = LanguageModel(9, EmbeddingsConfig(size=3), LanguageModelDecoderConfig(units=4))
    joint = Tokenizers(tokenizers.target, tokenizers.target)
    models = [(make(), tokenizers), (alone, joint)]
    (old, theirs), (new, ours) = models if given == "translator" else reversed(models)
    save(tmp_path, old, theirs)
    assert "tokenizers differ" not in start(new, ours, tmp_path)
    other = Tokenizers(tokenizers.target, tokenizers.source)
    assert "its tokenizers differ from those of this run" in start(new, other, tmp_path)


def test_nothing_in_common_is_an_error(tmp_path, tokenizers):
    save(tmp_path, make(), tokenizers)
    save_arrays(tmp_path / "model.safetensors", {"output_bias": np.zeros(5, "f"), "other": np.zeros(9, "f")})
    with pytest.raises(TrainingError, match=r"none of 2 weights in .* this model's \d+\. Take embeddings"):
        start(make(), tokenizers, tmp_path)
    with pytest.raises(ModelDirectoryError, match=r"nowhere/model.safetensors: no such file"):
        start(make(), tokenizers, tmp_path / "nowhere")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_frozen_weights_stay_bit_for_bit_and_the_others_move(accumulate):
    model = make()
    freeze(model, ["encoder/*", "target_embedding/table"])
    model.compile("adam", accumulation_steps=accumulate, ema_decay=0.9)
    before = named_weights(model)
    for _ in range(4):
        model.train_step(BATCH)
    trained = {weight_name(weight) for weight in model.update.variables}
    assert trained == {name for name in before if not name.startswith(("encoder/", "target_embedding/"))}
    assert {weight_name(weight) for weight in model.trainable_variables} == trained
    for name, value in named_weights(model).items():
        assert np.array_equal(value, before[name]) == (name not in trained), name
    assert len(model.update.averages) == len(trained)
    with model.update.averaged_weights():
        averages = named_weights(model)
    for name, value in before.items():
        assert np.array_equal(averages[name], value) == (name not in trained), name


def test_freezing_leaves_the_others_gradients_alone():
    models = [make(), make()]
    freeze(models[1], ["decoder/*"])
    for model in models:
        model.compile(tf.keras.optimizers.SGD(0.5), clip_norm=None)
        model.train_step(BATCH)
    whole, part = map(named_weights, models)
    for name, value in part.items():
        if not name.startswith("decoder/"):
            np.testing.assert_array_equal(value, whole[name], err_msg=name)


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("encodr/*", r"Did you mean 'encoder/\*'\?"),
        ("encoder/layer_0/cell/kernl", "Did you mean 'encoder/layer_0/cell/kernel'?"),
        ("Encoder/*", "matches no weight"),
        ("encoder", "matches no weight"),
    ],
)
def test_a_pattern_that_matches_nothing_is_an_error(pattern, hint):
    with pytest.raises(TrainingError, match=hint) as error:
        freeze(make(), ["*kernel", pattern])
    assert f"training.freeze: '{pattern}' matches no weight" in str(error.value)
    assert f"{len(make().weights)} weights, among them: output_bias, target_embedding/table" in str(error.value)


def test_freezing_everything_is_an_error():
    with pytest.raises(TrainingError, match=r"freeze: \*/\*, output_\* matches all \d+ weights, and nothing is left"):
        freeze(make(), ["*/*", "output_*"])
