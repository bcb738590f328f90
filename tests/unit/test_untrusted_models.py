"""A model directory from a stranger, checksums right: nothing in it is executed, and nothing outside it is read."""

import ast
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import seq2seq
from seq2seq.data.tokenizer import Tokenizer, Tokenizers
from seq2seq.errors import ConfigError, ModelDirectoryError, Seq2SeqError
from seq2seq.inference.int8 import DECODER_FILE, quantize_decoder
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import (
    create_model_directory,
    load_tokenizers,
    load_weights,
    read_metadata,
    verify_directory,
)
from seq2seq.model_directory.history import read_history
from seq2seq.model_directory.model import load_model
from seq2seq.models.build import build_model
from seq2seq.storage.arrays import save_arrays
from tests.models import change_metadata
from tests.toy import pairs, save_trained, toy_config

CORPUS = {"train": [{"name": "train.tsv"}], "valid": {"name": "valid.tsv"}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model of random weights, its recipe and its tokenizers."""
    config = toy_config(tmp_path_factory.mktemp("toy"))
    tokenizer = Tokenizer.train([side for pair in pairs(100, 1) for side in pair], config.tokenizer)
    tokenizers = Tokenizers(tokenizer, tokenizer)
    return build_model(config, tokenizers), config, tokenizers


@pytest.fixture
def folder(made, tmp_path):
    model, config, tokenizers = made
    create_model_directory(tmp_path / "model", config, tokenizers)
    save_trained(tmp_path / "model", model, {}, CORPUS)
    return tmp_path / "model"


def forge(folder, name, content):
    """Put a file into the directory, with its right checksum in the metadata."""
    (folder / name).write_bytes(content)
    sha256 = json.loads((folder / "metadata.json").read_text())["sha256"]
    change_metadata(folder, sha256=sha256 | {name: hashlib.sha256(content).hexdigest()})


# Each creates the file OWNED if it is executed.
EXECUTES = [
    "!!python/object/apply:os.system ['touch OWNED']",
    "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['OWNED']]",
    "seed: !!python/object/new:subprocess.Popen [['touch', 'OWNED']]",
    "!!python/object/apply:builtins.eval [\"open('OWNED', 'w')\"]",
    "seed: !!python/module:OWNED",
]


@pytest.mark.parametrize("text", EXECUTES)
def test_a_recipe_executes_nothing(folder, tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    forge(folder, "config.yaml", text.encode())
    with pytest.raises(ConfigError, match=r"config\.yaml: not valid YAML: could not determine a constructor"):
        load_model(folder)
    assert not (tmp_path / "OWNED").exists()


def test_a_recipe_of_terabytes_is_refused_before_it_is_built(folder):
    recipe = yaml.safe_load((folder / "config.yaml").read_text())
    save_arrays(folder / "model.safetensors", load_weights(folder) | {"wide": np.zeros((2_000_000_000, 0))})
    for section, key in [("decoder", "units"), ("encoder", "layers"), ("embeddings", "size"), ("encoder", "units")]:
        changed = recipe | {section: recipe[section] | {key: 2_000_000_000}}
        forge(folder, "config.yaml", yaml.safe_dump(changed).encode())
        with pytest.raises(
            ModelDirectoryError, match=rf"'{section}' needs at least [\d,]{{13,}} parameters, but the file"
        ):
            load_model(folder)


def test_weights_of_other_tokenizers_are_refused(folder, made):
    other = Tokenizer.train([side for pair in pairs(100, 5) for side in pair], made[1].tokenizer)
    forge(folder, "joint.spm", other.model)
    with pytest.raises(ModelDirectoryError, match=r"model\.safetensors: weights of a model with tokenizers other than"):
        load_model(folder)


def test_weights_of_another_shape_are_refused(folder):
    weights = load_weights(folder)
    for changed in ({}, {"a": np.zeros(3)}, weights | {"more": np.zeros(2)}):
        save_arrays(folder / "model.safetensors", changed)
        with pytest.raises(ModelDirectoryError, match=r"weights do not fit the model of config\.yaml"):
            load_model(folder)


METADATA = {
    "a later format": (
        {"format_version": 2},
        "found format version 2, but this seq2seq reads up to 1. Install a later",
    ),
    "no format": ({"format_version": None}, "damaged: no 'format_version'"),
    "a format in words": ({"format_version": "1"}, "damaged: 'format_version'"),
    "endless": ({"format_version": float("inf")}, "damaged: 'format_version'"),
    "no checksums": ({"sha256": None}, "damaged: 'sha256'"),
    "no checksum of the recipe": ({"sha256": {"joint.spm": "0"}}, "no checksum of config.yaml"),
    "checksums in a list": ({"sha256": ["config.yaml"]}, "damaged: 'sha256'"),
    "another checksum": ({"sha256": {"config.yaml": "0"}}, "config.yaml: changed since the model was saved"),
    "a path that climbs": (
        {"sha256": {"config.yaml": "0", "../secret": "0"}},
        "a checksum of '../secret', which is no",
    ),
    "an absolute path": ({"sha256": {"config.yaml": "0", "/etc/passwd": "0"}}, "a checksum of '/etc/passwd', which"),
    "scores": ({"scores": 3}, "damaged: 'scores'"),
    "versions": ({"versions": {"keras": 3}}, "damaged: 'versions.keras'"),
    "precision": ({"precision": "float8"}, "damaged: 'precision'"),
    "tokenizers": ({"tokenizers": {"joint.spm": 1}}, "damaged: 'tokenizers.joint.spm'"),
    "no tokenizers": ({"tokenizers": None}, "damaged: 'tokenizers'"),
    "a quantized decoder": ({"derived": {DECODER_FILE: 1}}, f"damaged: 'derived.{DECODER_FILE}'"),
    "corpus": ({"corpus": {"train": "train.tsv"}}, "damaged: 'corpus.train'"),
}


@pytest.mark.parametrize("kind", METADATA)
def test_wrong_metadata_is_an_error_that_names_what_is_wrong(folder, kind):
    values, message = METADATA[kind]
    change_metadata(folder, **values)
    with pytest.raises(ModelDirectoryError) as error:
        verify_directory(folder)
    assert message in str(error.value)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"\xff", b"\0" * 99, b"[" * 200_000, b'{"format_version": {}}']
)
def test_metadata_that_is_none(folder, content):
    (folder / "metadata.json").write_bytes(content)
    for read in (read_metadata, load_tokenizers, load_weights):
        with pytest.raises(ModelDirectoryError, match=r"metadata\.json: damaged"):
            read(folder)


ENTRY = b'{"epoch": 1, "update": 2, "valid_loss": NaN, "bleu": null, "best": false, "seconds": 3}'


@pytest.mark.parametrize("end", [b"", b"\n", b"\n" + ENTRY[:30], b"\n\0\0\0", b"\n" + ENTRY[:-1]])
def test_a_history_ends_before_its_half_written_line(folder, end):
    (folder / "history.jsonl").write_bytes(ENTRY + b"\n" + ENTRY + end)
    assert [entry["update"] for entry in read_history(folder)] == [2, 2]


@pytest.mark.parametrize(
    ("line", "message"),
    [(ENTRY[:-1], ""), (b"5", ""), (b"{}", "'epoch'"), (ENTRY.replace(b"2", b'"2"'), "'update'"), (b"[" * 100_000, "")],
)
def test_another_damaged_line_of_a_history_is_named(folder, line, message):
    (folder / "history.jsonl").write_bytes(ENTRY + b"\n" + line + b"\n" + ENTRY + b"\n")
    with pytest.raises(ModelDirectoryError, match=rf"history\.jsonl:2: damaged: .*{message}"):
        read_history(folder)


def test_onnx_names_no_other_file(folder, made, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    quantize_decoder(made[0], folder)
    model = onnx.load_from_string((folder / DECODER_FILE).read_bytes())
    weight = next(tensor for tensor in model.graph.initializer if len(tensor.raw_data) > 100)
    (tmp_path / "secret").write_bytes(weight.raw_data)
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    other = weight.external_data.add()
    other.key, other.value = "location", "../secret"
    translator = Translator.load(folder)
    options = translator.options.model_copy(update={"int8": True})
    forged = model.SerializeToString()
    (folder / DECODER_FILE).write_bytes(forged)
    with pytest.raises(
        ModelDirectoryError, match=rf"damaged, .* SHA-256 of {DECODER_FILE} differs from metadata\.json"
    ):
        translator.translate(["the dog"], options)
    entry = read_metadata(folder)["derived"][DECODER_FILE]
    change_metadata(folder, derived={DECODER_FILE: entry | {DECODER_FILE: hashlib.sha256(forged).hexdigest()}})
    with pytest.raises(ModelDirectoryError, match="has weights in other files"):
        translator.translate(["the dog"], options)


UNPICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve", "torch"}
EXECUTING = {"eval", "exec", "__import__"}
# Files with what Keras calls for configurations from its own files, which it reads in safe mode; no model directory has
# any.
KERAS_CONFIGS = {"base.py", "trainable.py"}
# `yaml.load` is for the package's own grammar, with a safe loader; the rest deserialises objects.
LOADERS = {
    "unsafe_load",
    "full_load",
    "load_all",
    "deserialize",
    "deserialize_keras_object",
    "from_pickle",
    "loads_pickle",
}


def test_nothing_in_the_package_unpickles_or_evaluates():
    found = []
    for file in Path(seq2seq.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = set()
            if isinstance(node, ast.Import):
                names = {alias.name.partition(".")[0] for alias in node.names} & UNPICKLES
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").partition(".")[0]} & UNPICKLES
            elif isinstance(node, ast.Call):
                called = node.func
                if isinstance(called, ast.Name):
                    names = {called.id} & EXECUTING
                elif isinstance(called, ast.Attribute):
                    owner = ast.unparse(called.value)
                    numpy = called.attr == "load" and owner in ("np", "numpy", "joblib")
                    names = {called.attr} & LOADERS | ({f"{owner}.load"} if numpy else set())
                names |= {word.arg for word in node.keywords if word.arg == "allow_pickle"}
            if file.name in KERAS_CONFIGS:
                names -= {"deserialize_keras_object"}
            found += [f"{file.name}:{node.lineno}: {name}" for name in names]
    assert not found


EVENTS: list[str] = []
WATCHED = {"pickle.find_class", "marshal.loads", "os.system", "os.exec", "subprocess.Popen", "ctypes.dlopen"}


def watch(event, args):
    if event in WATCHED and EVENTS and not any("importlib" in str(arg) for arg in args):
        EVENTS.append(f"{event} {args}"[:200])


sys.addaudithook(watch)  # for good: it does nothing while EVENTS is empty


def test_loading_and_translating_unpickles_and_starts_nothing(folder, made):
    quantize_decoder(made[0], folder)
    Translator.load(folder).translate(["the dog sees"])  # imports what there is to import
    EVENTS.append("begin")
    try:
        translator = Translator.load(folder)
        translator.translate(["the dog sees bird", "the cat"])
        read_history(folder)
        found = EVENTS[1:]
    finally:
        EVENTS.clear()
    assert not found


def test_every_error_of_a_directory_is_ours(folder, tmp_path):
    for path in (tmp_path / "nowhere", folder / "config.yaml", Path("/dev/null")):
        with pytest.raises(Seq2SeqError) as error:
            Translator.load(path)
        assert str(path) in str(error.value)
