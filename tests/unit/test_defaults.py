"""What a recipe leaves to the device: batches of training and of search."""

import pytest

from seq2seq.config import SearchOptions
from seq2seq.devices import device as module
from seq2seq.devices.device import Device, device_defaults, search_batch_limits
from seq2seq.errors import ConfigError
from seq2seq.inference.translator import Translator
from seq2seq.training.machine import with_batch_tokens
from tests.toy import pairs, save_random_model, toy_config, toy_tokenizer

CPU = Device("CPU", "float32", is_gpu=False)
GPU = Device("GPU (some)", "float32", is_gpu=True)


@pytest.mark.parametrize(("device", "expected"), [(CPU, 1_000), (GPU, 8_000)])
def test_a_training_batch_is_as_suits_the_device(tmp_path, device, expected):
    assert (
        with_batch_tokens(toy_config(tmp_path, batching={"max_tokens": None}), device).batching.max_tokens == expected
    )


@pytest.mark.parametrize("device", [CPU, GPU])
def test_a_training_batch_that_the_recipe_gives_stays(tmp_path, device):
    config = toy_config(tmp_path, batching={"max_tokens": 321})
    assert with_batch_tokens(config, device) == config


def test_a_sentence_that_fits_no_batch_of_the_device_is_an_error(tmp_path):
    data = toy_config(tmp_path).data.model_dump() | {"filters": {"max_tokens": 1001}}
    config = toy_config(tmp_path, batching={"max_tokens": None}, data=data)
    assert with_batch_tokens(config, GPU).batching.max_tokens == 8_000
    expected = r"^'data.filters.max_tokens' is 1001, .* 'batching.max_tokens' open, which is 1000 in this run: .* Set"
    with pytest.raises(ConfigError, match=expected):
        with_batch_tokens(config, CPU)


def test_a_search_on_a_cpu_has_16_000_tokens_of_any_vocabulary():
    for size in (50, 32_000, 10**9):
        assert search_batch_limits(SearchOptions(), size, CPU) == (16_000, 16_000)


def test_a_search_on_a_gpu_has_128_000_tokens_and_4_gib_of_logits():
    for size in (8_000, 32_000, 250_000):
        tokens, hypotheses = search_batch_limits(SearchOptions(), size, GPU)
        assert tokens == 128_000
        assert 0.99 * 4 * 2**30 < hypotheses * size * 4 * 5 <= 4 * 2**30


@pytest.mark.parametrize("device", [CPU, GPU])
def test_a_search_has_what_its_options_give(device):
    assert search_batch_limits(SearchOptions(batch_tokens=10**6), 250_000, device) == (10**6, 10**6)


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("defaults") / "model"
    save_random_model(folder, toy_tokenizer(), search={"beam_size": 2, "max_length": 3})
    return Translator.load(folder)


def batches(translator, count, **options):
    """Sentences done after each batch of a translation of `count`."""
    seen = []
    lines = [source for source, _ in pairs(count, 3)]
    translator.translate(lines, translator.options.model_copy(update=options), on_progress=seen.append)
    return seen


def test_a_translator_searches_as_suits_the_device(translator, monkeypatch):
    """With tables in which few hypotheses are much: 2 of a sentence, so that 7 are 3 sentences."""
    size = translator.model.output_embedding.vocabulary_size
    monkeypatch.setattr(module, "CPU_DEFAULTS", device_defaults(CPU)._replace(search_batch_tokens=10**6))
    monkeypatch.setattr(module, "GPU_DEFAULTS", device_defaults(GPU)._replace(search_logits=7 * size))
    assert translator.options.batch_tokens is None
    assert batches(translator, 8) == [8]
    monkeypatch.setattr("seq2seq.inference.pipeline.set_up_device", lambda: GPU)
    assert batches(translator, 8) == [3, 6, 8]
    assert batches(translator, 8, sample=True, n_best=5) == list(range(1, 9))
    assert batches(translator, 8, sample=True, n_best=9) == list(range(1, 9)), "one sentence at least"
    assert batches(translator, 8, batch_tokens=10**6) == [8], "what is given has no limit"
    monkeypatch.setattr(
        module, "GPU_DEFAULTS", device_defaults(GPU)._replace(search_batch_tokens=1, search_logits=10**9)
    )
    assert batches(translator, 3) == [1, 2, 3]
