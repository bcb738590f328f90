"""8-bit decoding: products by the formula, each decoder form near its float32 step, batches that change nothing."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from seq2seq import SearchOptions, Tokenizer, TokenizerConfig, Translator
from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig
from seq2seq.errors import ConfigError, ModelDirectoryError
from seq2seq.inference.int8 import DECODER_FILE, _quantize_products, load_int8_decoder, quantize_decoder
from seq2seq.model_directory.directory import WEIGHTS_FILE, load_weights
from seq2seq.models.translation import Seq2Seq
from seq2seq.storage.arrays import save_arrays
from tests.conftest import randomize
from tests.models import change_metadata
from tests.toy import pairs, save, save_trained

pytest.importorskip("onnxruntime")
SENTENCES = [source for source, _ in pairs(12, 9)]
FORMS = {
    "default": {},
    "cgru": {"type": "cgru", "cell": "lstm", "attention": "additive", "coverage": True},
    "input feeding": {"type": "input_feeding", "attention": "scaled_dot", "heads": 2, "layers": 2},
    "no attention": {"attention": "none", "context": "every_step"},
    "first state only": {"attention": "none", "layers": 2},
    "minimal": {"cell": "min_lstm", "layers": 2},
    "exponential gates": {"cell": "slstm"},
}


def small_model(vocabulary: int, **decoder: object) -> Seq2Seq:
    sections = EmbeddingsConfig(size=6, tied="target"), EncoderConfig(units=8), DecoderConfig(units=8, **decoder)
    model = Seq2Seq(vocabulary, vocabulary, *sections)
    randomize(model)
    return model


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train([side for pair in pairs(300, 4) for side in pair], TokenizerConfig(vocabulary_size=40))


def quantized(model: Seq2Seq, tokenizer: Tokenizer, folder: Path):
    save(folder, model, tokenizer)
    quantize_decoder(model, folder)
    return load_int8_decoder(folder, model.output_embedding.vocabulary_size)


def integers(x: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    scale = np.maximum(np.abs(x).max(axis=axis, keepdims=True), 1e-12).astype("f") * np.float32(1 / 127)
    return np.round(x / scale), scale


def test_a_product_is_of_integers_scaled_by_row_and_column(rng):
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    weights = [rng.normal(size=shape).astype("f") for shape in ((5, 7), (5, 3))]
    nodes = [helper.make_node("MatMul", ["x", f"w{n}"], [f"y{n}"]) for n in range(2)]
    ends = [
        [helper.make_tensor_value_info(f"{name}{n or ''}", TensorProto.FLOAT, None) for n in range(count)]
        for name, count in (("x", 1), ("y", 2))
    ]
    ends[1][0].name = "y0"
    tables = [numpy_helper.from_array(weight, f"w{n}") for n, weight in enumerate(weights)]
    graph = helper.make_graph(nodes, "products", *ends, tables)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    _quantize_products(model)
    x = (rng.normal(size=(4, 5)) * [[1.0], [1e-3], [50.0], [0.0]]).astype("f")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for found, weight in zip(session.run(None, {"x": x}), weights, strict=True):
        (rows, row_scale), (columns, column_scale) = integers(x, 1), integers(weight, 0)
        np.testing.assert_allclose(found, (rows @ columns) * row_scale * column_scale, rtol=1e-5)
        assert np.abs(found - x @ weight).max() > 1e-4, "or nothing was quantized"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_decoder_steps_near_its_float32_self(form, tokenizer, tmp_path):
    model = small_model(20, **FORMS[form])
    step = quantized(model, tokenizer, tmp_path)
    memory, state = model.encode(tf.constant([[5, 6, 7, 3], [8, 3, 0, 0]]))
    state = near = tf.nest.map_structure(lambda part: tf.repeat(part, 3, axis=1), state)
    for tokens in ([[2, 2, 2]] * 2, [[4, 9, 11], [3, 17, 8]]):
        logits, state, weights = model.decode_step(tf.constant(tokens), state, memory)
        found, near, near_weights = step(tf.constant(tokens), near, memory)
        tf.nest.assert_same_structure(near, state)
        spread = float(tf.math.reduce_std(logits))
        assert 0 < np.abs(found - logits).max() < 0.15 * spread
        np.testing.assert_allclose(near_weights, weights, atol=0.03)
        for part, other in zip(tf.nest.flatten(near), tf.nest.flatten(state), strict=True):
            np.testing.assert_allclose(part, other, atol=0.03)


@pytest.fixture(scope="module")
def translator(tokenizer, tmp_path_factory):
    folder, model = tmp_path_factory.mktemp("model"), small_model(40)
    quantized(model, tokenizer, folder)
    return Translator(model, tokenizer, tokenizer, folder=folder)


@pytest.mark.parametrize("more", [{"beam_size": 1}, {"beam_size": 3}, {"sample": True, "n_best": 2}])
def test_translations_do_not_depend_on_the_batch(translator, more):
    options = SearchOptions(max_length=12, int8=True, **more)
    together = translator.translate(SENTENCES, options)
    alone = [translator.translate([sentence], options)[0] for sentence in SENTENCES]
    assert [t.tokens for t in together] == [t.tokens for t in alone]
    assert max(len(t.tokens) for t in together) > 3
    np.testing.assert_allclose([t.score for t in together], [t.score for t in alone], rtol=1e-5)
    exact = translator.translate(SENTENCES, options.model_copy(update={"int8": False}))
    assert [t.score for t in together] != [t.score for t in exact]


def test_a_model_on_a_gpu_is_refused_with_a_way_out(translator, monkeypatch):
    monkeypatch.setattr("seq2seq.inference.step_factory.runs_on_gpu", lambda: True)
    with pytest.raises(ConfigError, match=r"the model runs on a GPU: .* Leave 'int8' out, .*CUDA_VISIBLE_DEVICES=-1"):
        translator.translate(SENTENCES, SearchOptions(int8=True))
    assert translator.translate(SENTENCES[:1], SearchOptions(max_length=3))


@pytest.mark.parametrize("precision", ["tf32", "mixed_bfloat16"])
def test_a_model_in_another_precision_than_float32_is_refused(translator, precision, monkeypatch):
    monkeypatch.setattr(translator.model, "precision", precision)
    with pytest.raises(ConfigError, match=f"'int8' is true, and the model is loaded in {precision}"):
        translator.translate(SENTENCES, SearchOptions(int8=True))


def test_what_is_missing_or_does_not_fit_is_said(translator, tmp_path):
    options, folder = SearchOptions(int8=True), tmp_path / "model"
    bare = Translator(translator.model, *translator.tokenizers)
    with pytest.raises(ConfigError, match="needs a model directory"):
        bare.translate(SENTENCES, options)
    other = Translator(translator.model, *translator.tokenizers, folder=folder)

    def assert_refused(reason):
        with pytest.raises(ModelDirectoryError, match=f"{DECODER_FILE}: {reason}.*seq2seq quantize {folder}"):
            other.translate(SENTENCES, options)

    shutil.copytree(translator.step_sources.folder, folder)
    whole = (folder / DECODER_FILE).read_bytes()
    (folder / DECODER_FILE).unlink()
    assert_refused("no such file")
    for damaged in (whole[:-200], whole + b"\0", b""):
        (folder / DECODER_FILE).write_bytes(damaged)
        assert_refused(f"damaged, or made from other files: SHA-256 of {DECODER_FILE} differs from metadata.json")
    (folder / DECODER_FILE).write_bytes(whole)
    load_int8_decoder(folder, 40)
    save_arrays(folder / WEIGHTS_FILE, {name: array + 1 for name, array in load_weights(folder).items()})
    assert_refused("damaged, or made from other files: SHA-256 of model.safetensors differs from metadata.json")
    save_trained(folder, translator.model, {})  # the weights that it was made from
    load_int8_decoder(folder, 40)
    change_metadata(folder, derived=None)
    assert_refused(f"damaged, or made from other files: SHA-256 of {DECODER_FILE} and model.safetensors differs")
    quantize_decoder(translator.model, folder, "0" * 64)  # training replaced the weights since they were read
    assert_refused("damaged, or made from other files: SHA-256 of model.safetensors differs from metadata.json")
    quantize_decoder(translator.model, folder)
    load_int8_decoder(folder, 40)
