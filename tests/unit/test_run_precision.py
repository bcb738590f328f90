"""The precision of a run: what a model keeps of it, and the TF32 switch wherever something is computed."""

from types import SimpleNamespace

import pytest
import tensorflow as tf

from seq2seq.analysis.attention import teacher_forced_map
from seq2seq.analysis.representations import source_states
from seq2seq.analysis.search_tree import search_tree
from seq2seq.config import GenerationOptions, SearchOptions
from seq2seq.config.precision import Precision
from seq2seq.data.tokenizer import Tokenizers
from seq2seq.devices import device
from seq2seq.devices.device import Device
from seq2seq.devices.replicas import Replicas
from seq2seq.errors import ConfigError, TrainingError
from seq2seq.inference.searcher import Searcher
from seq2seq.inference.text_generator import TextGenerator
from seq2seq.inference.translator import Translator
from seq2seq.model_directory.directory import create_model_directory, read_metadata
from seq2seq.models.build import build_model
from seq2seq.models.language_model import LanguageModel
from seq2seq.training.checkpoints import RunDirectory
from seq2seq.training.run_state import RunState
from tests.toy import language_model_config, pairs, save_random_model, save_trained, toy_config, toy_tokenizer

PRECISIONS = Precision.__args__
LINES = [source for source, _ in pairs(3, 5)]
OPTIONS = SearchOptions(beam_size=1, max_length=4)
set_tf32 = tf.config.experimental.enable_tensor_float_32_execution
tf32_is_on = tf.config.experimental.tensor_float_32_execution_enabled


@pytest.fixture(autouse=True)
def ampere(monkeypatch):
    """The CPU, taken for a GPU that has TF32; the switch is as it was afterwards."""
    monkeypatch.setattr(device, "set_up_device", lambda: Device("GPU (fake)", "mixed_bfloat16", True, (8, 0)))
    before = tf32_is_on()
    yield
    set_tf32(before)


@pytest.fixture(scope="module")
def tokenizer():
    return toy_tokenizer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("precision") / "model"
    save_random_model(folder, tokenizer)
    return folder


