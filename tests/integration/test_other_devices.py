"""A run that begins on a GPU, which is faked, and resumes on a CPU: it keeps its batches."""

import pytest
import tensorflow as tf

from seq2seq.config import load_config
from seq2seq.devices.device import GPU_DEFAULTS as DEFAULTS
from seq2seq.devices.device import Device
from seq2seq.errors import ConfigError, TrainingError
from seq2seq.model_directory.directory import load_model_config
from seq2seq.training import machine, train
from seq2seq.training.checkpoints import check_recipe
from tests.runs import assert_same_run
from tests.toy import toy_config, write_corpus

GPU = Device("GPU (some)", "float32", is_gpu=True)


def recipe(folder, tokens=None, **sections):
    return toy_config(folder, batching={"max_tokens": tokens, "shuffle_buffer": 400}, **sections)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """The folder of a corpus, and in `run` an epoch on the GPU."""
    folder = tmp_path_factory.mktemp("devices")
    write_corpus(folder)
    tf.config.experimental.enable_op_determinism()  # a GPU's default is without, and this is to be compared
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "set_up_device", lambda: GPU)
        report = train(recipe(folder, training={"epochs": 1}), folder / "run")
    assert report.updates == 1, "the corpus is one batch of a GPU"
    return folder


def test_the_directory_says_what_the_run_has(begun):
    saved = load_model_config(begun / "run")
    assert saved.batching.max_tokens == DEFAULTS.batch_tokens
    assert saved.search.batch_tokens is None, "the machine that translates may be another"
    assert saved.training.deterministic is None


def test_a_recipe_that_leaves_it_open_is_the_same_recipe(begun):
    check_recipe(begun / "run", recipe(begun, training={"epochs": 1}))
    check_recipe(begun / "run", recipe(begun, training={"epochs": 1, "deterministic": True}))
    check_recipe(begun / "run", recipe(begun, training={"epochs": 1}, search={"beam_size": 2, "batch_tokens": 99}))
    with pytest.raises(TrainingError, match=r"changed: batching.max_tokens\."):
        check_recipe(begun / "run", recipe(begun, 1_000, training={"epochs": 1}))


def test_the_run_goes_on_on_a_cpu_with_its_batches(begun, tmp_path):
    """As one does whose recipe gives the same number; on a CPU's own an epoch would have more batches."""
    given, open_ = (recipe(begun, tokens, training={"epochs": 2}) for tokens in (DEFAULTS.batch_tokens, None))
    assert train(given, tmp_path / "given").updates == 2
    assert train(open_, tmp_path / "own").updates > 2
    assert train(open_, begun / "run").updates == 2
    assert_same_run(tmp_path / "given", begun / "run")
    assert load_model_config(begun / "run").batching.max_tokens == DEFAULTS.batch_tokens
    assert train(load_config(begun / "run" / "config.yaml"), begun / "run").updates == 2


def test_another_recipe_that_leaves_it_open_keeps_it_too(begun):
    """With --allow-changes; sentences that its batches cannot hold are an error."""
    open_ = recipe(begun, training={"epochs": 1, "clip_norm": 0.5})
    train(open_, begun / "run", allow_changes=True)
    assert load_model_config(begun / "run").batching.max_tokens == DEFAULTS.batch_tokens
    data = open_.data.model_dump() | {"filters": {"max_tokens": 9_000}}
    with pytest.raises(ConfigError, match=r"'data.filters.max_tokens' is 9000, .* which is 8000 in this run"):
        train(recipe(begun, data=data), begun / "run", allow_changes=True)