@pytest.fixture(scope="module")
def language_folder(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("precision") / "language_model"
    config = language_model_config(folder.parent)
    tokenizers = Tokenizers(tokenizer, tokenizer)
    folder.mkdir()
    create_model_directory(folder, config, tokenizers)
    save_trained(folder, build_model(config, tokenizers), {})
    return folder


def seen_by(owner, name, monkeypatch):
    """The states of the switch at the calls of a method."""
    states, method = [], getattr(owner, name)

    def seeing(*arguments, **named):
        states.append(tf32_is_on())
        return method(*arguments, **named)

    monkeypatch.setattr(owner, name, seeing)
    return states


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_model_keeps_the_name_and_tf32_is_float32_to_its_layers(precision, tmp_path, tokenizer):
    config, tokenizers = toy_config(tmp_path), Tokenizers(tokenizer, tokenizer)
    model = build_model(config, tokenizers, precision)
    assert model.precision == precision
    assert model.dtype_policy.name == ("float32" if precision == "tf32" else precision)
    create_model_directory(tmp_path, config, tokenizers)
    save_trained(tmp_path, model, {})
    assert read_metadata(tmp_path)["precision"] == precision


@pytest.mark.parametrize("precision", PRECISIONS)
def test_loading_sets_the_switch(precision, folder, language_folder):
    for load, path in ((Translator.load, folder), (TextGenerator.load, language_folder)):
        set_tf32(precision == "float32")
        assert load(path, precision).model.precision == precision
        assert tf32_is_on() is (precision != "float32")


@pytest.mark.parametrize("load", [Translator.load, TextGenerator.load])
def test_loading_in_tf32_without_it_is_refused_before_anything_is_read(load, tmp_path, monkeypatch):
    monkeypatch.setattr(device, "set_up_device", lambda: Device("CPU", "float32", False))
    with pytest.raises(ConfigError, match=r"precision tf32 needs a GPU of compute capability 8\.0"):
        load(tmp_path / "nothing", "tf32")


def test_each_translator_keeps_its_own(folder, monkeypatch):
    exact, fast = Translator.load(folder), Translator.load(folder, "tf32")
    seen = seen_by(Searcher, "search", monkeypatch)
    for translator in (exact, fast, exact):
        translator.translate(LINES, OPTIONS)
    list(fast.translate_stream(LINES, OPTIONS))
    assert seen == [False, True, False, True]


@pytest.mark.parametrize("look", ["search_tree", "source_states", "teacher_forced_map"])
def test_what_looks_into_a_translator_keeps_its_own(folder, look):
    exact, fast = Translator.load(folder), Translator.load(folder, "tf32")
    look = {
        "search_tree": lambda translator: search_tree(translator, LINES[0], OPTIONS),
        "source_states": lambda translator: source_states(translator, LINES),
        "teacher_forced_map": lambda translator: teacher_forced_map(translator, *pairs(1, 5)[0]),
    }[look]
    for translator in (exact, fast, exact):
        look(translator)
        assert tf32_is_on() is (translator is fast)


def test_each_text_generator_keeps_its_own(language_folder, monkeypatch):
    exact, fast = TextGenerator.load(language_folder), TextGenerator.load(language_folder, "tf32")
    for call in (
        lambda generator: generator.generate(options=GenerationOptions(max_length=3)),
        lambda generator: generator.perplexity(LINES),
        lambda generator: generator.token_log_probs(LINES),
    ):
        for generator in (exact, fast):
            set_tf32(generator is exact)
            call(generator)
            assert tf32_is_on() is (generator is fast)
    assert exact.perplexity(LINES).nll == pytest.approx(fast.perplexity(LINES).nll), "on a CPU it changes nothing"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_language_model_is_loaded_in_the_translators_precision(precision, folder, language_folder):
    translator = Translator.load(folder, precision)
    helper = translator.step_sources.language_model(str(language_folder))
    assert isinstance(helper, LanguageModel)
    assert (helper.precision, helper.dtype_policy.name) == (precision, translator.model.dtype_policy.name)


def test_a_checkpoint_of_tf32_is_none_of_float32(tmp_path, tokenizer):
    config, tokenizers = toy_config(tmp_path), Tokenizers(tokenizer, tokenizer)
    exact, fast = (build_model(config, tokenizers, precision) for precision in ("float32", "tf32"))
    for model in (exact, fast):
        model.compile("adam")
    data = SimpleNamespace(fingerprint=lambda: "corpora")
    exact, fast = (RunDirectory(tmp_path, config, model, data, Replicas()) for model in (exact, fast))
    fast.save("last.safetensors", RunState())
    assert fast.load("last.safetensors") == RunState()
    with pytest.raises(
        TrainingError, match=r"was written in tf32, but this run would resume in float32\. Set training"
    ):
        exact.load("last.safetensors")


def test_training_looks_for_a_device_before_it_starts_tensorflow(tmp_path, monkeypatch):
    from seq2seq.training import machine, train

    order = []

    def replicas(distribution):
        order.append("replicas")
        raise InterruptedError

    cpu = Device("CPU", "float32", False)
    monkeypatch.setattr(machine, "set_up_device", lambda: order.append("device") or cpu)
    monkeypatch.setattr(machine, "Replicas", replicas)
    with pytest.raises(InterruptedError):
        train(toy_config(tmp_path, training={"distribution": "mirrored"}), tmp_path / "run")
    assert order[0] == "device"
    assert order[-1] == "replicas"


def test_training_in_tf32_without_it_leaves_nothing(tmp_path, monkeypatch):
    from seq2seq.training import train

    monkeypatch.setattr(device, "set_up_device", lambda: Device("CPU", "float32", False))
    with pytest.raises(ConfigError, match="precision tf32 needs a GPU"):
        train(toy_config(tmp_path, training={"precision": "tf32"}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("chosen", ["auto", "float32", "tf32", "mixed_float16"])
def test_training_computes_in_what_the_recipe_says(chosen, tmp_path, monkeypatch):
    from seq2seq.training import machine

    monkeypatch.setattr(machine, "set_up_device", device.set_up_device)
    config = toy_config(tmp_path, training={"precision": chosen, "deterministic": False})
    assert machine.set_up_machine(config).precision == ("mixed_bfloat16" if chosen == "auto" else chosen)


def test_compiling_a_model_for_fit_sets_the_switch(tmp_path, tokenizer):
    config, tokenizers = toy_config(tmp_path), Tokenizers(tokenizer, tokenizer)
    ids = tf.constant([[4, 5, 3]])
    batches = tf.data.Dataset.from_tensors((ids, ids))
    for precision in ("float32", "tf32"):
        set_tf32(precision == "float32")
        model = build_model(config, tokenizers, precision)
        model.compile("adam")
        assert tf32_is_on() is (precision == "tf32")
        set_tf32(precision == "float32")  # another model ran
        model.fit(batches, epochs=1, shuffle=False, verbose=0)
        assert tf32_is_on() is (precision == "tf32")


def test_validation_sets_the_switch(monkeypatch):
    from seq2seq.training.validation import Validator

    states = []

    def sums():
        states.append(tf32_is_on())
        return tf.zeros([2])

    rows = SimpleNamespace(batch=lambda index: [])
    validator = SimpleNamespace(
        model=SimpleNamespace(precision="tf32", loss_sums_function=lambda: sums),
        data=SimpleNamespace(valid=rows),
        _plan=rows,
    )
    set_tf32(False)
    Validator._of_batch(validator, 0)
    assert states == [True]
